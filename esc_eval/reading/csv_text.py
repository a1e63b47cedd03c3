"""CSV with a header, as spreadsheets of any country write it; a row that does not fit its header is never shifted."""

import csv
import re
from collections.abc import Collection, Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple, TextIO

from esc_eval.errors import BadRecord
from esc_eval.reading.plain import read_any_text, read_text

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST = 1 << 24
"""Characters of a cell."""
_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)?\s*")
_SAID = re.compile(r"\ufeff?sep=(.)\s*$", re.IGNORECASE)
Row = tuple[int, dict[str, str]]


class Unfit(str):
    """Takes the place of a row's cells where they could not be read; its text is the reason."""

    __slots__ = ()


class CsvRows(NamedTuple):
    """Rows of a CSV file.

    Attributes:
        columns: Names in the header, without white space around them.
        rows: The line on which each begins, and its cells by column.
        separator: What stands between cells.
        header: The line of the header.
        ended: Whether the last line has its end.
        guessed: The encoding that the text was taken for, where it did not say itself.
    """

    columns: tuple[str, ...]
    rows: list[Row]
    separator: str = ","
    header: int = 1
    ended: bool = True
    guessed: str | None = None


def read_csv(
    path: Path, needed: Collection[str] = (), told: str = "", prose: Collection[str] = (), *, guess: bool = False
) -> CsvRows:
    """The rows of a CSV file with a header, all of them right.

    Cells are separated by what the header is: comma, semicolon, tab or bar. Rows without anything, and last columns
    without a name and without a cell, are passed over: spreadsheets write them.

    Args:
        path: The file.
        needed: Columns that it must have.
        told: A column that tells, where it is blank in a last line without an end, that the file is cut off there.
        prose: Columns whose cells may be texts of many lines, and are not taken for rows whose quotation mark is wrong.
        guess: Whether text in an encoding that does not say itself is read where it can be no other.

    Raises:
        EscEvalError: As ``read_text``; or a header or the first row that is not right, with the line.
    """
    text, guessed = read_any_text(path) if guess else (read_text(path), None)
    columns, entries = parse_csv(StringIO(text, newline=""), path, needed, prose)
    rows: list[Row] = []
    for line, cells in entries:
        if isinstance(cells, Unfit):
            raise BadRecord(path, f"line {line}", cells)
        if any(cell.strip() for cell in cells.values()):
            rows.append((line, cells))
    if rows and not rows[-1][1].get(told, told or "-").strip() and text[-1] not in "\r\n":
        what = f"{told} is empty, and the last line has no end: is the file cut off? If it is whole, end the line"
        raise BadRecord(path, f"line {rows[-1][0]}", what)
    blank = next((n for n, line in enumerate(text.splitlines()) if line.strip() and not _SAID.match(line)), 0)
    separator = _Lines(StringIO(text)).find_separator()
    return CsvRows(columns, rows, separator, blank + 1, text[-1:] in ("\r", "\n"), guessed)


def parse_csv(
    text: TextIO, path: Path, needed: Collection[str] = (), prose: Collection[str] = ()
) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, str] | Unfit]]]:
    """The columns of CSV text, and its rows as they come, unfit ones with the reason.

    Args:
        text: Opened with ``newline=""``.
        path: What messages call it.
        needed: Columns that it must have.
        prose: As of ``read_csv``.

    Raises:
        BadRecord: The header is not right.
    """
    csv.field_size_limit(LONGEST)
    lines = _Lines(text)
    separator = lines.find_separator()
    reader = csv.reader(lines, strict=True, delimiter=separator)
    header: list[str] = []
    try:
        while not header and (row := next(reader, None)) is not None:
            header = [name.strip() for name in row]
            while header and not header[-1]:
                header.pop()
    except csv.Error as error:
        raise BadRecord(path, "line 1", f"broken CSV: {error}") from error
    where = f"line {max(lines.number, 1)}"
    if not header:
        raise BadRecord(path, where, "no header: the first line names the columns")
    if "" in header[1:]:  # the first of a table that pandas wrote has no name: the numbers of its rows
        raise BadRecord(path, where, f"column {header.index('', 1) + 1} has no name")
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise BadRecord(path, where, f"two columns are called {twice!r}; keep one or rename it")
    if missing := sorted(set(needed) - set(header)):
        raise BadRecord(
            path, where, f"no column {', '.join(missing)} in the header, only {_describe(header, separator)}"
        )
    return tuple(header), _read_rows(lines, reader, header, separator, prose)


class _Lines:
    """Lines of a text, one at a time, with their number and whether the last one was ended."""

    def __init__(self, text: TextIO) -> None:
        self.text, self.number, self.ended, self.ahead = text, 0, True, [text.readline()]

    def find_separator(self) -> str:
        """What stands between the names of the header, or what a line ``sep=;`` before it says; else the comma."""
        head = self.ahead[0]
        if said := _SAID.match(head):
            self.number, self.ahead = 1, [self.text.readline()]
            return said[1]
        bare = re.sub(r'"[^"]*"', "", head)
        return max(SEPARATORS, key=bare.count)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.ahead.pop() if self.ahead else self.text.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.ended = line[-1] in "\r\n"
        return line.removeprefix("\ufeff") if self.number == 1 else line


def _describe(header: list[str], separator: str) -> str:
    shown = ", ".join(header[:12]) + (", ..." if len(header) > 12 else "")
    return f"{shown} (separated by {SEPARATORS.get(separator, repr(separator))})"


def _read_rows(
    lines: _Lines, reader: "Iterator[list[str]]", header: list[str], separator: str, prose: Collection[str]
) -> Iterator[tuple[int, dict[str, str] | Unfit]]:
    waiting: tuple[int, dict[str, str] | Unfit] | None = None  # until it is known whether it is the last
    while True:
        line = lines.number + 1
        found: dict[str, str] | Unfit
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            found = Unfit(f"broken CSV: {_explain(str(error), line, lines.number)}")
        else:
            while len(row) > len(header) and not row[-1].strip():
                row.pop()
            if not row:
                continue
            if not any(cell.strip() for cell in row):
                row = [""] * len(header)
            found = _name_cells(row, header, separator, lines.number, prose)
        if waiting:
            yield waiting
        waiting = line, found
    if waiting:
        line, found = waiting
        if isinstance(found, Unfit) and not lines.ended:
            found = Unfit(f"{found}. It is the last line: is the file cut off?")
        yield line, found


def _explain(what: str, line: int, end: int) -> str:
    if "unexpected end" in what:
        return "a quotation mark opens here and never closes"
    if "expected after" in what and end > line:
        return f"a quotation mark opens here and closes in the middle of line {end}"
    return what


def _name_cells(
    row: list[str], header: list[str], separator: str, end: int, prose: Collection[str]
) -> dict[str, str] | Unfit:
    if len(row) != len(header):
        more = ""
        if separator == "," and any(map(_is_half, row, row[1:])):
            more = ". If a cell has a decimal comma, as 3,0 has, separate cells by semicolons, or write 3.0"
        return Unfit(f"{len(row)} fields, the header has {len(header)}: {_describe(header, separator)}{more}")
    several = ((column, cell) for column, cell in enumerate(row) if "\n" in cell and header[column] not in prose)
    if any(_holds_rows(cell, column, len(header), separator) for column, cell in several):
        return Unfit(f"a quotation mark opens here and closes in line {end}, and rows stand between the two")
    return dict(zip(header, row, strict=True))


def _is_half(before: str, after: str) -> bool:
    """Whether two cells may be the halves of one number with a decimal comma."""
    return before.strip().lstrip("+-").isdecimal() and after.strip().isdecimal()


def _holds_rows(cell: str, column: int, width: int, separator: str) -> bool:
    """Whether a cell of several lines is the end of one row, whole rows, and the beginning of another.

    Of such a cell the first line has the separators that follow its column, the last those before it, and a line
    between has all. Text may have as many by chance; it is told by the white space after them, and in a table of two
    columns by not ending in numbers.
    """
    first, *inner, last = cell.replace("\r", "").split("\n")
    inner = [line for line in inner if line.strip()]
    whole = [line for line in inner if line.count(separator) == width - 1]
    if (first.count(separator), last.count(separator)) != (width - 1 - column, column) or (inner and not whole):
        return False
    if width == 2:
        ends = [line.rpartition(separator)[2] for line in (first, *whole, last)]
        return all(_NUMBER.fullmatch(end) for end in (ends if column else ends[:-1]))
    spaced = any(re.search(rf"{re.escape(separator)}\s", line) for line in (first, *whole, last))
    return width > 2 and (len(whole) > 1 or not spaced)
