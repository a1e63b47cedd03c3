"""Prediction-powered means: few human scores and many predicted ones give a valid interval for the human mean.

Angelopoulos, Duchi & Zrnic (2023), "PPI++: Efficient Prediction-Powered Inference": the human mean is corrected by
lambda times what the predictions say about the dialogues that nobody rated; lambda is tuned so that useless predictions
get lambda 0 and do no harm.

Where nearly all people give the same end of the scale, few scores show too little of the spread that there is, and such
intervals miss the mean. On a scale with ends, one unseen cluster at either end is therefore counted in the variance
(the idea of Agresti & Coull's added counts): that widens little where scores spread, and much where they are few or
alike. ``python -m benchmarks.powered_coverage`` measures what both kinds of interval hold.

A scorer leaves some dialogues unscored, and people may rate these otherwise than the rest. Their human scores are kept:
such dialogues have one common prediction, and where people rated enough of them, a second lambda takes into account how
many of all they are, as a mean of both parts weighted by their known shares would.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

SATURATED = 0.8
"""Share of human scores at one end of the scale from which they are called saturated."""
FEWEST = 5
"""Labelled clusters with a scored dialogue, and with an unscored one, from which their shares are taken into account;
twice as many in all."""


@dataclass(frozen=True)
class PredictionPowered:
    """A mean of human scores, or a difference of two.

    Attributes:
        value, low, high: Estimate and interval.
        power: The lambda used; 0 = human scores alone, 1 = predictions taken at their word; above 1 where they spread
            less than people's scores.
        labelled, unlabelled: Dialogues with a human score, and the others.
        labelled_unscored, unlabelled_unscored: Of them, those without a prediction.
        shares_used: Whether the share of dialogues without a prediction is taken into account.
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
    labelled_unscored: int
    unlabelled_unscored: int
    shares_used: bool
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
        others: Shape (N,), predictions for dialogues that nobody rated. nan, here and in ``predicted``: the scorer left
            the dialogue unscored.
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
            ValueError: Fewer than three labelled clusters, no other dialogue, lengths that differ, a human score that
                is not finite, or an infinite prediction.
        """
        y, f, g = (np.asarray(v, dtype=float) for v in (human, predicted, others))
        if y.shape != f.shape or y.ndim != 1 or g.ndim != 1:
            raise ValueError(f"{y.shape} human scores but {f.shape} predictions for them")
        if not np.isfinite(y).all() or np.isinf(f).any() or np.isinf(g).any():
            raise ValueError("human scores must be finite, and predictions too, or nan where the scorer gave none")
        n, extra = len(y), len(g)
        if not extra:
            raise ValueError("people rated every dialogue, so there is nothing to add to the human scores")
        a = np.arange(n) if cluster is None else np.asarray(cluster)
        b = np.arange(n, n + extra) if other_cluster is None else np.asarray(other_cluster)
        if len(a) != n or len(b) != extra:
            raise ValueError("one cluster label for every dialogue is needed")
        if len(np.unique(a)) < 3:
            raise ValueError("a prediction-powered interval needs human scores from three clusters or more")
        return cls(y, f, g, a.astype(str), b.astype(str))

    @property
    def told(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """What is known of each dialogue without people: the prediction, the mean of all where there is none, and
        whether there is none; shapes (n, 2) and (N, 2)."""
        known = np.concatenate([self.predicted, self.others])
        known = known[~np.isnan(known)]
        usual = float(known.mean()) if len(known) else 0.0
        first, second = (
            np.stack([np.where(np.isnan(v), usual, v), np.isnan(v)], axis=1) for v in (self.predicted, self.others)
        )
        return first, second

    @property
    def is_partly_scored(self) -> bool:
        """Whether the scorer scored some dialogues and left others unscored."""
        without = np.isnan(np.concatenate([self.predicted, self.others]))
        return bool(without.any() and not without.all())

    @property
    def tells_shares(self) -> bool:
        """Whether people rated enough dialogues with a prediction and without for both parts to have a mean."""
        without = np.isnan(self.predicted)
        return min(len(np.unique(self.cluster[part])) for part in (without, ~without)) >= FEWEST


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
        predicted_labelled: Shape (n,), predictions for the same dialogues; nan where the scorer gave none.
        predicted_unlabelled: Shape (N,), predictions for the others, or nan.
        cluster_labelled, cluster_unlabelled: Shapes (n,), (N,), e.g. cards; a card may occur in both. None = every
            dialogue its own.
        bounds: Ends of the scale of the human scores: an unseen cluster at each is counted in the variance, and the
            interval ends there. None = a scale without ends.
        confidence: Coverage.
        power: A fixed lambda of the predictions; None = tuned.

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
    u = np.zeros(len(names))  # by cluster: of human scores
    v, w = (np.zeros((len(names), 2)) for _ in range(2))  # of what is told of the same dialogues, and of the others
    step = np.zeros(2)
    for sign, s in parts:
        here, there = np.searchsorted(names, s.cluster), np.searchsorted(names, s.other_cluster)
        first, second = s.told
        u += sign * np.bincount(here, (s.human - s.human.mean()) / len(s.human), len(names))
        np.add.at(v, here, -sign * (first - first.mean(axis=0)) / len(s.human))
        np.add.at(w, there, sign * (second - second.mean(axis=0)) / len(s.others))
        step += sign * (second.mean(axis=0) - first.mean(axis=0))
    k = min(len(np.unique(s.cluster)) for _, s in parts)
    partly = [s for _, s in parts if s.is_partly_scored]
    shares = bool(partly) and k >= 2 * FEWEST and all(s.tells_shares for s in partly)
    powers = _tune(u, v + w, shares) if power is None else np.array([power, 0.0])
    free = k - 1 - (int(np.count_nonzero(powers)) if power is None else 0)
    added, shrunk = _unseen(parts, bounds)

    def variance(influence: np.ndarray, freedom: int) -> float:
        return float((influence**2).sum()) * k / freedom * shrunk + added

    both, classical = variance(u + (v + w) @ powers, free), variance(u, k - 1)
    of_others = float(((w @ powers) ** 2).sum())
    value = sum(sign * s.human.mean() for sign, s in parts) + float(powers @ step)
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
        power=float(powers[0]),
        labelled=n,
        unlabelled=sum(len(s.others) for _, s in parts),
        labelled_unscored=sum(int(np.isnan(s.predicted).sum()) for _, s in parts),
        unlabelled_unscored=sum(int(np.isnan(s.others).sum()) for _, s in parts),
        shares_used=bool(powers[1] != 0),
        classical_width=2 * plain,
        width=2 * half,
        saved=float(saved),
        clusters=k,
        at_end=at_end,
        of_labelled=max(0.0, both - of_others),
        of_unlabelled=of_others,
        of_humans=classical,
    )


def _tune(humans: np.ndarray, told: np.ndarray, shares: bool) -> np.ndarray:
    """The lambdas with the least variance, shape (2,): of the predictions, never below 0, and of having none."""
    for columns in ([0, 1] if shares else [0], [1] if shares else []):
        used = [c for c in columns if float(told[:, c] @ told[:, c]) > 1e-18]
        powers = np.zeros(2)
        if used:
            powers[used] = np.linalg.lstsq(told[:, used], -humans, rcond=None)[0]
        if powers[0] >= 0:
            return powers
    return np.zeros(2)


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
