"""A sheet for spreadsheet programs: a dialogue a row, a column a dimension; CSV, or XLSX with lists to choose from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.cells import read_level, read_mark
from esc_eval.files.sheets import XLSX, read_cells, write_cells
from esc_eval.rate.export import explain_reason
from esc_eval.rate.offline.answers import CANNOT, NOTE, Answer, Answers, make_answers
from esc_eval.rate.offline.sheet import Sheet
from esc_eval.reading import suffix_of
from esc_eval.schema import NOT_APPLICABLE, Mark

BEFORE = ("dialogue_id", "order", "rater", "rubric")
SCALE = "scale"
"""The file beside sheets as CSV that has the words of the levels."""
TEXT, CARD = "dialogue", "role_card"
PROSE = (TEXT, CARD, *(f"{TEXT} {n}" for n in range(2, 100)))
"""Columns that hold texts of many lines."""
LONGEST = 32_000
"""Characters of a cell: spreadsheet programs cut at 32,767."""
WIDTHS = {TEXT: 80, CARD: 40, "text": 100, "words": 80, CANNOT: 30, NOTE: 30, "dialogue_id": 24}


def _pieces(text: str) -> list[str]:
    return [text[at : at + LONGEST] for at in range(0, len(text), LONGEST)] or [""]


def write_sheet(path: Path, sheet: Sheet) -> None:
    """Write a sheet by the ending of its file.

    Raises:
        EscEvalError: A dimension has the name of a column of another thing, or a role card fits into no cell.
    """
    _, wording = sheet.worded
    taken = {*BEFORE, CANNOT, NOTE, CARD}
    if odd := [key for key in sheet.dimensions if key in taken or key.startswith(TEXT)]:
        raise EscEvalError(f"the dimension {odd[0]!r} has the name of a column of these sheets; use --format html")
    is_book = suffix_of(path) == XLSX
    # a spreadsheet shows words better in a sheet of their own; a CSV file has no other
    texts = {} if is_book else {one.id: _pieces(one.as_text(wording)) for one in sheet.entries}
    count = max((len(pieces) for pieces in texts.values()), default=0)
    columns = [TEXT if n == 0 else f"{TEXT} {n + 1}" for n in range(count)]
    cards = [CARD] if not is_book and any(one.card for one in sheet.entries) else []
    if cards and (long := [one.id for one in sheet.entries if len(one.card or "") > LONGEST]):
        raise EscEvalError(
            f"{long[0]}: its role card is longer than the {LONGEST:,} characters of a cell; use --format html"
        )
    rows = [
        {
            "dialogue_id": entry.id,
            "order": str(order),
            "rater": sheet.rater,
            "rubric": sheet.rubric.id,
            **dict(zip(columns, texts.get(entry.id, ()), strict=False)),
            **({CARD: entry.card or ""} if cards else {}),
        }
        for order, entry in enumerate(sheet.entries)
    ]
    levels = [str(mark) for mark in sheet.rubric.marks]
    beside = {
        "Dialogues": (["dialogue_id", "turn", "who", "text"], list(_turn_rows(sheet))),
        "Scale": (["dimension", "name", "level", "words"], list(_scale_rows(sheet))),
    }
    write_cells(
        path,
        [*BEFORE, *columns, *cards, *sheet.dimensions, CANNOT, NOTE],
        rows,
        dict.fromkeys(sheet.dimensions, levels),
        WIDTHS,
        beside,
    )
    if not is_book:
        write_cells(path.with_name(f"{SCALE}.csv"), *beside["Scale"], {})


def _turn_rows(sheet: Sheet) -> Iterator[dict[str, str]]:
    _, wording = sheet.worded
    names = {"seeker": wording.seeker, "supporter": wording.supporter}
    for entry in sheet.entries:
        for piece in _pieces(entry.card) if entry.card else ():
            yield {"dialogue_id": entry.id, "turn": "0", "who": CARD, "text": piece}
        for number, (role, text, _) in enumerate(entry.turns, 1):
            for piece in _pieces(text):
                yield {"dialogue_id": entry.id, "turn": str(number), "who": names[role], "text": piece}


def _scale_rows(sheet: Sheet) -> Iterator[dict[str, str]]:
    _, wording = sheet.worded
    for key in sheet.dimensions:
        text = wording.dimensions[key]
        yield {"dimension": key, "name": text.name, "level": "", "words": text.question}
        for level, words in zip(sheet.rubric.levels, text.levels, strict=True):
            yield {"dimension": key, "name": text.name, "level": str(level), "words": words}
        if wording.not_applicable:
            said = {"level": NOT_APPLICABLE, "words": wording.not_applicable}
            yield {"dimension": key, "name": text.name, **said}


def is_sheet(columns: Mapping[str, object] | set[str]) -> bool:
    """Whether these are the columns of such a sheet."""
    return {*BEFORE, CANNOT, NOTE} <= set(columns)


def read_sheet(path: Path) -> Answers:
    """What was filled in.

    Raises:
        EscEvalError: The file cannot be read or is none of these, or a row says two things at once.
    """
    rows = read_cells(path, {*BEFORE, CANNOT, NOTE}, prose=PROSE)
    answers: list[Answer] = []
    given: list[tuple[str, str]] = []
    asked = 0
    for number, cells in rows:
        where = f"row {number}"
        if blank := [key for key in BEFORE if not cells[key].strip()]:
            raise BadRecord(path, where, f"{blank[0]} is empty; what was in these columns must stay")
        about = {key: cells[key].strip() for key in BEFORE}
        given.append((about["rater"], about["dialogue_id"]))
        keys = [key for key in cells if key not in (*BEFORE, CANNOT, NOTE, CARD) and not key.startswith(TEXT)]
        asked = len(keys)
        why, note = cells.get(CANNOT, "").strip(), cells.get(NOTE, "").strip()
        levels: dict[str, Mark | None] = {}
        for key in keys:
            try:
                levels[key] = read_mark(cells[key])
            except ValueError as error:
                raise BadRecord(path, where, f"{key}: {error}") from error
        if not why and all(level is None for level in levels.values()):
            continue  # not rated yet
        answers += make_answers(
            path,
            where,
            levels,
            explain_reason(why) if why else None,
            dialogue_id=about["dialogue_id"],
            rater=about["rater"],
            rubric=about["rubric"],
            order=_order(about["order"], path, where),
            note=note or None,
        )
    return Answers(answers, given, asked)


def _order(cell: str, path: Path, where: str) -> int | None:
    try:
        return read_level(cell)
    except ValueError as error:
        raise BadRecord(path, where, f"order {error}") from error
