"""Which dialogues hold some words: a pass over all that was said, of which nothing is held."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from esc_eval.files.records import Stored
from esc_eval.reporting.columns import Mask
from esc_eval.reporting.find import holds
from esc_eval.schema import escape_inside
from esc_eval.view.entries import Entry
from esc_eval.view.sources import Group

Part = Literal["seeker", "supporter", "card"]
BETWEEN = "\0"
"""What stands between the sides of a dialogue and its card, so that no words go from one to the other."""


def find_entries(entries: Sequence[Entry], words: Sequence[str], parts: Sequence[Part]) -> Mask:
    """In which entries all words occur, by their numbers.

    Args:
        entries: Of all.
        words: As of ``split_query``.
        parts: Where they are looked for.
    """
    found = np.zeros(len(entries), dtype=np.bool_)
    for group in dict.fromkeys(entry.group for entry in entries):
        own = {entry.place: entry for entry in entries if entry.group is group}
        for place, sides in _each_said(group, parts) if parts != ("card",) else ((place, []) for place in own):
            if entry := own.get(place):
                cards = [entry.card.text] if entry.card and "card" in parts else []
                found[entry.number] = holds(BETWEEN.join([*sides, *cards]), words)
    return found


def _each_said(group: Group, parts: Sequence[Part]) -> Iterator[tuple[int, list[str]]]:
    """What each side says in every dialogue of a group; those of a file are known to be in order, and not checked."""
    if isinstance(group.dialogues, Stored):
        turns = (
            [(turn["role"], escape_inside(turn["text"])) for turn in each["turns"]]
            for each in group.dialogues.contents()
        )
    else:
        turns = ([(turn.role, turn.text) for turn in each.turns] for each in group.dialogues)
    for place, said in enumerate(turns):
        yield place, ["\n\n".join(text for who, text in said if who == part) for part in parts if part != "card"]
