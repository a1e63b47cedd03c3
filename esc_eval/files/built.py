"""Dialogues, ratings and role cards out of a build of the dataset builder, or its copy from the Hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.card_rows import WITHHELD
from esc_eval.files.parquet import open_table
from esc_eval.schema import Dialogue, Rating, Record, RoleCard, Turn

TABLES: Mapping[str, type[Record]] = {"role_cards": RoleCard, "dialogues": Dialogue, "annotations": Rating}


def read_built(folder: Path) -> tuple[list[Dialogue], list[Rating], list[RoleCard]]:
    """The rows of the three tables; one that the folder lacks is empty.

    Raises:
        EscEvalError: None of them is there, a file is no Parquet, or a row is none of ours, with its number.
    """
    found: dict[str, list[Any]] = {name: [] for name in TABLES}
    files = {name: sorted(folder.glob(f"{name}/*.parquet")) for name in TABLES}
    if not any(files.values()):
        raise EscEvalError(f"{folder}: holds none of the tables {', '.join(TABLES)}")
    for name, record in TABLES.items():
        for path in files[name]:
            for number, row in enumerate(_read_rows(path)):
                try:
                    found[name].append(record.model_validate(_fit(row, record)))
                except ValidationError as error:
                    raise BadRecord(
                        path, f"row {number}", f"no {record.__name__}: {explain_validation(error)}"
                    ) from error
    return found["dialogues"], found["annotations"], found["role_cards"]


def _read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows with the names of classes, also within lists."""
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
    if record is RoleCard:
        kept["text"] = kept.get("text") or WITHHELD
    if record is Dialogue:
        kept["turns"] = [
            {key: value for key, value in turn.items() if key in Turn.model_fields and value is not None}
            | {"text": WITHHELD if turn.get("text") is None else turn["text"]}
            for turn in row.get("turns") or ()
        ]
    return kept
