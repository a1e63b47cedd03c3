"""Variance components of ratings by least squares, and the interval of an intraclass correlation with random raters.

Units (dialogues) and raters are crossed, and cells may be missing. Every sum of squares is what one factor explains
beyond the others (Henderson's 1953 method III: unbiased in every connected design; on complete tables the usual
analysis of variance).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse, stats
from scipy.sparse.csgraph import connected_components

from esc_eval.statistics.estimate import Array

Codes = npt.NDArray[np.intp]
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class LeastSquares:
    """Scores less what an absorbed factor and further factors explain.

    Attributes:
        absorbed: Shape (n,), codes of the first factor; its means are taken out.
        basis: Shape (n, rank of the others): orthonormal, orthogonal to the first factor.
        residuals: Shape (n,).
    """

    absorbed: Codes
    basis: Array
    residuals: Array

    @classmethod
    def fit(cls, scores: Array, absorbed: Codes, others: Sequence[Codes]) -> "LeastSquares":
        """Fit by least squares: ``absorbed`` is the factor of most levels, each of the others a few."""
        sizes = np.bincount(absorbed)
        gather = sparse.csr_array((np.ones(len(absorbed)), (absorbed, np.arange(len(absorbed)))))
        design = np.concatenate([np.eye(int(code.max()) + 1)[code] for code in others], axis=1)

        def within(values: Array) -> Array:
            means = (gather @ values) / np.maximum(sizes, 1).reshape(-1, *[1] * (values.ndim - 1))
            return np.asarray(values - means[absorbed])

        left, strength, _ = np.linalg.svd(within(design), full_matrices=False)
        basis = left[:, strength > NEGLIGIBLE * max(1.0, float(strength.max(initial=0.0)))]
        inside = within(scores)
        return cls(absorbed, basis, inside - basis @ (basis.T @ inside))

    @property
    def squares(self) -> float:
        """Sum of squared residuals."""
        return float(self.residuals @ self.residuals)

    @property
    def rank(self) -> int:
        """Number of effects that were fitted."""
        return len(np.unique(self.absorbed)) + int(self.basis.shape[1])

    def weight_of(self, factor: Codes) -> float:
        """How often the variance of a random factor stands in the expectation of ``squares``."""
        pairs, both = np.unique(np.stack([factor, self.absorbed]), axis=1, return_counts=True)
        explained = float((both**2 / np.bincount(self.absorbed)[pairs[1]]).sum())
        gather = sparse.csr_array((np.ones(len(factor)), (factor, np.arange(len(factor)))))
        return len(factor) - explained - float(((gather @ self.basis) ** 2).sum())


@dataclass(frozen=True)
class MeanSquares:
    """Mean squares of units, raters and error, each beyond the others, with their degrees of freedom.

    Attributes:
        unit, rater, error: Mean squares.
        df_unit, df_rater, df_error: Degrees of freedom.
        ratings_of_unit, ratings_of_rater: How often the variance of units stands in the expected mean square of units,
            that of raters in that of raters: on complete tables the number of raters and of units.
        residuals: Shape (n,): least-squares residuals.
    """

    unit: float
    rater: float
    error: float
    df_unit: int
    df_rater: int
    df_error: int
    ratings_of_unit: float
    ratings_of_rater: float
    residuals: Array

    @property
    def rater_variance(self) -> float:
        """Variance of raters' severity, at least 0; NaN where no raters are linked."""
        return max(0.0, (self.rater - self.error) / self.ratings_of_rater) if self.df_rater else float("nan")


def mean_squares(scores: Array, unit: Codes, rater: Codes) -> MeanSquares | None:
    """Two-way analysis of variance of units and raters without interaction.

    Args:
        scores: Shape (n,).
        unit, rater: Shape (n,), codes from 0; a rater rates a unit once.

    Returns:
        None where nothing is left to tell error by.
    """
    n, units, raters = len(scores), len(np.unique(unit)), len(np.unique(rater))
    first = int(unit.max()) + 1
    nodes = first + int(rater.max()) + 1
    links = sparse.coo_array((np.ones(n), (unit, rater + first)), shape=(nodes, nodes))
    _, label = connected_components(links, directed=False)
    parts = len(np.unique(label[unit]))
    df_unit, df_rater = units - parts, raters - parts
    df_error = n - units - df_rater
    if df_error < 1 or df_unit < 1:
        return None
    full = LeastSquares.fit(scores, unit, [rater])
    counts = np.bincount(rater)
    centred = scores - (np.bincount(rater, scores) / np.maximum(counts, 1))[rater]
    within_units = scores - (np.bincount(unit, scores) / np.maximum(np.bincount(unit), 1))[unit]
    return MeanSquares(
        unit=max(0.0, float(centred @ centred) - full.squares) / df_unit,
        rater=max(0.0, float(within_units @ within_units) - full.squares) / max(df_rater, 1),
        error=full.squares / df_error,
        df_unit=df_unit,
        df_rater=df_rater,
        df_error=df_error,
        ratings_of_unit=(n - raters) / df_unit,
        ratings_of_rater=(n - units) / max(df_rater, 1),
        residuals=full.residuals,
    )


def icc_interval(table: MeanSquares, confidence: float) -> tuple[float, float]:
    """Limits of ICC(2,1) where raters are a sample of all raters: F with Satterthwaite's degrees of freedom.

    Shrout & Fleiss (1979), McGraw & Wong (1996, table 7, case 2); on incomplete tables with the mean squares and
    average numbers of ratings of the least-squares fit in their place.
    """
    k, m = table.ratings_of_unit, table.ratings_of_rater
    noise = table.rater / m + (1 - 1 / m) * table.error  # one rating's variance, raters and error together
    if noise <= NEGLIGIBLE:
        return 1.0, 1.0
    odds = max(0.0, (table.unit - table.error) / (k * noise))
    a, b = k * odds / m, 1 + k * odds * (1 - 1 / m)
    top = (a * table.rater + b * table.error) ** 2
    df = top / ((a * table.rater) ** 2 / max(table.df_rater, 1) + (b * table.error) ** 2 / table.df_error)

    def limit(f: float) -> float:
        x = (table.unit / f - table.error) / (k * noise)
        return float(np.clip(x / (1 + x), -1.0, 1.0)) if x > -0.5 else -1.0

    level = (1 + confidence) / 2
    return limit(stats.f.ppf(level, table.df_unit, df)), limit(1 / stats.f.ppf(level, df, table.df_unit))
