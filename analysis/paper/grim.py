"""Which whole-number sums can lie behind a printed mean (the GRIM test, Brown & Heathers 2017), and constant guesses.

All arithmetic is exact (``decimal``, ``fractions``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
from scipy.optimize import linprog

from esc_eval.statistics.estimate import Array


@dataclass(frozen=True)
class Fit:
    """Whether a printed figure is a whole number k out of n, times a factor.

    Attributes:
        rounded: The k that gives the figure by rounding half up; None = none.
        truncated: The k that gives it by cutting off; None = none.
        nearest: The k whose exact value is nearest.
        exact: That exact value.
    """

    rounded: int | None
    truncated: int | None
    nearest: int
    exact: Fraction

    @property
    def possible(self) -> bool:
        """Whether some whole number gives the figure."""
        return self.rounded is not None or self.truncated is not None


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def fit_counts(printed: Decimal, n: int, factor: int) -> Fit:
    """Find k with k * factor / n printed as ``printed`` to its own number of decimals.

    >>> fit_counts(Decimal("74.32"), 331, 25).rounded
    984
    >>> fit_counts(Decimal("72.12"), 331, 25)
    Fit(rounded=None, truncated=955, nearest=955, exact=Fraction(23875, 331))
    """
    step = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    guess = round(Fraction(printed) * n / factor)
    found: dict[str, int | None] = {ROUND_HALF_UP: None, ROUND_DOWN: None}
    for k in (guess - 1, guess, guess + 1):
        for rule in found:
            if k >= 0 and _decimal(Fraction(k * factor, n)).quantize(step, rule) == printed:
                found[rule] = k
    return Fit(found[ROUND_HALF_UP], found[ROUND_DOWN], guess, Fraction(guess * factor, n))


def fitting_sizes(printed: Sequence[Decimal], sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """How many printed percentages each number of items can give; the same rules as ``fit``, in whole numbers.

    Returns:
        (figures that fit by rounding or cutting off, figures that fit by rounding, size), best first.
    """
    n = np.asarray(sizes, dtype=np.int64)
    possible, rounded = np.zeros(len(n), dtype=int), np.zeros(len(n), dtype=int)
    for value in printed:
        scale = 10 ** -int(value.as_tuple().exponent)
        digits = int(value * scale)
        guess = (2 * digits * n + 100 * scale) // (200 * scale)
        by_rounding, by_cutting = np.zeros(len(n), dtype=bool), np.zeros(len(n), dtype=bool)
        for k in (guess - 1, guess, guess + 1):
            exact = k * 100 * scale
            by_rounding |= (k >= 0) & ((2 * exact + n) // (2 * n) == digits)
            by_cutting |= (k >= 0) & (exact // n == digits)
        possible += by_rounding | by_cutting
        rounded += by_rounding
    rows = [(int(a), int(b), int(size)) for a, b, size in zip(possible, rounded, n, strict=True)]
    return sorted(rows, key=lambda r: (-r[0], -r[1], r[2]))


def constant_bounds(means: Sequence[float], levels: Sequence[int], within: int = 0) -> list[tuple[float, float]]:
    """Least and greatest share that each constant guess can have, given the mean of each model's scores.

    Args:
        means: Mean score of each of the models, equally many dialogues each.
        levels: The scale.
        within: 0 = exactly right, 1 = within one point.

    Returns:
        For each level (low, high), shares from 0 to 1, over all distributions with these means.
    """
    out = []
    for guess in levels:
        hit = np.array([abs(level - guess) <= within for level in levels], dtype=float)
        ends = [np.mean([sign * _extreme(sign * hit, levels, m) for m in means]) for sign in (1, -1)]
        out.append((float(ends[0]), float(ends[1])))
    return out


def _extreme(cost: Array, levels: Sequence[int], mean: float) -> float:
    """Least expected cost over distributions with this mean: it is reached on one or two levels."""
    below = [(x, c) for x, c in zip(levels, cost, strict=True) if x <= mean]
    above = [(x, c) for x, c in zip(levels, cost, strict=True) if x >= mean]
    if not below or not above:
        raise ValueError(f"no distribution on {list(levels)} has the mean {mean}")
    return float(min(c if x == y else c + (d - c) * (mean - x) / (y - x) for x, c in below for y, d in above))


def _solve(cost: Array, equal: Array, right: Array, above: Array | None = None, bound: Array | None = None) -> float:
    result = linprog(cost, A_ub=above, b_ub=bound, A_eq=equal, b_eq=right, bounds=(0, None), method="highs")
    if not result.success:
        raise ValueError(f"no distribution on the scale has these means: {result.message}")
    return float(result.fun)


def best_constant_at_least(means: Sequence[float], levels: Sequence[int], within: int = 0) -> float:
    """Share that the best constant guess has at the least, over all distributions with these means.

    A linear programme over the distributions of all models: minimise t with every constant's share at most t.
    """
    models, q = len(means), len(levels)
    width = models * q + 1
    cost = np.zeros(width)
    cost[-1] = 1
    equal = np.zeros((2 * models, width))
    right = np.empty(2 * models)
    for j, mean in enumerate(means):
        own = slice(j * q, (j + 1) * q)
        equal[2 * j, own], right[2 * j] = 1, 1
        equal[2 * j + 1, own], right[2 * j + 1] = levels, mean
    above = np.zeros((q, width))
    for i, guess in enumerate(levels):
        hit = np.array([abs(level - guess) <= within for level in levels], dtype=float) / models
        above[i, :-1] = np.tile(hit, models)
        above[i, -1] = -1
    return _solve(cost, equal, right, above, np.zeros(q))
