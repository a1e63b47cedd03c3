"""A copy of a build that can be damaged and sealed again as the builder would have sealed it."""

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dataset_builder.describe import card, croissant, manifest
from dataset_builder.rows import parquet, splits
from dataset_builder.rows.rubrics import read_scales
from dataset_builder.rows.splits import manifest_sha256
from dataset_builder.rows.tables import (
    FINISH_REASONS,
    TURN_ROLES,
    arrow_schema,
    decode_row,
    read_labels,
    table_columns,
    tables_in,
)
from esc_eval.files.writing import write_json

Row = dict[str, Any]


class Copy:
    """The tables of a folder as lists of rows with the names of classes, its manifest, and how to seal them again.

    A value that is no name of its class is written as the integer that it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = manifest.read_manifest(folder)
        self.labels = read_labels(self.manifest)
        self.tables = {
            name: [decode_row(name, row, self.labels) for row in parquet.read_rows(parquet.table_path(folder, name))]
            for name in tables_in(self.manifest["rows"])
        }
        self.cards, self.talks, self.scores, *_ = self.tables.values()

    def row(self, table: str, row_id: str) -> Row:
        """A row of a table by its id."""
        return next(row for row in self.tables[table] if row["id"] == row_id)

    def card(self, card_id: str = "own-1") -> Row:
        """A card by its id."""
        return self.row("role_cards", card_id)

    def talk(self, talk_id: str = "mine/warm:own-1") -> Row:
        """A dialogue by its id."""
        return self.row("dialogues", talk_id)

    def score(self, score_id: str = "mine/warm:own-0|empathy|judge") -> Row:
        """A rating by its id."""
        return self.row("annotations", score_id)

    def write_tables(self, ordered: bool = True) -> None:
        """Write the rows with the builder's settings."""
        for name, rows in self.tables.items():
            kept = sorted(rows, key=lambda row: str(row["id"])) if ordered else rows
            path, schema = parquet.table_path(self.folder, name), arrow_schema(name, self.labels)
            parquet.write_rows(path, schema, (self._encode(name, row) for row in kept))

    def _encode(self, table: str, row: Row) -> Row:
        def number(names: Iterable[str], value: Any) -> Any:
            return list(names).index(value) if isinstance(value, str) else value

        encoded = dict(row)
        for column in table_columns(table, self.labels):
            if column.kind == "class":
                encoded[column.name] = number(column.labels, row[column.name])
            if column.kind == "turns":
                encoded[column.name] = [
                    turn | {"role": number(TURN_ROLES, turn["role"]),
                            "finish_reason": number(FINISH_REASONS, turn["finish_reason"])}
                    for turn in row[column.name]
                ]  # fmt: skip
        return encoded

    def seal(self, remake_splits: bool = True) -> None:
        """Describe the folder anew, as the builder does: counts, splits, hashes, README, licences, Croissant.

        Rows that the builder's code cannot count leave the counts as they were.
        """
        with contextlib.suppress(TypeError, KeyError):
            self._count(remake_splits)
        self.describe()

    def _count(self, remake_splits: bool) -> None:
        old, made = self.manifest, self.manifest["splits"]
        if remake_splits:
            shutil.rmtree(self.folder / "splits")
            made = self._write_splits(old["inputs"]["seed"])
        personal = old["personal_data"]
        masked = {"rows": personal["masked"], "sources": personal["masked_in_sources"]}
        scales = read_scales(old)
        self.manifest = manifest.describe_build(
            self.folder, self.tables, old["inputs"], scales, masked, made, old["public"]
        )

    def _write_splits(self, seed: int) -> dict[str, Any]:
        """Manifests and parts as the builder writes them, also of rows that it cannot encode."""
        made = splits.make_splits(self.tables, seed)
        for name, split in made.items():
            if "reason" in split:
                continue
            write_json(self.folder / "splits" / f"{name}.json", split)
            table = splits.table_of(name)
            by_id, schema = {row["id"]: row for row in self.tables[table]}, arrow_schema(table, self.labels)
            for part, ids in split["splits"].items():
                path = parquet.split_path(self.folder, name, part)
                path.parent.mkdir(parents=True, exist_ok=True)
                if ids:
                    rows = sorted((by_id[one] for one in ids if one in by_id), key=lambda row: str(row["id"]))
                    parquet.write_rows(path, schema, (self._encode(table, row) for row in rows))
        return splits.describe_splits(made)

    def describe(self) -> None:
        """Render what describes the folder from the manifest, as far as it can be, and write the manifest."""
        with contextlib.suppress(Exception):
            card.write_card(self.folder, self.manifest)
            croissant.write_croissant(self.folder, self.manifest)
        self.hash_files()

    def hash_files(self) -> None:
        """State the hashes of the files that are there, and write the manifest."""
        with contextlib.suppress(IsADirectoryError):
            if isinstance(self.manifest.get("files"), dict):
                self.manifest["files"] = manifest.file_hashes(self.folder)
        manifest.write_manifest(self.folder, self.manifest)

    def read_split(self, name: str) -> dict[str, Any]:
        """A split manifest."""
        content: dict[str, Any] = json.loads((self.folder / "splits" / f"{name}.json").read_text(encoding="utf-8"))
        return content

    def write_split(self, name: str, content: dict[str, Any]) -> None:
        """Write a split manifest with its sha256 and sizes made anew, in the manifest too."""
        with contextlib.suppress(KeyError, TypeError, AttributeError):
            content["sha256"] = manifest_sha256(content["scheme"], content["seed"], content["splits"])
            content["sizes"] = {part: len(ids) for part, ids in content["splits"].items()}
            self.manifest["splits"][name] = {
                key: content[key] for key in ("seed", "sha256", "raters", "sizes", "left_out", "leaks", "warnings")
            }
        path = self.folder / "splits" / f"{name}.json"
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


Change = Callable[[Copy], Any]


@dataclass(frozen=True)
class Defect:
    """How a copy is damaged and sealed, and of which build it is a copy."""

    plant: Callable[[Copy], None]
    public: bool = False


def in_rows(change: Change, public: bool = False, ordered: bool = True) -> Defect:
    """A change to rows; everything that follows from rows is made anew."""

    def plant(copy: Copy) -> None:
        change(copy)
        copy.write_tables(ordered)
        copy.seal()

    return Defect(plant, public)


def in_row(table: str, row_id: str, public: bool = False, **values: Any) -> Defect:
    """A row of a table with other values."""
    return in_rows(lambda copy: copy.row(table, row_id).update(values), public)


def in_split(name: str, change: Callable[[dict[str, Any]], Any]) -> Defect:
    """A change to a split manifest, whose hashes are made anew."""

    def plant(copy: Copy) -> None:
        content = copy.read_split(name)
        change(content)
        copy.write_split(name, content)
        copy.describe()

    return Defect(plant)


def in_manifest(change: Callable[[dict[str, Any]], Any], public: bool = False) -> Defect:
    """A change to the manifest; what is rendered from it is rendered anew."""

    def plant(copy: Copy) -> None:
        change(copy.manifest)
        copy.describe()

    return Defect(plant, public)


def in_files(change: Callable[[Path], Any], public: bool = False, hashed: bool = True) -> Defect:
    """A change to files; their hashes are made anew."""

    def plant(copy: Copy) -> None:
        change(copy.folder)
        if hashed:
            copy.hash_files()

    return Defect(plant, public)


def in_table(name: str, change: Callable[[pa.Table], pa.Table]) -> Defect:
    """A change to a Parquet file as such."""

    def plant(copy: Copy) -> None:
        path = parquet.table_path(copy.folder, name)
        with pa.parquet.ParquetFile(path) as file:
            changed = change(file.read())
        with pa.parquet.ParquetWriter(path, changed.schema, **parquet.SETTINGS) as writer:
            writer.write_table(changed)
        copy.describe()

    return Defect(plant)
