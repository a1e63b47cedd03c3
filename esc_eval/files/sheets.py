"""Sheets that people edit in a spreadsheet program: CSV, or XLSX with lists to choose from, by the file's name."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.escaping import format_csv, read_cell
from esc_eval.files.writing import fill_folder, write_whole
from esc_eval.reading import check_file, read_csv, suffix_of

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

XLSX = ".xlsx"
LAST_ROW = 1_048_576
"""Of a sheet."""
WIDTH = 16
Rows = Iterable[Mapping[str, str]]
BAD = (OSError, KeyError, ValueError, TypeError, AttributeError)


def write_cells(
    path: Path,
    columns: Sequence[str],
    rows: Rows,
    choices: Mapping[str, Sequence[str]],
    widths: Mapping[str, int] | None = None,
    beside: Mapping[str, tuple[Sequence[str], Rows]] | None = None,
) -> None:
    """Write a sheet; it appears whole. No cell is a formula.

    Args:
        path: Where; its ending says the format.
        columns, rows: What is in it.
        choices: What may stand in a column; a spreadsheet program offers it in XLSX.
        widths: Of columns in XLSX, in characters.
        beside: Further sheets of an XLSX file by name, to read: columns and rows of each.
    """
    if suffix_of(path) != XLSX:
        write_whole(path, [format_csv(columns, rows)])
        return
    from openpyxl import Workbook

    book = Workbook()
    _fill(book.active, columns, rows, widths or {})
    _offer_choices(book.active, columns, choices)
    for name, (own, read) in (beside or {}).items():
        _fill(book.create_sheet(name), own, read, widths or {})
    with fill_folder(path.parent) as folder:
        book.save(folder / path.name)


def _fill(sheet: "Worksheet", columns: Sequence[str], rows: Rows, widths: Mapping[str, int]) -> None:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Alignment, Font

    for number, row in enumerate([dict(zip(columns, columns, strict=True)), *rows], 1):
        for place, column in enumerate(columns, 1):
            cell = sheet.cell(number, place)
            if text := ILLEGAL_CHARACTERS_RE.sub("\ufffd", row.get(column, "")):
                cell.value, cell.data_type = text, "s"
            cell.number_format = "@"
            cell.alignment, cell.font = Alignment(wrap_text=True, vertical="top"), Font(bold=number == 1)
    for place, column in enumerate(columns, 1):
        sheet.column_dimensions[sheet.cell(1, place).column_letter].width = widths.get(column, WIDTH)
    sheet.freeze_panes = "A2"


def _offer_choices(sheet: "Worksheet", columns: Sequence[str], choices: Mapping[str, Sequence[str]]) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    for column, values in choices.items():
        letter = sheet.cell(1, columns.index(column) + 1).column_letter
        offered = DataValidation(type="list", formula1=f'"{",".join(values)}"', allow_blank=True)
        offered.showErrorMessage = False  # It offers; what is wrong is said when the sheet is read.
        offered.add(f"{letter}2:{letter}{LAST_ROW}")
        sheet.add_data_validation(offered)


def read_cells(path: Path, columns: set[str], prose: Collection[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Every row of a sheet below its header, with the number that a spreadsheet program shows beside it.

    Args:
        columns: Columns that must be there.
        prose: Columns of a CSV whose cells may be texts of many lines.

    Raises:
        EscEvalError: The file cannot be read or lacks a column, or a cell is a formula.
    """
    if suffix_of(path) != XLSX:
        rows = read_csv(path, columns, prose=prose).rows
        return [(n, {key: read_cell(value) for key, value in row.items()}) for n, (_, row) in enumerate(rows, 2)]
    _, header, lines, _ = read_book(path)
    if missing := sorted(columns - set(header)):
        raise BadRecord(path, "row 1", f"no column {missing[0]!r}; there is: {', '.join(map(repr, header))}")
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in lines]


def read_book(path: Path) -> tuple[int, list[str], list[tuple[int, list[str]]], list[str]]:
    """The sheet of an XLSX file that is open when a program shows it.

    Returns:
        The number of its header's row, which is the first that holds something; the names there; number and cells of
        every row below it that holds something; and the names of other sheets that hold something.

    Raises:
        EscEvalError: The file cannot be read, a column has no name or that of another, or a cell is a formula.
    """
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    check_file(path)
    try:
        book = load_workbook(path, read_only=True)
        table = [[_text(cell) for cell in row] for row in book.active.iter_rows()]
        others = [
            sheet.title
            for sheet in book.worksheets
            if sheet.title != book.active.title and any(cell is not None for row in sheet.values for cell in row)
        ]
        book.close()
    except (*BAD, BadZipFile, InvalidFileException) as error:
        raise EscEvalError(f"{path}: cannot be read as XLSX: {error or type(error).__name__}") from error
    filled = [
        (number, cells)
        for number, cells in enumerate(table, 1)
        if any(cell.strip() or isinstance(cell, _Formula) for cell in cells)
    ]
    if others and not filled:
        what = f"the sheet that is open is empty; open the one to read and save: {', '.join(map(repr, others))}"
        raise EscEvalError(f"{path}: {what}")
    first, names = filled[0] if filled else (1, [])
    header = [name.strip() for name in names]
    while header and not header[-1]:
        header.pop()
    if "" in header[1:]:  # the first of a table that pandas wrote has no name: the numbers of its rows
        raise BadRecord(path, f"row {first}", f"column {header.index('', 1) + 1} has no name")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise BadRecord(path, f"row {first}", f"two columns are called {twice[0]!r}")
    found = []
    for number, cells in filled[1:]:
        if formula := next((cell for cell in cells if isinstance(cell, _Formula)), None):
            raise BadRecord(path, f"row {number}", f"{formula!r} is a formula: put its value there")
        if any(cell.strip() for cell in cells[len(header) :]):
            shown = ", ".join(map(repr, header[:12]))
            raise BadRecord(
                path,
                f"row {number}",
                f"a cell stands right of the {len(header)} columns that row {first} names: {shown}. The first row that "
                "holds anything names all columns",
            )
        found.append((number, (cells + [""] * len(header))[: len(header)]))
    return first, header, found, others


class _Formula(str):
    """A cell that a program would compute."""


def _text(cell: Any) -> str:
    if cell.value is None:
        return ""
    if cell.data_type == "f":
        return _Formula(cell.value)
    value = cell.value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
