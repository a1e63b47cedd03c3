"""Preferences between two supporters on one card: Bradley-Terry, ranks, win shares, order and position.

A tie is half a win of each. Bradley and Terry's model (1952) gives each supporter a strength, so that it beats another
with the odds exp(difference of strengths); what is shown first is the mean chance of beating the others, which is
1 where a supporter wins everything, and its strength has no value. Intervals draw cards, with half a card that nobody
saw (``bootstrap``), so that 20 wins of 20 claim no certainty; order and groups come from sign-flip tests of every two
(``ranking``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals, estimate_group_means, estimate_share
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.ranking import DECIMALS, FLIPS, Rank, flip_signs, group_indistinguishable

Codes = npt.NDArray[np.intp]
STEPS, FARTHEST, CLOSE = 100, 1.0, 1e-8
"""Of Newton's method: steps at most, the longest, and one after which it is there; all in log odds."""
HARDLY = 1e-4
"""Of a tied card, counted beside what was seen: a supporter that wins everything has a chance of 1 but for this."""
NO_CHAIN = "no chain of comparisons joins it with all others"


@dataclass(frozen=True)
class Comparisons:
    """Outcomes of pairs, one a card and pair.

    Attributes:
        supporters: Names, sorted.
        first, second: Shape (n,), indices into ``supporters``.
        won: Shape (n,): 1 where the first won, 0 where the second did, 0.5 for a tie; between them where raters differ.
        cluster: Of each its card, or itself.
    """

    supporters: tuple[str, ...]
    first: Codes
    second: Codes
    won: Array
    cluster: tuple[str, ...]

    @classmethod
    def build(cls, rows: Sequence[tuple[str, str, float, str]]) -> "Comparisons":
        """From rows of first supporter, second supporter, share won by the first, cluster; in any order."""
        names = tuple(sorted({name for first, second, *_ in rows for name in (first, second)}))
        index = {name: i for i, name in enumerate(names)}
        return cls(
            names,
            np.array([index[row[0]] for row in rows], dtype=np.intp),
            np.array([index[row[1]] for row in rows], dtype=np.intp),
            np.array([row[2] for row in rows], dtype=float),
            tuple(row[3] for row in rows),
        )

    @property
    def wins(self) -> Array:
        """Shape (cards, supporters, supporters): how often the row beat the column on each card, ties half."""
        code = np.unique(self.cluster, return_inverse=True)[1]
        size = len(self.supporters)
        table = np.zeros((int(code.max(initial=-1)) + 1, size, size))
        np.add.at(table, (code, self.first, self.second), self.won)
        np.add.at(table, (code, self.second, self.first), 1 - self.won)
        return table


@dataclass(frozen=True)
class PairResult:
    """Two supporters compared with each other alone.

    Attributes:
        first, second: Names; the first stands before the second.
        won: Share of its comparisons that the first won, ties half.
        wins, ties, losses: Comparisons by outcome for the first; what several raters see otherwise counts by its mean.
        p, p_holm: Of a two-sided sign-flip test of cards, and adjusted for all pairs by Holm.
    """

    first: str
    second: str
    won: Estimate
    wins: int
    ties: int
    losses: int
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class PreferenceStanding:
    """How supporters stand by preferences.

    Attributes:
        order: Best first, by ``share``.
        share: Mean chance of beating the others by Bradley-Terry, 0 to 1.
        strength: Log odds against the mean supporter; without a value where some won every comparison with others.
        ranks: With the places between which each lies, from the tests of pairs, all together.
        pairs: Every two that met.
        groups: Maximal runs of supporters of which no two differ significantly, in order.
    """

    order: tuple[str, ...]
    share: dict[str, Estimate]
    strength: dict[str, Estimate]
    ranks: dict[str, Rank]
    pairs: list[PairResult]
    groups: list[list[str]]


def fit_bradley_terry(wins: npt.ArrayLike) -> Array:
    """Strengths of maximum likelihood, their mean 0, of one table or of many at once.

    Args:
        wins: Shape (..., m, m): how often the row beat the column, in whole or half wins; every supporter must have won
            and lost somewhere along a chain (a tie does), or strengths run off.

    Returns:
        Shape (..., m), log odds.

    By Newton's method, all tables at once: libraries fit one table a call, in about a millisecond, and a bootstrap with
    cards at both extremes needs ten thousand. statsmodels and choix find the same (tests).

    >>> fit_bradley_terry([[0, 3], [1, 0]]).round(4)
    array([ 0.5493, -0.5493])
    """
    from scipy.special import expit

    won = np.asarray(wins, dtype=float)
    size = won.shape[-1]
    played, total = won + won.swapaxes(-1, -2), won.sum(-1)
    strength = np.zeros(won.shape[:-1])
    for _ in range(STEPS):
        chance = expit(strength[..., :, None] - strength[..., None, :])
        slope = total - (played * chance).sum(-1)
        bend = -played * chance * (1 - chance)
        bend += np.eye(size) * -bend.sum(-1)[..., None] + 1 / size  # the mean stays 0
        step = np.linalg.solve(bend, slope[..., None])[..., 0]
        far = np.maximum(np.abs(step).max(-1, keepdims=True), FARTHEST)
        strength += step * FARTHEST / far
        if (far <= FARTHEST).all() and np.abs(step).max(initial=0) < CLOSE:
            break
    return np.asarray(strength - strength.mean(-1, keepdims=True))


def mean_chance(strength: Array) -> Array:
    """Mean chance of beating each of the others, from strengths of shape (..., m)."""
    from scipy.special import expit

    size = strength.shape[-1]
    chance = expit(strength[..., :, None] - strength[..., None, :]).sum(-1) - 0.5  # less the one against itself
    return np.asarray(chance / (size - 1))


def stand_by_preferences(given: Comparisons, boot: Bootstrap, flips: int = FLIPS) -> PreferenceStanding:
    """Bradley-Terry with intervals, ranks, and every pair.

    Args:
        given: Of two supporters or more.
        boot: Draws of cards, confidence.
        flips: Sign flips of the permutation tests, at least.

    Raises:
        ValueError: Fewer than two supporters.
    """
    size = len(given.supporters)
    if size < 2:
        raise ValueError("preferences need two supporters or more")
    share, strength = _estimate_strengths(given, boot)
    level = np.array([-1.0 if (value := share[name].value) is None else value for name in given.supporters])
    good = np.round(level, DECIMALS)
    order = sorted(range(size), key=lambda i: (-good[i], i))
    pairs = _compare_pairs(given, [given.supporters[i] for i in order], boot, flips)
    rows: list[dict[str, Any]] = [{"first": p.first, "second": p.second, "p_holm": p.p_holm} for p in pairs]
    names = [given.supporters[i] for i in order]
    alpha = 1 - boot.confidence
    ranks = {}
    for i in order:
        name = given.supporters[i]
        own = [row for row in rows if name in (row["first"], row["second"])]
        apart = [row for row in own if row["p_holm"] < alpha]
        other = [given.supporters.index(row["second"] if row["first"] == name else row["first"]) for row in apart]
        better = int((good[other] > good[i]).sum())
        value = 1 + int((good > good[i]).sum())
        ranks[name] = Rank(value, 1 + better, size - (len(other) - better)) if own else Rank(value)
    return PreferenceStanding(tuple(names), share, strength, ranks, pairs, group_indistinguishable(names, rows, alpha))


def _estimate_strengths(given: Comparisons, boot: Bootstrap) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """Share and strength of each supporter."""
    from scipy.sparse.csgraph import connected_components

    wins, size = given.wins, len(given.supporters)
    total = wins.sum(0)
    own = wins + wins.swapaxes(1, 2)
    n, cards = own.sum((0, 2)), (own.sum(2) > 0).sum(0)
    if connected_components(total > 0, directed=False)[0] > 1:
        nothing = [Estimate(None, n=int(n[i]), clusters=int(cards[i]), undefined=NO_CHAIN) for i in range(size)]
        both = dict(zip(given.supporters, nothing, strict=True))
        return both, dict(both)
    a_card = own.sum(0) / np.maximum((own > 0).sum(0), 1)  # comparisons of two on a card that has any
    tied = a_card / 2
    extremes = []
    for i in range(size):
        for end in (0.0, 1.0):
            card = tied.copy()
            card[i], card[:, i] = a_card[i] * end, a_card[i] * (1 - end)
            extremes.append(card.ravel())

    def statistic(totals: Totals) -> dict[str, Array]:
        strength = fit_bradley_terry(totals["wins"] + HARDLY * tied)
        return {"share": mean_chance(strength), "strength": strength}

    tables = ClusterTables.build({"wins": (wins.reshape(len(wins), -1), (size, size))})
    one, lows, highs = tables.draw_bounded(statistic, boot, extremes)

    def estimate(name: str, i: int) -> Estimate:
        return boot.between(one[name][i], lows[name][:, i], highs[name][:, i], int(n[i]), int(cards[i]), "no outcome")

    share = {name: estimate("share", i) for i, name in enumerate(given.supporters)}
    parts, part = connected_components(total > 0, directed=True, connection="strong")
    if parts == 1:
        return share, {name: estimate("strength", i) for i, name in enumerate(given.supporters)}
    top = min(set(part), key=lambda p: total[np.ix_(part != p, part == p)].sum())
    why = f"no finite strength: {', '.join(given.supporters[i] for i in np.flatnonzero(part == top))} won every "
    why += "comparison with the others; the chance of beating them says as much"
    return share, {
        name: Estimate(None, n=int(n[i]), clusters=int(cards[i]), undefined=why)
        for i, name in enumerate(given.supporters)
    }


def _compare_pairs(given: Comparisons, order: Sequence[str], boot: Bootstrap, flips: int) -> list[PairResult]:
    """Every two supporters that met, the better one by order first."""
    from esc_eval.statistics.correlations import adjust_holm

    index = {name: i for i, name in enumerate(given.supporters)}
    wins = given.wins
    own = []
    for first, second in combinations(order, 2):
        i, j = index[first], index[second]
        here = ((given.first == i) & (given.second == j)) | ((given.first == j) & (given.second == i))
        if here.any():
            own.append((first, second, i, j, here))
    if not own:
        return []
    net = np.stack([wins[:, i, j] - wins[:, j, i] for _, _, i, j, _ in own], axis=1)
    rng = np.random.default_rng([boot.seed, 0])
    p = flip_signs(np.round(net, 12), max(flips, round(1.25 * len(own) / (1 - boot.confidence))), rng)
    holm = adjust_holm(p)
    found = []
    for at, (first, second, i, _, here) in enumerate(own):
        won = np.where(given.first[here] == i, given.won[here], 1 - given.won[here])
        cards = [card for card, chosen in zip(given.cluster, here, strict=True) if chosen]
        share = estimate_group_means(won[:, None], cards, [0] * len(won), boot, scale=(0, 1)).each[0][0]
        counts = int((won > 0.5).sum()), int((won == 0.5).sum()), int((won < 0.5).sum())
        found.append(PairResult(first, second, share, *counts, float(p[at]), float(holm[at])))
    return found


def estimate_rate(hits: Sequence[bool | float], clusters: Sequence[str], boot: Bootstrap, why: str) -> Estimate:
    """A share of items, each 0 to 1, with an interval by cluster.

    Args:
        hits: Length n.
        clusters: Length n, the card of each.
        boot: Draws, confidence.
        why: Why there is none where there is no item.
    """
    if not len(hits):
        return Estimate(None, n=0, undefined=why)
    code = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return estimate_share(np.bincount(code, np.asarray(hits, dtype=float)), np.bincount(code), boot, len(hits), why)
