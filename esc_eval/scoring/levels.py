"""From a score to a level: probabilities by thresholds, and three ways to name one level."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rule = Literal["mode", "mean", "spread"]

RULES: tuple[Rule, ...] = ("mode", "mean", "spread")


def level_probabilities(score: Array, slope: float, thresholds: Array) -> Array:
    """Level probabilities of a proportional-odds model: P(level > k) = logistic(slope * score - thresholds[k]).

    Args:
        score: Shape (n,).
        slope: At least 0.
        thresholds: Shape (levels - 1,), ascending; infinite where a level never occurs.

    Returns:
        Shape (n, levels), rows sum to 1.
    """
    above = (1 + np.tanh((slope * score[:, None] - thresholds[None, :]) / 2)) / 2  # logistic
    edges = np.concatenate([np.ones((len(score), 1)), above, np.zeros((len(score), 1))], axis=1)
    return np.asarray(np.maximum(edges[:, :-1] - edges[:, 1:], 0.0))


def decide_levels(rule: Rule, score: Array, found: Array, cuts: Array) -> npt.NDArray[np.intp]:
    """Level indices, shape (n,).

    Args:
        rule: ``mode``: the most probable level. ``mean``: the nearest to the expected one. ``spread``: by cuts that
            give each level as often as people do; a regression's own levels crowd in the middle.
        score: Shape (n,).
        found: Level probabilities, shape (n, levels).
        cuts: Shape (levels - 1,), ascending.
    """
    if rule == "mode":
        return np.asarray(found.argmax(axis=1))
    if rule == "mean":
        return np.rint(found @ np.arange(found.shape[1])).astype(np.intp)
    return np.searchsorted(cuts, score, side="right").astype(np.intp)
