"""Is this folder a sound build? Every rule is run on every file and row; all problems are listed, not the first.

Whatever can be derived is derived anew from the rows, the decisions and this program, and compared: a build whose
hashes were made to fit is found out by what it says.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dataset_builder.check.derived import check_derived, duplicate_ids
from dataset_builder.check.files import check_folder, check_local, check_schema, check_splits, rows_of
from dataset_builder.check.manifests import OLD, check_stated, read_checked, used_scales
from dataset_builder.check.problem import Problem
from dataset_builder.check.rendered import check_bytes, check_rendered, remake_splits
from dataset_builder.check.rows import Build, check_row, find_broken
from dataset_builder.describe import manifest
from dataset_builder.rows.parquet import table_path
from dataset_builder.rows.rubrics import read_scales
from dataset_builder.rows.tables import TABLES, decode_row, held_tables, read_labels, tables_in
from esc_eval.errors import EscEvalError

__all__ = ["Problem", "check_build"]
Row = dict[str, Any]


def check_build(
    folder: Path, progress: Callable[[str], None] = lambda _: None, beside: Iterable[str] = ()
) -> list[Problem]:
    """All problems of a build folder; an empty list means that it is sound.

    Args:
        folder: Of a build.
        progress: Called with a line of progress.
        beside: Names of further files that may lie there, as in a release.

    Raises:
        EscEvalError: There is no such folder.
    """
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such folder")
    content, problems = read_checked(folder)
    if any(problem.rule == OLD for problem in problems):
        return problems
    problems += check_folder(folder, content, tuple(beside))
    stated = content or {}
    build = Build(bool(stated.get("public")), read_labels(stated), read_scales(stated))
    tables: dict[str, list[Row]] = {}
    whole = content is not None
    held = tables_in(stated["rows"] if whole else [table for table in TABLES if table_path(folder, table).exists()])
    for table in held:
        tables[table], found, read = _read_table(folder, table, build)
        problems += found
        whole = whole and read
        progress(f"{table}: {len(tables[table])} rows")
    problems += check_derived(tables, build, content and content["inputs"])
    remade = remake_splits(tables, stated["inputs"]["seed"]) if whole else None
    problems += check_splits(folder, tables, remade and remade[0])
    if content is not None:
        problems += check_local(folder, content)
    if content is not None and remade is not None:
        problems += _check_made(folder, content, tables, remade, build)
    return problems


def _read_table(folder: Path, table: str, build: Build) -> tuple[list[Row], list[Problem], bool]:
    """The sound rows of a table, its problems, and whether every row is among them."""
    problems = list(check_schema(folder, table, build.labels))
    if any(problem.rule in ("schema", "missing", "unreadable") for problem in problems):
        return [], problems, False
    read, undecoded = rows_of(folder, table)
    problems += undecoded
    sound: list[Row] = []
    rows = [decode_row(table, row, build.labels) for row in read]
    problems += duplicate_ids(table, rows)
    for row in rows:
        broken = list(find_broken(table, row, build))
        problems += broken or check_row(table, row, build)
        if not broken:
            sound.append(row)
    return sound, problems, len(sound) == len(rows) and not undecoded


def _check_made(
    folder: Path,
    content: dict[str, Any],
    tables: dict[str, list[Row]],
    remade: tuple[dict[str, str], dict[str, Any]],
    build: Build,
) -> list[Problem]:
    """The manifest and what is rendered from it, against what the builder makes of the rows."""
    texts, made = remade
    tables = held_tables(tables)
    inputs = content["inputs"] | {"origins": manifest.count_origins(tables)}
    masked = {"rows": manifest.count_marks(tables), "sources": content["personal_data"]["masked_in_sources"]}
    scales = used_scales(content, tables["annotations"])
    expected = manifest.describe_build(folder, tables, inputs, scales, masked, made, content["public"])
    problems = list(check_stated(content, expected))
    said = expected | {
        key: content[key] for key in ("personal_data", "esc_eval", "inputs", "published") if key in content
    }
    problems += check_rendered(folder, said)
    problems += check_bytes(folder, tables, build.labels, texts)
    return problems
