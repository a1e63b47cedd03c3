"""Correlation between systems: means of the metric against means of the human score, over cards drawn anew."""

import numpy as np
import pandas as pd
from scipy import sparse

from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.correlations import CONSTANT, weighted_pearson
from esc_eval.statistics.estimate import Array, Estimate


def _ranks(values: Array) -> Array:
    smaller: Array = (values[..., :, None] > values[..., None, :]).sum(-1)
    equal: Array = (values[..., :, None] == values[..., None, :]).sum(-1)
    return smaller + (equal + 1) / 2


def _statistic(t: Totals) -> dict[str, Array]:
    x, y = (ratio(t[name], t["n"]) for name in ("metric", "human"))
    present = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(present, x, 0.0), np.where(present, y, 0.0)
    whole = present.all(-1)
    shape = (-1, x.shape[-1])
    flat_x, flat_y, one = x.reshape(shape), y.reshape(shape), np.ones((1, x.shape[-1]))
    sx = np.sign(flat_x[:, :, None] - flat_x[:, None, :])
    sy = np.sign(flat_y[:, :, None] - flat_y[:, None, :])
    tau = ratio((sx * sy).sum((-1, -2)), np.sqrt((sx**2).sum((-1, -2)) * (sy**2).sum((-1, -2))))
    found = {
        "pearson": weighted_pearson(flat_x, flat_y, one),
        "spearman": weighted_pearson(_ranks(flat_x), _ranks(flat_y), one),
        "kendall": tau,
    }
    return {name: np.where(whole, value.reshape(whole.shape), np.nan) for name, value in found.items()}


def system_correlations(rows: pd.DataFrame, cluster: str, boot: Bootstrap) -> dict[str, Estimate]:
    """Pearson, Spearman and Kendall tau-b over models.

    Args:
        rows: Columns ``model``, ``metric_score``, ``score`` and the cluster's.
        cluster: Column whose values are drawn; the models stay the same.
        boot: Draws.
    """
    code, names = pd.factorize(rows[cluster])
    model, models = pd.factorize(rows["model"])
    shape = (len(names), len(models))
    values = {"metric": rows["metric_score"], "human": rows["score"], "n": np.ones(len(rows))}
    tables = ClusterTables.build(
        {
            k: (sparse.coo_array((np.asarray(v, dtype=float), (code, model)), shape=shape).tocsr(), (shape[1],))
            for k, v in values.items()
        }
    )
    one, many = tables.draw(_statistic, boot)
    return {k: boot.estimate(float(np.ravel(v)[0]), many[k], len(models), len(names), CONSTANT) for k, v in one.items()}
