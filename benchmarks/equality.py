"""How often the text changes with batch size, order and number format, greedy, on the embedded model.

usage: python -m benchmarks.equality [--cards 12] [--tokens 48] [--json FILE]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from esc_eval.chat import Options, open_model
from esc_eval.chat.base import ChatModel, Conversation
from esc_eval.chat.engine.rows import common_prefix
from esc_eval.files.records import load_cards
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Generation, load_protocol


def replies(model: ChatModel, conversations: Sequence[Conversation], settings: Generation) -> list[str]:
    """Texts in the order of the conversations."""
    answers = dict(model.reply(conversations, settings, [0] * len(conversations)))
    return [answers[i].text for i in range(len(conversations))]


def two_rounds(model: ChatModel, first: Sequence[Conversation], settings: Generation) -> list[str]:
    """The texts of a first answer and, after a fixed question, of a second."""
    said = replies(model, first, settings)
    more: list[Conversation] = [
        [*c, {"role": "assistant", "content": text}, {"role": "user", "content": "And how do you feel about that?"}]
        for c, text in zip(first, said, strict=True)
    ]
    return [one + "\n" + two for one, two in zip(said, replies(model, more, settings), strict=True)]


def main() -> None:
    """Print, for each way, how many texts equal those of float32 in one batch, and how far the others agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = Generation(max_new_tokens=options.tokens)
    protocol = load_protocol()
    cards = load_cards(language="en", limit=options.cards)
    first = [protocol.conversation(card, [protocol.opening(card)], "seeker") for card in cards]
    expected = two_rounds(open_model("embedded", Options(dtype="float32")), first, settings)

    def another(**how: object) -> list[str]:
        return two_rounds(open_model("embedded", Options(**how)), first, settings)  # type: ignore[arg-type]

    ways = {
        "float32, one at a time": another(dtype="float32", batch_size=1),
        "float32, five at a time": another(dtype="float32", batch_size=5),
        "float32, other order": two_rounds(open_model("embedded", Options(dtype="float32")), first[::-1], settings)[
            ::-1
        ],
        "bfloat16": another(dtype="bfloat16"),
    }
    if torch.cuda.is_available():
        print("int8 is for CPUs and was left out")
    else:
        ways["int8"] = another(dtype="int8")
    results = {}
    for way, texts in ways.items():
        same = sum(a == b for a, b in zip(texts, expected, strict=True))
        agree = sum(common_prefix(a, b) / len(b) for a, b in zip(texts, expected, strict=True)) / len(texts)
        results[way] = {"equal": same, "n": len(texts), "share_of_characters_before_the_first_difference": agree}
        print(f"{way:26} {same:3} of {len(texts)} texts equal; {agree:.0%} of the characters before a difference")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
