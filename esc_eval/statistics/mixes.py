"""Mixes of classes that a classifier told: shares, what they are when its errors are taken out, and repetition.

A classifier that takes some classes for others shifts every share. Given the mean probabilities that it gives to each
true class (its reading), observed shares are a mix of these, and the true shares are the non-negative ones that sum to
1 and come nearest to it (probabilistic adjusted count: Bella et al. 2010; Forman 2008). This holds where the classifier
reads each class as it did where the reading was measured; nothing in the numbers can show that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.bootstrap import UNSEEN, Bootstrap, draw_weights, estimate_group_means
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate

Rows = npt.NDArray[np.intp]
SUM = 1000.0
"""Weight of the equation that says that shares sum to 1."""
NONE_KNOWN = "no reply of which a sentence is known"
NO_PAIR = "no two replies in a row of which both are known"


@dataclass(frozen=True)
class Replies:
    """Replies of one supporter, of which a classifier told the classes.

    Attributes:
        clusters: What intervals draw, of each reply.
        talks: Number of the dialogue of each reply, shape (n,); replies of one stand together, in their order.
        rounds: Of each reply, from 1, shape (n,).
        mixes: Share of each class, shape (n, classes), rows sum to 1; NaN where a reply is unknown.
        used: Whether a class is the likeliest of some sentence, shape (n, classes).
    """

    clusters: Sequence[str]
    talks: Rows
    rounds: Rows
    mixes: Array
    used: npt.NDArray[np.bool_]

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether a reply is known, shape (n,)."""
        return np.asarray(~np.isnan(self.mixes).any(axis=1), dtype=bool)

    def until(self, rounds: int) -> "Replies":
        """Only those of the first rounds."""
        at = np.flatnonzero(self.rounds <= rounds)
        clusters = [self.clusters[i] for i in at.tolist()]
        return Replies(clusters, self.talks[at], self.rounds[at], self.mixes[at], self.used[at])


@dataclass(frozen=True)
class Drawn:
    """Shares of classes, or differences of them, of the sample and of bootstrap samples of whole clusters.

    Attributes:
        value: Shape (classes,).
        draws: Shape (draws, classes).
        n, clusters: Replies and clusters behind it.
    """

    value: Array
    draws: Array
    n: int
    clusters: int

    @property
    def unseen(self) -> float:
        """How far half a cluster more that nobody saw can move a share (``statistics.bootstrap``)."""
        return UNSEEN / (self.clusters + UNSEEN)

    def estimates(self, boot: Bootstrap) -> list[Estimate]:
        """Shares with intervals, of each class; half a cluster more lies at either end."""
        found = []
        for value, draws in zip(self.value, self.draws.T, strict=True):
            one = boot.estimate(float(value), draws, self.n, self.clusters, NONE_KNOWN)
            if one.low is not None and one.high is not None:
                low, high = one.low * (1 - self.unseen), one.high * (1 - self.unseen) + self.unseen
                one = replace(one, low=min(low, one.low), high=max(high, one.high))
            found.append(one)
        return found


def correct_shares(observed: Array, reading: Array) -> Array:
    """Shares with a classifier's errors taken out.

    Args:
        observed: Mean probabilities, shape (classes,); NaN = none.
        reading: Mean probabilities that it gives to each true class, shape (classes, classes), rows sum to 1.

    Returns:
        Shape (classes,), none negative, sum 1.

    >>> reading = np.array([[0.8, 0.2], [0.4, 0.6]])
    >>> correct_shares(np.array([0.5, 0.5]), reading).round(3).tolist()
    [0.25, 0.75]
    >>> correct_shares(np.array([1.0, 0.0]), reading).round(3).tolist()  # more than it says of any mix
    [1.0, 0.0]
    """
    from scipy.optimize import nnls

    if np.isnan(observed).any():
        return np.full(len(observed), np.nan)
    found, _ = nnls(np.vstack([reading.T, np.full(len(observed), SUM)]), np.append(observed, SUM))
    return np.asarray(found / found.sum())


def estimate_columns(replies: Replies, columns: Array, boot: Bootstrap) -> list[Estimate]:
    """Means of shares over replies, with intervals within 0 and 1.

    Args:
        replies: Whose clusters are drawn.
        columns: Shape (n, columns), from 0 to 1; NaN is missing.
        boot: Draws.
    """
    if not len(columns):
        return [Estimate(None, undefined=NONE_KNOWN)] * columns.shape[1]
    return estimate_group_means(columns, replies.clusters, [0] * len(columns), boot, scale=(0.0, 1.0)).each[0]


def draw_shares(replies: Replies, boot: Bootstrap, readings: Array | None = None) -> Drawn:
    """Shares of each class over replies; draws take clusters anew, and readings too, so that both are uncertain.

    Args:
        replies: Of one supporter.
        boot: Draws and seed.
        readings: Takes the classifier's errors out. Shape (1 + m, classes, classes): as measured, and of m bootstrap
            samples of what it was measured on. Draw i takes the same of these for everybody, as all are read by one
            classifier. None = shares as told.
    """
    mixes, groups, clusters = _known(replies)
    classes = replies.mixes.shape[1]
    if not len(mixes):
        return Drawn(np.full(classes, np.nan), np.full((boot.draws, classes), np.nan), 0, 0)
    sums, counts = np.zeros((clusters, classes)), np.bincount(groups, minlength=clusters).astype(float)
    np.add.at(sums, groups, mixes)
    weights = draw_weights(clusters, boot.draws, np.random.default_rng(boot.seed))
    draws = ratio(weights @ sums, (weights @ counts)[:, None])
    value = mixes.mean(0)
    if readings is not None:
        draws = np.array([correct_shares(row, readings[1 + i % (len(readings) - 1)]) for i, row in enumerate(draws)])
        value = correct_shares(value, readings[0])
    return Drawn(value, draws, len(mixes), clusters)


def subtract(one: Drawn, other: Drawn) -> Drawn:
    """Differences of shares; there are as many clusters as the side with fewer has."""
    fewer = min(one, other, key=lambda drawn: drawn.clusters)
    return Drawn(one.value - other.value, one.draws - other.draws, one.n, fewer.clusters)


def bound_together(differences: Sequence[Drawn], boot: Bootstrap) -> list[list[Estimate]]:
    """Intervals of differences that all hold at once (single-step max-t; Westfall & Young 1993), by class of each.

    Args:
        differences: Of shares; a class of which no draw differs has no interval. Each interval is wider by half a
            cluster more that nobody saw, so that clusters that are all alike do not claim that every other is.
        boot: Confidence of all of them together.
    """
    from scipy.special import ndtri, stdtrit

    away = [np.abs(one.draws - one.value) for one in differences]
    spread = [np.nanstd(one.draws, axis=0) for one in differences]
    scaled = [np.divide(a, s, out=np.zeros_like(a), where=s > 0) for a, s in zip(away, spread, strict=True)]
    largest = np.nanmax(np.concatenate(scaled, axis=1), axis=1)
    factor = float(np.nanquantile(largest, boot.confidence))
    found = []
    for one, own in zip(differences, spread, strict=True):
        if one.clusters < 2 or np.isnan(one.value).any():
            found.append([Estimate(None, n=one.n, clusters=one.clusters, undefined=NONE_KNOWN)] * len(one.value))
            continue
        tail = (1 - boot.confidence) / 2
        wider = np.sqrt(one.clusters / (one.clusters - 1)) * stdtrit(one.clusters - 1, tail) / ndtri(tail)
        found.append(
            [
                Estimate(float(v), *_within(v, factor * wider * s + one.unseen), one.n, one.clusters)
                if s > 0
                else Estimate(float(v), n=one.n, clusters=one.clusters, undefined="no interval: no draw differs")
                for v, s in zip(one.value, own, strict=True)
            ]
        )
    return found


def _within(value: float, half: float) -> tuple[float, float]:
    """Ends of an interval of a difference of shares."""
    return max(float(value - half), -1.0), min(float(value + half), 1.0)


@dataclass(frozen=True)
class Repetition:
    """How often a supporter does the same again.

    Attributes:
        repeated: Share of pairs of replies in a row whose main class is the same.
        by_chance: What it were if the main classes of replies were drawn from the supporter's own, in no order.
        beyond: The first less the second.
        entropy: Of the mix, in bits: 0 = always one class, log2 of the number of classes = all alike.
    """

    repeated: Estimate
    by_chance: Estimate
    beyond: Estimate
    entropy: Estimate


def estimate_repetition(replies: Replies, boot: Bootstrap) -> Repetition:
    """Repetition and variety, with intervals of whole clusters.

    Args:
        replies: Of one supporter; a pair is two replies in a row of one dialogue, both known.
        boot: Draws and seed.
    """
    known, classes = replies.known, replies.mixes.shape[1]
    _, groups = np.unique(np.array(replies.clusters, dtype=object).astype(str), return_inverse=True)
    size = int(groups.max()) + 1 if len(groups) else 0
    main = np.where(known, np.nan_to_num(replies.mixes).argmax(1), -1)
    follows = (replies.talks[1:] == replies.talks[:-1]) & (replies.rounds[1:] == replies.rounds[:-1] + 1)
    pair = np.flatnonzero(follows & known[1:] & known[:-1])
    table = np.zeros((size, 2 + 2 * classes))
    np.add.at(table[:, 0], groups[pair], main[pair] == main[pair + 1])
    np.add.at(table[:, 1], groups[pair], 1)
    np.add.at(table, (groups[known], 2 + main[known]), 1)
    np.add.at(table[:, 2 + classes :], groups[known], replies.mixes[known])
    table = table[table.any(axis=1)]
    n, pairs, clusters = int(known.sum()), len(pair), len(table)
    if not clusters:
        nothing = Estimate(None, undefined=NONE_KNOWN)
        return Repetition(nothing, nothing, nothing, nothing)

    def figures(totals: Array) -> Array:
        repeated = ratio(totals[..., 0], totals[..., 1])
        mains, mix = totals[..., 2 : 2 + classes], totals[..., 2 + classes :]
        chance = (ratio(mains, mains.sum(-1, keepdims=True)) ** 2).sum(-1)
        share = ratio(mix, mix.sum(-1, keepdims=True))
        entropy = -(share * np.log2(np.maximum(share, 1e-300))).sum(-1)
        return np.stack([repeated, chance, repeated - chance, entropy], axis=-1)

    weights = draw_weights(clusters, boot.draws, np.random.default_rng(boot.seed))
    value, draws = figures(table.sum(0)), figures(weights @ table)
    sizes = (pairs, n, pairs, n)
    found = [
        boot.estimate(float(value[j]), draws[:, j], sizes[j], clusters, NO_PAIR if j in (0, 2) else NONE_KNOWN)
        for j in range(4)
    ]
    return Repetition(*found)


def _known(replies: Replies) -> tuple[Array, Rows, int]:
    """Mixes of known replies, the code of the cluster of each, and the number of clusters."""
    at = np.flatnonzero(replies.known).tolist()
    names, groups = np.unique([str(replies.clusters[i]) for i in at], return_inverse=True)
    return replies.mixes[at], groups.astype(np.intp), len(names)
