"""Which column of a table somebody else made holds what: as the user says, as it is called, or as its name tells."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from esc_eval.errors import EscEvalError
from esc_eval.files.cell_tables import CellTable

Columns = Mapping[str, str | Sequence[str]]
"""What a column is -> what it is called in a table, or what several are."""
OPTION = "--column"
_SAID: ContextVar[Mapping[str, tuple[str, ...]]] = ContextVar("columns", default={})  # noqa: B039


def parse_columns(given: Collection[str] | Columns) -> dict[str, tuple[str, ...]]:
    """``NAME=COLUMN`` as columns by name; a name may stand several times.

    Raises:
        EscEvalError: One is nothing of the kind.
    """
    if isinstance(given, Mapping):
        return {str(name): (c,) if isinstance(c, str) else tuple(c) for name, c in given.items()}
    found: dict[str, tuple[str, ...]] = {}
    for pair in given:
        name, sign, column = (part.strip() for part in pair.partition("="))
        if not sign or not name or not column:
            raise EscEvalError(f"{OPTION} {pair}: expected NAME=COLUMN, such as score=Rating")
        found[name] = (*found.get(name, ()), column)
    return found


@contextmanager
def naming(given: Collection[str] | Columns) -> Iterator[None]:
    """Read tables with columns that are called so, unless a reader is told others."""
    token = _SAID.set(parse_columns(given))
    try:
        yield
    finally:
        _SAID.reset(token)


def asked_columns(columns: Columns | None) -> Mapping[str, tuple[str, ...]]:
    """The columns that a reader was told, else those of ``naming``."""
    return _SAID.get() if columns is None else parse_columns(columns)


def bare(name: object) -> str:
    """A name without what spreadsheets and people write in different ways.

    >>> bare("Dialogue ID"), bare("dialogue_id"), bare("共情 ")
    ('dialogueid', 'dialogueid', '共情')
    """
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", str(name)).casefold())


def name_columns(
    table: CellTable,
    known: Collection[str],
    aliases: Mapping[str, Collection[str]],
    asked: Mapping[str, Sequence[str]],
) -> tuple[dict[str, str], list[str]]:
    """What the columns of a table are called among ourselves.

    Args:
        table: The table.
        known: Our names.
        aliases: Other names of some of them, bare; the first of ours comes first.
        asked: Columns that the user names, a column each.

    Returns:
        Column -> our name, of those that have another; and what was guessed.

    Raises:
        BadRecord: A column that is asked for is not there, or two may be the same thing.
    """
    renamed: dict[str, str] = {}
    for name, columns in asked.items():
        [column] = columns
        if column in table.columns:
            if name in table.columns and name != column:
                raise table.refuse(f"{OPTION} {name}={column}: the column {name!r} stands beside it; rename or drop it")
            renamed[column] = name
        elif name not in table.columns:
            raise table.refuse(f"{OPTION} {name}={column}: no such column")
    guessed = []
    there = (set(table.columns) - renamed.keys()) | set(renamed.values())
    for name in known:
        free = [c for c in table.columns if c not in renamed and c not in known]
        same = [c for c in free if bare(c) == bare(name)]
        if name in there:
            if same:
                raise table.refuse(f"{same[0]!r} stands beside {name!r}; keep one")
            continue
        found = same or [c for c in free if bare(c) in aliases.get(name, ())]
        if len(found) > 1:
            raise table.refuse(
                f"{' and '.join(map(repr, found))} may both be the {name}: say which, {OPTION} {name}={found[0]!r}"
            )
        if found:
            renamed[found[0]] = name
            there.add(name)
            guessed.append(f"{found[0]!r} as {name}")
    return {column: name for column, name in renamed.items() if column != name}, guessed
