"""Ordinal regression with many features and few rows: a ridge score, then a proportional-odds model of that score.

The ridge direction is fitted in its dual form (scikit-learn), so that one matrix of inner products serves every
dimension and strength. Scores of rows that the ridge has not seen (folds over people) go into a one-variable ordered
logit (statsmodels), which gives thresholds and honest level probabilities, and into cuts that spread levels as people
do.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GroupKFold
from statsmodels.miscmodels.ordinal_model import OrderedModel
from statsmodels.tools.sm_exceptions import ConvergenceWarning, HessianInversionWarning

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]

FOLDS = 5
NEVER = 1e6  # a threshold that no score comes near
CONSTANT = 1.0  # added to inner products: the intercept's share of the penalty


@dataclass(frozen=True)
class Scores:
    """A ridge fit of several dimensions at once.

    Attributes:
        dual: Weights of the training rows, shape (rows, dimensions).
        centre: Mean level of each dimension in training, shape (dimensions,).
        unseen: Each training row's scores by a fit that saw nobody who rated it, shape (rows, dimensions).
    """

    dual: Array
    centre: Array
    unseen: Array

    def of(self, products: Array) -> Array:
        """Scores from inner products with the training rows, shape (n, rows) -> (n, dimensions)."""
        return (products + CONSTANT) @ self.dual + self.centre


def fit_ridge(
    gram: Array,
    levels: Levels,
    alpha: float,
    people: Sequence[str],
    effects: Array | float = 0.0,
    weights: Array | None = None,
) -> Scores:
    """Fit scores.

    Args:
        gram: Inner products of the training rows, shape (rows, rows).
        levels: Level indices, shape (rows, dimensions).
        alpha: Strength of the penalty.
        people: Who rated each row; folds for ``unseen`` keep them apart, where there are several.
        effects: Covariance of what rows share that is not their words (whose chat it is), shape (rows, rows): it
            explains levels in training, so that the words need not, and is absent from scores.
        weights: Of the rows by dimension, shape (rows, dimensions); None = all alike.
    """
    target = levels.astype(float)
    shared = np.broadcast_to(effects, gram.shape)
    rows = np.arange(len(levels))

    def solve(own: npt.NDArray[np.intp]) -> tuple[Array, Array]:
        kernel = gram[np.ix_(own, own)] + CONSTANT + shared[np.ix_(own, own)]
        w = None if weights is None else weights[own]
        centre = np.average(target[own], axis=0, weights=w)
        parts = [slice(None)] if w is None else [slice(j, j + 1) for j in range(target.shape[1])]
        duals = []
        for part in parts:
            model = KernelRidge(alpha=alpha, kernel="precomputed")
            model.fit(kernel, (target[own] - centre)[:, part], None if w is None else w[:, part].ravel())
            duals.append(model.dual_coef_)
        return np.concatenate(duals, axis=1), centre

    unseen = np.empty_like(target)
    apart = np.asarray(people) if len(set(people)) > 1 else rows  # of one person nobody else's rows can be held out
    for train, test in GroupKFold(min(FOLDS, len(set(apart.tolist())))).split(rows, groups=apart):
        dual, centre = solve(train)
        unseen[test] = (gram[np.ix_(test, train)] + CONSTANT) @ dual + centre
    return Scores(*solve(rows), unseen)


def spread_cuts(unseen: Array, levels: Levels, size: int) -> Array:
    """Scores at which the level changes so that levels are as frequent as in training; shape (size - 1,).

    Args:
        unseen: Scores, shape (n,).
        levels: Of training, shape (m,); the same rows or others.
    """
    share = np.cumsum(np.bincount(levels, minlength=size))[:-1] / len(levels)
    return np.quantile(unseen, share)


def fit_ordered(score: Array, levels: Levels, size: int) -> tuple[float, Array]:
    """An ordered logit of one score: P(level > k) = logistic(slope * score - thresholds[k]).

    Args:
        score: Shape (rows,), of rows that it was not fitted to.
        levels: Shape (rows,), indices 0 .. size - 1; levels that never occur get no probability.
        size: Number of levels.

    Returns:
        The slope, at least 0, and the thresholds, shape (size - 1,).
    """
    seen, codes = np.unique(levels, return_inverse=True)
    spread = float(score.std()) or 1.0
    slope, inner = 0.0, np.zeros(0)
    if len(seen) > 1:
        model = OrderedModel(codes, ((score - score.mean()) / spread)[:, None], distr="logit")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (ConvergenceWarning, HessianInversionWarning))
            found = model.fit(method="bfgs", disp=False, maxiter=200)
        slope = float(found.params[0]) / spread
        inner = model.transform_threshold_params(found.params[1:])[1:-1] + slope * score.mean()
        if not (slope > 0 and np.isfinite(inner).all()):  # the score orders nothing: the levels' own frequencies
            slope, inner = 0.0, -logit(1 - np.cumsum(np.bincount(codes))[:-1] / len(codes))
    below = np.searchsorted(seen, np.arange(size - 1), side="right")  # levels that occur, up to each
    edges = np.concatenate([[-NEVER], inner, [NEVER]])
    return slope, edges[below]
