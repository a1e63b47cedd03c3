"""What a set that people rated is: parts of one scale each; how a part becomes a folder that every command reads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from esc_eval.errors import BadRecord
from esc_eval.files.hashing import hash_file
from esc_eval.files.run_folder import DIALOGUES, PREFERENCES, RATINGS, rubric_file
from esc_eval.files.writing import write_json, write_jsonl, write_whole
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import Dimension, Rubric
from esc_eval.schema import Dialogue, Preference, Rating, escape_inside

LARGEST = 1 << 53
ABOUT, REFERENCES, METRICS = "about.json", "references.jsonl", "metrics.jsonl"
Unit = Literal["dialogue", "reply"]


@dataclass(frozen=True)
class RatedPart:
    """Rated dialogues under one scale.

    Attributes:
        name: Of its folder.
        unit: What was rated: the whole dialogue, or its last reply.
        references: Dialogue id -> what a person answered in its place.
        metrics: Scores that the set's authors publish beside people's, of other models or metrics: objects of
            dialogue_id, metric, dimension and score.
        notes: What of the set is left out or changed, and why.
        preferences: What people said of two of the dialogues.
        ranks: Whether a level is a place among the dialogues that its rater put in order, so that one higher makes
            another lower.
    """

    name: str
    rubric: Rubric
    dialogues: tuple[Dialogue, ...]
    ratings: tuple[Rating, ...]
    unit: Unit = "dialogue"
    references: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[Mapping[str, Any]] = ()
    notes: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] = ()
    ranks: bool = False


class RatedSet(Protocol):
    """A module that reads a set.

    Attributes:
        NAME, AUTHORS, LINK, LICENSE: Of the set; the licence as its repository states it.
        GIVE: What to give as the path.
    """

    NAME: str
    AUTHORS: str
    LINK: str
    LICENSE: str
    GIVE: str

    @staticmethod
    def read(path: Path) -> list[RatedPart]:
        """The parts of the set, or the refusal of what is not it."""
        ...


def make_rubric(
    name: str,
    levels: Iterable[int],
    dimensions: Mapping[str, str],
    lower: Iterable[str] = (),
    harmful: int | None = None,
    *,
    not_applicable: bool = False,
) -> Rubric:
    """Scales without a wording: what ratings of others were given on.

    Args:
        name: Of the rubric.
        levels: Lowest first.
        dimensions: Our key -> what the set calls the scale.
        lower: Keys of scales of which a low level is good.
        harmful: The level that means harm, where there is one.
        not_applicable: Whether raters could also say that a scale does not apply.
    """
    worse = frozenset(lower)
    known = [
        Dimension(key=k, paper=v, official=v, lower_is_better=True if k in worse else None)
        for k, v in dimensions.items()
    ]
    return Rubric(
        name=name,
        version="1",
        levels=tuple(levels),
        not_applicable=True if not_applicable else None,
        harmful=harmful,
        dimensions=tuple(known),
        texts={},
    )


def expect(path: Path, where: str, holds: object, what: str) -> None:
    """Refuse a file in which something does not hold.

    Raises:
        BadRecord: With the file, the place and what was expected; never with a text of it.
    """
    if not holds:
        raise BadRecord(path, where, f"expected {what}")


def is_number(value: Any) -> bool:
    """Whether something is a finite number that a table can hold; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def expect_level(path: Path, where: str, level: Any, levels: Sequence[int]) -> int:
    """A whole level of a scale; 3.0 is 3.

    Raises:
        BadRecord: Something else.
    """
    if not is_number(level) or level != int(level) or int(level) not in levels:
        raise BadRecord(path, where, f"is {level!r}, expected a whole number {levels[0]}..{levels[-1]}")
    return int(level)


def write_part(part: RatedPart, folder: Path, source: RatedSet, files: Mapping[str, Path]) -> None:
    """Write a part as a folder in the form of a run: dialogues, ratings and rubric, and what else there is.

    Args:
        part: What to write.
        folder: Where; files of an earlier call are replaced.
        source: Whose it is.
        files: What it was read from, by name.
    """
    write_jsonl(folder / DIALOGUES, part.dialogues)
    kept = rubric_file(folder, part.rubric.id)
    kept.unlink(missing_ok=True)
    if part.ratings:
        keep_wording(part.rubric, kept)
    for name, records in ((RATINGS, part.ratings), (PREFERENCES, part.preferences)):
        if records:
            write_jsonl(folder / name, records)
        else:
            (folder / name).unlink(missing_ok=True)
    references = [{"dialogue_id": i, "reference": text} for i, text in part.references.items()]
    for name, rows in ((REFERENCES, references), (METRICS, part.metrics)):
        if rows:
            write_whole(folder / name, (json.dumps(escape_inside(row), ensure_ascii=False) + "\n" for row in rows))
        else:
            (folder / name).unlink(missing_ok=True)
    about = {
        "set": source.NAME,
        "authors": source.AUTHORS,
        "link": source.LINK,
        "license": source.LICENSE,
        "unit": part.unit,
        "files": {name: hash_file(file) for name, file in files.items()},
        "notes": list(part.notes),
    }
    write_json(folder / ABOUT, about)
