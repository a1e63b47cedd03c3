"""Rows of the ``annotations`` table: one a rater, dialogue and dimension; never an average."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dataset_builder import decisions
from dataset_builder.rows.dialogues import Batch
from dataset_builder.rows.personal_data import Masker
from dataset_builder.rows.rubrics import Scales, annotation_id
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import is_official_wording
from esc_eval.files.records import read_ratings
from esc_eval.schema import Rating, find_duplicates

Row = dict[str, Any]


def read_annotations(path: Path, scales: Scales | None = None) -> list[Rating]:
    """Ratings of a file in any format that ``esc_eval.files.records.read_ratings`` knows; in a table a dimension may be
    spelled as its key, its name or its official key of the row's rubric.

    Args:
        path: The file.
        scales: Where rubrics are looked up.

    Raises:
        EscEvalError: Missing or broken; the message names the line.
    """
    known = scales or Scales()

    def spell(rubric: str, dimension: str) -> str:
        scale = known.find(rubric)
        key = scale.spellings.get(dimension.lower())
        if key is None:
            raise EscEvalError(f"unknown dimension {dimension!r}; known: {', '.join(scale.dimensions)}")
        return key

    return read_ratings(path, spell, known.check)


def batch_rows(batch: Batch, dialogues: Mapping[str, Row], license: str, scales: Scales, masker: Masker) -> list[Row]:
    """A row for each rating of a run, whatever the rubric.

    Raises:
        EscEvalError: A rating of a dialogue that the run does not hold, or that its rubric has no place for.
    """
    for file, rating in batch.ratings:
        scales.check(rating, f"{batch.name}/{file}", batch.folder)
    return [
        _row(f"{batch.name}/{rating.dialogue_id}", rating, f"{batch.name}/{file}", dialogues, license, masker)
        for file, rating in batch.ratings
    ]


def file_rows(
    path: Path, dialogues: Mapping[str, Row], license: str, scales: Scales, masker: Masker, origin: str
) -> list[Row]:
    """A row for each rating of a file. Its dialogue ids may lack the name of the run where that is unambiguous.

    Args:
        path: The file.
        dialogues: Rows of the build by id.
        license: Of the ratings.
        scales: Where rubrics are looked up.
        masker: Of personal data.
        origin: What the rows call the file.

    Raises:
        EscEvalError: Broken, or a rating of an unknown dialogue, or one that its rubric has no place for.
    """
    rows, find = [], dialogue_finder(dialogues, path)
    for rating in read_annotations(path, scales):
        scales.check(rating, str(path))
        rows.append(_row(find(rating.dialogue_id), rating, origin, dialogues, license, masker))
    return rows


def dialogue_finder(dialogues: Iterable[str], path: Path) -> Callable[[str], str]:
    """What gives the id of a dialogue in a build by the one in a file, which may lack the name of the run; it raises
    EscEvalError where there is none, or more than one.

    Args:
        dialogues: Ids of the build.
        path: The file.
    """
    short: dict[str, list[str]] = {}
    for dialogue_id in dialogues:
        short.setdefault(dialogue_id.partition("/")[2], []).append(dialogue_id)
    every = {dialogue_id for found in short.values() for dialogue_id in found}

    def find(dialogue_id: str) -> str:
        if dialogue_id in every:
            return dialogue_id
        candidates = short.get(dialogue_id, [])
        if len(candidates) != 1:
            what = (
                f"is in {len(candidates)} runs; write RUN/{dialogue_id}" if candidates else "is in no run of this build"
            )
            raise EscEvalError(f"{path}: dialogue {dialogue_id!r} {what}")
        return candidates[0]

    return find


def _row(
    dialogue_id: str, rating: Rating, origin: str, dialogues: Mapping[str, Row], license: str, masker: Masker
) -> Row:
    dialogue = dialogues.get(dialogue_id)
    if dialogue is None:
        raise EscEvalError(
            f"{origin}: a rating of dialogue {dialogue_id!r}, which is not there. Known: {len(dialogues)} dialogues."
        )
    if rating.time is not None and not is_time(rating.time):
        raise EscEvalError(
            f"{origin}: rating of dialogue {dialogue_id!r} by {rating.rater!r}: time {rating.time!r} is not ISO 8601 "
            "(YYYY-MM-DDTHH:MM:SS)"
        )
    official = is_official_wording(rating.rubric)
    terms = decisions.read_terms()["official"].licence if official else license
    return {
        "id": annotation_id(dialogue_id, rating.dimension, rating.rater, rating.stage, rating.rubric),
        "dialogue_id": dialogue_id,
        "dimension": rating.dimension,
        "score": rating.score,
        "not_applicable": rating.not_applicable,
        "problem": masker.mask_optional(rating.problem),
        "expected": rating.expected,
        "probabilities": None if rating.probabilities is None else list(rating.probabilities),
        "inapplicable": rating.inapplicable,
        "mass": rating.mass,
        "rater": rating.rater,
        "rater_kind": rating.rater_kind,
        "rubric": rating.rubric,
        "parser": rating.parser,
        "way": rating.way,
        "raw": masker.mask_optional(rating.raw),
        "evidence": masker.mask_optional(rating.evidence.text if rating.evidence else None),
        "evidence_kind": rating.evidence.kind if rating.evidence else None,
        "evidence_turn": rating.evidence.turn if rating.evidence else None,
        "stage": rating.stage,
        "order": rating.order,
        "time": rating.time,
        "origin": origin,
        "license": terms,
        "rehostable": not official and dialogue["rehostable"],
    }


def is_time(written: str) -> bool:
    """Whether a text is a date or time in ISO 8601."""
    try:
        datetime.fromisoformat(written)
    except ValueError:
        return False
    return True


def check_unique(rows: Sequence[Row]) -> None:
    """Raise EscEvalError if a rater rated the same dimension of the same dialogue twice in one stage."""
    if twice := find_duplicates(row["id"] for row in rows):
        raise EscEvalError(f"rated more than once by the same rater in the same stage: {twice[0]} ({len(twice)} such)")
