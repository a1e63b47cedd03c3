"""Agreement coefficients as pure functions of count tables.

Every function takes tables with any leading (batch) dimensions and gives one value for each, so that one call
serves the sample and a thousand bootstrap draws of it alike. An undefined value is NaN here; callers say why in words
(``esc_eval.statistics.agreement``). ``esc_eval.statistics.counts`` makes the tables from ratings.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Metric = Literal["nominal", "ordinal", "interval"]
Weighting = Literal["identity", "linear", "quadratic"]


def ratio(top: npt.ArrayLike, bottom: npt.ArrayLike) -> Array:
    """Elementwise quotient, NaN where the denominator is zero."""
    top, bottom = np.broadcast_arrays(np.asarray(top, dtype=float), np.asarray(bottom, dtype=float))
    small = np.abs(bottom) < 1e-12
    return np.where(small, np.nan, top / np.where(small, 1.0, bottom))


def agreement_weights(levels: npt.ArrayLike, kind: Weighting = "quadratic") -> Array:
    """Weights of agreement between levels: 1 on the diagonal, 0 at the two ends of the scale.

    Args:
        levels: Shape (q,), the numeric level of each column; distances are taken between these.
        kind: ``identity`` counts only equal levels, ``linear`` and ``quadratic`` fall with distance.

    Returns:
        Shape (q, q).

    >>> agreement_weights([0, 1, 2])[0]
    array([1.  , 0.75, 0.  ])
    """
    x = np.asarray(levels, dtype=float)
    if kind == "identity" or len(x) < 2:
        return np.eye(len(x))
    span = x.max() - x.min()
    distance: Array = np.abs(x[:, None] - x[None, :]) / span
    return 1 - (distance if kind == "linear" else distance**2)


def level_distances(marginals: npt.ArrayLike, levels: npt.ArrayLike, metric: Metric) -> Array:
    """Krippendorff's squared difference functions.

    Args:
        marginals: Shape (..., q), how often each level occurs among pairable values; used by ``ordinal``.
        levels: Shape (q,), ascending.
        metric: Level of measurement.

    Returns:
        Shape (q, q) for nominal and interval, (..., q, q) for ordinal.
    """
    x = np.asarray(levels, dtype=float)
    if metric == "nominal":
        return 1 - np.eye(len(x))
    if metric == "interval":
        middle: Array = x
    else:
        n = np.asarray(marginals, dtype=float)
        middle = np.cumsum(n, axis=-1) - n / 2
    squared: Array = (middle[..., :, None] - middle[..., None, :]) ** 2
    return squared


def krippendorff_alpha(coincidences: npt.ArrayLike, levels: npt.ArrayLike, metric: Metric = "ordinal") -> Array:
    """Krippendorff's alpha from coincidence matrices (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

    Args:
        coincidences: Shape (..., q, q), symmetric; a unit with m values adds each ordered pair of them 1/(m-1) times.
        levels: Shape (q,), ascending.
        metric: ``nominal``, ``ordinal`` or ``interval``.

    Returns:
        Shape (...); NaN where all pairable values are equal or there are none.

    >>> float(krippendorff_alpha([[4.0, 1.0], [1.0, 4.0]], [0, 1], "nominal").round(4))
    0.64
    """
    o = np.asarray(coincidences, dtype=float)
    n_c = o.sum(-1)
    n = n_c.sum(-1)
    distance = level_distances(n_c, levels, metric)
    observed = (o * distance).sum((-1, -2))
    expected = (n_c[..., :, None] * n_c[..., None, :] * distance).sum((-1, -2))
    return 1 - ratio((n - 1) * observed, expected)


def weighted_kappa(confusion: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    """Cohen's (1960, 1968) kappa of two raters.

    Args:
        confusion: Shape (..., q, q), rater A in rows, rater B in columns.
        weights: Shape (q, q), agreement weights: 1 = full agreement (see ``agreement_weights``).

    Returns:
        Shape (...); NaN where chance alone would give full agreement (both raters constant and equal).

    >>> round(float(weighted_kappa([[20, 5], [10, 15]], np.eye(2))), 2)
    0.4
    """
    p = np.asarray(confusion, dtype=float)
    w = np.asarray(weights, dtype=float)
    total = p.sum((-1, -2))
    observed = (p * (1 - w)).sum((-1, -2)) * total
    expected = (p.sum(-1)[..., :, None] * p.sum(-2)[..., None, :] * (1 - w)).sum((-1, -2))
    return 1 - ratio(observed, expected)


def pooled_kappa(
    observed: npt.ArrayLike,
    marginals: npt.ArrayLike,
    sizes: npt.ArrayLike,
    raters: npt.NDArray[np.intp],
    weights: Array,
) -> Array:
    """Kappa of many raters as a ratio of sums over their pairs (Conger 1980; of two raters, Cohen's).

    The chance of each pair is that of its raters' own distributions over all that they rated with others, so that pairs
    with few units add no bias of their own.

    Args:
        observed: Shape (..., q, q), pairs of ratings of the same unit, of all pairs of raters together.
        marginals: Shape (..., r, q), how often each rater gives each level, over units that another rater rated too.
        sizes: Shape (..., p), units of each pair of raters.
        raters: Shape (p, 2), the raters of each pair.
        weights: Shape (q, q), agreement weights.

    Returns:
        Shape (...); NaN where chance alone would give full agreement.
    """
    o, n = np.asarray(observed, dtype=float), np.asarray(sizes, dtype=float)
    counts = np.asarray(marginals, dtype=float)
    share = counts / np.maximum(counts.sum(-1, keepdims=True), 1e-300)
    lost = share @ (1 - weights)
    chance = np.zeros(n.shape)
    for level in range(len(weights)):  # never the product of all levels and pairs at once
        chance += lost[..., raters[:, 0], level] * share[..., raters[:, 1], level]
    total = ratio((o * (1 - weights)).sum((-1, -2)), o.sum((-1, -2))) * n.sum(-1)
    return 1 - ratio(total, (n * chance).sum(-1))


def fleiss_kappa(agreement: npt.ArrayLike, prevalence: npt.ArrayLike) -> Array:
    """Fleiss' (1971) kappa, extended to unequal numbers of ratings as in Gwet (2014, chapter 5).

    Args:
        agreement: Shape (..., q, q), mean over units with two or more ratings of the share of ordered pairs of
            ratings that fall on each pair of levels; sums to 1.
        prevalence: Shape (..., q), mean over rated units of the share of ratings on each level.

    Returns:
        Shape (...); NaN where all ratings are on one level.
    """
    observed = np.trace(np.asarray(agreement, dtype=float), axis1=-2, axis2=-1)
    expected = (np.asarray(prevalence, dtype=float) ** 2).sum(-1)
    return ratio(observed - expected, 1 - expected)


def gwet_ac2(agreement: npt.ArrayLike, prevalence: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    """Gwet's AC2 (AC1 with identity weights; Gwet 2008, 2014).

    Args:
        agreement, prevalence: As for ``fleiss_kappa``.
        weights: Shape (q, q), agreement weights.

    Returns:
        Shape (...); NaN without a unit of two or more ratings.
    """
    pi, w = np.asarray(prevalence, dtype=float), np.asarray(weights, dtype=float)
    q = len(w)
    observed = (np.asarray(agreement, dtype=float) * w).sum((-1, -2))
    expected = w.sum() / (q * (q - 1)) * (pi * (1 - pi)).sum(-1)
    return ratio(observed - expected, 1 - expected)


def table_spearman(confusion: npt.ArrayLike) -> Array:
    """Spearman's rank correlation (midranks) of the two raters of a confusion table.

    Args:
        confusion: Shape (..., q, q), levels ascending on both axes.

    Returns:
        Shape (...); NaN where a rater is constant.
    """
    c = np.asarray(confusion, dtype=float)
    rows, columns = c.sum(-1), c.sum(-2)
    n = rows.sum(-1)[..., None]

    def centred(counts: Array) -> Array:
        middle: Array = np.cumsum(counts, axis=-1) - counts / 2 - n / 2
        return middle

    a, b = centred(rows), centred(columns)
    covariance = (c * a[..., :, None] * b[..., None, :]).sum((-1, -2))
    spread = np.sqrt((rows * a**2).sum(-1) * (columns * b**2).sum(-1))
    return ratio(covariance, spread)


def icc(
    between: npt.ArrayLike,
    rater_sums: npt.ArrayLike,
    rater_counts: npt.ArrayLike,
    squares: npt.ArrayLike,
    units: npt.ArrayLike,
    unit_counts_squared: npt.ArrayLike,
    k: float,
) -> tuple[Array, Array]:
    """ICC(2,1) and ICC(2,k): two-way random effects, absolute agreement (Shrout & Fleiss 1979).

    Variance components come from Henderson's (1953) method I, which is the usual analysis of variance on complete
    tables and stays unbiased when cells are missing at random.

    Args:
        between: Shape (...), sum over units of m * mean**2.
        rater_sums, rater_counts: Shape (..., r), sum and number of each rater's scores.
        squares: Shape (...), sum of squared scores.
        units: Shape (...), number of rated units.
        unit_counts_squared: Shape (...), sum over units of m**2.
        k: Ratings averaged in ICC(2,k).

    Returns:
        Both coefficients, shape (...); NaN where the design cannot separate units, raters and error.
    """
    sums, counts = np.asarray(rater_sums, dtype=float), np.asarray(rater_counts, dtype=float)
    n = counts.sum(-1)
    raters = (counts > 0).sum(-1)
    t_unit, t_square = np.asarray(between, dtype=float), np.asarray(squares, dtype=float)
    t_rater = np.where(counts > 0, sums**2 / np.maximum(counts, 1), 0).sum(-1)
    t_mean = ratio(sums.sum(-1) ** 2, n)
    units = np.asarray(units, dtype=float)
    a, b = ratio(unit_counts_squared, n), ratio((counts**2).sum(-1), n)
    # E[T] = coefficients @ (unit variance, rater variance, error variance), each relative to T of the grand mean.
    left = np.stack(
        [
            np.stack([n - a, units - b, units - 1], -1),
            np.stack([raters - a, n - b, raters - 1], -1),
            np.stack([n - a, n - b, n - 1], -1),
        ],
        -2,
    )
    right = np.stack([t_unit - t_mean, t_rater - t_mean, t_square - t_mean], -1)
    fit = np.isfinite(left).all((-1, -2)) & np.isfinite(right).all(-1)
    solvable = fit & (np.abs(np.linalg.det(np.where(fit[..., None, None], left, 1.0))) > 1e-6)
    safe = np.where(solvable[..., None, None], left, np.eye(3))
    unit, rater, error = np.moveaxis(np.linalg.solve(safe, right[..., None])[..., 0], -1, 0)
    single = np.where(solvable, ratio(unit, unit + rater + error), np.nan)
    average = np.where(solvable, ratio(unit, unit + (rater + error) / k), np.nan)
    return single, average
