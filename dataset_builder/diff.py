"""What changed between two builds, row by row."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder.describe import manifest
from dataset_builder.rows.parquet import read_rows, table_path
from dataset_builder.rows.tables import TABLES, WHERE_ANY, decode_row, read_labels
from esc_eval.errors import EscEvalError


@dataclass(frozen=True)
class Change:
    """A row that is only in one build, or that differs.

    Attributes:
        kind: "removed", "added" or "changed".
        columns: Names of the columns that differ.
    """

    table: str
    kind: str
    id: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind:8}{self.table}  {self.id}{'  ' + ', '.join(self.columns) if self.columns else ''}"


def read_table(folder: Path, table: str) -> dict[str, dict[str, Any]]:
    """Rows of a table by id.

    Raises:
        EscEvalError: The table is missing or no Parquet file.
    """
    path = table_path(folder, table)
    try:
        labels = read_labels(manifest.read_manifest(folder) if (folder / manifest.FILE).exists() else {})
        return {str(row.get("id")): decode_row(table, row, labels) for row in read_rows(path)}
    except FileNotFoundError as error:
        raise EscEvalError(f"{path}: no such file; is {folder} a folder that `build` made?") from error
    except (OSError, ValueError) as error:
        raise EscEvalError(f"{path}: cannot be read as Parquet: {error}") from error


def _read_if_held(folder: Path, table: str) -> dict[str, dict[str, Any]]:
    return {} if table in WHERE_ANY and not table_path(folder, table).exists() else read_table(folder, table)


def diff_builds(old: Path, new: Path) -> Iterator[Change]:
    """Changes of rows from one build to another, by table and id; values are not shown, they may be personal.

    Raises:
        EscEvalError: One of the folders is no build.
    """
    for table in TABLES:
        before, after = (_read_if_held(folder, table) for folder in (old, new))
        for row_id in sorted(before.keys() | after.keys()):
            if row_id not in after:
                yield Change(table, "removed", row_id)
            elif row_id not in before:
                yield Change(table, "added", row_id)
            elif before[row_id] != after[row_id]:
                columns = [
                    c for c in {**before[row_id], **after[row_id]} if before[row_id].get(c) != after[row_id].get(c)
                ]
                yield Change(table, "changed", row_id, tuple(columns))


def other_differences(old: Path, new: Path) -> list[str]:
    """Keys of the manifests that differ beside rows: inputs, decisions, versions, splits."""
    first, second = manifest.read_manifest(old), manifest.read_manifest(new)
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
