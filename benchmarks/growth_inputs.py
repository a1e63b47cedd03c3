"""Inputs of any size for ``benchmarks.growth``: cards, dialogues, ratings and run folders, all made up."""

import json
import random
from pathlib import Path

from benchmarks.viewing import make_run
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import RoleCard

SYLLABLES = [start + vowel for start in "bdfgklmnprstvz" for vowel in "aeiou"]
LABELS = ("Age of the person", "Work that is done", "Family and friends", "Problem", "Since when", "Hope")
"""Words that all cards share."""
SENTENCE = "The person would like to talk about it with somebody."
"""Said in all cards."""
WORDS_IN_A_CARD = 60


def say_ok(_messages: list[dict[str, str]]) -> str:
    """Answer whatever is asked: a level, in words."""
    return "I see what you mean. Score: 3"


def make_cards(count: int, seed: int = 0) -> list[RoleCard]:
    """Cards of sixty words that mean nothing, from a vocabulary of 4,900, under the same labels."""
    rng = random.Random(seed)
    cards = []
    for number in range(count):
        words = ["".join(rng.choices(SYLLABLES, k=2)) for _ in range(WORDS_IN_A_CARD)]
        each = len(words) // len(LABELS)
        text = "\n".join(f"{label}: {' '.join(words[i * each : (i + 1) * each])}" for i, label in enumerate(LABELS))
        cards.append(
            RoleCard(
                id=f"c{number}", language="en", text=f"{text}\n{SENTENCE}", source="made up", category="work_and_study"
            )
        )
    return cards


def make_script(cards: int, folder: Path) -> None:
    """Cards, and what scripted models say of them."""
    write_jsonl(folder / "cards.jsonl", make_cards(cards))
    lines = [f"Line {n}: " + "word " * 40 for n in range(12)]
    (folder / "script.json").write_text(json.dumps(lines), encoding="utf-8")


def make_builder_cards(cards: int, folder: Path) -> None:
    """Cards alone."""
    write_jsonl(folder / "cards.jsonl", make_cards(cards))


def make_rated(folder: Path, cards: int, models: int, raters: int = 1) -> None:
    """A run with ratings."""
    make_run(folder, cards, models, raters=raters)


def make_dialogues(dialogues: int, folder: Path) -> None:
    """Dialogues of one model."""
    make_run(folder, dialogues, 1, raters=0)


def make_runs(runs: int, folder: Path) -> None:
    """Run folders that were shards of one call, rated by a function, twenty cards each."""
    import esc_eval

    make_script(20 * runs, folder)
    script = f"scripted:{folder / 'script.json'}"
    for number in range(1, runs + 1):
        esc_eval.evaluate(
            f"m={script}", folder / "cards.jsonl", seeker=script, scorer=f"judge={script}", rounds=2,
            shard=f"{number}/{runs}", out=folder / f"part-{number:03}",
        )  # fmt: skip
