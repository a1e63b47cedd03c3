"""Preferences between two dialogues as files hold them, and what a rater says of a pair in both orders together."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.escaping import format_csv
from esc_eval.files.built import is_built, read_built
from esc_eval.files.cell_tables import CellTable, read_cell_table, tell_guess
from esc_eval.files.cells import is_blank, read_level
from esc_eval.files.columns import OPTION, Columns, asked_columns, bare, name_columns
from esc_eval.files.rating_layout import STEPS
from esc_eval.files.run_folder import PREFERENCES
from esc_eval.reading import is_file, is_folder, read_json, suffix_of, try_json_lines
from esc_eval.schema import WHOLE, Dialogue, Evidence, Preference

Inconsistent = Literal["tie", "leave-out"]
"""What two orders that disagree count as."""
MODELS = ("model_a", "model_b")
REASON = "reason"
KNOWN = (*Preference.model_fields, *MODELS, REASON)
NEEDED = ("dialogue_a", "dialogue_b", "rater", "preference")
ALIASES = {
    "dialogue_a": ("dialoguea", "conversationa", "responsea", "first", "left dialogue"),
    "dialogue_b": ("dialogueb", "conversationb", "responseb", "second"),
    "rater": ("annotator", "annotatorid", "raterid", "judge", "evaluator"),
    "preference": ("winner", "preferred", "choice", "verdict", "selected"),
    "card_id": ("card", "cardid"),
}
"""Bare names by which others call what a row needs."""
SIDES = {
    **dict.fromkeys(("a", "left", "first", "modela", "dialoguea", "responsea"), 1),
    **dict.fromkeys(("b", "right", "second", "modelb", "dialogueb", "responseb"), -1),
    **dict.fromkeys(("tie", "draw", "equal", "same", "both", "neither", "bothgood", "bothbad", "tiebothbad"), 0),
}
"""Words for a side, letters and digits alone: Label Studio's, the Chatbot Arena's, ours."""
READ = "above 0, left or a: dialogue_a is better; below 0, right or b: dialogue_b is; 0 or tie: neither"
"""How a preference is read, for messages."""
PREFERENCE_COLUMNS = (
    *(
        "card_id",
        "dialogue_a",
        "dialogue_b",
        "dimension",
        "rater",
        "rater_kind",
        "preference",
        "steps",
        "left",
        "order",
    ),
    *("time", "seconds", "problem", "note", "reason", "model_a", "model_b"),
)
"""Of our tables of preferences."""
DISAGREE = "the two orders disagree"
ONE_ORDER = "asked in one order so far"


@dataclass(frozen=True)
class Given:
    """A preference, and the supporters of its dialogues where the file says them."""

    preference: Preference
    model_a: str | None = None
    model_b: str | None = None


@dataclass(frozen=True)
class Decision:
    """What a rater says of a pair, in all orders in which the rater saw it.

    Attributes:
        first, second: Ids of the dialogues, sorted.
        side: 1 where the first has the better supporter, -1 where the second, 0 neither; None where there is nothing to
            say, for the reason ``problem``.
        steps: By how many steps, of ``of`` at most.
        orders: Verdicts by order, the dialogue that was shown first as key; those that were read alone.
        asked: In how many orders.
    """

    first: str
    second: str
    dimension: str
    rater: str
    rater_kind: str
    card_id: str | None
    side: int | None
    steps: int | None
    of: int
    orders: Mapping[str, int]
    asked: int
    problem: str | None = None


def read_preferences(path: Path, columns: Columns | None = None, steps: int | None = None) -> list[Given]:
    """The preferences of a run folder, of our ``.jsonl``, or of any table with a row a rater and pair.

    Args:
        path: A folder with preferences.jsonl, one that the dataset builder made, or a table in any known format.
        columns: What its columns are called, where the user says so; None = what ``columns.naming`` says.
        steps: The farthest that a preference can be from 0, where the table does not say.

    Raises:
        EscEvalError: A file that is missing or broken, a column that is missing, or a preference that is none.
    """
    if is_folder(path):
        if is_built(path):
            return _read_built(path)
        path = path / PREFERENCES
        if not is_file(path):
            raise EscEvalError(f"{path}: no preferences there. A judge gives some: esc-eval prefer DIR --judge MODEL")
    table = _named(read_cell_table(path), columns)
    if not table.rows:
        raise table.refuse("no preferences: no row stands below the names of the columns")
    known = None if "steps" in table.columns else steps or _steps_of(table)
    found = [read_row(table, where, row, known) for where, row in table.rows]
    places: dict[tuple[str, ...], str] = {}
    for (where, _), given in zip(table.rows, found, strict=True):
        one = given.preference
        if (before := places.setdefault(one.place, where)) != where:
            said = f"of {one.dialogue_a!r} and {one.dialogue_b!r} ({one.dimension}), in the same order"
            raise BadRecord(table.path, where, f"{one.rater}'s second row {said}; the first is {before}. Keep one")
    return found


def _read_built(folder: Path) -> list[Given]:
    built = read_built(folder)
    supporters = {talk.id: talk.supporter for talk in built.dialogues}
    return [Given(one, supporters.get(one.dialogue_a), supporters.get(one.dialogue_b)) for one in built.preferences]


def holds_preferences(path: Path) -> bool:
    """Whether a file holds preferences and no ratings: it says of two dialogues which one a rater prefers.

    Raises:
        EscEvalError: Missing, of no known format, or broken.
    """
    match suffix_of(path):
        case ".jsonl":
            first = next((record for _, record, wrong in try_json_lines(path) if not wrong), None)
            there: Iterable[str] = first if isinstance(first, dict) else ()
        case ".json":
            content = read_json(path)
            there = content[0] if isinstance(content, list) and content and isinstance(content[0], dict) else ()
        case _:
            there = read_cell_table(path).columns
    names = set(map(bare, map(str, there)))
    spelt = {name: {bare(name), *ALIASES[name]} for name in NEEDED}
    spelt["preference"].add("problem")  # our records leave out what they have none of
    return all(names & own for own in spelt.values())


def _named(table: CellTable, columns: Columns | None) -> CellTable:
    asked = dict(asked_columns(columns))
    if strange := [name for name in asked if name not in KNOWN]:
        raise table.refuse(f"{OPTION} {strange[0]}: nothing of preferences is called so. Known: {', '.join(KNOWN)}")
    renamed, guessed = name_columns(table, KNOWN, ALIASES, asked)
    tell_guess(table.path, [*table.guessed, *([f"read {', '.join(guessed)}"] if guessed else [])])
    names = tuple(renamed.get(column, column) for column in table.columns)
    rows = [(where, {renamed.get(key, key): cell for key, cell in row.items()}) for where, row in table.rows]
    if "problem" in names and "preference" not in names:
        names = (*names, "preference")  # our records leave out what they have none of
    if missing := [name for name in NEEDED if name not in names]:
        raise table.refuse(
            f"no column {', '.join(missing)}; a table of preferences has {', '.join(NEEDED)}; name it: "
            f"{OPTION} {missing[0]}=COLUMN"
        )
    return CellTable(table.path, names, rows, table.header, table.comma, table.cut)


def _side(cell: Any) -> int | None:
    """The preference of a cell: a whole number, or a word for a side; None where it is blank.

    Raises:
        ValueError: Something else.
    """
    if isinstance(cell, str):
        word = "".join(c for c in cell.casefold() if c.isalnum())
        if word in SIDES:
            return SIDES[word]
    try:
        return read_level(cell)
    except ValueError as error:
        raise ValueError(f"{error} ({READ})") from error


def _steps_of(table: CellTable) -> int:
    """1 where no preference says more than a side.

    Raises:
        BadRecord: One says more, and nothing says how far a preference can be from 0.
    """
    for where, row in table.rows:
        try:
            value = _side(row.get("preference"))
        except ValueError as error:
            raise BadRecord(table.path, where, f"preference {error}") from error
        if value is not None and abs(value) > 1:
            raise BadRecord(
                table.path,
                where,
                f"preference is {value}, and no column steps says how far one can be from 0; if it is read as meant "
                f"({READ}), say it: --steps N",
            )
    return 1


def read_row(table: CellTable, where: str, row: Mapping[str, Any], steps: int | None) -> Given:
    """The preference in a row whose columns have our names.

    Args:
        table: That it stands in, and ``where``.
        row: Cells by column.
        steps: The farthest that it can be from 0, where the row does not say.

    Raises:
        BadRecord: It is none.
    """
    cells = {key: cell for key, cell in row.items() if key in KNOWN and not is_blank(cell)}
    try:
        value = _side(row.get("preference"))
        cells |= {key: read_level(cells[key]) for key in ("steps", "order") if key in cells}
        if "seconds" in cells:
            cells["seconds"] = float(cells["seconds"])
    except (ValueError, TypeError) as error:
        raise BadRecord(table.path, where, f"preference, steps, order or seconds {error}") from error
    models = {key: str(cells.pop(key)).strip() or None for key in MODELS if key in cells}
    for key in ("card_id", "dialogue_a", "dialogue_b", "rater", "dimension"):
        if key in cells:
            cells[key] = str(cells[key]).strip()
    if (reason := cells.pop(REASON, None)) is not None:
        cells["evidence"] = Evidence(kind="reason", text=str(reason))
    cells["preference"] = value
    if value is None:
        cells.setdefault("problem", "the table says none")
    cells = {"dimension": WHOLE, "left": "a", **({"steps": steps} if steps else {}), **cells}
    try:
        return Given(Preference(**cells), **models)
    except ValidationError as error:
        raise BadRecord(table.path, where, explain_validation(error)) from error


def format_preferences(given: Iterable[Given], dialogues: Iterable[Dialogue]) -> str:
    """Preferences as CSV, each with the supporters of its dialogues; a NUL, which no table may hold, is shown."""
    supporters = {talk.id: talk.supporter for talk in dialogues}
    rows = []
    for one in given:
        row = {
            **dict(one.preference),
            "reason": (one.preference.reason or "").replace("\0", "\N{REPLACEMENT CHARACTER}"),
            "model_a": supporters.get(one.preference.dialogue_a) or one.model_a,
            "model_b": supporters.get(one.preference.dialogue_b) or one.model_b,
        }
        rows.append({key: "" if row[key] is None else row[key] for key in PREFERENCE_COLUMNS})
    return format_csv(PREFERENCE_COLUMNS, rows)


def decide(given: Iterable[Preference], inconsistent: Inconsistent = "tie") -> list[Decision]:
    """What each rater says of each pair and dimension, its two orders together where it saw both.

    Where they say the same side it is that, in the smaller number of steps; where they do not, a tie, or nothing.

    Args:
        given: Preferences; a model's on a pair that it has seen in one order alone decide nothing yet.
        inconsistent: What orders that disagree count as.

    Raises:
        EscEvalError: A rater said two things of a pair in the same order.
    """
    groups: dict[tuple[str, ...], list[Preference]] = defaultdict(list)
    for one in given:
        first, second = sorted((one.dialogue_a, one.dialogue_b))
        groups[first, second, one.dimension, one.rater, one.rater_kind].append(one)
    return [_decide(key, own, inconsistent) for key, own in groups.items()]


def _decide(key: tuple[str, ...], own: Sequence[Preference], inconsistent: Inconsistent) -> Decision:
    first, second, dimension, rater, kind = key
    shown = [one.shown_first for one in own]
    if len(set(shown)) < len(shown):
        raise EscEvalError(f"{rater} says two things of {first!r} and {second!r} ({dimension}) in one order; keep one")
    turned = {one.shown_first: one.turned for one in own if one.turned is not None}
    orders = {seen: (value > 0) - (value < 0) for seen, value in turned.items()}
    problem = next((one.problem for one in own if one.preference is None), None)
    if problem is None and kind == "model" and len(own) < 2:
        problem = ONE_ORDER
    side: int | None = None
    if problem is None:
        if len(set(orders.values())) == 1:
            side = next(iter(orders.values()))
        elif inconsistent == "tie":
            side = 0
        else:
            problem = DISAGREE
    steps = None if side is None else side * min(map(abs, turned.values()))
    card = next((one.card_id for one in own if one.card_id is not None), None)
    return Decision(
        first,
        second,
        dimension,
        rater,
        kind,
        card,
        side,
        steps,
        max(one.steps for one in own),
        orders,
        len(own),
        problem,
    )


def lay_out_pairs(table: CellTable) -> CellTable:
    """A table of preferences as ratings of pairs of dialogues: by how many steps the one whose id is first is better.

    A judge's two orders of a pair are one rating, a tie where they disagree.

    Raises:
        BadRecord: A preference or its steps is no whole number.
        EscEvalError: A rater says two things of a pair in one order.
    """
    given = [read_row(table, where, row, None).preference for where, row in table.rows]
    about = {}
    for one in given:
        pair = " / ".join(sorted((one.dialogue_a, one.dialogue_b)))
        about[pair, one.dimension, one.rater] = {"order": one.order, "time": one.time}
    rows: list[tuple[str, dict[str, Any]]] = []
    for made in decide(given):
        pair = f"{made.first} / {made.second}"
        rated = {"dialogue_id": pair, "card": made.card_id, "score": made.steps, STEPS: made.of}
        said = {"rater": made.rater, "dimension": made.dimension, "problem": made.problem}
        rows.append((f"the pair {pair}", {**rated, **said, **about[pair, made.dimension, made.rater]}))
    columns = ("dialogue_id", "rater", "dimension", "problem", "order", "time", "card", "score", STEPS)
    return replace(table, columns=columns, rows=rows)
