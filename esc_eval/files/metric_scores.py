"""Scores of automatic metrics: a table ``dialogue_id, metric, score`` (and ``dimension`` where it rates only one)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.cells import read_number
from esc_eval.files.ratings_table import FORMATS, raw_rows
from esc_eval.schema import escape_halves


def read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Metric scores from files, long or wide, or from ratings of a model (whose name becomes the metric's).

    Returns:
        Columns ``dialogue_id``, ``metric``, ``dimension`` (None = any), ``score``.

    Raises:
        EscEvalError: A file in no known shape, text where a number belongs, or a dialogue scored twice by one metric.
    """
    parts = []
    for path in paths:
        frame = raw_rows(path)
        if "dialogue_id" not in frame:
            raise EscEvalError(f"{path}: no column dialogue_id. Known formats: {FORMATS}")
        if "score" in frame and "metric" not in frame and "rater" in frame:
            frame = frame.rename(columns={"rater": "metric"})
        if "score" in frame and "metric" not in frame:
            frame["metric"] = path.stem
        if "score" not in frame:
            keep = ["dialogue_id", "_where"]
            frame = frame.melt(
                id_vars=keep, value_vars=[c for c in frame if c not in keep], var_name="metric", value_name="score"
            )
        if "dimension" not in frame:
            frame["dimension"] = None
        frame["score"] = _numbers(frame, path)
        frame["dialogue_id"] = frame["dialogue_id"].astype(str)
        parts.append(
            frame[["dialogue_id", "metric", "dimension", "score", "_where"]].assign(_file=escape_halves(str(path)))
        )
    table = pd.concat(parts, ignore_index=True)
    again = table[table.duplicated(["dialogue_id", "metric", "dimension"])]
    if len(again):
        row = again.iloc[0]
        raise BadRecord(
            row["_file"],
            row["_where"],
            f"metric {row['metric']} scores dialogue {row['dialogue_id']} twice ({len(again)} such rows)",
        )
    return table.drop(columns=["_where", "_file"])


def _numbers(frame: pd.DataFrame, path: Path) -> pd.Series:
    numbers = []
    for cell, metric, where in zip(frame["score"], frame["metric"], frame["_where"], strict=True):
        try:
            numbers.append(read_number(cell))
        except ValueError as error:
            raise BadRecord(path, where, f"{metric} = {error}") from error
    return pd.Series(numbers, index=frame.index, dtype=float)
