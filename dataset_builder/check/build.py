"""Is this folder a sound build? Every rule is run on every file and row; all problems are listed, not the first."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataset_builder.check.files import Problem, check_manifest, check_schema, check_splits, rows_of
from dataset_builder.check.rows import RULES, Build, check_references
from dataset_builder.describe import card, croissant, manifest
from dataset_builder.rows.rubrics import read_scales
from dataset_builder.rows.tables import TABLES, decode_row, read_labels
from esc_eval.errors import EscEvalError
from esc_eval.schema import find_duplicates

__all__ = ["Problem", "check_build"]


def check_build(folder: Path, progress: Callable[[str], None] = lambda _: None) -> list[Problem]:
    """All problems of a build folder; an empty list means that it is sound.

    Args:
        progress: Called with a line of progress.

    Raises:
        EscEvalError: There is no such folder.
    """
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such folder")
    problems = [Problem("card", card.FILE, what) for what in card.find_card_problems(folder)]
    problems += [Problem("croissant", croissant.FILE, what) for what in croissant.find_croissant_problems(folder)]
    try:
        content = manifest.read_manifest(folder)
    except EscEvalError as error:
        problems.append(Problem("manifest", manifest.FILE, str(error)))
        content = {}
    build = Build(bool(content.get("public")), read_labels(content), read_scales(content))
    tables: dict[str, list[dict[str, Any]]] = {}
    for table in TABLES:
        found = list(check_schema(folder, table, build.labels))
        problems += found
        rows, broken = rows_of(folder, table)
        problems += broken
        if any(problem.rule == "schema" for problem in found):
            rows = []
        tables[table] = [decode_row(table, row, build.labels) for row in rows]
        problems += check_rows(table, tables[table], build)
        progress(f"{table}: {len(rows)} rows")
    problems += check_references(tables)
    problems += check_manifest(folder, content, tables)
    problems += check_splits(folder, content, tables)
    return problems


def check_rows(table: str, rows: list[dict[str, Any]], build: Build) -> Iterator[Problem]:
    """What each row says about itself, and ids that occur twice."""
    for duplicate in find_duplicates(str(row["id"]) for row in rows):
        yield Problem("duplicate id", table, repr(duplicate))
    for row in rows:
        for rule, test in RULES[table].items():
            for what in test(row, build):
                yield Problem(rule, f"{table} {row['id']!r}", what)
