"""Ordinal regression with many features and few rows: a ridge score, then a proportional-odds model of that score.

The ridge direction is fitted in its dual form (scikit-learn), so that one Gram matrix serves every dimension and
strength. Scores of rows that the ridge has not seen (folds over people) go into a one-variable ordered logit
(statsmodels), which gives thresholds and honest level probabilities, and into cuts that spread levels as people do.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GroupKFold
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]
Rule = Literal["mode", "mean", "spread"]

RULES: tuple[Rule, ...] = ("mode", "mean", "spread")
FOLDS = 5
CONSTANT = 1.0  # added to the Gram matrix: the intercept's share of it


@dataclass(frozen=True)
class Fit:
    """A fitted dimension.

    Attributes:
        dual: Weight of each training row, shape (rows,): the score of x is the sum of dual * (x . row + 1) + centre.
        centre: Mean level of the training rows.
        slope, thresholds: P(level > k) = logistic(slope * score - thresholds[k]), shape (levels - 1,).
        cuts: Scores at which the level changes, where levels are spread as in the training rows; shape (levels - 1,).
    """

    dual: Array
    centre: float
    slope: float
    thresholds: Array
    cuts: Array

    def score(self, gram: Array) -> Array:
        """Scores from inner products with the training rows, shape (n, rows) -> (n,)."""
        return (gram + CONSTANT) @ self.dual + self.centre


def fit(gram: Array, levels: Levels, size: int, alpha: float, groups: Sequence[str], weights: Array | None) -> Fit:
    """Fit one dimension.

    Args:
        gram: Inner products of the training rows, shape (rows, rows).
        levels: Level indices 0 .. size - 1, shape (rows,).
        size: Number of levels.
        alpha: Strength of the ridge penalty.
        groups: Who rated each row; no fold's score comes from its own raters.
        weights: Of the rows, in the ridge; None = all alike.
    """
    whole = _ridge(gram, levels, alpha, weights)
    unseen = np.empty(len(levels))
    folds = min(FOLDS, len(set(groups)))
    for train, test in GroupKFold(folds).split(gram, levels, np.asarray(groups)):
        dual, centre = _ridge(gram[np.ix_(train, train)], levels[train], alpha, None if weights is None else weights[train])
        unseen[test] = (gram[np.ix_(test, train)] + CONSTANT) @ dual + centre
    slope, thresholds = _ordered(unseen, levels, size)
    share = np.cumsum(np.bincount(levels, minlength=size))[:-1] / len(levels)
    return Fit(*whole, slope, thresholds, np.quantile(unseen, share))


def _ridge(gram: Array, levels: Levels, alpha: float, weights: Array | None) -> tuple[Array, float]:
    centre = float(np.average(levels, weights=weights))
    model = KernelRidge(alpha=alpha, kernel="precomputed")
    model.fit(gram + CONSTANT, levels - centre, sample_weight=weights)
    return model.dual_coef_, centre


def _ordered(score: Array, levels: Levels, size: int) -> tuple[float, Array]:
    """Slope and thresholds of an ordered logit; levels that never occur get no room."""
    seen, codes = np.unique(levels, return_inverse=True)
    spread = float(score.std()) or 1.0
    slope, inner = 0.0, np.zeros(0)
    if len(seen) > 1:
        model = OrderedModel(codes, ((score - score.mean()) / spread)[:, None], distr="logit")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (ConvergenceWarning, HessianInversionWarning))
            found = model.fit(method="bfgs", disp=False, maxiter=200)
        slope = max(float(found.params[0]), 0.0) / spread
        inner = model.transform_threshold_params(found.params[1:])[1:-1] + slope * score.mean()
    full = np.full(size - 1, -np.inf)
    for k in range(size - 1):
        below = int(np.searchsorted(seen, k, side="right"))  # levels that occur, up to k
        full[k] = -np.inf if below == 0 else np.inf if below == len(seen) else inner[below - 1]
    return slope, full


def probabilities(score: Array, slope: float, thresholds: Array) -> Array:
    """Level probabilities, shape (n, levels)."""
    above = expit(slope * score[:, None] - thresholds[None, :])
    edges = np.concatenate([np.ones((len(score), 1)), above, np.zeros((len(score), 1))], axis=1)
    return np.maximum(edges[:, :-1] - edges[:, 1:], 0.0)


def decide(rule: Rule, score: Array, found: Array, cuts: Array) -> Levels:
    """Level indices: the most probable, the nearest to the expected, or as often as people give each; shape (n,)."""
    if rule == "mode":
        return found.argmax(axis=1)
    if rule == "mean":
        return np.round(found @ np.arange(found.shape[1])).astype(np.intp)
    return np.searchsorted(cuts, score, side="right").astype(np.intp)
