"""Ratings out of files of any kind as one table of ours: exports and sheets by ``collect``, tables as they are."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.escaping import format_csv
from esc_eval.files.cell_tables import TEXTS, Guess, read_cell_table
from esc_eval.files.cells import is_blank
from esc_eval.files.columns import Columns
from esc_eval.files.ratings_table import read_table
from esc_eval.files.sheets import XLSX
from esc_eval.files.writing import write_whole
from esc_eval.rate.export import RATING_COLUMNS
from esc_eval.rate.offline import argilla, label_studio, table
from esc_eval.rate.offline.collect import collect
from esc_eval.rate.offline.page import ANSWERS
from esc_eval.rate.study import describe_dialogue
from esc_eval.reading import is_file, is_folder, read_json, suffix_of, try_json_lines
from esc_eval.schema import Dialogue

NUMBERS = ("score", "order")
"""Columns of whole numbers."""


def is_export(path: Path) -> bool:
    """Whether a file is what a tool for annotation exports, or a sheet of ours that came back."""
    if is_folder(path):
        return any(is_file(path / name) for name in (argilla.RECORDS, "state.json"))
    ending = suffix_of(path)
    if ending in (*TEXTS, XLSX, ".parquet"):
        columns = dict.fromkeys(read_cell_table(path).columns)
        responses = any(column.endswith(argilla.RESPONSES) for column in columns)
        return table.is_sheet(columns) or label_studio.is_flat(columns) or responses
    if ending == ".jsonl":
        first = next((record for _, record, wrong in try_json_lines(path) if not wrong), None)
        return isinstance(first, dict) and (argilla.is_record(first) or label_studio.is_export([first]))
    content = read_json(path) if ending == ".json" else None
    answers = isinstance(content, dict) and content.get("format") == ANSWERS
    return answers or label_studio.is_export(content) or argilla.is_export(content)


def convert_ratings(
    paths: Sequence[Path],
    dialogues: Sequence[Dialogue] = (),
    *,
    scale: tuple[int, int] | None = None,
    rubric: str | Path | None = None,
    names: Mapping[str, str] | None = None,
    columns: Columns | None = None,
) -> list[dict[str, Any]]:
    """The rows of one table, each of a rater, dialogue and dimension, with what is known of its dialogue.

    Args:
        paths: Files of any kind, and run folders.
        dialogues: What was rated, where it is known; of sheets with hidden ids it must be.
        scale: Lowest and highest level of tables; None = that of the run folders among them, else 0 to 4.
        rubric: Of exports that do not name a shipped one.
        names: What raters are called, by what exports call them.
        columns: What columns of tables are called.

    Raises:
        EscEvalError: As ``read_table`` and ``collect``, or the same rating stands in two files.
    """
    exports = [path for path in paths if is_export(path)]
    tables = [path for path in paths if path not in exports]
    rows: list[dict[str, Any]] = []
    if tables:
        read = read_table(tables, scale, columns=columns)
        read = read.beside(dialogues) if dialogues else read
        rows += [{str(key): cell for key, cell in row.items()} for row in read.frame.to_dict("records")]
    if exports:
        about = {dialogue.id: describe_dialogue(dialogue) for dialogue in dialogues}
        found = collect(exports, dialogues, rubric, names or {})
        for note in found.notes:
            warnings.warn(note, Guess, stacklevel=2)
        for row in rows:  # exports say a stage, and ratings without one beside them would be of none
            row["stage"] = "first" if is_blank(row.get("stage")) else row["stage"]
        rows += [{**about.get(one.dialogue_id, {}), **dict(one)} for one in found.ratings]
    seen = set()
    for row in rows:
        key = tuple(str(row.get(name)) for name in ("dialogue_id", "rater", "dimension", "rubric", "stage"))
        if key in seen:
            what = f"dialogue {row['dialogue_id']}, rater {row['rater']}, dimension {row['dimension']}"
            raise EscEvalError(f"{what} stands in two files; leave one of the two out")
        seen.add(key)
    return [{key: _cell(key, cell) for key, cell in row.items() if key and not _is_nothing(cell)} for row in rows]


def _is_nothing(cell: Any) -> bool:
    return is_blank(cell) or cell is pd.NaT


def _cell(key: str, cell: Any) -> Any:
    return int(cell) if key in NUMBERS else cell


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV or JSON Lines, by the ending of the file; it appears whole.

    Raises:
        EscEvalError: Another ending.
    """
    there = dict.fromkeys(key for row in rows for key in row)
    columns = [key for key in RATING_COLUMNS if key in there] + [key for key in there if key not in RATING_COLUMNS]

    writers: dict[str, Callable[[], None]] = {
        ".csv": lambda: write_whole(path, [format_csv(columns, rows)]),
        ".jsonl": lambda: write_whole(path, (json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)),
    }
    if suffix_of(path) not in writers:
        raise EscEvalError(f"--out {path}: a table is written as {' or '.join(writers)}")
    writers[suffix_of(path)]()
