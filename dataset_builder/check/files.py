"""Rules on files: schemas, bytes, the manifest and the split manifests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.describe import manifest
from dataset_builder.rows import splits
from dataset_builder.rows.parquet import table_path
from dataset_builder.rows.tables import Labels, arrow_schema
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json

Tables = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Problem:
    """A rule that a folder breaks: its name, the file and row, and what is wrong."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.rule}]"


def check_schema(folder: Path, table: str, labels: Labels) -> Iterator[Problem]:
    """Columns that are missing, too many, or of another type; features that differ."""
    path = table_path(folder, table)
    name = path.relative_to(folder).as_posix()
    try:
        found = pq.read_schema(path)
    except FileNotFoundError:
        yield Problem("missing", name, "no such file")
        return
    except (pa.ArrowInvalid, OSError) as error:
        yield Problem("unreadable", name, f"no Parquet file: {error}")
        return
    wanted = arrow_schema(table, labels)
    for field in wanted:
        if field.name not in found.names:
            yield Problem("schema", name, f"no column {field.name}")
        elif found.field(field.name).type != field.type:
            yield Problem("schema", name, f"{field.name} is {found.field(field.name).type}, should be {field.type}")
    for extra in sorted(set(found.names) - set(wanted.names)):
        yield Problem("schema", name, f"unknown column {extra}")
    if (found.metadata or {}).get(b"huggingface") != wanted.metadata[b"huggingface"]:
        yield Problem("features", name, "its Hugging Face features differ from this table's")


def rows_of(folder: Path, table: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Rows of a table, and a problem for each that cannot be decoded."""
    path = table_path(folder, table)
    name = path.relative_to(folder).as_posix()
    try:
        content = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        return [], []  # check_schema has said so
    try:
        return content.to_pylist(), []
    except UnicodeDecodeError:
        pass
    rows, problems = [], []
    for number in range(content.num_rows):
        try:
            rows += content.slice(number, 1).to_pylist()
        except UnicodeDecodeError as error:
            problems.append(Problem("utf-8", f"{name} row {number}", f"text that is not UTF-8: {error.reason}"))
    return rows, problems


def check_manifest(folder: Path, content: Mapping[str, Any], tables: Tables) -> Iterator[Problem]:
    """Files, hashes and counts that the manifest states."""
    if not content:
        return
    stated = content.get("files")
    if not isinstance(stated, dict) or not isinstance(content.get("rows"), dict):
        yield Problem("manifest", manifest.FILE, "says nothing of files or rows")
        return
    for name, entry in stated.items():
        if not (folder / name).exists():
            yield Problem("missing", name, "the manifest names it, it is not there")
        elif hash_file(folder / name) != entry.get("sha256"):
            yield Problem("hash", name, "its sha256 is not that of the manifest")
    for name in sorted(set(manifest.file_hashes(folder)) - set(stated)):
        yield Problem("manifest", name, "is not in the manifest")
    for table, rows in tables.items():
        if content["rows"].get(table) != len(rows):
            yield Problem("counts", manifest.FILE, f"says {content['rows'].get(table)} {table}, there are {len(rows)}")
        elif content.get("counts", {}).get(table) != manifest.count_values(rows, manifest.COUNTED[table]):
            yield Problem("counts", manifest.FILE, f"its counts of {table} are not those of the rows")


def check_splits(folder: Path, content: Mapping[str, Any], tables: Tables) -> Iterator[Problem]:
    """Split manifests: hash, ids, overlaps, and values on two sides that the scheme keeps apart."""
    cards = {row["id"]: row for row in tables["role_cards"]}
    for path in sorted((folder / "splits").glob("*.json")):
        name = f"splits/{path.name}"
        try:
            split = read_json(path)
            parts = {part: list(split["splits"][part]) for part in splits.NAMES}
            scheme, seed, sha256, sizes = (split[key] for key in ("scheme", "seed", "sha256", "sizes"))
        except (EscEvalError, KeyError, TypeError) as error:
            yield Problem("split", name, f"is no split manifest: {type(error).__name__}")
            continue
        if scheme not in splits.SCHEMES:
            yield Problem("split", name, f"unknown scheme {scheme!r}")
            continue
        if content and (content.get("splits") or {}).get(scheme, {}).get("sha256") != sha256:
            yield Problem("split hash", name, "its sha256 is not the one in the manifest")
        if sha256 != splits.manifest_sha256(scheme, seed, parts):
            yield Problem("split hash", name, "its sha256 is not that of its ids")
        if sizes != {part: len(ids) for part, ids in parts.items()}:
            yield Problem("split", name, "its sizes are not those of its lists")
        for one, other in combinations(splits.NAMES, 2):
            if both := set(parts[one]) & set(parts[other]):
                yield Problem("split leak", name, f"{len(both)} rows are in {one} and {other}")
        unit, facet = splits.SCHEMES[scheme].unit, splits.SCHEMES[scheme].facet
        talks = {row["id"] for row in tables["dialogues"]}
        rated = [row for row in tables["annotations"] if row["dialogue_id"] in talks]
        items = {item.id: item for item in splits.items_of(unit, tables["dialogues"], rated, cards)}
        ids = [item_id for part in splits.NAMES for item_id in parts[part]]
        if unknown := [item_id for item_id in ids if item_id not in items]:
            yield Problem("split", name, f"{len(unknown)} ids are of no row, first {unknown[0]!r}")
        if facet:
            sides = [
                {items[item_id].facets[facet] for item_id in parts[part] if item_id in items} - {None}
                for part in ("train", "test")
            ]
            if shared := sides[0] & sides[1]:
                yield Problem("split leak", name, f"{len(shared)} values of {facet} are in train and test")
