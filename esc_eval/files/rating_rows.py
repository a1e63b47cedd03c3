"""Ratings in tables: the one place where CSV and Parquet become ratings, with the names that a table may use."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.cells import is_blank, read_key, read_level, refuse_near_names
from esc_eval.files.official_dimensions import OUR_RUBRIC, is_official_wording, official_dimensions
from esc_eval.reading import read_csv
from esc_eval.schema import Rating

NEEDED = ("dialogue_id", "rater", "dimension", "score")
OPTIONAL = ("rater_kind", "rubric", "stage", "order", "time", "seconds", "problem", "note", "raw")
OF_DIALOGUES = ("card", "card_id", "model", "supporter", "language", "category", "group", "source")
"""What a table may say of the rated dialogues, which the dialogues themselves say too."""
Spell = Callable[[str, str], str]
"""Key of a dimension from the rubric (name and version) and a spelling of it."""
Check = Callable[[Rating], None]
"""Raises EscEvalError for a rating that has no place."""


def accept(_: Rating) -> None:
    """Take any rating."""


def spell_official(rubric: str, dimension: str) -> str:
    """The key of one of the seven from any of its names, under a rubric that words them; others as they are.

    >>> spell_official("esc-eval/1", "Empathy"), spell_official("mine/1", "Empathy")
    ('empathy', 'Empathy')
    """
    if rubric.partition("/")[0] != OUR_RUBRIC and not is_official_wording(rubric):
        return dimension
    asked = dimension.lower()
    for row in official_dimensions():
        if asked in (row.key.lower(), row.paper.lower(), row.official.lower()):
            return row.key
    return dimension


def read_rating_csv(path: Path, spell: Spell = spell_official, check: Check = accept) -> list[Rating]:
    """The ratings of a CSV file with the columns ``NEEDED``, and of ``OPTIONAL`` and ``OF_DIALOGUES`` those it has.

    A rating without rater_kind is a person's, one without rubric is under ours. A blank score is unscored.

    Args:
        path: The file.
        spell: How spellings of dimensions are understood.
        check: Called with each rating.

    Raises:
        EscEvalError: As ``read_csv``; an unknown column; or a row that is no rating or fails the check, with its line.
    """
    columns, rows = read_csv(path, NEEDED, told="score")
    known = (*NEEDED, *OPTIONAL, *OF_DIALOGUES)
    if unknown := [column for column in columns if column not in known]:
        raise BadRecord(path, "line 1", f"unknown column {unknown[0]!r}; known: {', '.join(sorted(known))}")
    return [rating_of(cells, path, f"line {line}", spell, check) for line, cells in rows]


def read_rating_parquet(path: Path, spell: Spell = spell_official, check: Check = accept) -> list[Rating]:
    """The ratings of a Parquet file, as the dataset builder writes them; columns of other things are passed over.

    Raises:
        EscEvalError: Not readable, a column is missing, or a row that is no rating, with its number.
    """
    try:
        from esc_eval.files.parquet import read_parquet
    except ModuleNotFoundError as error:
        raise EscEvalError(f'{path}: {error.name} is missing: pip install "esc-eval[statistics]"') from error
    frame = read_parquet(path)
    refuse_near_names(frame.columns, (*NEEDED, *OPTIONAL), path)
    if missing := [column for column in NEEDED if column not in frame]:
        raise EscEvalError(f"{path}: no column {', '.join(missing)}; ratings have {', '.join(NEEDED)}")
    kept = [column for column in (*NEEDED, *OPTIONAL) if column in frame]
    rows = frame[kept].to_dict("records")
    return [
        rating_of({str(k): v for k, v in row.items()}, path, f"row {n}", spell, check) for n, row in enumerate(rows)
    ]


def rating_of(cells: Mapping[str, Any], path: Path, where: str, spell: Spell, check: Check = accept) -> Rating:
    """The rating in the cells of a row.

    Raises:
        BadRecord: They hold none, or one that fails the check.
    """
    given = {key: cells[key] for key in (*NEEDED, *OPTIONAL) if key in cells and not is_blank(cells[key])}
    if missing := [key for key in NEEDED if key not in given and key != "score"]:
        raise BadRecord(path, where, f"{missing[0]} is empty")
    text: dict[str, str] = {}
    for key in (key for key in given if key not in ("score", "order", "seconds")):
        try:
            text[key] = read_key(given[key]) or ""
        except ValueError as error:
            raise BadRecord(path, where, f"{key} {error}") from error
    rubric = text.get("rubric") or f"{OUR_RUBRIC}/1"
    try:
        score, order = read_level(given.get("score")), read_level(given.get("order"))
        if score is None:
            text.setdefault("problem", "no score given")
        rating = Rating.model_validate(
            {
                "rater_kind": "human",
                **text,
                "rubric": rubric,
                "dimension": spell(rubric, text["dimension"]),
                "score": score,
                "order": order,
                "seconds": given.get("seconds"),
            }
        )
        check(rating)
        return rating
    except ValidationError as error:
        raise BadRecord(path, where, explain_validation(error)) from error
    except ValueError as error:
        raise BadRecord(path, where, f"score {error}") from error
    except EscEvalError as error:
        raise BadRecord(path, where, str(error)) from error
