"""What raters said, as files of any kind hold it: each answer with the place where it stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from esc_eval.files.cells import read_level

_WORDED = re.compile(r"\s*(-?\d+)\s*:\s")


@dataclass(frozen=True)
class Answer:
    """One word of one rater on one dimension of one dialogue.

    Attributes:
        path, where: The file, and the place in it in words.
        dialogue_id: As the file has it.
        rater: As the file calls them: a name, or an id of a tool.
        rubric: Name and version; None where the file does not say.
        score, problem: The level, or why there is none.
        order, time, seconds, stage, note: As of a ``Rating``.
    """

    path: Path
    where: str
    dialogue_id: str
    dimension: str
    rater: str
    rubric: str | None = None
    score: int | None = None
    problem: str | None = None
    order: int | None = None
    time: str | None = None
    seconds: float | None = None
    stage: str = "first"
    note: str | None = None


@dataclass(frozen=True)
class Answers:
    """What one file holds.

    Attributes:
        said: Its answers.
        given: Rater and dialogue of everything that was given out, as far as the file says.
        asked: Dimensions that were asked of each dialogue; 0 = the file does not say.
        notes: What to know of it, a sentence each.
    """

    said: Sequence[Answer]
    given: Sequence[tuple[str, str]] = field(default_factory=tuple)
    asked: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


def read_choice(cell: object) -> int | None:
    """A level as tools for annotation have it: ``3``, or ``3: words``; None where it is blank.

    Raises:
        ValueError: Something else.

    >>> read_choice("3"), read_choice("3: Gladly."), read_choice(None)
    (3, 3, None)
    """
    worded = _WORDED.match(cell) if isinstance(cell, str) else None
    return read_level(worded[1] if worded else cell)
