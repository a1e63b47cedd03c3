"""Croissant metadata of a build folder (MLCommons), made and validated by ``mlcroissant`` where it is installed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_builder.describe.card import LICENSE, name_tables
from dataset_builder.rows.parquet import table_path
from dataset_builder.rows.tables import Column, read_labels, table_columns, tables_in
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_whole
from esc_eval.languages import join_words

FILE = "croissant.json"
PARQUET = "application/x-parquet"
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


TURN = {"role": "INTEGER", "text": "TEXT"}
"""What Croissant tells of an utterance; mlcroissant reads no nulls in numbers of a list."""
HUB = "https://huggingface.co/datasets"
SPDX = ("Apache-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC0-1.0", "MIT")
"""Licences of rows that have a page of SPDX."""


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
    for table in tables_in(manifest["rows"]):
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
                fields=[_field(mlc, table, c) for c in columns],
            )
        )
    held = join_words(name_tables(manifest)).capitalize()
    try:
        metadata = mlc.Metadata(
            name="esc-eval",
            description=f"{held} for the evaluation of emotional support conversations.",
            url=_page(manifest),
            license=_licences(manifest),
            version=f"{manifest['builder']}.0.0",
            cite_as=manifest["citation"],
            distribution=objects,
            record_sets=records,
        )
    except mlc.ValidationError as error:
        raise EscEvalError(f"the Croissant description is invalid: {error}") from error
    content = metadata.to_json()
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True, default=str) + "\n"


def _page(manifest: Mapping[str, Any]) -> str:
    """Where the data set is found: its repository once it is published, the paper before."""
    there = manifest.get("published")
    return f"{HUB}/{there['repo']}" if there else "https://arxiv.org/abs/2406.14952"


def _licences(manifest: Mapping[str, Any]) -> list[str]:
    """The file that tells each row's terms, then the licences that rows state."""
    there = manifest.get("published")
    file = f"{_page(manifest)}/blob/{there['revision'] or 'main'}/{LICENSE}" if there else LICENSE
    return [file, *(f"https://spdx.org/licenses/{name}.html" for name in sorted(manifest["licences"]) if name in SPDX)]


def _field(mlc: Any, table: str, column: Column) -> Any:
    labels = f" Classes: {', '.join(f'{n} {label}' for n, label in enumerate(column.labels))}." if column.labels else ""
    named = {"name": column.name, "description": f"{column.about}{labels}" or column.name}
    if column.kind == "turns":
        parts = [
            mlc.Field(
                id=f"{table}_rows/{column.name}/{name}",
                name=name,
                data_types=getattr(mlc.DataType, kind),
                source=mlc.Source(
                    file_object=table,
                    extract=mlc.Extract(column=column.name),
                    transforms=[mlc.Transform(json_path=f"$[*].{name}")],
                ),
            )
            for name, kind in TURN.items()
        ]
        return mlc.Field(id=f"{table}_rows/{column.name}", repeated=True, sub_fields=parts, **named)
    return mlc.Field(
        id=f"{table}_rows/{column.name}",
        data_types=getattr(mlc.DataType, TYPES[column.kind]),
        repeated=column.kind in ("strings", "floats"),
        source=mlc.Source(file_object=table, extract=mlc.Extract(column=column.name)),
        **named,
    )
