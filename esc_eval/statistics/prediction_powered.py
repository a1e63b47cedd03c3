"""Prediction-powered means: few human scores and many predicted ones give a valid interval for the human mean.

Angelopoulos, Duchi & Zrnic (2023), "PPI++: Efficient Prediction-Powered Inference": the human mean is corrected by
lambda times what the predictions say about the dialogues that nobody rated; lambda is tuned so that useless predictions
get lambda 0 and do no harm.

Where nearly all people give the same end of the scale, few scores show too little of the spread that there is, and such
intervals miss the mean. On a scale with ends, one unseen cluster at either end is therefore counted in the variance
(the idea of Agresti & Coull's added counts): that widens little where scores spread, and much where they are few or
alike. ``python -m benchmarks.powered_coverage`` measures what both kinds of interval hold.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

SATURATED = 0.8
"""Share of human scores at one end of the scale from which they are called saturated."""


@dataclass(frozen=True)
class PredictionPowered:
    """A mean of human scores, or a difference of two.

    Attributes:
        value, low, high: Estimate and interval.
        power: The lambda used; 0 = human scores alone, 1 = predictions taken at their word; above 1 where they spread
            less than people's scores.
        labelled, unlabelled: Dialogues with a human score, and with a prediction only.
        classical_width, width: Widths of the interval from human scores alone, and of this one.
        saved: Human ratings that one would need on top, without predictions, for the same width.
        clusters: Labelled clusters.
        at_end: Share of human scores at the end of the scale that more of them stand at; None without ends.
        of_labelled, of_unlabelled: Parts of the variance: what more human scores make smaller, and what only more
            predictions do.
        of_humans: The variance from human scores alone.
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
    clusters: int
    at_end: float | None
    of_labelled: float
    of_unlabelled: float
    of_humans: float

    @property
    def saturated(self) -> bool:
        """Whether people give nearly all dialogues the same end of the scale."""
        return self.at_end is not None and self.at_end >= SATURATED

    def labels_needed(self, difference: float, share: float, *, predictions: bool = True) -> int:
        """Human scores in all with which ``share`` of studies tell this difference from 0 (p < .05).

        The spread is taken to be what the present scores show, the predictions to be used as they are now or, where
        their own part of the variance is too large for so small a difference, not at all (lambda 0).

        Args:
            difference: True difference, above 0.
            share: Power, such as 0.8.
            predictions: Whether the predictions help.
        """
        room = (difference / float(stats.norm.ppf(0.975) + stats.norm.ppf(share))) ** 2
        needed = self.labelled * self.of_humans / room
        if predictions and room > self.of_unlabelled:
            needed = min(needed, self.labelled * self.of_labelled / (room - self.of_unlabelled))
        return int(np.ceil(needed))


@dataclass(frozen=True)
class Scores:
    """What is known of one model: human scores, predictions for the same dialogues, and for others.

    Attributes:
        human, predicted: Shape (n,).
        others: Shape (N,), predictions for dialogues that nobody rated.
        cluster, other_cluster: Shapes (n,) and (N,), e.g. cards.
    """

    human: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]
    cluster: npt.NDArray[np.str_]
    other_cluster: npt.NDArray[np.str_]

    @classmethod
    def check(
        cls,
        human: npt.ArrayLike,
        predicted: npt.ArrayLike,
        others: npt.ArrayLike,
        cluster: npt.ArrayLike | None = None,
        other_cluster: npt.ArrayLike | None = None,
    ) -> "Scores":
        """The arrays, looked at.

        Raises:
            ValueError: Fewer than three labelled clusters, no other dialogue, lengths that differ, or a value that is
                not finite.
        """
        y, f, g = (np.asarray(v, dtype=float) for v in (human, predicted, others))
        if y.shape != f.shape or y.ndim != 1 or g.ndim != 1:
            raise ValueError(f"{y.shape} human scores but {f.shape} predictions for them")
        if not (np.isfinite(y).all() and np.isfinite(f).all() and np.isfinite(g).all()):
            raise ValueError("scores must be finite: leave unscored dialogues out and count them")
        n, extra = len(y), len(g)
        if not extra:
            raise ValueError("no dialogue has a prediction only, so there is nothing to add to the human scores")
        a = np.arange(n) if cluster is None else np.asarray(cluster)
        b = np.arange(n, n + extra) if other_cluster is None else np.asarray(other_cluster)
        if len(a) != n or len(b) != extra:
            raise ValueError("one cluster label for every dialogue is needed")
        if len(np.unique(a)) < 3:
            raise ValueError("a prediction-powered interval needs human scores from three clusters or more")
        return cls(y, f, g, a.astype(str), b.astype(str))


def ppi_mean(
    human: npt.ArrayLike,
    predicted_labelled: npt.ArrayLike,
    predicted_unlabelled: npt.ArrayLike,
    *,
    cluster_labelled: npt.ArrayLike | None = None,
    cluster_unlabelled: npt.ArrayLike | None = None,
    bounds: tuple[float, float] | None = None,
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
        bounds: Ends of the scale of the human scores: an unseen cluster at each is counted in the variance, and the
            interval ends there. None = a scale without ends.
        confidence: Coverage.
        power: A fixed lambda; None = tuned.

    Raises:
        ValueError: As ``Scores.check``.

    >>> r = ppi_mean([2, 3, 1, 4], [2, 3, 1, 4], [2, 2, 3, 3, 4, 4, 1, 1], power=1.0)
    >>> r.value, r.labelled, r.unlabelled
    (2.5, 4, 8)
    """
    own = Scores.check(human, predicted_labelled, predicted_unlabelled, cluster_labelled, cluster_unlabelled)
    return _combine([(1.0, own)], bounds, confidence, power)


def ppi_difference(
    first: Scores, second: Scores, *, bounds: tuple[float, float] | None = None, confidence: float = 0.95
) -> PredictionPowered:
    """Human mean of the first model less that of the second; clusters that both have are paired.

    Args:
        first, second: Of one scale.
        bounds, confidence: As of ``ppi_mean``; the bounds are those of a single score.
    """
    return _combine([(1.0, first), (-1.0, second)], bounds, confidence, None)


def _combine(
    parts: list[tuple[float, Scores]],
    bounds: tuple[float, float] | None,
    confidence: float,
    power: float | None,
) -> PredictionPowered:
    """A signed sum of means, with the variance over whole clusters of all parts."""
    names = np.unique(np.concatenate([v for _, s in parts for v in (s.cluster, s.other_cluster)]))
    u, v, w = (
        np.zeros(len(names)) for _ in range(3)
    )  # by cluster: of human scores, of predictions for them, of others
    for sign, s in parts:
        here, there = np.searchsorted(names, s.cluster), np.searchsorted(names, s.other_cluster)
        u += sign * np.bincount(here, (s.human - s.human.mean()) / len(s.human), len(names))
        v -= sign * np.bincount(here, (s.predicted - s.predicted.mean()) / len(s.human), len(names))
        w += sign * np.bincount(there, (s.others - s.others.mean()) / len(s.others), len(names))
    x = v + w
    tuned = power is None
    if power is None:
        power = max(0.0, float(-(u @ x) / (x @ x))) if x @ x > 1e-18 else 0.0
    k = min(len(np.unique(s.cluster)) for _, s in parts)
    free = k - 1 - (tuned and power > 0)
    added, shrunk = _unseen(parts, bounds)

    def variance(influence: np.ndarray, freedom: int) -> float:
        return float((influence**2).sum()) * k / freedom * shrunk + added

    both, classical = variance(u + power * x, free), variance(u, k - 1)
    of_others = power**2 * float((w**2).sum())
    value = sum(sign * (s.human.mean() + power * (s.others.mean() - s.predicted.mean())) for sign, s in parts)
    half = float(stats.t.ppf((1 + confidence) / 2, free)) * float(np.sqrt(both))
    plain = float(stats.t.ppf((1 + confidence) / 2, k - 1)) * float(np.sqrt(classical))
    low, high = value - half, value + half
    at_end = None
    n = sum(len(s.human) for _, s in parts)
    if bounds is not None:
        at_end = max(float(np.mean([np.mean(s.human == end) for _, s in parts])) for end in bounds)
        least, most = (bounds[0], bounds[1]) if len(parts) == 1 else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        value, low, high = (float(np.clip(number, least, most)) for number in (value, low, high))
    saved = n * (classical / both - 1) if both > 0 else float("inf")
    return PredictionPowered(
        value=float(value),
        low=low,
        high=high,
        power=power,
        labelled=n,
        unlabelled=sum(len(s.others) for _, s in parts),
        classical_width=2 * plain,
        width=2 * half,
        saved=float(saved),
        clusters=k,
        at_end=at_end,
        of_labelled=max(0.0, both - of_others),
        of_unlabelled=of_others,
        of_humans=classical,
    )


def _unseen(parts: list[tuple[float, Scores]], bounds: tuple[float, float] | None) -> tuple[float, float]:
    """What an unseen cluster at each end of the scale adds to the variance, and what is left of the seen clusters'."""
    if bounds is None:
        return 0.0, 1.0
    added, shrunk = 0.0, 1.0
    for _, s in parts:
        k = len(np.unique(s.cluster))
        added += sum((end - s.human.mean()) ** 2 for end in bounds) / (k + 2) ** 2
        shrunk = min(shrunk, (k / (k + 2)) ** 2 * (k + 2) / k)
    return float(added), shrunk
