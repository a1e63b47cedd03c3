"""Correlation between systems: means of the metric against means of the human score, and how sure it can be.

Means over few cards are noisy, and noise draws a correlation towards 0: drawing cards anew adds the same noise again,
so that its percentile interval lies too low. The interval here takes the noise out: models' true means are drawn from
their posterior in a normal model of means (between models, and of cells within cards), and correlated. The ends are
percentiles expanded (Hesterberg 2015) for two means a model, as few models tell little of the posterior's own spread.
"""

import numpy as np
import pandas as pd
from scipy import stats

from esc_eval.statistics.bootstrap import Bootstrap, percentile_levels
from esc_eval.statistics.correlations import CONSTANT, weighted_pearson
from esc_eval.statistics.estimate import Array, Estimate

FEWEST = 4
"""With three models the interval covers too seldom (about .80 where it should .95), so there is none."""
TOO_FEW = f"no interval: it needs {FEWEST} models or more, each on two cards or more"


def _ranks(values: Array) -> Array:
    smaller: Array = (values[..., :, None] > values[..., None, :]).sum(-1)
    equal: Array = (values[..., :, None] == values[..., None, :]).sum(-1)
    return smaller + (equal + 1) / 2


def _correlations(x: Array, y: Array) -> dict[str, Array]:
    """Each coefficient over the last axis, shape (draws, models) -> (draws,)."""
    one = np.ones((1, x.shape[-1]))
    sx, sy = (np.sign(v[:, :, None] - v[:, None, :]) for v in (x, y))
    size = np.sqrt((sx**2).sum((-1, -2)) * (sy**2).sum((-1, -2)))
    return {
        "pearson": weighted_pearson(x, y, one),
        "spearman": weighted_pearson(_ranks(x), _ranks(y), one),
        "kendall": np.where(size > 0, (sx * sy).sum((-1, -2)) / np.where(size > 0, size, 1), np.nan),
    }


def system_correlations(rows: pd.DataFrame, cluster: str, boot: Bootstrap) -> dict[str, Estimate]:
    """Pearson, Spearman and Kendall tau-b over models: of their means as measured, for the interval of these models.

    Args:
        rows: Columns ``model``, ``metric_score``, ``score`` and the cluster's.
        cluster: Column of what makes scores of different models alike (the card).
        boot: Number of draws, seed, confidence.
    """
    means = rows.groupby("model", sort=False)[["metric_score", "score"]].mean().to_numpy(dtype=float)
    one = _correlations(means[None, :, 0], means[None, :, 1])
    cells = rows.groupby([cluster, "model"], sort=False)[["metric_score", "score"]].mean()
    models, clusters = len(means), rows[cluster].nunique()
    drawn = _true_means(cells, means, boot)
    many = _correlations(drawn[..., 0], drawn[..., 1]) if drawn is not None else {}
    found = {}
    for name, value in one.items():
        if not np.isfinite(value[0]):
            found[name] = Estimate(None, n=models, clusters=clusters, undefined=CONSTANT)
        elif drawn is None:
            found[name] = Estimate(float(value[0]), None, None, models, clusters, TOO_FEW)
        else:
            low, high = np.nanquantile(many[name], percentile_levels(2 * models, boot.confidence))
            low, high = min(float(low), float(value[0])), max(float(high), float(value[0]))
            found[name] = Estimate(float(value[0]), low, high, models, clusters)
    return found


def _true_means(cells: pd.DataFrame, means: Array, boot: Bootstrap) -> Array | None:
    """Draws of the models' means without the noise of their cards, shape (draws, models, 2); None where too few.

    Args:
        cells: Mean metric and human score by cluster and model.
        means: Measured means, shape (models, 2), in the order of ``cells``' models.
    """
    values = cells.to_numpy(dtype=float)
    model = pd.factorize(cells.index.get_level_values(1))[0]
    card = pd.factorize(cells.index.get_level_values(0))[0]
    models, cards = len(means), int(card.max()) + 1
    counts = np.bincount(model, minlength=models)
    if models < FEWEST or counts.min() < 2:
        return None

    def centre(codes: np.ndarray, size: int) -> Array:
        totals = np.zeros((size, 2))
        np.add.at(totals, codes, values)
        centred: Array = (totals / np.bincount(codes, minlength=size)[:, None])[codes]
        return centred

    rest = values - centre(model, models)
    degrees = len(values) - models
    if len(values) == models * cards:  # what is alike on a card moves all models alike, and no correlation
        rest = rest - centre(card, cards) + values.mean(0)
        degrees = (models - 1) * (cards - 1)
    rng = np.random.default_rng(boot.seed)
    off = means - means.mean(0)
    between, within = off.T @ off, rest.T @ rest
    floor = 1e-9 * np.diag(np.maximum(np.diag(between), 1e-12))

    def draw(sums: Array, degrees: int) -> Array:
        drawn: Array = stats.invwishart(df=degrees, scale=sums + floor).rvs(boot.draws, random_state=rng)
        return drawn

    noise = draw(within, degrees)[:, None] / counts[:, None, None]  # (draws, models, 2, 2)
    true = _positive(draw(between, models - 1) - noise.mean(1), floor)[:, None]
    gain = true @ np.linalg.inv(true + noise)
    spread = _root(true - gain @ true)
    drawn: Array = (gain @ off[..., None] + spread @ rng.normal(size=(boot.draws, models, 2, 1)))[..., 0]
    return drawn


def _positive(matrices: Array, floor: Array) -> Array:
    """The nearest covariances: what is negative in them is as good as nothing."""
    values, vectors = np.linalg.eigh(matrices)
    kept: Array = (vectors * np.maximum(values, 0)[..., None, :]) @ np.swapaxes(vectors, -1, -2) + floor
    return kept


def _root(matrices: Array) -> Array:
    values, vectors = np.linalg.eigh((matrices + np.swapaxes(matrices, -1, -2)) / 2)
    root: Array = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
    return root
