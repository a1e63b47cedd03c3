"""What a build is made of, made anew from its rows and compared: splits, README, licences, Croissant, Parquet bytes."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dataset_builder.check.files import Tables, is_plain_file
from dataset_builder.check.manifests import REBUILD
from dataset_builder.check.problem import Problem
from dataset_builder.describe import card, croissant
from dataset_builder.rows import parquet, splits
from dataset_builder.rows.tables import Labels
from esc_eval.files.hashing import hash_file


def remake_splits(tables: Tables, seed: int) -> tuple[dict[str, str], dict[str, Any]]:
    """Text of each split manifest by scheme, and what the manifest says of each."""
    made = splits.make_splits(tables, seed)
    texts = {
        name: json.dumps(split, ensure_ascii=False, indent=2) + "\n"
        for name, split in made.items()
        if "reason" not in split
    }
    return texts, splits.describe_splits(made)


def check_rendered(folder: Path, expected: Mapping[str, Any]) -> Iterator[Problem]:
    """README, LICENSE and Croissant against what the manifest renders to.

    Args:
        folder: Of the build.
        expected: Its manifest, true to the rows.
    """
    rendered = {card.FILE: card.render_card(expected), card.LICENSE: card.render_card(expected, card.LICENSE_TEMPLATE)}
    if croissant.has_mlcroissant():
        rendered[croissant.FILE] = croissant.render_croissant(expected)
    for name, text in rendered.items():
        path = folder / name
        if not is_plain_file(path):
            continue  # check_folder has said so
        found = path.read_bytes()
        if found != text.encode("utf-8", "surrogatepass"):
            line = _first_difference(found.decode("utf-8", "replace"), text)
            rule = "croissant" if name == croissant.FILE else "card"
            yield Problem(rule, name, f"line {line} is not what the manifest renders to: {REBUILD}")


def _first_difference(found: str, wanted: str) -> int:
    pairs = zip(found.splitlines(), wanted.splitlines(), strict=False)
    return next((n for n, (a, b) in enumerate(pairs, 1) if a != b), 1 + min(found.count("\n"), wanted.count("\n")))


def check_bytes(folder: Path, tables: Tables, labels: Labels, made_splits: Mapping[str, str]) -> Iterator[Problem]:
    """Whether the Parquet files are, byte for byte, what this builder writes of their rows.

    Where another version of pyarrow wrote them their bytes tell nothing, and are not compared.
    """
    with tempfile.TemporaryDirectory() as place:
        made_files = [parquet.write_table(Path(place), table, rows, False, labels) for table, rows in tables.items()]
        for name, split in made_splits.items():
            table = splits.table_of(name)
            parts = json.loads(split)["splits"]
            made_files += parquet.write_parts(Path(place), name, table, parts, tables[table], False, labels)
        for made in made_files:
            there = folder / made.relative_to(place)
            if not is_plain_file(there):
                continue  # check_folder has said so
            same_writer = pq.read_metadata(there).created_by == pq.read_metadata(made).created_by
            if same_writer and hash_file(there) != hash_file(made):
                name = there.relative_to(folder).as_posix()
                yield Problem("bytes", name, f"its bytes are not those that the builder writes of its rows: {REBUILD}")
