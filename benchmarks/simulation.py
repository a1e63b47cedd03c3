"""How fast dialogues are played, beside the official procedure on the same model, cards and lengths.

    python -m benchmarks.simulation --quick
    python -m benchmarks.simulation --dialogues 32 --tokens 64 --repeats 3 --json FILE
    python -m benchmarks.simulation --random-shape qwen1.5-14b --dialogues 64

Replies have a fixed length and are greedy, so that the work is the same for all. The official procedure plays a few
of the dialogues in each repeat, our engines all of them; rates are compared, and the texts of the dialogues that both
played. Everything runs in one process, in turn. ``share_of_hardware`` is the time that the same work takes at least, by
the bytes and operations of the model's shape and the rates of a copy and a product in plain torch, over the run's time.

    python -m benchmarks.simulation --parts realistic --cards FILE --dialogues 64
    python -m benchmarks.simulation --parts start

``realistic``: the embedded model with its trained seeker, the protocol's own settings, replies that end by themselves;
then the same dialogues with replies of the same mean length, all alike. ``start``: seconds from a command to the first
token of the embedded model, in a process of its own: the first time, when it is converted, and from then on. ``step``:
what a decoding step of the embedded model spends its processor time on.
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM

from benchmarks.baseline import Batching, Official, take_cards
from benchmarks.meters import Hardware, Memory, Work, best_rates, counted, synchronise
from benchmarks.shapes import SHAPES, build
from esc_eval.chat import open_model
from esc_eval.chat.engine import attention
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.packed import PackedLinear
from esc_eval.chat.engine.rows import Rows
from esc_eval.chat.engine.slots import SlotLayer
from esc_eval.checkpoints import embedded
from esc_eval.environment import installed_versions
from esc_eval.files.records import read_dialogues
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Generation, Protocol, load_protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

PARTS = ("comparison", "realistic", "start", "step")
STARTS = 3  # after the first
PROBLEM = 600  # characters of why a start failed
LIBRARIES = "import torch; from transformers import AutoModelForCausalLM, AutoTokenizer; print('begun', flush=True)"
START = """
from esc_eval.chat import Options, open_model
from esc_eval.prompts.protocol import Generation
model = open_model("embedded:base", Options())
list(model.reply([[{"role": "user", "content": "Hello."}]], Generation(max_new_tokens=1), [0]))
print("begun", flush=True)
"""
LOCAL = ("kept", "bfloat16", "int8")
KNOWN = ("official", *LOCAL, "transformers-batching")
EXACT = "kept"  # the engine as it is used by default


@dataclass
class Result:
    """One backend in one repeat."""

    seconds: float
    dialogues: int
    generated: int
    prompt: int | None
    memory: float | None
    texts: dict[str, list[str]]
    share_of_limit: float | None = None
    share_of_hardware: float | None = None
    share_of_bandwidth: float | None = None
    between: float | None = None
    limit: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        """Generated tokens a second."""
        return self.generated / self.seconds


@dataclass
class Inside:
    """Seconds spent in a model; the rest is the ledger, what is asked next, and bookkeeping."""

    clock: Callable[[], float] = time.perf_counter
    seconds: float = 0.0

    def timed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose time counts."""

        def run(*args: Any, **named: Any) -> Any:
            start = self.clock()
            try:
                return work(*args, **named)
            finally:
                self.seconds += self.clock() - start

        return run


@contextmanager
def _timed_inside(model: HFModel) -> Iterator[Inside]:
    inside, plain, stream = Inside(), model.reply, model.stream

    def reply(*args: Any) -> Iterator[Any]:
        replies = plain(*args)
        while (found := inside.timed(next)(replies, None)) is not None:
            yield found

    def watched(places: int) -> Any:
        found: Any = stream(places)
        if found:
            found.ask, found.step = inside.timed(found.ask), inside.timed(found.step)
        return found

    model.reply, model.stream = reply, watched  # type: ignore[method-assign]
    try:
        yield inside
    finally:
        del model.reply, model.stream


class Bench:
    """Models, cards and protocol of one comparison."""

    def __init__(self, options: argparse.Namespace, scratch: Path) -> None:
        self.options, self.scratch = options, scratch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = "float32" if self.device.type == "cpu" else "bfloat16"
        if options.random_shape:
            weights = build(options.random_shape, scratch / "shape", self.device, self.dtype)
            self.folder = str(scratch / "shape")
            self.exact = self._open(self.dtype, weights)
            self.plain: Any = self.exact.model
        else:
            self.folder = str(embedded.convert_embedded()[0])
            self.exact = self._open(self.dtype)
            self.plain = AutoModelForCausalLM.from_pretrained(self.folder, dtype=getattr(torch, self.dtype))
            self.plain = self.plain.eval().to(self.device)
        protocol = load_protocol()
        fixed = Generation(max_new_tokens=options.tokens, temperature=0.0)
        self.protocol: Protocol = protocol.model_copy(
            update={"rounds": options.rounds, "seeker": fixed, "supporter": fixed}
        )
        self.cards = [
            card.model_copy(update={"text": f"{card.text} ({number})"})
            for number, card in enumerate(take_cards("sample", options.dialogues))
        ]
        self.memory = Memory(self.device)
        self.hardware = Hardware.measure(self.device, getattr(torch, self.dtype))

    def _open(self, dtype: str, weights: Any = None) -> HFModel:
        model = HFModel(
            self.folder, dtype=dtype, name=dtype, weights=weights, batch_size=self.options.batch, stands_for="benchmark"
        )
        model.stops = set()  # replies of a fixed length
        return model

    def official(self, repeat: int) -> Result:
        """A few dialogues by the official procedure, other ones in each repeat."""
        count = self.options.official_dialogues
        cards = [self.cards[(repeat * count + i) % len(self.cards)] for i in range(count)]
        player = Official(self.exact, self.plain)
        protocol = self.protocol.model_copy(update={"rounds": self.options.official_rounds or self.options.rounds})
        texts, seconds, memory = self._timed(lambda: player.play(cards, protocol))
        return Result(seconds, len(cards), player.generated, player.prompt_tokens, memory, texts)

    def local(self, dtype: str) -> Result:
        """All dialogues by our engine, and the limit of its weights at the same lengths."""
        model = self.exact if dtype == self.dtype else self._open(dtype)
        model.kept.clear()
        with counted() as count, _timed_inside(model) as inside:
            result = self._simulated(model)
        result.between = 1 - inside.seconds / result.seconds
        result.prompt = count.prompt
        length = max(1, sum(rows * mean for rows, mean in count.steps) // sum(rows for rows, _ in count.steps))
        widest = max(rows for rows, _ in count.steps)
        model.kept.clear()
        limit = best_rates(model, length, (widest,) if self.options.quick else (max(1, widest // 2), widest))
        ideal = result.generated / limit["decode_tokens_per_second"] + count.prompt / limit["prompt_tokens_per_second"]
        result.share_of_limit = ideal / result.seconds
        result.limit = {**limit, "context": length}
        work = Work.of(model.model)
        result.share_of_hardware = work.least_seconds(count, self.hardware) / result.seconds
        result.share_of_bandwidth = work.memory_seconds(count, self.hardware) / result.seconds
        return result

    def batching(self) -> Result:
        """All dialogues with transformers' continuous batching."""
        return self._simulated(Batching(self.exact, self.plain, self.exact.parallel))

    def _simulated(self, model: Any) -> Result:
        folder = self.scratch / f"run-{time.monotonic_ns()}"
        plan = Plan(self.protocol, self.cards, model, [model])
        with Run(folder) as run:
            _, seconds, memory = self._timed(lambda: play_plan(plan, run))
        dialogues = read_dialogues(folder)
        generated = sum(turn.completion_tokens or 0 for d in dialogues for turn in d.turns)
        texts = {str(d.card_id): [turn.text for turn in d.turns] for d in dialogues}
        return Result(seconds, len(dialogues), generated, None, memory, texts)

    def _timed(self, work: Callable[[], Any]) -> tuple[Any, float, float | None]:
        gc.collect()  # what watches a stream of the repeat before holds its rows
        self.memory.reset()
        synchronise(self.device)
        start = time.perf_counter()
        value = work()
        synchronise(self.device)
        return value, time.perf_counter() - start, self.memory.peak()

    def once(self, backend: str, repeat: int) -> Result:
        """One backend, one repeat."""
        if backend == "official":
            return self.official(repeat)
        if backend == "transformers-batching":
            return self.batching()
        return self.local(self.dtype if backend == EXACT else backend)


def play_realistic(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Dialogues whose replies end by themselves, and the same with replies of one length, by the same two models."""
    spec = "embedded:seeker" if embedded.find_seeker() else "embedded:base"
    seeker, supporter = open_model(f"seeker={spec}"), open_model("supporter=embedded:base")
    protocol = load_protocol().model_copy(update={"rounds": options.rounds})
    cap = min(options.cap, protocol.supporter.max_new_tokens)
    cards = take_cards(options.cards or "sample", options.dialogues)
    engines = [model for model in (supporter, getattr(seeker, "trained", seeker)) if isinstance(model, HFModel)]

    def rate(name: str, seeker_cap: int, supporter_cap: int) -> tuple[dict[str, float], dict[str, float]]:
        sides = {"seeker": seeker_cap, "supporter": supporter_cap}
        update = {side: getattr(protocol, side).model_copy(update={"max_new_tokens": n}) for side, n in sides.items()}
        plan = Plan(protocol.model_copy(update=update), cards, seeker, [supporter])
        for engine in engines:
            engine.kept.clear()  # the same cards again would be read already
        with Run(scratch / name) as run, counted() as count:
            begin, worked = time.perf_counter(), time.process_time()
            play_plan(plan, run)
            seconds, processor = time.perf_counter() - begin, time.process_time() - worked
        turns = [turn for dialogue in read_dialogues(scratch / name) for turn in dialogue.turns[1:]]
        spoken = {side: [t.completion_tokens or 0 for t in turns if t.role == side] for side in sides}
        tokens = sum(map(sum, spoken.values()))
        rows = sum(n for n, _ in count.steps) / len(count.steps)
        found = {
            "generated": tokens,
            "tokens_per_second": tokens / seconds,
            "tokens_per_processor_second": tokens / processor,
            "rows_a_step": rows,
            "longest": max(map(max, spoken.values())),
        }
        return found, {side: sum(lengths) / len(lengths) for side, lengths in spoken.items()}

    found, mean = rate("varying", cap, cap)
    for engine in engines:
        engine.stops = set()
    fixed, _ = rate("fixed", *(max(1, round(mean[side])) for side in ("seeker", "supporter")))
    return {
        "varying": found,
        "fixed": fixed,
        "mean_length": mean,
        "ratio": found["tokens_per_second"] / fixed["tokens_per_second"],
        "ratio_by_processor_time": found["tokens_per_processor_second"] / fixed["tokens_per_processor_second"],
        "seeker": spec,
        "dialogues": len(cards),
    }


def time_starts(scratch: Path) -> dict[str, Any]:
    """Seconds from a command to the first token, the first time and from then on, and of importing libraries alone.

    Processor seconds are those of the whole process, its end included.
    """

    def run(program: str) -> dict[str, float]:
        begin, worked = time.perf_counter(), os.times()
        with (scratch / "said.txt").open("w+") as said, subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=said, text=True,
            env={**os.environ, "ESC_EVAL_CACHE": str(scratch / "cache")},
        ) as process:  # fmt: skip
            assert process.stdout
            begun = next((time.perf_counter() for line in process.stdout if line == "begun\n"), None)
        if begun is None or process.returncode:
            why = (scratch / "said.txt").read_text(errors="replace").strip()[-PROBLEM:]
            raise SystemExit(f"a start ended with {process.returncode}: {why}")
        seconds = begun - begin
        ended = os.times()
        spent = ended.children_user + ended.children_system - worked.children_user - worked.children_system
        return {"seconds": seconds, "processor_seconds": spent}

    first, later, libraries = run(START), [], []
    for _ in range(STARTS):
        later.append(run(START))
        libraries.append(run(LIBRARIES))
    middle = {key: median(one[key] for one in later) for key in later[0]}
    alone = {key: median(one[key] for one in libraries) for key in libraries[0]}
    return {"first": first, "after_the_first": middle, "libraries_alone": alone}


@torch.inference_mode()
def time_steps(length: int = 330, steps: int = 4) -> dict[str, Any]:
    """Processor milliseconds of a decoding step of the embedded model at some rows, by what they are spent on."""
    model = HFModel(str(embedded.convert_embedded()[0]), name="model", stands_for="benchmark", device="cpu")
    found: dict[str, Any] = {"length": length, "hardware": asdict(Hardware.measure(model.device, torch.float32))}
    for count in (1, 8, 32):
        many = count >= attention.ROWS and torch.backends.mkl.is_available()
        attend = "_attend_by_products" if many else "scaled_dot_product_attention"
        parts = {
            "linear": (PackedLinear, "forward"),
            "attention": (attention, attend),
            "buffers": (SlotLayer, "update"),
        }
        rows = Rows(model.model, count, model.pad)
        rows.extend([[(17 * i + 31 * j) % 49000 + 5 for j in range(length)] for i in range(count)])
        token = torch.full((count, 1), 7)
        rows.extend(token)
        with ExitStack() as stack:
            inside = {part: stack.enter_context(_timed(*where)) for part, where in parts.items()}
            begin = time.process_time()
            for _ in range(steps):
                rows.extend(token).argmax(dim=-1)
            total = time.process_time() - begin
        row = {part: 1000 * one.seconds / steps for part, one in inside.items()}
        found[str(count)] = {"step": 1000 * total / steps, **row, "other": 1000 * total / steps - sum(row.values())}
        found[str(count)]["by_the_clock"] = _time_attention(rows, token)
    return found


def _time_attention(rows: Rows, token: torch.Tensor, steps: int = 12) -> dict[str, float]:
    """Milliseconds of a step by the clock, medians, with attention by plain products and by torch's own in turn."""
    ways = {"products": torch.backends.mkl.is_available(), "torch": False}
    times: dict[str, list[float]] = {way: [] for way in ways}
    lengths = [len(row) for row in rows.ids]
    for _ in range(steps):
        for way, chosen in ways.items():
            with patch.object(attention, "_multiplies_batches", return_value=chosen):
                begin = time.perf_counter()
                rows.extend(token).argmax(dim=-1)
                times[way].append(1000 * (time.perf_counter() - begin))
            rows.cut(lengths)
    return {way: median(taken) for way, taken in times.items()}


@contextmanager
def _timed(owner: Any, name: str) -> Iterator[Inside]:
    inside, plain = Inside(time.process_time), getattr(owner, name)
    setattr(owner, name, inside.timed(plain))
    try:
        yield inside
    finally:
        setattr(owner, name, plain)


def show_realistic(found: dict[str, Any]) -> None:
    """Print both rates and their ratio."""
    mean = found["mean_length"]
    print(
        f"{found['dialogues']} dialogues, replies of {mean['seeker']:.0f} (seeker) and {mean['supporter']:.0f} tokens "
        f"in the mean, the longest {found['varying']['longest']:.0f}"
    )
    for name in ("varying", "fixed"):
        row = found[name]
        print(
            f"{name:10}{row['tokens_per_second']:8.1f} tokens/s{row['tokens_per_processor_second']:8.1f} a processor "
            f"second{row['rows_a_step']:8.1f} rows a step"
        )
    print(f"ratio {found['ratio']:.2f}; by processor time {found['ratio_by_processor_time']:.2f}")


def show_starts(found: dict[str, Any]) -> None:
    """Print what a start takes."""
    for name, row in found.items():
        words = name.replace("_", " ")
        print(f"start, {words:17}{row['seconds']:6.1f} s, {row['processor_seconds']:.1f} s of processor time")


def summarise(results: dict[str, list[Result]]) -> dict[str, Any]:
    """Medians, ranges, ratios to the official procedure and equality of texts, by backend."""
    official = results["official"]
    out: dict[str, Any] = {}
    for name, found in results.items():
        ratios = [mine.rate / base.rate for mine, base in zip(found, official, strict=True)]
        same = [
            base.texts[card] == mine.texts[card][: len(base.texts[card])]
            for mine, base in zip(found, official, strict=True)
            for card in base.texts
        ]
        last = found[-1]
        shares = [r.share_of_limit for r in found if r.share_of_limit]
        out[name] = {
            "tokens_per_second": median(r.rate for r in found),
            "dialogues_per_minute": median(60 * r.dialogues / r.seconds for r in found),
            "ratio": median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
            "prompt_tokens_per_dialogue": last.prompt / last.dialogues if last.prompt else None,
            "peak_memory_mib": max((r.memory for r in found if r.memory), default=None),
            "texts_equal": sum(same),
            "texts_compared": len(same),
            "share_of_limit": median(shares) if shares else None,
            "share_of_hardware": last.share_of_hardware,
            "share_of_bandwidth": last.share_of_bandwidth,
            "share_between_replies": last.between,
            "limit": last.limit,
        }
    return out


def show(rows: dict[str, Any]) -> None:
    """Print the comparison as a table."""
    print(
        f"{'backend':22}{'tok/s':>9}{'dial/min':>10}{'ratio':>8}{'range':>14}{'prompt tok/dial':>17}"
        f"{'peak MiB':>10}{'equal':>8}{'of limit':>10}"
    )
    for name, row in rows.items():
        low, high = row["ratio_range"]
        prompt = "" if row["prompt_tokens_per_dialogue"] is None else f"{row['prompt_tokens_per_dialogue']:.0f}"
        memory = "" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']:.0f}"
        share = "" if row["share_of_limit"] is None else f"{row['share_of_limit']:.0%}"
        print(
            f"{name:22}{row['tokens_per_second']:9.1f}{row['dialogues_per_minute']:10.2f}{row['ratio']:8.2f}"
            f"{f'{low:.2f}-{high:.2f}':>14}{prompt:>17}{memory:>10}"
            f"{row['texts_equal']:>4}/{row['texts_compared']:<3}{share:>10}"
        )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="16-token replies, one repeat, under three minutes")
    parser.add_argument("--threads", type=int, help="of a CPU; torch's own choice otherwise")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["comparison"])
    parser.add_argument("--cards", type=Path, help="role cards for the realistic part instead of the sample")
    parser.add_argument("--cap", type=int, default=512, help="tokens of a reply of the realistic part at most")
    parser.add_argument("--dialogues", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, help="tokens of every reply (64; 16 with --quick)")
    parser.add_argument("--repeats", type=int, help="3; 1 with --quick")
    parser.add_argument("--official-dialogues", type=int, help="dialogues of the official procedure in each repeat")
    parser.add_argument("--official-rounds", type=int, help="rounds that it plays of these; all otherwise")
    parser.add_argument("--backends", nargs="+", choices=KNOWN, help="those to compare, beside the official procedure")
    parser.add_argument("--batch", type=int, help="dialogues side by side; chosen from memory otherwise")
    parser.add_argument("--random-shape", choices=sorted(SHAPES), help="random weights of this shape, made here")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    options.tokens = options.tokens or (16 if options.quick else 64)
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.official_dialogues = options.official_dialogues or (2 if options.quick else 1)
    options.backends = ["official", *(b for b in options.backends or [EXACT] if b != "official")]
    return options


def main() -> None:
    """Run the parts and print what they found."""
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    content: dict[str, Any] = {
        "benchmark": "simulation",
        "date": datetime.now(UTC).date().isoformat(),
        "setting": {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()},
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "load": os.getloadavg(),
        "libraries": installed_versions(),
    }
    with TemporaryDirectory() as scratch:
        if "start" in options.parts:
            content["start"] = time_starts(Path(scratch))
            show_starts(content["start"])
        if "step" in options.parts:
            content["step"] = time_steps()
            print(json.dumps(content["step"], indent=1))
        if "realistic" in options.parts:
            content["realistic"] = play_realistic(options, Path(scratch))
            show_realistic(content["realistic"])
    if "comparison" in options.parts:
        content |= compare(options)
    if options.json:
        write_json(options.json, content)


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Our engines beside the official procedure."""
    with TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch))
        _warm_up(bench)
        results: dict[str, list[Result]] = {name: [] for name in options.backends}
        for repeat in range(options.repeats):
            for name in list(results):
                try:
                    results[name].append(bench.once(name, repeat))
                except (RuntimeError, ValueError, TypeError, AttributeError, ImportError) as error:
                    if name != "transformers-batching":
                        raise
                    print(f"{name} does not run here: {type(error).__name__}: {error}")
                    del results[name]
                    continue
                print(f"repeat {repeat + 1}: {name}: {results[name][-1].rate:.1f} generated tokens/s", flush=True)
        rows = summarise(results)
    show(rows)
    best = rows.get(EXACT)
    if best:
        print(
            f"this machine: a copy {bench.hardware.bandwidth / 1e9:,.0f} GB/s, a product "
            f"{bench.hardware.operations / 1e9:,.0f} GFLOP/s in {bench.dtype}; share_of_hardware "
            f"{best['share_of_hardware']:.0%}, of the memory alone {best['share_of_bandwidth']:.0%}; "
            f"{best['share_between_replies']:.0%} of the time was spent between replies, outside the engine"
        )
    return {
        "ratio_to_official": best and best["ratio"],
        "share_of_limit": best and best["share_of_limit"],
        "model": options.random_shape or embedded.MODEL,
        "hardware": asdict(bench.hardware),
        "backends": rows,
    }


def _warm_up(bench: Bench) -> None:
    short = bench.protocol.model_copy(
        update={"rounds": 1, **{k: Generation(max_new_tokens=2) for k in ("seeker", "supporter")}}
    )
    Official(bench.exact, bench.plain).play(bench.cards[:1], short)
    card: RoleCard = bench.cards[0]
    list(bench.exact.reply([short.conversation(card, [short.opening(card)], "seeker")], short.seeker, [0]))
    bench.exact.kept.clear()


if __name__ == "__main__":
    main()
