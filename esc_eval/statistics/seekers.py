"""Seekers side by side: the mean of each supporter by seeker, and what changes with the seeker, paired by card.

Two or three seekers say next to nothing of how much seekers differ at large: a variance between them has one or two
degrees of freedom. So their differences are what is estimated, each with its interval, and the standard deviation of
their means has the interval of a normal variance with that many degrees of freedom, which is as wide as it must be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.bootstrap import Bootstrap, estimate_gaps, estimate_group_means
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.ranking import EQUAL, FLIPS, flip_signs
from esc_eval.statistics.scale import FULL

Codes = npt.NDArray[np.intp]
NO_CARD = "no card was played by both seekers"
ALIKE = "no interval: the means are equal, which says nothing of how much others differ"
NO_SHARED = "no card was played by all seekers"


@dataclass(frozen=True)
class Gap:
    """A difference between two seekers.

    Attributes:
        supporters: One supporter; two, where it is the difference of their differences; all, where it is their mean.
        first, second: Indices of the seekers: of the first less of the second.
        difference: Points; ``n`` are cards.
        p_holm: Of the sign-flip test, adjusted by Holm for all of its kind; None where there is no difference.
    """

    supporters: tuple[int, ...]
    first: int
    second: int
    difference: Estimate
    p_holm: float | None


@dataclass(frozen=True)
class BySeeker:
    """What changes with the seeker.

    Attributes:
        means: Supporter and seeker, by index -> mean in points; ``n`` are dialogues.
        gaps: Of every two seekers, for each supporter.
        together: Of every two seekers, the mean over all supporters, each counting once; none where there is one.
        order: Of every two supporters and two seekers, by how much their difference changes.
        spread: Of each supporter the standard deviation of the seekers' means on the cards that all of them played.
    """

    means: dict[tuple[int, int], Estimate]
    gaps: list[Gap]
    together: list[Gap]
    order: list[Gap]
    spread: list[Estimate]


def compare_seekers(
    values: npt.ArrayLike,
    card: Sequence[object] | npt.NDArray[np.integer],
    supporter: Codes,
    seeker: Codes,
    boot: Bootstrap,
    flips: int = FLIPS,
    even: bool = False,
) -> BySeeker:
    """Means by supporter and seeker, and differences between seekers, paired by card.

    Args:
        values: Shape (n,) or (n, dimensions), points of each dialogue, 0..100, high is good in all; NaN is missing.
            Means are those of the dimensions' means; a difference on a card is over the dimensions that both have.
        card: Length n, what intervals draw.
        supporter, seeker: Shape (n,), codes from 0, none empty.
        boot: Draws, seed, confidence.
        flips: Sign flips of the tests.
        even: Whether each card counts once in a mean, however often it was played; else each dialogue.
    """
    found = np.asarray(values, dtype=float)
    found = found[:, None] if found.ndim == 1 else found
    here = np.isfinite(found).any(1)
    found, supporter, seeker = found[here], supporter[here], seeker[here]
    labels = [label for label, there in zip(card, here.tolist(), strict=True) if there]
    if not labels:
        return BySeeker({}, [], [], [], [])
    cells = sorted(set(zip(supporter.tolist(), seeker.tolist(), strict=True)))
    group = [cells.index(cell) for cell in zip(supporter.tolist(), seeker.tolist(), strict=True)]
    means = estimate_group_means(found, labels, group, boot, even=even).average
    index = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    shape = (len(index), int(supporter.max()) + 1, int(seeker.max()) + 1, found.shape[1])
    total, count = np.zeros((2, *shape))
    place = (np.array([index[label] for label in labels]), supporter, seeker)
    np.add.at(total, place, np.nan_to_num(found))
    np.add.at(count, place, np.isfinite(found))
    cube = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    pairs, models = list(combinations(range(shape[2]), 2)), range(shape[1])
    one = [((i,), a, b, _over_dimensions(cube[:, i, a] - cube[:, i, b])) for a, b in pairs for i in models]
    all_of_them = [
        (tuple(models), a, b, _over_dimensions(cube[:, :, a] - cube[:, :, b]).mean(1))
        for a, b in pairs
        if len(models) > 1
    ]
    change = [
        ((i, j), a, b, _over_dimensions((cube[:, i, a] - cube[:, j, a]) - (cube[:, i, b] - cube[:, j, b])))
        for i, j in combinations(models, 2)
        for a, b in pairs
    ]
    return BySeeker(
        dict(zip(cells, means, strict=True)),
        _test(one, boot, flips, float(FULL)),
        _test(all_of_them, boot, flips, float(FULL)),
        _test(change, boot, flips, 2.0 * FULL),
        [_spread(cube[:, i], boot.confidence) for i in models],
    )


def _over_dimensions(table: Array) -> Array:
    """The mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(table)
    count = there.sum(-1)
    return np.asarray(np.where(count > 0, np.where(there, table, 0.0).sum(-1) / np.maximum(count, 1), np.nan))


def _test(
    found: Sequence[tuple[tuple[int, ...], int, int, Array]], boot: Bootstrap, flips: int, limit: float
) -> list[Gap]:
    """Differences of one kind with intervals and adjusted p-values."""
    if not found:
        return []
    from esc_eval.statistics.correlations import adjust_holm  # scipy

    table: Array = np.stack([gaps for *_, gaps in found], axis=1)
    parts: Array = np.where(np.isfinite(table), np.round(table, 12), 0.0)
    estimates = estimate_gaps(table, range(len(table)), boot, limit, NO_CARD)
    p_values = flip_signs(parts, flips, np.random.default_rng([boot.seed, 2]))
    tested: npt.NDArray[np.bool_] = np.any(np.isfinite(table), axis=0)
    adjusted = adjust_holm(np.where(tested, p_values, np.nan))
    return [
        Gap(supporters, a, b, estimate, float(p) if there else None)
        for (supporters, a, b, _), estimate, p, there in zip(found, estimates, adjusted, tested.tolist(), strict=True)
    ]


def _spread(cube: Array, confidence: float) -> Estimate:
    """Standard deviation of the seekers' means on shared cards; of what lies on the scale it is half of that at most.

    Args:
        cube: Shape (cards, seekers, dimensions).
        confidence: Of the interval of a normal variance.
    """
    from scipy.stats import chi2

    shared = _over_dimensions(np.where(np.isfinite(cube).all(1, keepdims=True), cube, np.nan))
    whole = shared[np.isfinite(shared).all(1)]
    if not len(whole):
        return Estimate(None, undefined=NO_SHARED)
    means = whole.mean(0)
    free = len(means) - 1
    value = float(means.std(ddof=1))
    if value < EQUAL:
        return Estimate(0.0, None, None, len(means), len(whole), ALIKE)
    tail = (1 - confidence) / 2
    low, high = (value * float(np.sqrt(free / chi2.ppf(level, free))) for level in (1 - tail, tail))
    return Estimate(value, low, max(value, min(high, FULL / 2)), len(means), len(whole))
