"""Questions as a page shows them: dimensions, levels and the keys that choose them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from esc_eval.prompts.rubric import Rubric, RubricText
from esc_eval.schema import NOT_APPLICABLE
from esc_eval.web.words import Words

FEW_KEYS = 9
"""Levels that single keys can choose."""


NOT_APPLYING = "not_applicable"
"""The reason why there is no level that is an answer of its own, of rubrics that know it."""
NOT_APPLYING_KEY = "a"


@dataclass(frozen=True)
class Level:
    """One of the levels as a page shows it: its value, the key that chooses it (or none), its words, and its sign.

    One that stands for "not applicable" has that reason as its value.
    """

    value: int | str
    key: str
    words: str
    sign: str = ""

    @property
    def shown(self) -> str:
        """What stands before its words."""
        return self.sign or str(self.value)


@dataclass(frozen=True)
class Question:
    """One dimension as a page shows it.

    Attributes:
        firsts: In a review, what was said first: a level (text of it) or a reason.
        chosen: The level that holds now, or "not applicable" as its ``Level`` has it.
        cannot: Why there is none.
    """

    key: str
    name: str
    question: str
    levels: Sequence[Level]
    chosen: int | str | None = None
    cannot: str | None = None
    firsts: Sequence[dict[str, Any]] = field(default_factory=tuple)


def level_keys(levels: Sequence[int]) -> list[str]:
    """The key of each level: its own digit, else its place; none of more levels than there are keys."""
    if all(0 <= level <= FEW_KEYS for level in levels):
        return [str(level) for level in levels]
    return [str(n) for n in range(1, len(levels) + 1)] if len(levels) <= FEW_KEYS else [""] * len(levels)


def list_levels(rubric: Rubric, text: RubricText, key: str) -> list[Level]:
    """What can be chosen on a dimension: its levels, and that it does not apply, of rubrics that know it."""
    said = text.dimensions[key].levels
    found = [Level(*one) for one in zip(rubric.levels, level_keys(rubric.levels), said, strict=True)]
    if rubric.not_applicable:
        found.append(Level(NOT_APPLYING, NOT_APPLYING_KEY, text.not_applicable or "", NOT_APPLICABLE))
    return found


def list_keys(
    words: Words, levels: Sequence[str], *, review: bool = False, applying: bool = False
) -> list[tuple[str, str]]:
    """The keys of a page and what each does; ``levels`` as ``level_keys`` has them.

    Args:
        review: Whether first scores can be confirmed.
        applying: Whether it can be said that a dimension does not apply.
    """
    keys = [key for key in levels if key]
    rows = [(f"{keys[0]}-{keys[-1]}", words("key_levels"))] if keys else []
    if applying:
        rows.append((NOT_APPLYING_KEY.upper(), words("key_not_applicable")))
    rows += [("← →", words("key_arrows")), ("Tab", words("key_tab")), ("Enter", words("key_enter"))]
    rows += [("B", words("key_back")), ("X", words("key_cannot")), ("N", words("key_note"))]
    if review:
        rows.append(("C", words("key_confirm")))
    return [*rows, ("Esc", words("key_escape"))]
