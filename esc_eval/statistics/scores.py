"""Scores of automatic metrics: a table ``dialogue_id, metric, score`` (and ``dimension`` where it rates only one)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.ratings_table import FORMATS, raw_rows

AGGREGATES = ("mean", "median", "drop_furthest")


def drop_furthest(scores: Sequence[float]) -> float:
    """Mean of ratings without the one furthest from their mean, where it is more than half a sd away.

    The rule of the FED replication (population sd): one outlier at most is dropped.

    >>> drop_furthest([2, 2, 2, 2, 0])
    2.0
    """
    values = np.asarray(scores, dtype=float)
    distance = np.abs(values - values.mean())
    worst = int(distance.argmax())
    if distance[worst] > values.std() / 2:
        values = np.delete(values, worst)
    return float(values.mean())


def human_scores(rows: pd.DataFrame, rule: str = "mean") -> pd.DataFrame:
    """One score for each dialogue and dimension from its ratings.

    Args:
        rows: Scored rows of a ratings table.
        rule: ``mean``, ``median`` or ``drop_furthest``.

    Returns:
        Columns ``dialogue_id``, ``dimension``, ``score``, ``raters`` and those of card, model, language,
        category, group, source that are there.
    """
    if rule not in AGGREGATES:
        raise EscEvalError(f"no rule {rule!r} to put raters together; there is {', '.join(AGGREGATES)}")
    how = drop_furthest if rule == "drop_furthest" else rule
    extra = [c for c in ("card", "model", "language", "category", "group", "source") if c in rows]
    grouped = rows.groupby(["dialogue_id", "dimension"], sort=False)
    out = grouped["score"].agg(how).to_frame()
    out["raters"] = grouped["score"].size()
    for column in extra:
        out[column] = grouped[column].first()
    return out.reset_index()


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
