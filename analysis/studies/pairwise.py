"""Pairwise accuracy with tie calibration (Deutsch, Foster & Freitag 2023, "Ties Matter")."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from esc_eval.statistics.bootstrap import Bootstrap, estimate_group_means
from esc_eval.statistics.estimate import Array, Estimate

MAX_PAIRS = 4_000_000


@dataclass(frozen=True)
class PairwiseAccuracy:
    """Share of pairs of dialogues that a metric orders (or ties) as people do.

    Attributes:
        accuracy: With ties of the metric up to ``epsilon``; micro: over all pairs alike, so that a card with many
            dialogues counts more.
        per_item: Mean of the cards' shares, every card alike ("group by item"); undefined without cards.
        epsilon: Difference of the metric up to which two dialogues count as tied: the one of the best accuracy.
        uncalibrated: Accuracy with ``epsilon`` = 0.
        human_ties: Share of pairs tied for people: the accuracy of a constant metric.
        pairs: Number of pairs.
    """

    accuracy: Estimate
    per_item: Estimate
    epsilon: float
    uncalibrated: float
    human_ties: float
    pairs: int


def calibrate_ties(metric_gap: Array, human: Array) -> tuple[float, float, float]:
    """Best tie threshold.

    Args:
        metric_gap: Shape (pairs,), metric of the first minus the second.
        human: Shape (pairs,), sign of the human difference.

    Returns:
        Threshold, accuracy at it, accuracy at 0.

    >>> calibrate_ties(np.array([0.1, -0.2, 1.0]), np.array([0, 0, 1]))[:2]
    (0.2, 1.0)
    """
    size = np.abs(metric_gap)
    ordered = (np.sign(metric_gap) == human) & (human != 0)
    order = np.argsort(size, kind="stable")
    gain = np.cumsum((human == 0).astype(float)[order] - ordered.astype(float)[order])
    total = len(size)
    ends = np.flatnonzero(np.append(np.diff(size[order]) > 0, True))
    thresholds, accuracy = size[order][ends], (ordered.sum() + gain[ends]) / total
    strict = (ordered.sum() + gain[ends][0] * (thresholds[0] == 0)) / total
    candidates = np.concatenate([[strict], accuracy])
    best = int(np.argmax(candidates))
    return float(np.concatenate([[0.0], thresholds])[best]), float(candidates[best]), float(strict)


def pairwise_accuracy(
    x: npt.ArrayLike, y: npt.ArrayLike, group: npt.ArrayLike | None, boot: Bootstrap
) -> PairwiseAccuracy | None:
    """Tie-calibrated accuracy over pairs of rows of the same group.

    Args:
        x, y: Shape (n,), metric and human score.
        group: Shape (n,), e.g. the card, so that dialogues on the same card are compared; groups are the clusters of
            the interval. None = all pairs, without an interval, from a seeded sample where there are too many.
        boot: Draws and seed.

    Returns:
        None where no group has two rows.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    i, j = _pairs(len(a), group, np.random.default_rng(boot.seed))
    if not len(i):
        return None
    gap, human = a[i] - a[j], np.sign(b[i] - b[j])
    epsilon, accuracy, strict = calibrate_ties(gap, human)
    correct = np.where(np.abs(gap) <= epsilon, human == 0, np.sign(gap) == human)
    ties = float((human == 0).mean())
    if group is None:
        measure = Estimate(accuracy, n=len(i), undefined="no interval: pairs across cards share dialogues")
        items = Estimate(None, n=len(i), undefined="no cards, so no items to average over")
        return PairwiseAccuracy(measure, items, epsilon, strict, ties, len(i))
    code, names = pd.factorize(np.asarray(group)[i])
    size = np.bincount(code)
    share = np.bincount(code, correct) / size
    measure = estimate_group_means(correct[:, None], code.tolist(), [0] * len(i), boot, scale=(0, 1)).each[0][0]
    items = estimate_group_means(share[:, None], range(len(names)), [0] * len(names), boot, scale=(0, 1)).each[0][0]
    return PairwiseAccuracy(measure, items, epsilon, strict, ties, len(i))


def _pairs(n: int, group: npt.ArrayLike | None, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if group is None:
        if n * (n - 1) // 2 <= MAX_PAIRS:
            return np.triu_indices(n, 1)
        i, j = rng.integers(0, n, MAX_PAIRS), rng.integers(0, n - 1, MAX_PAIRS)
        return i, np.where(j >= i, j + 1, j)
    code = pd.factorize(np.asarray(group))[0]
    order = np.argsort(code, kind="stable")
    sorted_code = code[order]
    found = [np.zeros((2, 0), dtype=np.intp)]
    for lag in range(1, int(np.bincount(code).max(initial=0))):
        same = np.flatnonzero(sorted_code[lag:] == sorted_code[:-lag])
        found.append(np.stack([order[same], order[same + lag]]))
    both = np.concatenate(found, axis=1)
    return both[0], both[1]
