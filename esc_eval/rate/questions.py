"""Questions as a page shows them: dimensions, levels and the keys that choose them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from esc_eval.web.words import Words

FEW_KEYS = 9
"""Levels that single keys can choose."""


@dataclass(frozen=True)
class Level:
    """One of the levels as a page shows it: its value, the key that chooses it (or none), and its words."""

    value: int
    key: str
    words: str


@dataclass(frozen=True)
class Question:
    """One dimension as a page shows it.

    Attributes:
        firsts: In a review, what was said first: a level (text of it) or a reason.
        chosen: The level that holds now.
        cannot: Why there is none.
    """

    key: str
    name: str
    question: str
    levels: Sequence[Level]
    chosen: int | None = None
    cannot: str | None = None
    firsts: Sequence[dict[str, Any]] = field(default_factory=tuple)


def level_keys(levels: Sequence[int]) -> list[str]:
    """The key of each level: its own digit, else its place; none of more levels than there are keys."""
    if all(0 <= level <= FEW_KEYS for level in levels):
        return [str(level) for level in levels]
    return [str(n) for n in range(1, len(levels) + 1)] if len(levels) <= FEW_KEYS else [""] * len(levels)


def list_keys(words: Words, levels: Sequence[str], *, review: bool = False) -> list[tuple[str, str]]:
    """The keys of a page and what each does; ``levels`` as ``level_keys`` has them."""
    keys = [key for key in levels if key]
    rows = [(f"{keys[0]}-{keys[-1]}", words("key_levels"))] if keys else []
    rows += [("← →", words("key_arrows")), ("Tab", words("key_tab")), ("Enter", words("key_enter"))]
    rows += [("B", words("key_back")), ("X", words("key_cannot")), ("N", words("key_note"))]
    if review:
        rows.append(("C", words("key_confirm")))
    return [*rows, ("Esc", words("key_escape"))]
