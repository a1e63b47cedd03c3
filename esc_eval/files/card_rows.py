"""Role cards in tables: what the data sets of this project hold, and tables that others made."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.escaping import format_csv
from esc_eval.files.cell_tables import CellTable, table_of, tell_guess
from esc_eval.files.cells import is_blank, read_key
from esc_eval.files.columns import OPTION, Columns, asked_columns, bare, name_columns
from esc_eval.files.official import CATEGORY_NAMES
from esc_eval.files.rating_layout import FIELDS as OF_RATINGS
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.languages import guess_language, known_languages
from esc_eval.reading import suffix_of
from esc_eval.schema import RoleCard

FIELDS = tuple(RoleCard.model_fields)
ALIASES = {
    "id": ("cardid", "rolecardid", "编号"),
    "text": ("card", "rolecard", "persona", "profile", "description", "角色卡"),
    "language": ("lang", "语言"),
    "category": ("类别",),
}
"""Bare names by which others call what a card has."""
WITHHELD = "(This text may not be re-hosted and is not in the published data.)"
"""What stands where a public copy holds no text."""
OURS = {"text_sha256", "origin", "rehostable"}
"""Columns of the role cards of a build."""
YES, NO = ("true", "yes", "1"), ("false", "no", "0")


def read_card_table(table: CellTable, columns: Columns | None = None, *, in_order: bool = False) -> list[RoleCard]:
    """The cards of a table, which needs a text and nothing else; what is guessed is said.

    Without a language, that of the text is guessed; without an id, cards are numbered; without a source, it is the
    file's name. The cards of a build stand in the order of the files that they came from, the official ones first.

    Args:
        table: As its file holds it.
        columns: What its columns are called, where the user says so; None = what ``columns.naming`` says.
        in_order: Whether the place of a card among those of its language must be that in the official release.

    Raises:
        BadRecord: There is no text, or a row is no card, with its line; or cards of a build are not all there.
    """
    asked = {n: given for n, given in asked_columns(columns).items() if n in FIELDS or n not in OF_RATINGS}
    for name, given in asked.items():
        if name not in FIELDS or len(given) > 1:
            raise table.refuse(f"{OPTION} {name}={given[0]}: expected one column of {', '.join(FIELDS)}")
    renamed, guessed = name_columns(table, FIELDS, ALIASES, asked)
    there = {renamed.get(column, column) for column in table.columns}
    if "text" not in there:
        raise table.refuse(f"no column text, which is all that a role card needs; name it: {OPTION} text=COLUMN")
    said = [f"read {', '.join(guessed)}"] if guessed else []
    stem = table.path.stem
    if "id" not in there:
        said.append(f"no column id, so cards are called {stem}-1 and so on")
    if "source" not in there:
        said.append(f"no column source, so it is {stem!r}")
    rows = [(where, {renamed.get(key, key): cell for key, cell in row.items()}) for where, row in table.rows]
    if there >= OURS:
        rows.sort(key=lambda row: _place(row[1]["origin"]))
        if in_order:
            _refuse_gaps(table, [row["origin"] for _, row in rows])
    elif unread := [column for column in table.columns if column and renamed.get(column, column) not in FIELDS]:
        said.append(f"not read: {', '.join(map(repr, unread))}")
    cards = [_card(table, where, row, number) for number, (where, row) in enumerate(rows, 1)]
    if "language" not in there:
        counts = Counter(card.language for card in cards)
        said.append(f"no column language, guessed from the texts: {', '.join(f'{n} {k}' for k, n in counts.items())}")
    tell_guess(table.path, [*table.guessed, *said])
    return cards


def cards_from_rows(rows: Iterable[Any], columns: Columns | None = None) -> list[RoleCard]:
    """The cards of a ``datasets.Dataset``, whose class labels become their names, or of other rows of named values."""
    features = getattr(rows, "features", None) or {}
    names = {key: feature.names for key, feature in features.items() if hasattr(feature, "names")}
    table = table_of(
        Path("cards"),
        (
            (f"row {n}", {key: _label(value, names.get(key)) for key, value in row.items()})
            for n, row in enumerate(rows)
        ),
        features,
    )
    if not table.rows:
        raise EscEvalError("the role cards: there is no row")
    return read_card_table(table, columns)


def _label(value: Any, names: list[str] | None) -> Any:
    if names is None or not isinstance(value, int):
        return value
    return names[value] if value >= 0 else None


def _place(origin: str) -> tuple[bool, str, int]:
    """Where a card of a build stood: the official release counts on the places of its cards."""
    file, _, number = origin.rpartition("#")
    return not file.startswith("official/"), file, int(number) if number.isdecimal() else 0


def _refuse_gaps(table: CellTable, origins: Iterable[str]) -> None:
    """Refuse a part of the official cards of a language: dialogues are linked to the place of a card among all."""
    places: dict[str, list[int]] = {}
    for after, file, number in map(_place, origins):
        if not after:
            places.setdefault(file, []).append(number)
    for file, found in places.items():
        if found != list(range(len(found))):
            raise BadRecord(table.path, file, "not all of its cards are here, and dialogues count on their places")


def _card(table: CellTable, where: str, row: Mapping[str, Any], number: int) -> RoleCard:
    stem = table.path.stem
    text = row.get("text")
    if is_blank(text) and not row.get("rehostable", True):
        text = WITHHELD
    if not isinstance(text, str) or is_blank(text):
        raise BadRecord(table.path, where, "text is empty" if is_blank(text) else "text is no text")
    given: dict[str, Any] = {"annotator_text": row.get("annotator_text")}
    for key in ("id", "language", "category", "source", "quality", "unreviewed", "risk", "warning"):
        try:
            given[key] = read_key(row.get(key))
        except ValueError as error:
            raise BadRecord(table.path, where, f"{key} {error}") from error
    if given["id"] is None and "id" in row:
        raise BadRecord(table.path, where, "id is empty")
    synthetic = bare(row.get("synthetic") if not is_blank(row.get("synthetic")) else "no")
    if synthetic not in (*YES, *NO):
        raise BadRecord(table.path, where, f"synthetic is {row['synthetic']!r}, expected yes or no")
    found = {
        **given,
        "id": given["id"] or f"{stem}-{number}",
        "source": given["source"] or stem,
        "text": text,
        "language": _language(given["language"]) if given["language"] else guess_language(text),
        "category": _category(given["category"]) if given["category"] else None,
        "synthetic": synthetic in YES,
    }
    try:
        return RoleCard.model_validate({key: None if is_blank(value) else value for key, value in found.items()})
    except ValidationError as error:
        raise BadRecord(table.path, where, f"no role card: {explain_validation(error)}") from error


def _language(name: str) -> str:
    """The code of a language from its code or a name of it; another text as it is."""
    for row in known_languages().values():
        if bare(name) in (bare(row.code), bare(row.name), bare(row.official.name if row.official else row.code)):
            return row.code
    return name


def _category(name: str) -> str:
    """The key of a category from it, however it is written, or the release's name; another text as it is."""
    keys = {bare(key): key for key in CATEGORY_NAMES.values()} | {bare(k): key for k, key in CATEGORY_NAMES.items()}
    return keys.get(bare(name), name)


def refuse_withheld(cards: Iterable[RoleCard]) -> None:
    """Refuse to play cards whose text is not there.

    Raises:
        EscEvalError: There is one; the message says how to put it in.
    """
    cards = list(cards)
    if without := [card.id for card in cards if card.text == WITHHELD]:
        raise EscEvalError(
            f"{len(without)} of {len(cards)} role cards, e.g. {without[0]!r}, have no text: it may not be re-hosted. "
            "Put it in from your checkout of the official repository: esc-eval convert CARDS --as cards --official "
            "../ESC-Eval --out cards.jsonl, then --cards cards.jsonl"
        )


def write_cards(path: Path, cards: Iterable[RoleCard]) -> None:
    """Write cards as JSON Lines or CSV, by the ending of the file; it appears whole.

    Raises:
        EscEvalError: Another ending.
    """
    if suffix_of(path) == ".jsonl":
        write_jsonl(path, cards)
    elif suffix_of(path) == ".csv":
        rows = ({key: "" if value is None else value for key, value in dict(card).items()} for card in cards)
        write_whole(path, [format_csv(FIELDS, rows)])
    else:
        raise EscEvalError(f"--out {path}: role cards are written as .jsonl or .csv")
