"""Prediction-powered means: few human scores and many predicted ones give a valid interval for the human mean.

Angelopoulos, Duchi & Zrnic (2023), "PPI++: Efficient Prediction-Powered Inference": the human mean is corrected by
lambda times what the predictions say about the dialogues that nobody rated; lambda is tuned so that useless predictions
get lambda 0 and do no harm.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True)
class PredictionPowered:
    """A mean of human scores.

    Attributes:
        value, low, high: Estimate and interval.
        power: The lambda used; 0 = human scores alone, 1 = predictions taken at their word.
        labelled, unlabelled: Dialogues with a human score, and with a prediction only.
        classical_width, width: Widths of the interval from human scores alone, and of this one.
        saved: Human ratings that one would need on top, without predictions, for the same width.
    """

    value: float
    low: float
    high: float
    power: float
    labelled: int
    unlabelled: int
    classical_width: float
    width: float
    saved: float


def _variance(influence: np.ndarray, cluster: np.ndarray, labelled: int) -> float:
    """Cluster-robust variance of a sum of influences, with the small-sample factor of the labelled clusters."""
    _, code = np.unique(cluster, return_inverse=True)
    return float((np.bincount(code, weights=influence) ** 2).sum() * labelled / (labelled - 1))


def ppi_mean(
    human: npt.ArrayLike,
    predicted_labelled: npt.ArrayLike,
    predicted_unlabelled: npt.ArrayLike,
    *,
    cluster_labelled: npt.ArrayLike | None = None,
    cluster_unlabelled: npt.ArrayLike | None = None,
    confidence: float = 0.95,
    power: float | None = None,
) -> PredictionPowered:
    """Mean of human scores over labelled and unlabelled dialogues alike.

    Valid where the labelled dialogues are a random sample of all (of the cards, with clusters).

    Args:
        human: Shape (n,), human scores of the labelled dialogues.
        predicted_labelled: Shape (n,), predictions for the same dialogues.
        predicted_unlabelled: Shape (N,), predictions for the others.
        cluster_labelled, cluster_unlabelled: Shapes (n,), (N,), e.g. cards; a card may occur in both. None = every
            dialogue its own.
        confidence: Coverage.
        power: A fixed lambda; None = tuned.

    Raises:
        ValueError: Fewer than three labelled clusters, no unlabelled dialogue, lengths that differ, or a value that is
            not finite.

    >>> r = ppi_mean([2, 3, 1, 4], [2, 3, 1, 4], [2, 2, 3, 3, 4, 4, 1, 1], power=1.0)
    >>> r.value, r.labelled, r.unlabelled
    (2.5, 4, 8)
    """
    y, f, g = (np.asarray(v, dtype=float) for v in (human, predicted_labelled, predicted_unlabelled))
    if y.shape != f.shape or y.ndim != 1 or g.ndim != 1:
        raise ValueError(f"{y.shape} human scores but {f.shape} predictions for them")
    if not (np.isfinite(y).all() and np.isfinite(f).all() and np.isfinite(g).all()):
        raise ValueError("scores must be finite: leave unscored dialogues out and count them")
    n, extra = len(y), len(g)
    if not extra:
        raise ValueError("no dialogue has a prediction only, so there is nothing to add to the human scores")
    a = np.arange(n) if cluster_labelled is None else np.asarray(cluster_labelled)
    b = np.arange(n, n + extra) if cluster_unlabelled is None else np.asarray(cluster_unlabelled)
    if len(a) != n or len(b) != extra:
        raise ValueError("one cluster label for every dialogue is needed")
    if len(np.unique(a)) < 3:
        raise ValueError("a prediction-powered interval needs human scores from three clusters or more")
    cluster = np.unique(np.concatenate([a.astype(str), b.astype(str)]), return_inverse=True)[1]
    from_human = np.concatenate([(y - y.mean()) / n, np.zeros(extra)])
    from_predictions = np.concatenate([-(f - f.mean()) / n, (g - g.mean()) / extra])

    if power is None:
        _, code = np.unique(cluster, return_inverse=True)
        u, v = (np.bincount(code, weights=w) for w in (from_human, from_predictions))
        power = float(np.clip(-(u @ v) / (v @ v), 0.0, 1.0)) if v @ v > 1e-18 else 0.0
    k = len(np.unique(a))
    variance = _variance(from_human + power * from_predictions, cluster, k)
    classical = _variance((y - y.mean()) / n, a, k)
    quantile = float(stats.t.ppf((1 + confidence) / 2, k - 1))
    value = float(y.mean() + power * (g.mean() - f.mean()))
    half, plain = quantile * float(np.sqrt(variance)), quantile * float(np.sqrt(classical))
    saved = n * (classical / variance - 1) if variance > 0 else float("inf")
    return PredictionPowered(value, value - half, value + half, power, n, extra, 2 * plain, 2 * half, float(saved))
