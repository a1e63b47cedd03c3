"""Correlations of two score vectors under row weights, and tests of the difference of two correlations.

Weights are whole counts (how often a row was drawn), so a weighted value equals the plain one on the repeated rows.
Undefined values (a constant vector, fewer than two rows) are NaN.
"""

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from esc_eval.statistics.bootstrap import CHUNK, Bootstrap, draw_weights
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate

KENDALL_CLUSTERS = 3000
"""Clusters up to which Kendall's tau is bootstrapped through a clusters x clusters matrix."""
CONSTANT = "one side is constant, so there is nothing to correlate"


def weighted_pearson(x: Array, y: Array, weights: Array) -> Array:
    """Pearson's r.

    Args:
        x, y: Shape (n,) or (draws, n).
        weights: Shape (draws, n).

    Returns:
        Shape (draws,).
    """
    n = weights.sum(-1, keepdims=True)
    dx = x - (weights * x).sum(-1, keepdims=True) / n
    dy = y - (weights * y).sum(-1, keepdims=True) / n
    sxx, syy = (weights * dx * dx).sum(-1), (weights * dy * dy).sum(-1)
    scale = np.maximum(np.abs(x).max(), 1e-300) ** 2, np.maximum(np.abs(y).max(), 1e-300) ** 2
    flat = (sxx <= 1e-14 * n[..., 0] * scale[0]) | (syy <= 1e-14 * n[..., 0] * scale[1])
    return np.where(flat, np.nan, ratio((weights * dx * dy).sum(-1), np.sqrt(np.where(flat, 1.0, sxx * syy))))


def weighted_ranks(x: Array, weights: Array) -> Array:
    """Midranks of the repeated rows: shape (draws, n) from values (n,) and weights (draws, n).

    >>> weighted_ranks(np.array([5.0, 7.0, 7.0]), np.array([[2.0, 1.0, 1.0]]))
    array([[1.5, 3.5, 3.5]])
    """
    _, code = np.unique(x, return_inverse=True)
    gather = sparse.csr_array((np.ones(len(x)), (np.arange(len(x)), code)))
    counts = np.asarray(weights @ gather)
    return (np.cumsum(counts, axis=-1) - counts / 2 + 0.5)[:, code]


def weighted_spearman(x: Array, y: Array, weights: Array) -> Array:
    """Spearman's rho with midranks; shapes as for ``weighted_pearson`` with x, y (n,)."""
    return weighted_pearson(weighted_ranks(x, weights), weighted_ranks(y, weights), weights)


def kendall_matrices(x: Array, y: Array, cluster: npt.NDArray[np.intp]) -> tuple[Array, Array, Array]:
    """Sums of sign products over pairs of rows, by pair of clusters: xy, xx, yy, each (clusters, clusters)."""
    k = int(cluster.max()) + 1
    out = np.zeros((3, k, k))
    gather = sparse.csr_array((np.ones(len(x)), (cluster, np.arange(len(x)))))
    step = max(1, CHUNK // len(x))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        sx, sy = np.sign(x[rows, None] - x[None, :]), np.sign(y[rows, None] - y[None, :])
        left = gather[:, rows]
        for i, product in enumerate((sx * sy, sx * sx, sy * sy)):
            out[i] += left @ (gather @ product.T).T
    return out[0], out[1], out[2]


def kendall_tau_b(matrices: tuple[Array, Array, Array], weights: Array) -> Array:
    """Kendall's tau-b under cluster weights of shape (draws, clusters)."""
    xy, xx, yy = (((weights @ m) * weights).sum(-1) for m in matrices)
    return ratio(xy, np.sqrt(xx * yy))


def correlate(
    x: npt.ArrayLike, y: npt.ArrayLike, cluster: npt.ArrayLike | None, boot: Bootstrap
) -> dict[str, Estimate]:
    """Pearson, Spearman and Kendall tau-b of two vectors with clustered intervals.

    Args:
        x, y: Shape (n,), finite.
        cluster: Shape (n,), label of each row's cluster; None = every row its own.
        boot: Draws.

    Returns:
        ``pearson``, ``spearman``, ``kendall``.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    labels = np.arange(len(a)) if cluster is None else np.asarray(cluster)
    _, code = np.unique(labels, return_inverse=True)
    k = int(code.max(initial=-1)) + 1
    names = ("pearson", "spearman", "kendall")
    if len(a) < 3:
        return dict.fromkeys(names, Estimate(None, n=len(a), clusters=k, undefined="fewer than three pairs of scores"))
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return dict.fromkeys(names, Estimate(None, n=len(a), clusters=k, undefined=CONSTANT))
    one = np.ones((1, len(a)))
    point = {
        "pearson": float(weighted_pearson(a, b, one)[0]),
        "spearman": float(weighted_spearman(a, b, one)[0]),
        "kendall": float(stats.kendalltau(a, b).statistic),
    }
    draws: dict[str, list[Array]] = {name: [] for name in names}
    rng = np.random.default_rng(boot.seed)
    matrices = kendall_matrices(a, b, code) if k <= KENDALL_CLUSTERS else None
    step = max(1, CHUNK // len(a))
    for start in range(0, boot.draws, step):
        weights = draw_weights(k, min(step, boot.draws - start), rng)
        rows = weights[:, code]
        draws["pearson"].append(weighted_pearson(a, b, rows))
        draws["spearman"].append(weighted_spearman(a, b, rows))
        if matrices is not None:
            draws["kendall"].append(kendall_tau_b(matrices, weights))
    out = {
        name: boot.estimate(point[name], np.concatenate(draws[name]), len(a), k, CONSTANT)
        for name in names
        if draws[name]
    }
    if matrices is None:
        why = f"no interval: {k} clusters; Kendall's tau is bootstrapped for up to {KENDALL_CLUSTERS}"
        out["kendall"] = Estimate(point["kendall"], None, None, len(a), k, why)
    return out


def williams_test(r_xy: float, r_zy: float, r_xz: float, n: int) -> tuple[float, float]:
    """Williams' test that two correlations with the same variable are equal (Steiger 1980, formula 7).

    Args:
        r_xy, r_zy: Correlations of the two metrics with the human scores.
        r_xz: Correlation of the two metrics.
        n: Number of triples, at least 4.

    Returns:
        t and its two-sided p-value on n - 3 degrees of freedom; NaN where the metrics are collinear.
    """
    determinant = 1 - r_xy**2 - r_zy**2 - r_xz**2 + 2 * r_xy * r_zy * r_xz
    mean = (r_xy + r_zy) / 2
    bottom = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r_xz) ** 3
    if n < 4 or bottom <= 1e-15:
        return float("nan"), float("nan")
    t = (r_xy - r_zy) * np.sqrt((n - 1) * (1 + r_xz) / bottom)
    return float(t), float(2 * stats.t.sf(abs(t), n - 3))


def permutation_test(
    x: Array, z: Array, y: Array, cluster: Array | None, draws: int, rng: np.random.Generator
) -> float:
    """Two-sided p-value that two metrics have the same Pearson correlation with y: whole clusters swap metrics.

    For Spearman, give ranks. All swaps are evaluated through sums within clusters.

    Args:
        x, z: Shape (n,), the metrics; standardised here so that swapping is fair.
        y: Shape (n,), human scores.
        cluster: Shape (n,), labels; None = every row its own.
        draws: Permutations.
        rng: Source of randomness.

    Returns:
        (1 + as extreme) / (1 + draws), as in Davison & Hinkley (1997, 4.11).
    """
    a, b, c = ((v - v.mean()) / v.std() for v in (x, z, y))
    _, code = np.unique(np.arange(len(y)) if cluster is None else cluster, return_inverse=True)
    n, k = len(y), int(code.max()) + 1

    def sums(v: Array) -> Array:
        return np.stack([np.bincount(code, weights=w, minlength=k) for w in (v, v * v, v * c)], axis=1)

    def correlation(total: Array) -> Array:
        mean = total[..., 0] / n
        return ratio(total[..., 2] / n, np.sqrt(np.maximum(total[..., 1] / n - mean**2, 0.0)))

    first, second = sums(a), sums(b)
    whole = first.sum(0) + second.sum(0)
    observed = abs(float(correlation(first.sum(0)) - correlation(second.sum(0))))
    extreme = 0
    step = max(1, CHUNK // k)
    for start in range(0, draws, step):
        swap = (rng.random((min(step, draws - start), k)) < 0.5).astype(float)
        swapped = first.sum(0) + swap @ (second - first)
        extreme += int((np.abs(correlation(swapped) - correlation(whole - swapped)) >= observed - 1e-12).sum())
    return (1 + extreme) / (1 + draws)


def adjust_holm(p_values: npt.ArrayLike) -> Array:
    """Holm's (1979) step-down adjusted p-values; NaN stays NaN and counts as no test.

    >>> adjust_holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    out = np.full(p.shape, np.nan)
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return out
