"""Rules on files: which there are, their bytes, schemas of tables, split manifests."""

import json
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.check.problem import Problem
from dataset_builder.describe import card, croissant, manifest
from dataset_builder.rows import parquet, splits
from dataset_builder.rows.parquet import table_path
from dataset_builder.rows.tables import Labels, arrow_schema, tables_in
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_text

Tables = Mapping[str, list[dict[str, Any]]]
CONVERSATIONS = f"{manifest.LOCAL}/conversations.parquet"
UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError, OverflowError, MemoryError)
"""What pyarrow raises on bytes that are no Parquet, or no longer."""
REJECTS = f"{manifest.LOCAL}/rejects.jsonl"
REJECTED = {"source", "file", "line", "reason"}


def is_plain_file(path: Path) -> bool:
    """Whether a path is a file itself, in a folder itself: no link, no pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode) and not path.parent.is_symlink()
    except OSError:
        return False


def expected_files(content: Mapping[str, Any]) -> set[str]:
    """The files that a build with this manifest has beside it."""
    names = {table_path(Path(), table).as_posix() for table in tables_in(content["rows"])} | {card.FILE, card.LICENSE}
    for name, made in content["splits"].items():
        if "reason" not in made:
            names.add(f"splits/{name}.json")
            filled = (part for part in splits.NAMES if made["sizes"].get(part))
            names |= {parquet.split_path(Path(), name, part).as_posix() for part in filled}
    if croissant.has_mlcroissant() or croissant.FILE in content["files"]:
        names.add(croissant.FILE)
    if content["inputs"]["sources"] and not content["public"]:
        names |= {CONVERSATIONS, REJECTS}
    return names


def check_folder(folder: Path, content: Mapping[str, Any] | None, beside: tuple[str, ...] = ()) -> Iterator[Problem]:
    """What lies in a folder that no build holds, what it lacks, and files whose bytes are not the manifest's.

    Args:
        folder: Of a build.
        content: Its manifest; None where it is not one.
        beside: Names of further files that may lie there.
    """
    there = set()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield Problem("file", name, "is a symbolic link; a build holds files")
        elif path.is_dir():
            if not any(path.iterdir()) and name != "splits":
                yield Problem("file", name, "is an empty folder")
        elif not is_plain_file(path):
            yield Problem("file", name, "is neither a file nor a folder")
        elif name not in (manifest.FILE, *beside):
            there.add(name)
    if content is None:
        return
    stated, wanted = content["files"], expected_files(content)
    for name in sorted(wanted - there):
        yield Problem("missing", name, "a build has this file, it is not there; build again")
    for name in sorted(wanted - stated.keys()):
        yield Problem("manifest", name, "has no checksum in the manifest")
    for name in sorted(there - wanted):
        yield Problem("manifest", name, "is no file of a build; take it away")
    for name in sorted(stated.keys() - wanted):
        yield Problem("manifest", name, "stands in the manifest, but is no file of a build")
    for name in sorted(there & stated.keys()):
        path = folder / name
        if path.stat().st_size != stated[name]["bytes"]:
            yield Problem("hash", name, f"has {path.stat().st_size} bytes, the manifest says {stated[name]['bytes']}")
        elif hash_file(path) != stated[name]["sha256"]:
            yield Problem("hash", name, "its sha256 is not that of the manifest")


def check_schema(folder: Path, table: str, labels: Labels) -> Iterator[Problem]:
    """Columns that are missing, too many, of another type or in another order; features that differ."""
    path = table_path(folder, table)
    name = path.relative_to(folder).as_posix()
    if not is_plain_file(path):
        yield Problem("missing", name, "no such file" if not path.exists() else "is no file")
        return
    try:
        found = pq.read_schema(path)
    except UNREADABLE as error:
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
    if len(set(found.names)) != len(found.names):
        yield Problem("schema", name, "two columns have one name")
    if sorted(found.names) == sorted(wanted.names) and found.names != wanted.names:
        yield Problem("schema", name, f"columns are in another order, should be {', '.join(wanted.names)}")
    if (found.metadata or {}) != wanted.metadata:
        yield Problem("features", name, "its metadata or Hugging Face features differ from this table's")


def rows_of(folder: Path, table: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Rows of a table, and a problem for each that cannot be decoded."""
    path = table_path(folder, table)
    name = path.relative_to(folder).as_posix()
    try:
        content = pq.read_table(path)
    except UNREADABLE as error:
        return [], [Problem("unreadable", name, f"no Parquet file: {error}")]
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


def check_local(folder: Path, content: Mapping[str, Any]) -> Iterator[Problem]:
    """Conversations and rejects of the sources: as many as the manifest says."""
    sources = content["inputs"]["sources"]
    if content["public"] or not sources:
        return
    path = folder / CONVERSATIONS
    if is_plain_file(path):
        try:
            schema = pq.read_schema(path)
            there = Counter(pq.read_table(path, columns=["source"])["source"].to_pylist())
        except UNREADABLE as error:
            yield Problem("unreadable", CONVERSATIONS, f"no Parquet file of conversations: {error}")
        else:
            if not schema.equals(parquet.CONVERSATIONS):
                yield Problem("schema", CONVERSATIONS, "its columns are not those of conversations")
            if there != Counter({key: source["conversations"] for key, source in sources.items()}):
                yield Problem("counts", CONVERSATIONS, "its conversations are not as many as the manifest says")
    if is_plain_file(folder / REJECTS):
        yield from _rejects(folder / REJECTS, sources)


def _rejects(path: Path, sources: Mapping[str, Any]) -> Iterator[Problem]:
    """A line for each record that was not read: of which source and file, and why."""
    there: Counter[str] = Counter()
    try:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            row = json.loads(line)
            if not isinstance(row, dict) or row.keys() != REJECTED or row["source"] not in sources:
                raise ValueError(f"line {number} is no record of {', '.join(sorted(REJECTED))}")
            there[row["source"]] += 1
    except (EscEvalError, ValueError, TypeError, RecursionError) as error:
        yield Problem("unreadable", REJECTS, f"no JSON Lines of rejects: {str(error) or 'nested too deeply'}")
        return
    if there != Counter({key: source["rejects"] for key, source in sources.items() if source["rejects"]}):
        yield Problem("counts", REJECTS, "its lines are not as many as the manifest says")


def check_splits(folder: Path, tables: Tables, expected: Mapping[str, str] | None) -> Iterator[Problem]:
    """Split manifests: form, hash, ids, overlaps, what the scheme keeps apart, and whether it is the builder's split.

    Args:
        folder: Of the build.
        tables: Its sound rows.
        expected: Text of each manifest by scheme, as the builder makes it of these rows; None where not every row is
            known.
    """
    for path in sorted((folder / "splits").glob("*.json")):
        name = f"splits/{path.name}"
        if not is_plain_file(path):
            continue  # check_folder has said so
        try:
            split = _Split.read(json.loads(read_text(path)))
        except (EscEvalError, ValueError, RecursionError) as error:
            yield Problem("split", name, f"is no split manifest: {str(error) or 'nested too deeply'}")
            continue
        if split.scheme != path.stem:
            yield Problem("split", name, f"is of scheme {split.scheme}")
        if split.sha256 != splits.manifest_sha256(split.scheme, split.seed, split.parts):
            yield Problem("split hash", name, "its sha256 is not that of its ids")
        if split.sizes != {part: len(ids) for part, ids in split.parts.items()}:
            yield Problem("split", name, "its sizes are not those of its lists")
        scheme = splits.SCHEMES[split.scheme]
        items = {item.id: item for item in splits.items_of_tables(scheme.unit, tables)[0]}
        if expected is None:
            continue
        yield from _parts(name, split, items, scheme.facets)
        if expected.get(split.scheme, "").encode() != path.read_bytes():
            yield Problem("split", name, "is not the split that the builder makes of these rows; build again")


class _Split:
    """A split manifest that has the form of one."""

    def __init__(self, scheme: str, seed: int, sha256: str, sizes: dict[str, int], parts: dict[str, list[str]]) -> None:
        self.scheme, self.seed, self.sha256, self.sizes, self.parts = scheme, seed, sha256, sizes, parts

    @classmethod
    def read(cls, content: Any) -> "_Split":
        """Take it from JSON.

        Raises:
            ValueError: It has another form.
        """
        if not isinstance(content, dict):
            raise ValueError("no JSON object")
        fields = {"scheme", "seed", "sha256", "splits", "raters", "leaks", "sizes", "left_out", "balance", "warnings"}
        if content.keys() != fields:
            raise ValueError(f"its fields should be {', '.join(sorted(fields))}")
        scheme, parts = content["scheme"], content["splits"]
        if not isinstance(scheme, str) or scheme not in splits.SCHEMES:
            raise ValueError(f"unknown scheme {scheme!r}; there is: {', '.join(splits.SCHEMES)}")
        if not isinstance(parts, dict) or tuple(parts) != splits.NAMES:
            raise ValueError(f"its parts should be {', '.join(splits.NAMES)}")
        for part, ids in parts.items():
            if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
                raise ValueError(f"{part} is no list of ids")
        sizes = content["sizes"]
        if type(content["seed"]) is not int or not isinstance(content["sha256"], str):
            raise ValueError("seed should be a whole number, sha256 a text")
        if not isinstance(sizes, dict) or not all(type(size) is int for size in sizes.values()):
            raise ValueError("sizes should be a whole number for each part")
        return cls(scheme, content["seed"], content["sha256"], sizes, parts)


def _parts(name: str, split: _Split, items: Mapping[str, splits.Item], facets: tuple[str, ...]) -> Iterator[Problem]:
    parts = split.parts
    for part, ids in parts.items():
        if len(set(ids)) != len(ids):
            yield Problem("split", name, f"{part} holds an id twice")
        if not ids and part != "validation":
            yield Problem("split", name, f"{part} is empty")
    if unknown := [one for ids in parts.values() for one in ids if one not in items]:
        yield Problem("split", name, f"{len(unknown)} ids are of no row, first {unknown[0]!r}")
    for one, other in combinations(splits.NAMES, 2):
        if both := set(parts[one]) & set(parts[other]):
            yield Problem("split leak", name, f"{len(both)} rows are in {one} and {other}")
        # Validation may share values with train where too few are left for one of its own; the remade split tells.
        for facet in facets if other == "test" else ():
            sides = [{v for i in parts[part] if i in items for v in items[i].values(facet)} for part in (one, other)]
            if shared := sides[0] & sides[1]:
                yield Problem("split leak", name, f"{len(shared)} values of {facet} are in {one} and {other}")
