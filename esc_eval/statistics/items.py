"""Single dialogues: the most disputed, and what the review stage changed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from esc_eval.files.ratings_table import RatingsTable
from esc_eval.statistics import coefficients as co
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.counts import unseen_pairs
from esc_eval.statistics.estimate import Array, Estimate


def find_disputed(rows: pd.DataFrame, top: int) -> list[dict[str, object]]:
    """The dialogue x dimension pairs whose ratings differ most.

    Args:
        rows: Scored rows of a ratings table.
        top: How many.

    Returns:
        Largest mean squared difference between raters first; each with its scores by rater.
    """
    grouped = rows.groupby(["dialogue_id", "dimension"], sort=False)["score"]
    spread = (grouped.var(ddof=1) * 2).dropna()
    worst = spread[spread > 0].sort_values(ascending=False, kind="stable").head(top)
    keyed = rows.set_index(["dialogue_id", "dimension"])
    found = []
    for (dialogue, dimension), value in zip(worst.index.to_list(), worst.tolist(), strict=True):
        scores = keyed.loc[[(dialogue, dimension)]]
        found.append(
            {
                "dialogue_id": dialogue,
                "dimension": dimension,
                "mean_squared_difference": float(value),
                "scores": {str(r): float(s) for r, s in zip(scores["rater"], scores["score"], strict=True)},
            }
        )
    return found


@dataclass(frozen=True)
class StageChange:
    """What one dimension's review changed: all pairs of a first and a reviewed score of the same dialogue."""

    changed: Estimate
    mean_change: Estimate
    quadratic_kappa: Estimate


def stage_change(
    table: RatingsTable, dimension: str, stages: tuple[str, str], cluster: str, boot: Bootstrap
) -> StageChange:
    """Compare two stages of rating of one dimension.

    Args:
        table: With a ``stage`` column.
        dimension: Which.
        stages: Names of the earlier and the later stage.
        cluster: Column to cluster by.
        boot: Draws.
    """
    rows = table.scored(dimension)
    early, late = (rows[rows["stage"] == s] for s in stages)
    both = early.merge(late[["dialogue_id", "score"]], on="dialogue_id", suffixes=("", "_late"))
    if both.empty:
        blank = Estimate(None, undefined=f"no dialogue has a score in both stages, {stages[0]} and {stages[1]}")
        return StageChange(blank, blank, blank)
    q = len(table.levels)
    code, names = pd.factorize(both[cluster])
    first, second = ((both[c].to_numpy() - table.low).astype(int) for c in ("score", "score_late"))
    rows_ = sparse.coo_array((np.ones(len(both)), (code, first * q + second)), shape=(len(names), q * q)).tocsr()
    weights = co.agreement_weights(table.levels)
    change = table.levels[None, :] - table.levels[:, None]

    def statistic(t: Totals) -> dict[str, Array]:
        c = t["confusion"]
        n = c.sum((-1, -2))
        return {
            "changed": 1 - co.ratio(np.trace(c, axis1=-2, axis2=-1), n),
            "mean_change": co.ratio((c * change).sum((-1, -2)), n),
            "quadratic_kappa": co.weighted_kappa(c, weights),
        }

    extremes = []
    for pair in unseen_pairs(first, second, table.levels):
        cell = np.zeros((q, q))
        cell[pair] = len(both) / len(names)
        extremes.append(cell.ravel())
    one, lows, highs = ClusterTables.build({"confusion": (rows_, (q, q))}).draw_bounded(statistic, boot, extremes)
    why = "both stages give one and the same score throughout"
    n = len(both), len(names)
    return StageChange(**{k: boot.between(float(v), lows[k], highs[k], *n, why) for k, v in one.items()})
