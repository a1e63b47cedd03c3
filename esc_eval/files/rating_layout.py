"""Tables of ratings in any layout as rows of one rater, dialogue and dimension each: long, a column a dimension, or a
column a rater.

What is guessed of a layout is said; what may mean two things is refused with the columns found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from esc_eval.errors import BadRecord
from esc_eval.files.cell_tables import CellTable, tell_guess
from esc_eval.files.cells import is_blank, is_not_applicable, read_level
from esc_eval.files.columns import OPTION, Columns, asked_columns, bare, name_columns
from esc_eval.files.official_dimensions import official_dimensions

KEY = ("dialogue_id", "rater", "dimension")
NEEDED = (*KEY, "score")
OF_DIALOGUES = ("card", "card_id", "model", "supporter", "language", "category", "group", "source")
"""What a table may say of the rated dialogues, which the dialogues themselves say too."""
OPTIONAL = ("rater_kind", "rubric", "stage", "order", "time", "seconds", "not_applicable", "problem", "note", "raw")
FIELDS = (*NEEDED, *OPTIONAL, *OF_DIALOGUES)
OF_CARDS = ("id", "text", "quality", "annotator_text", "synthetic", "unreviewed", "risk", "warning")
"""What tables of role cards alone have; a command may read both."""
ALIASES = {
    "dialogue_id": ("dialogue", "dialogid", "dialog", "conversation", "conversationid", "convid", "对话", "对话编号"),
    "rater": (
        "annotator",
        "annotatorid",
        "raterid",
        "ratername",
        "coder",
        "evaluator",
        "judge",
        "评分者",
        "评分人",
        "评分员",
        "评委",
        "标注者",
        "标注员",
    ),
    "dimension": ("criterion", "aspect", "scale", "维度"),
    "score": ("rating", "level", "value", "mark", "grade", "points", "分数", "得分", "评分"),
}
"""Bare names by which others call what a row needs."""
EXPORTS = (
    ({"annotator", "annotation_id", "lead_time"}, "an export of Label Studio"),
    ({"dialogue_id", "order", "rater", "rubric", "cannot_rate", "note"}, "a filled sheet of esc-eval sheet"),
)
"""Columns of tables that say more than levels."""
PAIRS = {"dialogue_a", "dialogue_b", "rater", "dimension", "preference", "steps"}
"""Columns of a table of preferences."""
STEPS = "_steps"
"""The column that says of pairs how far a preference can be from 0."""


@dataclass(frozen=True)
class _Wide:
    """What the columns of levels are, and their names: column -> dimension, or column -> rater."""

    of: str
    names: Mapping[str, str]


def spell_dimension(name: str) -> str | None:
    """The key of one of the seven from our, the paper's or the release's name, however it is written; else None.

    >>> spell_dimension("Empathic "), spell_dimension("Skillful"), spell_dimension("warmth")
    ('empathy', 'skillful', None)
    """
    asked = bare(name)
    rows = official_dimensions()
    return next((row.key for row in rows if asked in map(bare, (row.key, row.paper, row.official))), None)


def lay_out(table: CellTable, columns: Columns | None = None) -> CellTable:
    """The table with our names and a row for each rater, dialogue and dimension; what was guessed is said.

    Args:
        table: As its file holds it.
        columns: What its columns are called, where the user says so; None = what ``columns.naming`` says.

    Raises:
        BadRecord: A column is missing, or one may mean two things; with the columns found.
    """
    _refuse_others(table)
    asked = {name: given for name, given in asked_columns(columns).items() if name not in OF_CARDS}
    levels = {name: given for name, given in asked.items() if _names_levels(table, name, asked)}
    asked = {name: given for name, given in asked.items() if name not in levels}
    for name, given in asked.items():
        if name not in FIELDS:
            known = f"{', '.join(FIELDS)}, or a dimension: {', '.join(row.key for row in official_dimensions())}"
            raise table.refuse(f"{OPTION} {name}={given[0]}: nothing of ratings is called {name!r}. Known: {known}")
        if len(given) > 1:
            raise table.refuse(f"{OPTION} {name}: given {len(given)} times; only rater and dimension may be")
    dims = {c for c in table.columns if spell_dimension(c)} | {c for given in levels.values() for c in given}
    aliases = dict(ALIASES)
    if dims and "dimension" not in table.columns and "dimension" not in asked:
        del aliases["score"], aliases["dimension"]  # a column a dimension needs neither
    found = [name for name in FIELDS if name not in levels]
    renamed, guessed = name_columns(table, found, aliases, asked)
    table = _rename(table, renamed)
    second = [] if dims else _second_columns(table)
    said = [f"read {', '.join(guessed)}"] if guessed else []
    said += [f"not read: {c!r}, as a column of our name says the same" for c in second]
    wide = _find_wide(table, levels)
    if wide:
        said.append(f"a column a {wide.of}: {', '.join(_show(c, name) for c, name in wide.names.items())}")
        passed = [c for c in table.columns if c not in wide.names and c not in FIELDS and c]
        if {wide.of, "score"} & set(table.columns) - wide.names.keys():
            raise table.refuse(f"beside a column a {wide.of} stands one called {wide.of!r} or 'score'; drop it")
        if numbers := [c for c in passed if _holds_levels(table, c)]:
            said.append(f"not read: {', '.join(map(repr, numbers))} ({OPTION} {wide.of}={numbers[0]!r} would)")
        broken = {c: where for c in passed if (where := _broken_levels(table, c))}
        said += [f"not read: {c!r}, {where}" for c, where in broken.items()]
        if others := [c for c in passed if c not in numbers and c not in broken]:
            said.append(f"no levels: {', '.join(map(repr, others))}")
        long = _long_columns(table, wide)
        table = replace(table, rows=list(_melt(table, wide)), columns=long, written=table.written or table.columns)
    if "score" not in table.columns and set(KEY) <= set(table.columns) and _says_why(table):
        table = replace(table, columns=(*table.columns, "score"))  # our records leave out what they have none of
    if "rater" not in table.columns and {"dialogue_id", "dimension", "score"} <= set(table.columns):
        name = table.path.stem
        said.append(f"no column says who rated, so the rater is {name!r}, the file's name")
        table = replace(
            table,
            columns=(*table.columns, "rater"),
            rows=[(where, {**row, "rater": name}) for where, row in table.rows],
        )
    _refuse_missing(table)
    rows, changed = _read_rows(table)
    if changed:
        said.append(f"dimensions: {', '.join(f'{theirs!r} as {ours}' for theirs, ours in changed.items())}")
    if table.cut and rows and is_blank(rows[-1][1].get("score")):
        what = "score is empty, and the last line has no end: is the file cut off? If it is whole, end the line"
        raise BadRecord(table.path, rows[-1][0], what)
    tell_guess(table.path, [*table.guessed, *said])
    return replace(table, rows=rows, guessed=())


def _names_levels(table: CellTable, name: str, asked: Mapping[str, Sequence[str]]) -> bool:
    """Whether what the user names are columns that hold levels: a dimension's, or several raters' or dimensions'."""
    columns = asked[name]
    if name in FIELDS and name not in ("rater", "dimension"):
        return False
    if name not in FIELDS and spell_dimension(name) is None:
        return False
    for column in columns:
        if column not in table.columns:
            if name in table.columns and len(columns) == 1:
                return False
            raise table.refuse(f"{OPTION} {name}={column}: no such column")
    if name not in FIELDS:
        return True
    return len(columns) > 1 or (
        "score" not in {*table.columns, *asked}
        and name not in table.columns
        and _holds_levels(table, columns[0], even_none=True)
    )


def _find_wide(table: CellTable, levels: Mapping[str, Sequence[str]]) -> _Wide | None:
    """How levels stand side by side, or None where each has its row."""
    there = set(table.columns)
    if raters := levels.get("rater"):
        return _Wide("rater", {column: column for column in raters})
    if "dimension" in there:
        if "rater" in there or "score" in there or "dialogue_id" not in there:
            return None
        free = _free_levels(table)
        if len(free) == 1:
            raise table.refuse(
                f"{free[0]!r} is either one rater's levels or everybody's: say which, {OPTION} rater={free[0]!r} or "
                f"{OPTION} score={free[0]!r}"
            )
        return _Wide("rater", {column: column for column in free}) if free else None
    names = {column: spell_dimension(column) or column for column in levels.get("dimension", ())}
    for name, [column, *more] in ((n, c) for n, c in levels.items() if n not in FIELDS):
        if more:
            raise table.refuse(f"{OPTION} {name}: given {len(more) + 1} times; one column is one dimension")
        names[column] = spell_dimension(name) or name
    names |= {c: key for c in table.columns if c not in FIELDS and c not in names and (key := spell_dimension(c))}
    if twice := next((key for key in names.values() if list(names.values()).count(key) > 1), None):
        both = [repr(column) for column, key in names.items() if key == twice]
        raise table.refuse(f"{' and '.join(both)} are both the dimension {twice}; keep one, or rename it")
    if names:
        return _Wide("dimension", {c: names[c] for c in table.columns if c in names})
    if "rater" in there and "score" not in there and (free := _free_levels(table)):
        return _Wide("dimension", {column: column for column in free})
    return None


def _free_levels(table: CellTable) -> list[str]:
    return [c for c in table.columns if c and c not in FIELDS and _holds_levels(table, c)]


def _is_mark(table: CellTable, cell: object) -> bool:
    """Whether a cell says N/A, in a table that names rubrics: no other can know it, and others write NA for a blank."""
    return "rubric" in table.columns and is_not_applicable(cell)


def _holds_levels(table: CellTable, column: str, even_none: bool = False) -> bool:
    """Whether a column has levels, and nothing else."""
    cells = [(row.get(column), where) for where, row in table.rows]
    filled = [(cell, where) for cell, where in cells if not is_blank(cell)]
    try:
        levels = [cell for cell in filled if not _is_mark(table, cell[0])]
        return (bool(levels) or even_none) and all(
            read_level(table.plain_number(cell, where, column)) is not None for cell, where in levels
        )
    except (ValueError, BadRecord):
        return False


def _second_columns(table: CellTable) -> list[str]:
    """Columns that by their names may be what another column, of our name, is."""
    return [c for c in table.columns for name, others in ALIASES.items() if name in table.columns and bare(c) in others]


def _broken_levels(table: CellTable, column: str) -> str | None:
    """Where a column that would else hold levels holds something else; None where it holds levels alone, or none."""
    others, levels = [], 0
    for where, row in table.rows:
        if _is_mark(table, row.get(column)):
            continue
        try:
            levels += read_level(table.plain_number(row.get(column), where, column)) is not None
        except (ValueError, BadRecord):
            others.append((where, row[column]))
    return f"which beside levels holds {others[0][1]!r} in {others[0][0]}" if levels and others else None


def _says_why(table: CellTable) -> bool:
    """Whether each row says why it has no score, or that its dimension does not apply."""
    return bool(table.rows) and all(
        not is_blank(row.get("problem")) or not is_blank(row.get("not_applicable")) for _, row in table.rows
    )


def _long_columns(table: CellTable, wide: _Wide) -> tuple[str, ...]:
    return (*(c for c in table.columns if c not in wide.names), wide.of, "score")


def _melt(table: CellTable, wide: _Wide) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, row in table.rows:
        about = {key: cell for key, cell in row.items() if key not in wide.names}
        for column, name in wide.names.items():
            yield f"{where}, column {column!r}", {**about, wide.of: name, "score": row.get(column)}


def _rename(table: CellTable, renamed: Mapping[str, str]) -> CellTable:
    if not renamed:
        return table
    rows = [(where, {renamed.get(key, key): cell for key, cell in row.items()}) for where, row in table.rows]
    columns = tuple(renamed.get(c, c) for c in table.columns)
    return replace(table, columns=columns, rows=rows, written=table.written or table.columns)


def _read_rows(table: CellTable) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, str]]:
    """The rows with decimal points and, where they name no rubric, our keys of the seven; and names that changed."""
    changed: dict[str, str] = {}
    rows = []
    for where, row in table.rows:
        made = dict(row)
        for key in ("score", "seconds"):
            if isinstance(made.get(key), str) and not is_not_applicable(made[key]):
                made[key] = table.plain_number(made[key], where, key)
        name = made.get("dimension")
        if isinstance(name, str) and is_blank(made.get("rubric")):
            key = spell_dimension(name) or name
            made["dimension"] = key
            if bare(key) != bare(name):
                changed[name.strip()] = key
        rows.append((where, made))
    return rows, changed


def _show(column: str, name: str) -> str:
    return repr(column) if column == name else f"{column!r} as {name}"


def _refuse_others(table: CellTable) -> None:
    """Refuse what is no table of ratings, or says more than one, with what to run."""
    there = set(table.columns)
    if there >= PAIRS:
        raise BadRecord(
            table.path,
            table.header,
            "these are preferences between two dialogues, no ratings of one; esc-eval agreement alone reads them",
        )
    for columns, what in EXPORTS:
        if columns <= there:
            raise BadRecord(
                table.path,
                table.header,
                f"this is {what}, which also says why a level is missing: esc-eval convert {table.path} --out "
                "ratings.csv makes a table of it (with --dialogues RUN where its ids are hidden)",
            )
    first = table.rows[0][1] if table.rows else {}
    if any(key in first for key in ("annotations", "responses")) or any(c.endswith(".responses") for c in there):
        raise BadRecord(
            table.path,
            table.header,
            f"this is an export of Label Studio or Argilla: esc-eval convert {table.path} --out ratings.csv makes a "
            "table of it",
        )


def _refuse_missing(table: CellTable) -> None:
    missing = [name for name in NEEDED if name not in table.columns]
    if not missing:
        return
    free = _free_levels(table)
    hints = [f"name it: {OPTION} {missing[0]}=COLUMN"]
    if free and "dimension" in missing:
        hints.append(f"where a column is a dimension: {OPTION} dimension={free[0]!r}")
    if free and "score" in missing and "dimension" not in missing:
        hints.append(f"where a column is a rater: {OPTION} rater={free[0]!r}")
    if missing == ["dimension"]:
        hints = [f"if all are of one dimension, say which: {OPTION} overall=score"]
    raise table.refuse(
        f"no column {', '.join(missing)}; a ratings table has {', '.join(NEEDED)}; {', or '.join(hints)}"
    )
