"""What raters said, as files of any kind hold it: each answer with the place where it stands."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from esc_eval.errors import BadRecord
from esc_eval.files.cells import read_mark
from esc_eval.schema import NOT_APPLICABLE, Mark, mark_fields

CANNOT, NOTE = "cannot_rate", "note"
"""What is asked beside the dimensions: why a dialogue cannot be rated, and what else there is to say."""
_WORDED = re.compile(rf"\s*(-?\d+|{re.escape(NOT_APPLICABLE)})\s*:\s")


@dataclass(frozen=True)
class Answer:
    """One word of one rater on one dimension of one dialogue.

    Attributes:
        path, where: The file, and the place in it in words.
        dialogue_id: As the file has it.
        rater: As the file calls them: a name, or an id of a tool.
        rubric: Name and version; None where the file does not say.
        score, not_applicable, problem: The level, that the dimension does not apply, or why there is neither.
        order, time, seconds, stage, note: As of a ``Rating``.
    """

    path: Path
    where: str
    dialogue_id: str
    dimension: str
    rater: str
    rubric: str | None = None
    score: int | None = None
    not_applicable: Literal[True] | None = None
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


def find_asked(about: Mapping[str, Any], found: Container[str], keys: Sequence[str]) -> Sequence[str]:
    """The dimensions that a task is about: as it says, else those of ``keys`` that were found, else all of them."""
    return str(about.get("dimensions") or "").split() or [key for key in keys if key in found] or keys


def make_answers(
    path: Path, where: str, levels: Mapping[str, Mark | None], why: str | None, **about: Any
) -> Iterator[Answer]:
    """The answers of one rater on one dialogue, where it can be said of all dimensions that they cannot be rated.

    Args:
        path, where: Of the answers.
        levels: By dimension, N/A among them; None where there is none.
        why: Why there is none, where something says it.
        about: What else holds of all of them.

    Raises:
        BadRecord: There are levels, and a reason why there are none.
    """
    if why and any(level is not None for level in levels.values()):
        raise BadRecord(path, where, f"has levels and says in {CANNOT} that it cannot be rated; leave one of them")
    for key, level in levels.items():
        problem = None if level is not None else why or "left blank"
        yield Answer(path, where, dimension=key, problem=problem, **mark_fields(level), **about)


def read_choice(cell: object) -> Mark | None:
    """A level as tools for annotation have it: ``3``, or ``3: words``; ``N/A`` likewise; None where it is blank.

    Raises:
        ValueError: Something else.

    >>> read_choice("3"), read_choice("3: Gladly."), read_choice("N/A: Nothing of it."), read_choice(None)
    (3, 3, 'N/A', None)
    """
    worded = _WORDED.match(cell) if isinstance(cell, str) else None
    return read_mark(worded[1] if worded else cell)
