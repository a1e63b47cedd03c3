"""A judge's scale bent to people's: a map that never falls, a dimension, fitted to a few human ratings.

It works for any judge, whether it gives level probabilities or bare levels. A line and isotonic regression are tried
beside the judge as it is, which stays so unless one of them is closer to people on cards that it was not fitted to:
by two standard errors closer than the judge, and by one closer than the mean of people's ratings, which needs no judge.
A judge that is left though it is by two standard errors further from people than their mean is called worse than it.
What is told of the gain is cross-fitted once more: every dialogue by a map that was chosen, or not, without its card.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.estimate import Array, Estimate, StoredTriple

FOLDS = 5
FEWEST_CARDS = 20
"""Role cards with labels below which nothing is fitted: of fewer, no interval over cards holds."""
SURE_OVER_JUDGE, SURE_OVER_MEAN = 2.0, 1.0
"""By how many of its standard errors over cards a map's gain must be above 0: over the judge, over people's mean."""
IDENTITY = "identity"
Knots = tuple[tuple[float, float], ...]


class Bent(FrozenYaml):
    """A dimension's map, and what it is worth.

    Attributes:
        shape: The chosen one: ``line``, ``isotonic``, or ``identity`` where no map was shown to gain anything;
            ``constant`` in files of before.
        knots: What the judge gives, and what people would; straight between, level outside; none of ``identity``.
        n, clusters: Labelled dialogues, and role cards of these.
        error: Mean squared distance from people's mean: of the judge as it is, of what is made of it, and of the
            others' mean alone, the last two cross-fitted.
        gain, gain_over_mean: How much smaller the second is than the first, and than the third, with 95% intervals over
            cards. It is of the whole way to a map, the choice between map and none too.
        worse_than_mean: True where the judge is left as it is and was shown to be further from people than their mean
            alone; else None, as in files of before.
    """

    shape: str
    knots: Knots
    n: int
    clusters: int
    error: tuple[float, float, float]
    gain: StoredTriple
    gain_over_mean: StoredTriple
    worse_than_mean: bool | None = None

    @property
    def left(self) -> bool:
        """Whether the judge is left as it is."""
        return self.shape == IDENTITY

    def apply(self, value: float) -> float:
        """What people would give where the judge gives ``value``."""
        return value if self.left else float(bend(self.knots, np.array([value]))[0])


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


SHAPES: dict[str, Callable[[Array, Array], Knots]] = {"line": _line, "isotonic": _isotonic}
"""From stiff to free; of equal ones the stiffer is taken."""


def _folds(cluster: npt.NDArray[np.intp], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """The fold of each row; rows of a cluster share one."""
    names = np.unique(cluster)
    fold_of = dict(zip(names.tolist(), (rng.permutation(len(names)) % min(FOLDS, len(names))).tolist(), strict=True))
    return np.array([fold_of[int(c)] for c in cluster])


def _is_shown(gains: Array, cluster: npt.NDArray[np.intp], errors: float) -> bool:
    """Whether the mean of gains is above 0 by so many standard errors over clusters."""
    sums = np.bincount(cluster, weights=gains - gains.mean())[np.bincount(cluster) > 0]
    error = np.sqrt(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum()) / len(gains)
    return bool(gains.mean() > errors * error)


def _choose(x: Array, y: Array, cluster: npt.NDArray[np.intp], rng: np.random.Generator) -> tuple[str, Knots]:
    """The shape with the least cross-validated error, fitted to all; ``IDENTITY`` where its gain is not shown."""
    if len(np.unique(cluster)) < 2:
        return IDENTITY, ()
    fold = _folds(cluster, rng)

    def losses(fit: Callable[[Array, Array], Knots]) -> Array:
        out = np.empty(len(y))
        for k in np.unique(fold):
            out[fold == k] = bend(fit(x[fold != k], y[fold != k]), x[fold == k])
        return (out - y) ** 2

    tried = {name: losses(fit) for name, fit in SHAPES.items()}
    best = min(float(own.mean()) for own in tried.values())
    shape = next(name for name, own in tried.items() if own.mean() <= best * (1 + 1e-9))
    rivals = ((x - y) ** 2, SURE_OVER_JUDGE), (losses(_constant), SURE_OVER_MEAN)
    if all(_is_shown(own - tried[shape], cluster, errors) for own, errors in rivals):
        return shape, SHAPES[shape](x, y)
    return IDENTITY, ()


def fit_monotone(given: Sequence[float], people: Sequence[float], clusters: Sequence[str], seed: int = 0) -> Bent:
    """Fit a map where that is shown to gain anything, and say by cross-fitting what this way gains.

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
        mapped[here], mean[here] = bend(knots, x[here]) if knots else x[here], y[rest].mean()
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
        worse_than_mean=(shape == IDENTITY and _is_shown(raw - plain, cluster, SURE_OVER_JUDGE)) or None,
    )
