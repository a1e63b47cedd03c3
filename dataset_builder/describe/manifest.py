"""``manifest.json``: what a build holds, from what it was made and by which rules. No times, no machine names."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builder import decisions
from dataset_builder.rows import overlap, personal_data
from dataset_builder.rows.rubrics import Scale
from esc_eval import __version__
from esc_eval.citation import PAPER
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json

FILE = "manifest.json"
BUILDER_VERSION = "2"
SCHEMA = 2
"""2: README, licences, Croissant and what stays local are in ``files``, and ``inputs`` tells rows by origin."""
LOCAL = "local"
"""Sub-folder of what must stay on the machine that built it: source conversations, rejects."""

UNLISTED = {"README.md", "LICENSE.md", "croissant.json", f"{LOCAL}/conversations.parquet", f"{LOCAL}/rejects.jsonl"}
"""Files of builds before ``SCHEMA`` 2, whose ``files`` leave them out."""

Row = Mapping[str, Any]


def count_values(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, dict[str, int]]:
    """How often each value of some columns occurs; null counts as "unknown"."""
    return {
        column: dict(sorted(Counter("unknown" if row[column] is None else str(row[column]) for row in rows).items()))
        for column in columns
    }


COUNTED = {
    "role_cards": (
        *("language", "source", "quality", "category", "gender", "subcategory", "tier_status", "rehostable"),
        "unreviewed",
    ),
    "dialogues": ("language", "supporter", "protocol", "rehostable"),
    "annotations": ("dimension", "score", "rater_kind", "rubric", "stage", "rehostable"),
    "preferences": ("dimension", "preference", "steps", "left", "rater_kind", "question", "rehostable"),
}


def describe_build(
    folder: Path,
    tables: Mapping[str, Sequence[Row]],
    inputs: Mapping[str, Any],
    rubrics: Mapping[str, Scale],
    masked: Mapping[str, Mapping[str, int]],
    splits: Mapping[str, Any],
    public: bool,
) -> dict[str, Any]:
    """The manifest of a build folder whose tables and splits are written.

    Args:
        tables: Rows of each table, as built.
        inputs: ``official``, ``sources``, ``runs`` and so on: counts and sha256 of what was read.
        rubrics: Those that ratings are under, by name and version.
        masked: Personal data that was masked, by kind: in ``rows`` and in ``sources``.
        splits: For each scheme its sizes and sha256, or why it could not be made.
        public: Whether text that may not be re-hosted was left out.
    """
    cards = tables["role_cards"]
    return {
        "schema": SCHEMA,
        "builder": BUILDER_VERSION,
        "esc_eval": __version__,
        "public": public,
        "rows": {table: len(rows) for table, rows in tables.items()},
        "counts": {table: count_values(rows, COUNTED[table]) for table, rows in tables.items()},
        "overlap": {
            "near": overlap.NEAR,
            "contained": overlap.CONTAINED,
            "near_duplicate_cards": sum(bool(row["near_duplicates"]) for row in cards),
            "contaminated_by": dict(sorted(Counter(key for row in cards for key in row["contaminated_by"]).items())),
        },
        "personal_data": {
            "masked": masked["rows"],
            "masked_in_sources": masked["sources"],
            "found_by": personal_data.finder_versions(),
        },
        "licences": count_licences(tables),
        "rubrics": [rubrics[key].as_json() for key in sorted(rubrics)],
        "inputs": inputs,
        "decisions": decisions.hash_decisions(),
        "splits": splits,
        "citation": PAPER,
        "files": file_hashes(folder),
    }


def count_licences(tables: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, Any]]:
    """Rows of each table under each licence, and how many of them may not be re-hosted with their text."""
    found: dict[str, dict[str, Any]] = {}
    for table, rows in tables.items():
        for row in rows:
            entry = found.setdefault(row["license"], {"license": row["license"], "rows": {}, "not_rehostable": {}})
            entry["rows"][table] = entry["rows"].get(table, 0) + 1
            if not row["rehostable"]:
                entry["not_rehostable"][table] = entry["not_rehostable"].get(table, 0) + 1
    return dict(sorted(found.items()))


def describe_withheld(content: Mapping[str, Any]) -> str:
    """How many rows have no text in a public build, by table and licence, in a sentence; empty = all have it."""
    if not content["public"]:
        return ""
    parts = []
    for table, rows in content["rows"].items():
        by = {key: entry["not_rehostable"].get(table, 0) for key, entry in content["licences"].items()}
        if held := sum(by.values()):
            why = ", ".join(f"{key}: {n}" for key, n in by.items() if n)
            parts.append(f"{held} of {rows} {table} (licence {why})")
    return f"Without text, since it may not be re-hosted: {'; '.join(parts)}." if parts else ""


def all_kinds(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts of every kind of personal data; 0 where there are none."""
    return {kind: counts.get(kind, 0) for kind in personal_data.KINDS}


def count_marks(tables: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """How often each kind of personal data is masked in the rows' texts."""
    texts = [text for table, rows in tables.items() for row in rows for text in _masked_texts(table, row)]
    return {kind: sum(text.count(f"[{kind.upper()}]") for text in texts) for kind in personal_data.KINDS}


MASKED = {
    "role_cards": ("text", "annotator_text"),
    "dialogues": ("problem",),
    "annotations": ("problem", "raw"),
    "preferences": ("problem", "raw", "note"),
}
"""Columns that are masked, beside the turns; those that are read from them are not counted twice."""


def _masked_texts(table: str, row: Row) -> Iterator[str]:
    yield from (row[name] for name in MASKED[table] if row[name])
    if table == "preferences" and row["raw"] is None and row["reason"]:  # a person's; a model's is read from raw
        yield row["reason"]
    yield from (turn["text"] for turn in row.get("turns") or () if turn["text"])


def count_origins(tables: Mapping[str, Sequence[Row]]) -> dict[str, dict[str, int]]:
    """Rows of each table by the file that they were read from."""
    return {
        table: dict(sorted(Counter(origin_file(row["origin"]) for row in rows).items()))
        for table, rows in tables.items()
    }


def origin_file(origin: str) -> str:
    """The file that a row's ``origin`` names."""
    return origin.partition("#")[0]


def file_hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """Sha256 and size of every file of a folder but the manifest itself; links and pipes are not opened."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {
        path.relative_to(folder).as_posix(): {"sha256": hash_file(path), "bytes": path.stat().st_size}
        for path in paths
        if path != folder / FILE
    }


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write ``manifest.json``."""
    write_json(folder / FILE, content)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a build folder.

    Raises:
        EscEvalError: Missing or broken.
    """
    return read_json_object(folder / FILE)


def built_files(folder: Path) -> set[str] | None:
    """The files that a build of any version wrote into its folder, by its manifest; None where it is no build's."""
    try:
        content = read_manifest(folder)
    except EscEvalError:
        return None
    files, made_by = content.get("files"), (content.get("builder"), content.get("esc_eval"))
    ours = all(isinstance(one, str) for one in made_by) and isinstance(content.get("rows"), dict)
    if not ours or not isinstance(files, dict):
        return None
    return {FILE, *files, *(() if content.get("schema") == SCHEMA else UNLISTED)}
