"""Shares of what should not happen at all: exact intervals, a judge's sensitivity and specificity, rates without its errors.

An interval of a share is Clopper and Pearson's (1934), which covers at least as often as it says, also where nothing was
found. Where units come in clusters (a card that is played several times, several raters of a dialogue) it is taken at the
number of independent units that say as much (Korn & Graubard 1998, Survey Methodology 24): n over the design effect, less
what is lost by estimating that from few clusters. Where all units agree the design effect cannot be estimated; each
cluster then counts once. Rates are corrected for a judge's errors after Rogan & Gladen (1978), with the limits of Lang &
Reiczigel (2014, Preventive Veterinary Medicine 113), which heed that sensitivity and specificity are estimates too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import Estimate

ONE = "no interval: one cluster only, so nothing says how much clusters differ"
NOTHING = "there is nothing to take a share of"
NO_BETTER = "sensitivity and specificity add up to 1 or less: the judge tells the two apart no better than a coin does"


@dataclass(frozen=True)
class Share:
    """How many of some units have something.

    Attributes:
        hits, n: Units that have it, and all.
        clusters: How many clusters they come in.
        effective: How many independent units say as much; None where one cluster alone says nothing of that.
    """

    hits: int
    n: int
    clusters: int
    effective: float | None

    @property
    def value(self) -> float | None:
        """From 0 to 1; None without units."""
        return self.hits / self.n if self.n else None

    def estimate(self, confidence: float = CONFIDENCE) -> Estimate:
        """The share with its exact interval, from 0 to 1."""
        if self.value is None:
            return Estimate(None, undefined=NOTHING)
        if self.effective is None:
            return Estimate(self.value, None, None, self.n, self.clusters, ONE)
        low, high = exact_limits(self.value * self.effective, self.effective, confidence)
        return Estimate(self.value, low, high, self.n, self.clusters)


def exact_limits(hits: float, n: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper and Pearson's limits; numbers of effective units need not be whole.

    >>> [round(limit, 4) for limit in exact_limits(0, 24)], [round(limit, 4) for limit in exact_limits(3, 10)]
    ([0.0, 0.1425], [0.0667, 0.6525])
    """
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    return low, high


def count_share(hits: npt.ArrayLike, clusters: Sequence[object], confidence: float = CONFIDENCE) -> Share:
    """How many units have something, and how many independent ones say as much.

    Args:
        hits: Shape (n,), whether each unit has it.
        clusters: What each unit belongs to, n of them.
        confidence: Of the interval to come, on which what few clusters lose depends.
    """
    has = np.asarray(hits, dtype=float)
    names, place = np.unique(np.array([str(one) for one in clusters], dtype=object), return_inverse=True)
    n, k, count = len(has), int(has.sum()), len(names)
    if n == 0 or count == n:
        return Share(k, n, count, float(n))
    if count < 2:
        return Share(k, n, count, None)
    if k in (0, n):
        return Share(k, n, count, float(count))
    from scipy.special import stdtrit

    share = k / n
    sizes = np.bincount(place, minlength=count)
    residual = np.bincount(place, weights=has, minlength=count) - share * sizes
    variance = float((residual**2).sum()) * count / (count - 1) / n**2
    independent = share * (1 - share) / n
    effective = n / max(variance / independent, 1.0)
    tail = (1 - confidence) / 2
    lost = (float(stdtrit(n - 1, tail)) / float(stdtrit(count - 1, tail))) ** 2
    return Share(k, n, count, max(effective * lost, 1.0))


@dataclass(frozen=True)
class Validity:
    """What a judge finds of what is there.

    Attributes:
        sensitivity: Of the units that have it, how many the judge says have it.
        specificity: Of the units that do not, how many the judge says do not.
    """

    sensitivity: Share
    specificity: Share

    @property
    def youden(self) -> float | None:
        """Sensitivity and specificity above chance: 1 = no error, 0 = a coin."""
        if self.sensitivity.value is None or self.specificity.value is None:
            return None
        return self.sensitivity.value + self.specificity.value - 1


def judge_validity(truth: npt.ArrayLike, said: npt.ArrayLike, clusters: Sequence[object]) -> Validity:
    """Sensitivity and specificity of a judge.

    Args:
        truth: Shape (n,), whether each unit has it, by the reference.
        said: Shape (n,), whether the judge says so.
        clusters: What each unit belongs to, n of them.
    """
    there, found = np.asarray(truth, dtype=bool), np.asarray(said, dtype=bool)
    whose = [str(one) for one in clusters]
    return Validity(
        count_share(found[there], [one for one, holds in zip(whose, there, strict=True) if holds]),
        count_share(~found[~there], [one for one, holds in zip(whose, there, strict=True) if not holds]),
    )


def correct_share(apparent: Share, validity: Validity, confidence: float = CONFIDENCE) -> Estimate:
    """The share of units that have something, from the share that a judge says have it.

    Rogan and Gladen's estimate, (apparent + specificity - 1) / (sensitivity + specificity - 1), cut at 0 and 1; limits
    of Lang and Reiczigel, cut likewise. The units of ``validity`` are taken to be others than, or a random part of, the
    apparent ones.

    Returns:
        From 0 to 1; without a value where the judge is no better than chance, or one of the three is unknown, and
        without limits where these would lie beyond 0 or 1: what was judged then contradicts what is known of the judge.
    """
    from scipy.special import ndtri

    parts = (apparent, validity.sensitivity, validity.specificity)
    names = ("no dialogue was judged", "no harmful dialogue is known", "no harmless dialogue is known")
    if missing := [name for name, part in zip(names, parts, strict=True) if not part.n]:
        return Estimate(None, n=apparent.n, undefined=f"not corrected: {missing[0]}")
    ap, se, sp = (part.hits / part.n for part in parts)
    if se + sp <= 1:
        return Estimate(None, n=apparent.n, undefined=f"not corrected: {NO_BETTER}")
    value = min(max((ap + sp - 1) / (se + sp - 1), 0.0), 1.0)
    if any(part.effective is None for part in parts):
        return Estimate(value, None, None, apparent.n, apparent.clusters, ONE)
    z = float(ndtri((1 + confidence) / 2))
    n, n_se, n_sp = (part.effective or 0.0 for part in parts)
    ap, n = (n * ap + z**2 / 2) / (n + z**2), n + z**2
    se, n_se = (n_se * se + 1) / (n_se + 2), n_se + 2
    sp, n_sp = (n_sp * sp + 1) / (n_sp + 2), n_sp + 2
    gain = se + sp - 1
    if gain <= 0:
        why = "no interval: too few dialogues are known to tell the judge from a coin"
        return Estimate(value, None, None, apparent.n, apparent.clusters, why)
    share = (ap + sp - 1) / gain
    of_se, of_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    middle = share + 2 * z**2 * (share * of_se - (1 - share) * of_sp)
    half = z * sqrt(ap * (1 - ap) / n + share**2 * of_se + (1 - share) ** 2 * of_sp) / gain
    if middle + half <= 0 or middle - half >= 1:
        which = "fewer" if middle + half <= 0 else "more"
        why = f"no interval: {which} are judged harmful than the judge's known errors could explain"
        return Estimate(value, None, None, apparent.n, apparent.clusters, why)
    low, high = (min(max(end, 0.0), 1.0) for end in (middle - half, middle + half))
    return Estimate(value, min(low, value), max(high, value), apparent.n, apparent.clusters)
