"""Croissant metadata of a build folder (MLCommons), made and validated by ``mlcroissant`` where it is installed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builder.rows.parquet import table_path
from dataset_builder.rows.tables import TABLES, Column, read_labels, table_columns
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_whole

FILE = "croissant.json"
PARQUET = "application/vnd.apache.parquet"
TYPES = {
    "string": "TEXT",
    "class": "INTEGER",
    "bool": "BOOL",
    "int64": "INTEGER",
    "float64": "FLOAT",
    "strings": "TEXT",
    "floats": "FLOAT",
}
"""Name in ``mlcroissant.DataType`` of each kind of column."""


def has_mlcroissant() -> bool:
    """Whether the library is installed."""
    from importlib.util import find_spec

    return find_spec("mlcroissant") is not None


def write_croissant(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``croissant.json`` for the tables of a folder.

    Raises:
        EscEvalError: The library finds the description invalid.
    """
    write_whole(folder / FILE, [render_croissant(manifest)])


def render_croissant(manifest: Mapping[str, Any]) -> str:
    """The text of ``croissant.json``.

    Raises:
        EscEvalError: The library finds the description invalid.
    """
    import mlcroissant as mlc

    objects, records = [], []
    for table in TABLES:
        columns = table_columns(table, read_labels(manifest))
        relative = table_path(Path(), table).as_posix()
        objects.append(
            mlc.FileObject(
                id=table,
                name=table,
                content_url=relative,
                encoding_formats=[PARQUET],
                sha256=manifest["files"][relative]["sha256"],
            )
        )
        records.append(
            mlc.RecordSet(
                id=f"{table}_rows",
                name=f"{table}_rows",
                key=[f"{table}_rows/id"],
                fields=[_field(mlc, table, c) for c in columns if c.kind != "turns"],
            )
        )
    try:
        metadata = mlc.Metadata(
            name="esc-eval",
            description="Role cards, dialogues and annotations for the evaluation of emotional support conversations.",
            url="https://arxiv.org/abs/2406.14952",
            license=[manifest["licences"][key]["license"] for key in sorted(manifest["licences"])] or None,
            version=f"{manifest['builder']}.0.0",
            cite_as=manifest["citation"],
            distribution=objects,
            record_sets=records,
        )
    except mlc.ValidationError as error:
        raise EscEvalError(f"the Croissant description is invalid: {error}") from error
    content = metadata.to_json()
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n"


def _field(mlc: Any, table: str, column: Column) -> Any:
    labels = f" Classes: {', '.join(f'{n} {label}' for n, label in enumerate(column.labels))}." if column.labels else ""
    return mlc.Field(
        id=f"{table}_rows/{column.name}",
        name=column.name,
        description=f"{column.about}{labels}" or column.name,
        data_types=getattr(mlc.DataType, TYPES[column.kind]),
        repeated=column.kind in ("strings", "floats"),
        source=mlc.Source(file_object=table, extract=mlc.Extract(column=column.name)),
    )
