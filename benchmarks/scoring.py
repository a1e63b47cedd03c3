"""Scoring speed: ours beside the official procedure on the same model and dialogues, and the limit of the model.

The official procedure, written anew from its description: for every dialogue and dimension one prompt, rubric before
dialogue, encoded from its beginning; transformers' ``generate``, greedy, one prompt at a time. Ours: dialogue first,
rubric last, the dialogue encoded once for seven dimensions, level probabilities read in that one pass. Both sides are
run alternately in one process. The limit is the rate at which the bare model encodes one long
row: ``share_of_limit`` is the rate of the tokens that ours encodes over it. A text scorer reads no prompts: its rate
is of processor time, with sentence vectors and again when these are remembered.

    python -m benchmarks.scoring --quick
    python -m benchmarks.scoring --json scoring.json
    python -m benchmarks.scoring --text-scorer esc-rank-open --dialogues 64
    python -m benchmarks.scoring --random-shape internlm2-7b --dtype bfloat16 --device cuda --dialogues 12
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.meters import Hardware, Work
from esc_eval.chat import Options, open_model
from esc_eval.chat.engine.hf import HFModel
from esc_eval.environment import describe_environment
from esc_eval.files.records import read_dialogues
from esc_eval.files.writing import write_json
from esc_eval.prompts.rubric import load_rubric
from esc_eval.prompts.wording import fill_template
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.score import judge_prompts
from esc_eval.scoring.text_scorer import open_text_scorer

# hidden size, intermediate size, layers, heads, key-value heads, vocabulary: the configuration
# published with internlm2-chat-7b, and small ones
SHAPES = {
    "toy": (64, 128, 2, 4, 2, 2048),
    "small": (576, 1536, 12, 9, 3, 49152),
    "internlm2-7b": (4096, 14336, 32, 32, 8, 92544),
}
SENTENCES = (
    "I feel tired and nobody at work seems to notice how much I carry every single day .",
    "It sounds like you have been holding a great deal on your own , and that would wear anyone down .",
    "Maybe we could look at one small thing first .",
)
WORDS = [word for sentence in SENTENCES for word in sentence.split()]


def invented(count: int, words: int, seed: int = 0) -> list[Dialogue]:
    """Dialogues of eleven turns with about so many words a turn, of random order; they describe nobody."""
    draw = random.Random(seed)
    return [
        Dialogue(
            id=str(number),
            language="en",
            turns=tuple(
                Turn(
                    role="seeker" if place % 2 else "supporter",
                    text=" ".join(draw.choices(WORDS, k=draw.randrange(words // 2, words * 3 // 2))),
                )
                for place in range(11)
            ),
        )
        for number in range(count)
    ]


def official_prompts(dialogue: Dialogue) -> list[str]:
    """One prompt a dimension in the official order: rubric, dialogue, what to answer; the words are this package's."""
    rubric = load_rubric()
    text = rubric.text(dialogue.language)
    names = {"seeker": text.seeker, "supporter": text.supporter}
    lines = "\n\n".join(f"{names[turn.role]}: {turn.text}" for turn in dialogue.turns)
    result = []
    for key in rubric.keys:
        wording = text.dimensions[key]
        levels = "\n".join(f"{n}: {d}" for n, d in zip(rubric.levels, wording.levels, strict=True))
        ask = fill_template(
            text.ask,
            name=wording.name,
            question=wording.question,
            levels=levels,
            low=rubric.levels[0],
            high=rubric.levels[-1],
        )
        result.append(f"{ask}\n\n{fill_template(text.dialogue, dialogue=lines)}\n\n{wording.name}:")
    return result


def official(model: HFModel, dialogues: Sequence[Dialogue], answer_tokens: int) -> int:
    """Score dialogues as the release does; returns the tokens encoded and written."""
    total = 0
    for prompt in (prompt for dialogue in dialogues for prompt in official_prompts(dialogue)):
        ids = torch.tensor([model.encode([{"role": "user", "content": prompt}])], device=model.device)
        with torch.inference_mode():
            out = model.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=answer_tokens,
                min_new_tokens=answer_tokens,
                do_sample=False,
                pad_token_id=model.pad,
            )
        model.tokenizer.decode(out[0, ids.shape[1] :])
        total += out.shape[1]
    return total


def ours(model: HFModel, dialogues: Sequence[Dialogue]) -> int:
    """Score dialogues as this package does; returns how many."""
    rubric = load_rubric()
    groups, lead = [judge_prompts(dialogue, rubric) for dialogue in dialogues], rubric.text("en").lead
    for _, choices in model.choose(groups, lead, [str(level) for level in rubric.levels]):
        if any(choice.probabilities is None for choice in choices):
            raise SystemExit(f"no probabilities: {choices[0].problem}")
    return len(groups)


def encoded(model: HFModel, dialogue: Dialogue) -> int:
    """Tokens that ours encodes of a dialogue."""
    rubric = load_rubric()
    ids = [model.encode(conversation, rubric.text("en").lead) for conversation in judge_prompts(dialogue, rubric)]
    shared = next(i for i, tokens in enumerate(zip(*ids, strict=False)) if len(set(tokens)) > 1)
    return shared + sum(len(tokens) - shared for tokens in ids)


def bare(model: HFModel, counts: Sequence[int]) -> int:
    """Encode one row of each number of tokens and nothing else; returns how many rows."""
    for tokens in counts:
        ids = torch.randint(0, model.model.config.vocab_size, (1, tokens), device=model.device)
        with torch.inference_mode():
            model.model(input_ids=ids, logits_to_keep=1, use_cache=False)
    return len(counts)


def timed(device: torch.device, work: Callable[[], int]) -> tuple[float, int]:
    """Seconds of a piece of work, the device's queue included, and what it returned."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, result


def random_model(shape: str, folder: Path, device: str | None, dtype: str | None) -> HFModel:
    """A Llama model of a published shape with random weights made on the device, and a tokenizer of whole words."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from esc_eval.chat.engine.weights import Weights

    hidden, inner, layers, heads, shared, vocabulary = SHAPES[shape]
    rubric = load_rubric()
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    pattern = r"<\|\w+\|>|\w+|[^\w\s]|\s"
    text = rubric.model_dump_json() + " ".join([*WORDS, *map(str, range(10))]) + "system user assistant\n "
    splitter = Split(Regex(pattern), "isolated")
    found = dict.fromkeys(word for word, _ in splitter.pre_tokenize_str(text))
    special = ["<unk>", "<|im_start|>", "<|im_end|>"]
    words = [*special, *(word for word in found if word not in special)][:vocabulary]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = splitter
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|im_end|>", pad_token="<|im_end|>"
    )
    fast.chat_template = template
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=shared, max_position_embeddings=32768, eos_token_id=2,
        pad_token_id=2,
    )  # fmt: skip
    config.save_pretrained(folder)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    kind = dtype or ("float32" if where.type == "cpu" else "bfloat16")
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, kind))
    try:
        with where:
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(torch.float32)
    return HFModel(
        str(folder), name=shape, dtype=kind, device=str(where), stands_for="random", weights=Weights(model, kind)
    )


def measure(model: HFModel, dialogues: Sequence[Dialogue], answer_tokens: int, together: int) -> dict[str, Any]:
    """Both sides and the limit, alternately; each ``together`` dialogues are one pair."""
    work, hardware = Work.of(model.model), Hardware.measure(model.device, model.model.dtype)
    kinds: dict[str, Callable[[HFModel, Sequence[Dialogue]], int]] = {
        "official": partial(official, answer_tokens=answer_tokens),
        "ours": ours,
    }
    seconds: dict[str, list[float]] = {"official": [], "ours": [], "bare": []}
    tokens: dict[str, int] = {"official": 0, "ours": 0, "bare": 0}
    for kind in kinds.values():  # what the first call of each pays once
        kind(model, [dialogues[0].model_copy(update={"turns": dialogues[0].turns[:1]})])
    bare(model, [encoded(model, dialogues[0])])
    for number, start in enumerate(range(0, len(dialogues), together)):
        part = dialogues[start : start + together]
        counts = [encoded(model, dialogue) for dialogue in part]
        for name in list(kinds) if number % 2 else list(reversed(kinds)):
            took, written = timed(model.device, partial(kinds[name], model, part))
            seconds[name].append(took)
            tokens[name] += written if name == "official" else sum(counts)
        took, _ = timed(model.device, partial(bare, model, counts))
        seconds["bare"].append(took)
        tokens["bare"] += sum(counts)
    ratios = [a / b for a, b in zip(seconds["official"], seconds["ours"], strict=True)]
    rate = {kind: tokens[kind] / sum(seconds[kind]) for kind in seconds}
    return {
        "dialogues": len(dialogues),
        "dialogues_a_minute": {k: 60 * len(dialogues) / sum(seconds[k]) for k in ("official", "ours")},
        "tokens_a_dialogue": {k: tokens[k] / len(dialogues) for k in ("official", "ours")},
        "tokens_a_second": rate,
        "ratio_to_official": sum(seconds["official"]) / sum(seconds["ours"]),
        "ratio_by_dialogue": {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)},
        "share_of_limit": rate["ours"] / rate["bare"],
        "hardware": asdict(hardware),
        "share_of_hardware": rate["ours"] * work.body / hardware.operations,
    }


def time_text_scorer(name: str, dialogues: Sequence[Dialogue]) -> dict[str, float]:
    """Dialogues a second of processor time, of all of the work and where all sentence vectors are known."""
    scorer = open_text_scorer(name)
    if scorer is None:
        raise SystemExit(f"{name}: no text scorer")
    list(scorer.verdicts(invented(1, 5, seed=1)))  # what the first call pays once
    rates = {}
    for part in ("with sentence vectors", "vectors remembered"):
        begin = time.process_time()
        for start in range(0, len(dialogues), scorer.parallel):
            list(scorer.verdicts(dialogues[start : start + scorer.parallel]))
        rates[part] = len(dialogues) / (time.process_time() - begin)
    return rates


def _chosen(options: argparse.Namespace) -> Iterator[Dialogue]:
    if options.file:
        yield from read_dialogues(options.file)[: options.dialogues]
    else:
        yield from invented(options.dialogues, options.words)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded", help="a chat model in this process, as esc-eval names it")
    parser.add_argument(
        "--random-shape", choices=SHAPES, help="random weights of this shape instead, made on the device"
    )
    parser.add_argument("--text-scorer", metavar="NAME", help="this one instead, a shipped one or a folder")
    parser.add_argument("--file", type=Path, help="dialogues to score instead of invented ones")
    parser.add_argument("--dialogues", type=int, default=4, help="how many to invent, or to take of the file")
    parser.add_argument("--words", type=int, default=70, help="words a turn of invented dialogues")
    parser.add_argument(
        "--answer-tokens", type=int, default=8, help="length of the official answers, as 'The x score is 3.'"
    )
    parser.add_argument("--together", type=int, help="dialogues given to the scorer in one call; all on a GPU, else 1")
    parser.add_argument("--device")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--threads", type=int, default=2, help="of a CPU")
    parser.add_argument("--quick", action="store_true", help="one short dialogue")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    options = parser.parse_args()
    if options.quick:
        options.dialogues, options.words = 1, 20
    torch.set_num_threads(options.threads)
    if options.text_scorer:
        rates = time_text_scorer(options.text_scorer, list(_chosen(options)))
        for part, rate in rates.items():
            print(f"{options.text_scorer}, {part:24}{rate:8.1f} dialogues a second of processor time")
        if options.json:
            write_json(options.json, {"dialogues_a_second": rates, "environment": describe_environment()})
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.random_shape:
            model: Any = random_model(options.random_shape, Path(folder), options.device, options.dtype)
        else:
            model = open_model(options.model, Options(device=options.device, dtype=options.dtype))
        if not isinstance(model, HFModel):
            raise SystemExit(f"{options.model}: not a model in this process")
        together = options.together or (1 if model.device.type == "cpu" else options.dialogues)
        result = measure(model, list(_chosen(options)), options.answer_tokens, together)
    result |= {"model": model.identity, "answer_tokens": options.answer_tokens, "environment": describe_environment()}
    if options.json:
        write_json(options.json, result)
    rate, ratios = result["dialogues_a_minute"], result["ratio_by_dialogue"]
    print(f"{model.name}, {model.identity['dtype']}, {model.device}, {result['dialogues']} dialogues")
    print(f"official procedure     {rate['official']:8.2f} dialogues a minute")
    print(f"ours                   {rate['ours']:8.2f} dialogues a minute")
    print(
        f"ratio_to_official      {result['ratio_to_official']:8.2f}  (by call: median {ratios['median']:.2f}, "
        f"{ratios['low']:.2f} to {ratios['high']:.2f})"
    )
    print(f"limit: bare prefill    {result['tokens_a_second']['bare']:8.0f} tokens a second")
    print(f"share_of_limit         {result['share_of_limit']:8.2f}")
    print(
        f"share_of_hardware      {result['share_of_hardware']:8.2f}  (of a product here, "
        f"{result['hardware']['operations'] / 1e9:,.0f} GFLOP/s; attention is not counted)"
    )


if __name__ == "__main__":
    main()
