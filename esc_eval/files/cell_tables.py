"""A table as a file of any kind holds it, before anybody knows what it is about: CSV, XLSX, JSON, Parquet."""

import json
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.escaping import read_cell
from esc_eval.files.cells import plain_digits
from esc_eval.reading import check_file, read_csv, read_json, suffix_of, try_json_lines
from esc_eval.schema import escape_inside

FORMATS = (
    "CSV (.csv, .tsv, .txt), XLSX (.xlsx), JSON Lines (.jsonl), a JSON list of objects (.json), Parquet (.parquet)"
)
TEXTS = (".csv", ".tsv", ".txt")
ENDINGS = (*TEXTS, ".xlsx", ".jsonl", ".json", ".parquet")
SHOWN = 12
"""Columns that a refusal names."""
_COMMA = re.compile(r"[+-]?\d+,\d+")


class Guess(UserWarning):
    """What was guessed of a file that somebody else wrote: one sentence, which names the file."""


@dataclass(frozen=True)
class CellTable:
    """A table of cells.

    Attributes:
        path: Its file; of a table from Python what messages call it.
        columns: Names, without white space around them.
        rows: Where each stands, in words, and its cells by column.
        header: Where the names of the columns stand, in words.
        comma: Whether a comma in a number can only be a decimal one: cells are not separated by commas.
        cut: Whether the file ends within its last line.
        guessed: What was guessed already.
        written: The columns as the file has them, where ``columns`` are called otherwise by now.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, Mapping[str, Any]]]
    header: str = "its columns"
    comma: bool = True
    cut: bool = False
    guessed: Sequence[str] = field(default_factory=tuple)
    written: tuple[str, ...] = ()

    def refuse(self, what: str) -> BadRecord:
        """What is wrong with the columns, beside those that there are."""
        there = self.written or self.columns
        shown = ", ".join(map(repr, there[:SHOWN])) + (", ..." if len(there) > SHOWN else "")
        return BadRecord(self.path, self.header, f"{what}. There is: {shown}")

    def plain_number(self, cell: Any, where: str, what: str) -> Any:
        """A cell with a decimal point where it has a decimal comma.

        Raises:
            BadRecord: The comma may be another one.
        """
        if not isinstance(cell, str) or not _COMMA.fullmatch(text := plain_digits(cell)):
            return cell
        if self.comma:
            return text.replace(",", ".")
        raise BadRecord(
            self.path,
            where,
            f"{what} {cell!r} is not a number: its comma may be a decimal one or part two cells, as commas do in this "
            "file. Write a point, or separate cells by semicolons",
        )


def tell_guess(path: Path, guesses: Iterable[str]) -> None:
    """Say what was guessed of a file, as one warning; the command line prints it on one line."""
    if said := "; ".join(guesses):
        warnings.warn(f"{path}: {said}", Guess, stacklevel=3)


def read_cell_table(path: Path) -> CellTable:
    """The table in a file, by its ending.

    Raises:
        EscEvalError: Missing, of no known format, or broken; the message names the line.
    """
    ending = suffix_of(path)
    if ending in TEXTS:
        found = read_csv(path, guess=True)
        guessed = [f"read as {found.guessed}, by its look"] if found.guessed else []
        rows = [(f"line {n}", {key: read_cell(cell) for key, cell in cells.items()}) for n, cells in found.rows]
        return CellTable(
            path, found.columns, rows, f"line {found.header}", found.separator != ",", not found.ended, guessed
        )
    if ending == ".xlsx":
        from esc_eval.files.sheets import read_book

        first, columns, lines, others = read_book(path)
        guessed = [f"the sheet that is open is read, not {', '.join(map(repr, others))}"] if others else []
        named = [(f"row {n}", dict(zip(columns, map(read_cell, cells), strict=True))) for n, cells in lines]
        return CellTable(path, tuple(columns), named, f"row {first}", guessed=guessed)
    if ending == ".jsonl":
        return table_of(path, _read_lines(path))
    if ending == ".json":
        content = read_json(path)
        if not isinstance(content, list):
            raise EscEvalError(f"{path}: no list of objects, so no table. Known: {FORMATS}")
        return table_of(path, [(f"record {n}", record) for n, record in enumerate(content)])
    if ending == ".parquet":
        from esc_eval.files.parquet import read_parquet

        frame = read_parquet(path)
        if any(frame.index.names):  # a column of names that pandas was told to number the rows by
            frame = frame.reset_index()
        frame = frame.drop(columns=[c for c in frame if str(c).startswith("__index_level_")])
        return table_of(path, [(f"row {n}", row) for n, row in enumerate(frame.to_dict("records"))], list(frame))
    check_file(path)
    hint = "; save it as .xlsx or .csv" if ending in (".ods", ".xls", ".numbers") else ""
    raise EscEvalError(f"{path}: unknown format{hint}. Known: {FORMATS}")


def _read_lines(path: Path) -> Iterable[tuple[str, Any]]:
    for number, record, wrong in try_json_lines(path):
        if wrong:
            raise BadRecord(path, f"line {number}", f"not JSON: {wrong}")
        yield f"line {number}", record


def table_of(path: Path, rows: Iterable[tuple[str, Any]], columns: Iterable[object] = ()) -> CellTable:
    """The table of records, whose columns are the fields that occur.

    Raises:
        BadRecord: One is no object, or holds a number that is none.
    """
    found = []
    names: dict[str, None] = dict.fromkeys(map(str, columns))
    fixed = bool(names)
    for where, record in rows:
        if not isinstance(record, Mapping):
            raise BadRecord(path, where, "expected an object")
        for key, cell in record.items():
            if not fixed and isinstance(cell, float) and not math.isfinite(cell):
                what = f"{key} is {json.dumps(cell)}, which is no JSON; null is what there is nothing of"
                raise BadRecord(path, where, what)
        row = {str(key): cell for key, cell in escape_inside(dict(record)).items()}
        names.update(dict.fromkeys(row))
        found.append((where, row))
    return CellTable(path, tuple(names), found)
