"""Parquet files that come out the same, byte for byte, on every build of the same rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.rows.tables import SPLIT, TABLES, Labels, arrow_schema, encode_row
from esc_eval.reading import check_file

ROWS = 1000
SETTINGS: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 9,
    "version": "2.6",
    "data_page_version": "1.0",
    "use_dictionary": True,
    "write_statistics": True,
    "store_schema": True,
}
CONVERSATIONS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("language", pa.string()),
        pa.field("situation", pa.string()),
        pa.field("labels", pa.map_(pa.string(), pa.string())),
        pa.field("branches", pa.bool_()),
        pa.field(
            "turns",
            pa.list_(
                pa.struct(
                    {
                        "role": pa.string(),
                        "text": pa.string(),
                        "strategy": pa.string(),
                        "feedback": pa.string(),
                        "spans": pa.list_(pa.struct({"start": pa.int64(), "end": pa.int64(), "label": pa.string()})),
                    }
                )
            ),
        ),
        pa.field(
            "ratings",
            pa.list_(
                pa.struct(
                    {
                        "by": pa.string(),
                        "name": pa.string(),
                        "value": pa.int64(),
                        "low": pa.int64(),
                        "high": pa.int64(),
                        "evidence": pa.list_(pa.string()),
                    }
                )
            ),
        ),
    ]
)


def table_path(folder: Path, table: str) -> Path:
    """Where a table's file lies in a build folder."""
    return folder / table / f"{SPLIT}-00000-of-00001.parquet"


def withhold_text(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a public copy may hold it: without text that may not be re-hosted."""
    if row["rehostable"]:
        return dict(row)
    public = dict(row)
    for column in TABLES[table]:
        if column.withheld:
            public[column.name] = None
        elif column.kind == "turns":
            public[column.name] = [{**turn, "text": None} for turn in row[column.name]]
    return public


def write_table(folder: Path, table: str, rows: Sequence[Mapping[str, Any]], public: bool, labels: Labels) -> Path:
    """Write a table's rows, sorted by id."""
    return _write(table_path(folder, table), table, rows, public, labels)


def split_path(folder: Path, scheme: str, part: str) -> Path:
    """Where the rows of a part of a split lie in a build folder."""
    return folder / "splits" / scheme / f"{part}.parquet"


def write_parts(
    folder: Path,
    scheme: str,
    table: str,
    split: Mapping[str, Sequence[str]],
    rows: Sequence[Mapping[str, Any]],
    public: bool,
    labels: Labels,
) -> list[Path]:
    """Write the rows of each part of a split, so that ``load_dataset`` opens the scheme by its name; a part without
    rows has no file, for ``datasets`` opens none.

    Args:
        split: Ids of rows by part.
        rows: Of the table that the scheme splits.
    """
    by_id = {row["id"]: row for row in rows}
    return [
        _write(split_path(folder, scheme, part), table, [by_id[name] for name in ids if name in by_id], public, labels)
        for part, ids in split.items()
        if ids
    ]


def _write(path: Path, table: str, rows: Sequence[Mapping[str, Any]], public: bool, labels: Labels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(rows, key=lambda row: row["id"])
    shown = (withhold_text(table, row) for row in ordered) if public else iter(ordered)
    write_rows(path, arrow_schema(table, labels), (encode_row(table, row, labels) for row in shown))
    return path


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as they come, ``ROWS`` in memory at a time; returns their number."""
    count, stream = 0, iter(rows)
    with pq.ParquetWriter(path, schema, **SETTINGS) as writer:
        while chunk := list(islice(stream, ROWS)):
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    return count


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a Parquet file, a batch in memory at a time.

    Raises:
        EscEvalError: It is there and no regular file.
    """
    if path.exists():
        check_file(path, largest=1 << 62)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS):
            yield from batch.to_pylist()
