"""Scores of automatic metrics: a table ``dialogue_id, metric, score`` (and ``dimension`` where it rates only one)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.ratings_table import FORMATS, raw_rows


def read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Metric scores from files, long or wide, or from ratings of a model (whose name becomes the metric's).

    Returns:
        Columns ``dialogue_id``, ``metric``, ``dimension`` (None = any), ``score``.

    Raises:
        EscEvalError: A file in no known shape, text where a number belongs, or a dialogue scored twice by one metric.
    """
    parts = []
    for path in paths:
        if not path.exists():
            raise EscEvalError(f"{path}: no such file")
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
        parts.append(frame[["dialogue_id", "metric", "dimension", "score"]])
    table = pd.concat(parts, ignore_index=True)
    again = table[table.duplicated(["dialogue_id", "metric", "dimension"])]
    if len(again):
        row = again.iloc[0]
        raise EscEvalError(
            f"metric {row['metric']} scores dialogue {row['dialogue_id']} twice ({len(again)} such rows)"
        )
    return table


def _numbers(frame: pd.DataFrame, path: Path) -> pd.Series:
    column = frame["score"]
    blank = column.isna() | column.map(lambda x: isinstance(x, str) and not x.strip())
    numbers = pd.to_numeric(column.where(~blank, np.nan), errors="coerce").astype(float)
    wrong = frame[(numbers.isna() & ~blank) | np.isinf(numbers)]
    if len(wrong):
        row = wrong.iloc[0]
        raise BadRecord(path, row["_where"], f"{row['metric']} = {row['score']!r} is not a finite number")
    return numbers
