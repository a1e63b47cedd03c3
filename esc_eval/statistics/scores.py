"""Several raters' scores of a dialogue as one."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError

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
