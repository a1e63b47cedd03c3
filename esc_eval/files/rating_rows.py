"""Ratings in tables: the one place where CSV and Parquet become ratings, with the names that a table may use."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.cell_tables import read_cell_table, tell_guess
from esc_eval.files.cells import is_blank, read_key, read_level, read_mark, read_yes
from esc_eval.files.columns import Columns
from esc_eval.files.official_dimensions import OUR_RUBRIC, is_official_wording
from esc_eval.files.rating_layout import FIELDS, KEY, NEEDED, OPTIONAL, lay_out, spell_dimension
from esc_eval.reading import suffix_of
from esc_eval.schema import NOT_APPLICABLE, Rating, mark_fields

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
    return spell_dimension(dimension) or dimension


def read_rating_table(
    path: Path, spell: Spell = spell_official, check: Check = accept, columns: Columns | None = None
) -> list[Rating]:
    """The ratings of a table in any format and layout; see ``rating_layout``. Columns of other things are passed over.

    A rating without rater_kind is a person's, one without rubric is under ours. A blank score is unscored.

    Args:
        path: The file.
        spell: How spellings of dimensions are understood.
        check: Called with each rating.
        columns: What its columns are called.

    Raises:
        EscEvalError: As ``lay_out``; or a row that is no rating or fails the check, with its line.
    """
    table = lay_out(read_cell_table(path), columns)
    if suffix_of(path) != ".parquet" and (unread := [c for c in table.columns if c and c not in FIELDS]):
        tell_guess(path, [f"not read: {', '.join(map(repr, unread))}"])
    return [rating_of(cells, path, where, spell, check) for where, cells in table.rows]


def rating_of(cells: Mapping[str, Any], path: Path, where: str, spell: Spell, check: Check = accept) -> Rating:
    """The rating in the cells of a row.

    Raises:
        BadRecord: They hold none, or one that fails the check.
    """
    given = {key: cells[key] for key in (*NEEDED, *OPTIONAL) if key in cells and not is_blank(cells[key])}
    if missing := [key for key in KEY if key not in given]:
        raise BadRecord(path, where, f"{missing[0]} is empty")
    text: dict[str, str] = {}
    for key in (key for key in given if key not in ("score", "order", "seconds", "not_applicable")):
        try:
            text[key] = read_key(given[key]) or ""
        except ValueError as error:
            raise BadRecord(path, where, f"{key} {error}") from error
    rubric = text.get("rubric") or f"{OUR_RUBRIC}/1"
    try:
        mark, order = read_mark(given.get("score")), read_level(given.get("order"))
        if mark is None and read_yes(given.get("not_applicable")):
            mark = NOT_APPLICABLE
        if mark is None:
            text.setdefault("problem", "no score given")
        rating = Rating.model_validate(
            {
                "rater_kind": "human",
                **text,
                "rubric": rubric,
                "dimension": spell(rubric, text["dimension"]),
                **mark_fields(mark),
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
