"""Role cards, dialogues, ratings and preferences out of a build of the dataset builder, or its copy from the Hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.card_rows import WITHHELD
from esc_eval.files.run_folder import is_run_folder
from esc_eval.schema import Dialogue, Evidence, Preference, Rating, Record, RoleCard, Turn

TABLES: Mapping[str, type[Record]] = {
    "role_cards": RoleCard,
    "dialogues": Dialogue,
    "annotations": Rating,
    "preferences": Preference,
}


@dataclass(frozen=True)
class Built:
    """The rows of a build as records; of a table that it lacks there are none."""

    cards: list[RoleCard]
    dialogues: list[Dialogue]
    ratings: list[Rating]
    preferences: list[Preference]


def read_built(folder: Path) -> Built:
    """The rows of all tables.

    Raises:
        EscEvalError: None of them is there, a file is no Parquet, or a row is none of ours, with its number.
    """
    found: dict[str, list[Any]] = {name: [] for name in TABLES}
    if not any(_files(folder, name) for name in TABLES):
        raise EscEvalError(f"{folder}: holds none of the tables {', '.join(TABLES)}")
    for name, record in TABLES.items():
        for path in _files(folder, name):
            for number, row in enumerate(_read_rows(path)):
                try:
                    found[name].append(record.model_validate(_fit(row, record)))
                except ValidationError as error:
                    raise BadRecord(
                        path, f"row {number}", f"no {record.__name__}: {explain_validation(error)}"
                    ) from error
    return Built(found["role_cards"], found["dialogues"], found["annotations"], found["preferences"])


def is_built(path: Path) -> bool:
    """Whether a path is a folder of a build that holds preferences, and no run folder."""
    return bool(_files(path, "preferences")) and not is_run_folder(path)


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}/*.parquet"))


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows with the names of classes, also within lists."""
    from esc_eval.files.parquet import open_table  # brings pandas along

    with open_table(path) as (table, features):
        rows: list[dict[str, Any]] = table.to_pylist()
        return [{key: _decode(value, features.get(key)) for key, value in row.items()} for row in rows]


def _decode(value: Any, feature: Any) -> Any:
    if value is None or feature is None:
        return value
    if isinstance(feature, list):
        return [_decode(one, feature[0]) for one in value]
    if feature.get("_type") in ("List", "LargeList", "Sequence"):
        return [_decode(one, feature["feature"]) for one in value]
    if feature.get("_type") == "ClassLabel":
        return feature["names"][value] if isinstance(value, int) and value >= 0 else None
    if isinstance(value, dict) and "_type" not in feature:
        return {key: _decode(one, feature.get(key)) for key, one in value.items()}
    return value


def _fit(row: Mapping[str, Any], record: type[Record]) -> dict[str, Any]:
    """What of a row the record has a field for."""
    kept = {key: value for key, value in row.items() if key in record.model_fields and value is not None}
    if record in (Rating, Preference):
        kept |= _said(row)
    if record is RoleCard:
        kept["text"] = kept.get("text") or WITHHELD
    if record is Dialogue:
        kept.pop("attempts", None)  # a build counts them
        kept["turns"] = [
            {key: value for key, value in turn.items() if key in Turn.model_fields and value is not None}
            | {"text": WITHHELD if turn.get("text") is None else turn["text"]}
            for turn in row.get("turns") or ()
        ]
    return kept


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a rater gave beside a verdict, and why there is none, which a public copy does not say."""
    found: dict[str, Any] = {}
    if row.get("evidence") is not None:
        found["evidence"] = Evidence(kind=row["evidence_kind"], text=row["evidence"], turn=row["evidence_turn"])
    if row.get("reason") is not None:
        found["evidence"] = Evidence(kind="reason", text=row["reason"])
    verdict = row.get("score", row.get("preference"))
    if verdict is None and not row.get("not_applicable") and row.get("problem") is None:
        found["problem"] = WITHHELD
    return found
