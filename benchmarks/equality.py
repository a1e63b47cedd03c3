"""What is equal: how often a text changes with the batch, the order, a resumption and the number format, greedy.

    python -m benchmarks.equality
    python -m benchmarks.equality --dtypes bfloat16 --deterministic
    python -m benchmarks.equality --random-shape qwen2-0.5b --dtypes bfloat16 float32 --deterministic
    python -m benchmarks.equality --attention --cards 32

Each number format is compared with itself: the same command twice, resumed between two answers, one and five at a time,
in the other order. With ``--deterministic`` all of it again in passes of fixed shapes, and what that takes: processor
time on a CPU, else time by the clock, over that of the default. The formats are compared with the first one.

``--attention`` instead plays whole dialogues of the embedded model with its own seeker, which is sampled, twice: with
attention by two plain products, as it is where torch has MKL and 16 rows are written or more, and by torch's own. The
turns are compared one by one.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.baseline import take_cards
from benchmarks.meters import synchronise
from benchmarks.shapes import SHAPES, made
from esc_eval.chat import open_model
from esc_eval.chat.base import ChatModel, Conversation
from esc_eval.chat.engine import attention
from esc_eval.chat.engine.hf import HFModel
from esc_eval.chat.engine.rows import common_prefix
from esc_eval.chat.engine.weights import Weights
from esc_eval.checkpoints import embedded
from esc_eval.environment import describe_environment
from esc_eval.files.records import read_dialogues
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

Open = Callable[..., ChatModel]
"""Opens the model anew, with the settings of ``HFModel`` by name."""

SIDES = ("seeker", "supporter")


@dataclass(frozen=True)
class Talk:
    """Two answers to each of some conversations.

    Attributes:
        conversations: That it begins with.
        settings: How both are sampled.
    """

    conversations: Sequence[Conversation]
    settings: Generation

    def texts(self, open_anew: Open, *, resumed: bool = False, turned: bool = False, **how: Any) -> list[str]:
        """The answers, joined, in the order of the conversations.

        Args:
            open_anew: Opens the model.
            resumed: Whether the second answer is that of a model opened for it.
            turned: Whether the conversations are handed over in the other order.
            how: The model is opened.
        """
        step = -1 if turned else 1
        first, model = list(self.conversations)[::step], open_anew(**how)
        said = replies(model, first, self.settings)
        more: list[Conversation] = [
            [*c, {"role": "assistant", "content": text}, {"role": "user", "content": "And how do you feel about that?"}]
            for c, text in zip(first, said, strict=True)
        ]
        if resumed:
            model = open_anew(**how)
        answers = replies(model, more, self.settings)
        return [one + "\n" + two for one, two in zip(said, answers, strict=True)][::step]


WAYS: dict[str, dict[str, Any]] = {
    "the same command twice": {},
    "resumed": {"resumed": True},
    "one at a time": {"batch_size": 1},
    "five at a time": {"batch_size": 5},
    "other order": {"turned": True},
}


def replies(model: ChatModel, conversations: Sequence[Conversation], settings: Generation) -> list[str]:
    """Texts in the order of the conversations."""
    answers = dict(model.reply(conversations, settings, range(len(conversations))))
    return [answers[i].text for i in range(len(conversations))]


def compare(texts: Sequence[str], expected: Sequence[str]) -> dict[str, Any]:
    """How many of some texts are equal to others, and how much of each stands before the first difference."""
    pairs = list(zip(texts, expected, strict=True))
    agree = sum(common_prefix(a, b) / max(len(b), 1) for a, b in pairs) / len(pairs)
    equal = sum(a == b for a, b in pairs)
    return {"equal": equal, "n": len(pairs), "share_of_characters_before_the_first_difference": agree}


def compare_ways(talk: Talk, open_anew: Open, ways: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The texts of one batch, and how those of some ways compare with them."""
    expected = talk.texts(open_anew)
    return expected, {way: compare(talk.texts(open_anew, **WAYS[way]), expected) for way in ways}


def measure_price(talk: Talk, default: Open, fixed: Open, device: torch.device, pairs: int = 3) -> dict[str, Any]:
    """Seconds of the default and of fixed shapes, in turn, and the ratios; processor time on a CPU, else the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {"default": [], "deterministic": []}
    for _ in range(pairs):
        for name, open_anew in (("default", default), ("deterministic", fixed)):
            synchronise(device)
            begin = clock()
            talk.texts(open_anew)
            synchronise(device)
            seconds[name].append(clock() - begin)
    return {**seconds, "ratios": [b / a for a, b in zip(*seconds.values(), strict=True)]}


def compare_attention(cards: Sequence[RoleCard], tokens: int, rounds: int = 3) -> dict[str, Any]:
    """How many turns of dialogues are the same, with attention by two plain products and by torch's own.

    Both ways open the models anew; the seeker is sampled, so that a difference in any number may show.
    """
    protocol = load_protocol()
    short = {side: getattr(protocol, side).model_copy(update={"max_new_tokens": tokens}) for side in SIDES}
    protocol = protocol.model_copy(update={"rounds": rounds, **short})
    played: list[dict[str, list[str]]] = []
    for least in (attention.ROWS, sys.maxsize):
        with TemporaryDirectory() as folder, Run(Path(folder) / "run") as run, patch.object(attention, "ROWS", least):
            seeker, supporter = open_model("seeker=embedded"), open_model("supporter=embedded:base")
            play_plan(Plan(protocol, cards, seeker, [supporter]), run)
            played.append({one.card_id or "": [turn.text for turn in one.turns] for one in read_dialogues(run.folder)})
    products, own = played
    texts = [(a, b) for card in products for a, b in zip(products[card], own[card], strict=True)]
    return {
        "dialogues_equal": sum(products[card] == own[card] for card in products),
        "dialogues": len(products),
        "turns_equal": sum(a == b for a, b in texts),
        "turns": len(texts),
    }


def main() -> None:
    """Print, for each number format and way, how many texts are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--temperature", type=float, default=0.0, help="above 0: sampled, each card by its own seed")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "int8"])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS), help="all of them otherwise")
    parser.add_argument("--deterministic", action="store_true", help="fixed shapes as well, and their price")
    parser.add_argument("--random-shape", choices=SHAPES, help="random weights of this shape, not the embedded model")
    parser.add_argument("--attention", action="store_true", help="dialogues with both ways of attention instead")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.attention:
        if not torch.backends.mkl.is_available() or options.cards < attention.ROWS:
            raise SystemExit(f"two ways of attention take torch with MKL and {attention.ROWS} cards or more")
        same = compare_attention(take_cards("open", options.cards), options.tokens)
        print("{dialogues_equal} of {dialogues} dialogues equal, {turns_equal} of {turns} turns".format(**same))
        if options.json:
            write_json(options.json, {"attention": same, "environment": describe_environment()})
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    protocol, cards = load_protocol(), take_cards("sample", options.cards)
    talk = Talk(
        [protocol.conversation(card, [protocol.opening(card)], "seeker") for card in cards],
        Generation(max_new_tokens=options.tokens, temperature=options.temperature),
    )
    results: dict[str, Any] = {}
    reference: list[str] = []
    with TemporaryDirectory() as folder:
        for dtype in options.dtypes:
            if dtype == "int8" and device.type != "cpu":
                print("int8 is for CPUs and was left out")
                continue

            def opener(deterministic: bool, dtype: str = dtype) -> Open:
                if not options.random_shape:
                    place = str(embedded.convert_embedded()[0])
                    return lambda **how: HFModel(place, dtype=dtype, deterministic=deterministic, **how)
                weights = Weights(made(options.random_shape, Path(folder), device, dtype), dtype, deterministic)
                return lambda **how: HFModel(folder, dtype=dtype, weights=weights, stands_for="random", **how)

            default = opener(False)
            expected, found = compare_ways(talk, default, options.ways)
            results[dtype] = {"ways": found}
            show(dtype, found)
            if not reference:
                reference = expected
            elif not options.random_shape:  # whose weights are other ones in each format
                results[dtype]["to_the_first"] = compare(expected, reference)
                show(f"{dtype}, to {options.dtypes[0]}", {"in one batch": results[dtype]["to_the_first"]})
            if options.deterministic and dtype != "int8":
                fixed = opener(True)
                _, found = compare_ways(talk, fixed, options.ways)
                price = measure_price(talk, default, fixed, device)
                results[f"{dtype}, deterministic"] = {"ways": found, "price": price}
                show(f"{dtype}, deterministic", found)
                ratios = price["ratios"]
                print(f"    takes {min(ratios):.2f} to {max(ratios):.2f} times as long, in {len(ratios)} pairs")
    if options.json:
        write_json(options.json, {"results": results, "environment": describe_environment()})


def show(title: str, found: dict[str, Any]) -> None:
    """Print one comparison."""
    print(title)
    for way, row in found.items():
        agree = row["share_of_characters_before_the_first_difference"]
        print(
            f"    {way:24}{row['equal']:4} of {row['n']} texts equal; {agree:.0%} of the characters before", flush=True
        )


if __name__ == "__main__":
    main()
