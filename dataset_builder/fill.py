"""A public build with the text that it withholds, from the user's own copy of what it was made from."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.build import Inputs, Row, read_card_rows, read_run_rows, refuse_foreign, write_build
from dataset_builder.check.build import check_build
from dataset_builder.describe import manifest
from dataset_builder.diff import read_table
from dataset_builder.rows.personal_data import Masker
from dataset_builder.rows.role_cards import read_official
from dataset_builder.rows.rubrics import Scales, read_scales
from dataset_builder.rows.tables import TABLES, read_labels, tables_in
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.writing import replace_folder

SHOWN = 3
"""Files or rows that a refusal names."""
SAME = {
    "role_cards": ("language", "text_sha256"),
    "dialogues": ("card_id", "supporter", "rounds"),
    "annotations": ("dialogue_id", "dimension", "score", "rater", "rubric"),
    "preferences": ("dialogue_a", "dialogue_b", "left", "dimension", "preference", "steps", "rater"),
}
"""Columns that are never withheld and must be those of the row that the text comes from."""


def fill_build(
    public: Path,
    out: Path,
    official: Path | None = None,
    runs: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Make a local build out of a public one: every row, with its text. It appears whole or not at all.

    Args:
        public: A sound public build, as ``load_dataset`` downloads it.
        out: Folder to make.
        official: Checkout of the official repository; each file must have the sha256 that the manifest states.
        runs: Folders of others' result files that rows came from.
        progress: Called with a line of progress.

    Returns:
        The manifest of the new build.

    Raises:
        EscEvalError: The build is not sound, files are not those it was made from, or rows stay without text.
    """
    if problems := check_build(public, beside=()):
        raise EscEvalError(f"{public}: {len(problems)} problems, first: {problems[0]}. Load it again")
    content = manifest.read_manifest(public)
    if not content["public"]:
        raise EscEvalError(f"{public}: is no public build, its rows have their text")
    _refuse_other_files(content["inputs"]["official"], official)
    refuse_foreign(out)
    inputs = Inputs(official=official, runs=runs, license=content["inputs"]["license"])
    tables = {table: list(read_table(public, table).values()) for table in tables_in(content["rows"])}
    _fill_tables(tables, _read_sources(inputs, progress) if official or runs else {})
    masked = content["personal_data"]["masked_in_sources"]
    with replace_folder(out) as folder:
        return write_build(
            folder, tables, read_labels(content), read_scales(content), content["inputs"], masked, public=False
        )


def _refuse_other_files(stated: Mapping[str, str], official: Path | None) -> None:
    """Hold a checkout against the hashes of what a build was made from."""
    if not stated:
        return
    if official is None:
        raise EscEvalError("the build holds rows of the official repository: give your checkout of it as --official")
    there = {name: official / name for name in stated}
    wrong = [name for name, path in there.items() if not path.is_file() or hash_file(path) != stated[name]]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise EscEvalError(
            f"{official}: {len(wrong)} of {len(stated)} files are missing or are not those that the build was made "
            f"from (sha256): {', '.join(wrong[:SHOWN])}{more}. Check the commit out that docs/datasets.md names, "
            "without conversion of line ends"
        )


def _read_sources(inputs: Inputs, progress: Callable[[str], None]) -> dict[str, dict[str, Row]]:
    """Rows with their text, by table and id."""
    masker, official = Masker(), read_official(inputs.official) if inputs.official else {}
    cards, _ = read_card_rows(inputs, official, masker)
    by_id = {row["id"]: row for row in cards}
    read, _ = read_run_rows(inputs, official, by_id, Scales(), masker, progress)
    return {table: {row["id"]: row for row in found} for table, found in ({"role_cards": cards} | read).items()}


def _fill_tables(tables: Mapping[str, list[Row]], sources: Mapping[str, Mapping[str, Row]]) -> None:
    """Put the text into the rows that have none."""
    left = []
    for table, rows in tables.items():
        for row in rows:
            if row["rehostable"]:
                continue
            whole = sources.get(table, {}).get(row["id"])
            same = whole is not None and all(whole[name] == row[name] for name in SAME[table])
            if whole is None or not same:
                left.append((table, row))
                continue
            for column in TABLES[table]:
                if column.withheld or column.kind == "turns":
                    row[column.name] = whole[column.name]
    if left:
        files = sorted({manifest.origin_file(row["origin"]) for _, row in left})
        shown = ", ".join(f"{table} {row['id']}" for table, row in left[:SHOWN])
        raise EscEvalError(
            f"{len(left)} rows stay without text ({shown}{', ...' if len(left) > SHOWN else ''}): they come from "
            f"{', '.join(files[:SHOWN])}{', ...' if len(files) > SHOWN else ''}; give the folders of those files as "
            "--runs"
        )
