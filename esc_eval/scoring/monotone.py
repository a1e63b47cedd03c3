"""A judge's scale bent to people's: a map that never falls, a dimension, fitted to a few human ratings.

It works for any judge, whether it gives level probabilities or bare levels. Three shapes are tried, from stiff to free:
the mean of people's ratings whatever the judge says, a line, and isotonic regression; cross-validation inside the
ratings at hand chooses. What is told of the gain is cross-fitted: every dialogue by a map, its shape too, that was
chosen without its role card.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.estimate import Array, Estimate, StoredTriple

FOLDS = 5
Knots = tuple[tuple[float, float], ...]


class Bent(FrozenYaml):
    """A dimension's map, and what it is worth.

    Attributes:
        shape: The chosen one: ``constant``, ``line`` or ``isotonic``.
        knots: What the judge gives, and what people would; straight between, level outside.
        n, clusters: Labelled dialogues, and role cards of these.
        error: Mean squared distance from people's mean: of the judge as it is, of the map, and of the others' mean
            alone, the last two cross-fitted.
        gain, gain_over_mean: How much smaller the map's is than the judge's own, and than that of the mean, with 95%
            intervals over cards.
    """

    shape: str
    knots: Knots
    n: int
    clusters: int
    error: tuple[float, float, float]
    gain: StoredTriple
    gain_over_mean: StoredTriple

    def apply(self, value: float) -> float:
        """What people would give where the judge gives ``value``."""
        return float(bend(self.knots, np.array([value]))[0])


def bend(knots: Knots, values: Array) -> Array:
    """Values by a map."""
    x, y = np.array(knots, dtype=float).T
    return np.asarray(np.interp(values, x, y))


def _constant(x: Array, y: Array) -> Knots:
    return ((float(x.mean()), float(y.mean())),)


def _line(x: Array, y: Array) -> Knots:
    spread = float(((x - x.mean()) ** 2).sum())
    slope = max(0.0, float(((x - x.mean()) * (y - y.mean())).sum()) / spread) if spread > 0 else 0.0
    if slope == 0:
        return _constant(x, y)
    ends = (float(x.min()), float(x.max()))
    return tuple((end, float(y.mean() + slope * (end - x.mean()))) for end in ends)


def _isotonic(x: Array, y: Array) -> Knots:
    from scipy.optimize import isotonic_regression

    places, code = np.unique(x, return_inverse=True)
    weights = np.bincount(code).astype(float)
    fitted = isotonic_regression(np.bincount(code, weights=y) / weights, weights=weights).x
    return tuple(zip(places.tolist(), fitted.tolist(), strict=True))


SHAPES: dict[str, Callable[[Array, Array], Knots]] = {"constant": _constant, "line": _line, "isotonic": _isotonic}
"""From stiff to free; of equal ones the stiffer is taken."""


def _folds(cluster: npt.NDArray[np.intp], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """The fold of each row; rows of a cluster share one."""
    names = np.unique(cluster)
    fold_of = dict(zip(names.tolist(), (rng.permutation(len(names)) % min(FOLDS, len(names))).tolist(), strict=True))
    return np.array([fold_of[int(c)] for c in cluster])


def _choose(x: Array, y: Array, cluster: npt.NDArray[np.intp], rng: np.random.Generator) -> tuple[str, Knots]:
    """The shape with the least cross-validated error, fitted to all."""
    if len(np.unique(cluster)) < 2:
        return "constant", _constant(x, y)
    fold = _folds(cluster, rng)
    errors = {}
    for name, fit in SHAPES.items():
        out = np.empty(len(y))
        for k in np.unique(fold):
            out[fold == k] = bend(fit(x[fold != k], y[fold != k]), x[fold == k])
        errors[name] = float(((out - y) ** 2).mean())
    best = min(errors.values())
    shape = next(name for name, error in errors.items() if error <= best * (1 + 1e-9))
    return shape, SHAPES[shape](x, y)


def fit_monotone(given: Sequence[float], people: Sequence[float], clusters: Sequence[str], seed: int = 0) -> Bent:
    """Fit a map, and say by cross-fitting what it gains.

    Args:
        given: Shape (n,), what the judge gives: expected levels, else levels.
        people: Shape (n,), means of people's levels for the same dialogues.
        clusters: Length n, their role cards, or the dialogues themselves.
        seed: Of the folds.
    """
    x, y = np.asarray(given, dtype=float), np.asarray(people, dtype=float)
    cluster = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)[1].astype(np.intp)
    rng = np.random.default_rng(seed)
    fold = _folds(cluster, rng)
    mapped, mean = np.empty(len(y)), np.empty(len(y))
    for k in np.unique(fold):
        here, rest = fold == k, fold != k
        _, knots = _choose(x[rest], y[rest], cluster[rest], rng)
        mapped[here], mean[here] = bend(knots, x[here]), y[rest].mean()
    shape, knots = _choose(x, y, cluster, rng)
    raw, bent, plain = ((guess - y) ** 2 for guess in (x, mapped, mean))

    def gain(over: Array) -> Estimate:
        found = bootstrap_mean((over - bent).tolist(), cluster.tolist(), seed=seed)
        return Estimate(found.value, found.low, found.high)

    return Bent(
        shape=shape,
        knots=knots,
        n=len(y),
        clusters=len(np.unique(cluster)),
        error=(float(raw.mean()), float(bent.mean()), float(plain.mean())),
        gain=gain(raw),
        gain_over_mean=gain(plain),
    )
