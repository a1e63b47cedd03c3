"""Models side by side: means, ranks, paired differences, who cannot be told apart, and what the missing could change.

Everything about order comes from one comparison: of every two models on equal cards (``adjusted``), by a sign-flip
permutation test with Holm's adjustment. A model's rank lies between 1 + the models that are significantly better and
the number of models less those that are significantly worse, for all models together with the confidence asked for:
where no difference has the wrong sign, every rank lies in its interval (as in Mogstad, Romano, Shaikh & Wilhelm 2024,
Review of Economic Studies 91(1), with Holm's steps).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval.files.scratch import Table, let_go
from esc_eval.statistics.adjusted import Adjusted, Codes, adjust_means, average_adjusted, widening
from esc_eval.statistics.bootstrap import (
    CHUNK,
    Bootstrap,
    ClusterTables,
    each_column,
    estimate_gaps,
    estimate_group_means,
    multiply,
)
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scale import FULL, to_points

AVERAGE = "average"
Given = tuple[npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.integer], Array]
"""Single ratings: dialogue, dimension and rater (numbers) of each, and its level or points."""
FLIPS = 9999
"""Sign flips of a permutation test; more where so many pairs need smaller p-values."""
SHARED_RATERS = 0.5
"""Two models of whose ratings less than this share is by the same raters are said to have different raters."""
NO_SHARED_CARD = "the two models share no card"
NO_SHARED_RATER = "no rater rated both models, so their difference cannot be told from that of the raters"
ONE_LINK = "no interval: one card alone ties the model to the others, so nothing says how much cards differ"
DECIMALS = 9
EQUAL = 10.0**-DECIMALS
"""Points up to which two means are the same: what least squares gives is rounded to that."""


@dataclass(frozen=True)
class Size:
    """How much there is of a model: its dialogues, those with any score, and dimensions of dialogues without one."""

    dialogues: int
    scored: int
    unscored: int


@dataclass(frozen=True)
class Board:
    """Dialogues of models, scored in points on several dimensions.

    Attributes:
        models, dimensions, raters: Names; models and raters sorted, dimensions those that somebody was to rate.
        scores: Shape (dialogues, dimensions): points, averaged over raters; NaN where there is none.
        model: Shape (dialogues,), index into ``models``; the dialogues of a model stand together.
        cards: Names of the clusters, in order of first appearance: cards, or the dialogues themselves.
        card: Shape (dialogues,), index into ``cards``.
        turned: Dimensions of which a low score is good: they enter the average turned round.
        absent: Dimensions of the rubric that nobody was to rate: without them there is no average.
        even: Whether each cluster counts once for a model, however often the model played it; else each dialogue.
        dialogue: Id of each dialogue.
        tell_given: What makes ``given``.
        exempt: Shape (dialogues, dimensions): whether it was said that the dimension does not apply, and no score was
            given; nothing is missing there. None = nowhere.
    """

    models: tuple[str, ...]
    dimensions: tuple[str, ...]
    raters: tuple[str, ...]
    scores: Array
    model: Codes
    cards: Sequence[str]
    card: Codes
    tell_given: Callable[[], Given]
    turned: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    even: bool = False
    dialogue: Sequence[str] = ()
    exempt: npt.NDArray[np.bool_] | None = None

    @classmethod
    def build(
        cls,
        ratings: Sequence[tuple[str, str, str, str, str, float]],
        dimensions: Sequence[str],
        scale: tuple[int, int],
        turned: Sequence[str] = (),
        left_out: Collection[str] = (),
        even: bool = False,
    ) -> "Board":
        """From ratings in any order.

        Args:
            ratings: Dialogue, its model and its cluster, dimension, rater, level (NaN = no score, infinite = the
                dimension does not apply).
            dimensions: All that the rubric has, in order.
            scale: Lowest and highest level.
            turned: Dimensions of which a low level is good.
            left_out: Dimensions that count as if nobody was to rate them.
            even: Whether clusters are cards, of which each counts once for a model, however often it played it.
        """
        dialogues = sorted({(model, cluster, dialogue) for dialogue, model, cluster, *_ in ratings})
        index = {dialogue: i for i, (_, _, dialogue) in enumerate(dialogues)}
        there, raters = _places(sorted({r[3] for r in ratings})), _places(sorted({r[4] for r in ratings}))
        models = _places(sorted({model for model, _, _ in dialogues}))
        cards = _places(list(dict.fromkeys(cluster for _, cluster, _ in dialogues)))
        whole = (
            np.array([index[rating[0]] for rating in ratings], dtype=np.int32),
            np.array([there[rating[3]] for rating in ratings], dtype=np.int32),
            np.array([raters[rating[4]] for rating in ratings], dtype=np.int32),
            np.array([rating[5] for rating in ratings], dtype=float),
        )

        def of(dimension: str) -> tuple[npt.NDArray[np.integer], Array]:
            row, column, _, level = whole
            here = column == there[dimension]
            return row[here], level[here]

        return cls.tabulate(
            of,
            lambda: whole,
            (tuple(there), tuple(raters)),
            tuple(models),
            np.array([models[model] for model, _, _ in dialogues], dtype=np.int32),
            tuple(cards),
            np.array([cards[cluster] for _, cluster, _ in dialogues], dtype=np.int32),
            tuple(dialogue for _, _, dialogue in dialogues),
            dimensions,
            scale,
            turned,
            left_out,
            even,
        )

    @classmethod
    def tabulate(
        cls,
        of: Callable[[str], tuple[npt.NDArray[np.integer], Array]],
        whole: Callable[[], Given],
        names: tuple[Sequence[str], Sequence[str]],
        models: tuple[str, ...],
        model: Codes,
        cards: Sequence[str],
        card: Codes,
        dialogue: Sequence[str],
        dimensions: Sequence[str],
        scale: tuple[int, int],
        turned: Sequence[str] = (),
        left_out: Collection[str] = (),
        even: bool = False,
    ) -> "Board":
        """From ratings as columns.

        Args:
            of: What makes the ratings of a dimension, which are not held: each one's dialogue (index), and its level
                as of ``build``.
            whole: What makes all in their order: dialogue, dimension and rater (indices) and level of each.
            names: Of dimensions, and of raters in their order.
            models: Names, sorted.
            cards: Names of clusters, in order of first appearance.
            model, card, dialogue: Of each dialogue; sorted by all three.
            dimensions, scale, turned, left_out, even: As of ``build``.
        """
        there, raters = names
        present = tuple(d for d in dimensions if d in there and d not in left_out)
        scores, exempt = Table(len(dialogue), len(present)), None
        for j, name in enumerate(present):
            row, level = of(name)
            kept, beside = np.isfinite(level), np.isinf(level)
            if beside.any():
                exempt = np.zeros(scores.shape, dtype=bool) if exempt is None else exempt
                exempt[row[beside], j] = True
            if not kept.all():
                row, level = row[kept], level[kept]
            count = np.bincount(row, minlength=len(dialogue))
            total = np.bincount(row, to_points(level, *scale), len(dialogue))
            scores.put(j, np.divide(total, count, out=np.full(len(dialogue), np.nan), where=count > 0))
            if exempt is not None:
                exempt[count > 0, j] = False

        def given() -> Given:
            row, column, rater, level = whole()
            column = np.array([present.index(d) if d in present else -1 for d in there], dtype=np.int32)[column]
            kept = np.isfinite(level) & (column >= 0)
            return row[kept], column[kept], rater[kept], to_points(level[kept], *scale)

        return cls(
            models,
            present,
            tuple(raters),
            scores.done(),
            model,
            cards,
            card,
            given,
            tuple(d for d in turned if d in present),
            tuple(d for d in dimensions if d not in present),
            even,
            dialogue,
            exempt,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Dimensions, then the average where the rubric has several."""
        return (*self.dimensions, AVERAGE) if len(self.dimensions) + len(self.absent) > 1 else self.dimensions

    @property
    def given(self) -> Given:
        """Dialogue, dimension and rater (indices) and points of each single score, in order; not held."""
        return self.tell_given()

    def weights(self, dialogues: Codes | npt.NDArray[np.bool_] | slice) -> Array:
        """What each of some dialogues counts for its model: with cards that count once, its part of its card's."""
        card = self.card[dialogues]
        if not self.even:
            return np.ones(len(card))
        cell = card * np.intp(len(self.models)) + self.model[dialogues]
        return np.asarray(1 / np.bincount(cell)[cell])

    @property
    def sizes(self) -> dict[str, Size]:
        """How much there is of each model."""
        many = len(self.models)
        played, some = np.bincount(self.model, minlength=many), np.bincount(self.model[self.scored], minlength=many)
        left = played * len(self.dimensions)
        for scores in each_column(self.scores):
            left -= np.bincount(self.model[np.isfinite(scores)], minlength=many)
        for beside in () if self.exempt is None else self.exempt.T:
            left -= np.bincount(self.model[beside], minlength=many)
        return {name: Size(int(played[i]), int(some[i]), int(left[i])) for i, name in enumerate(self.models)}

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Shape (dialogues,): which have a score in some dimension."""
        found = np.zeros(len(self.model), dtype=np.bool_)
        for scores in each_column(self.scores):
            found |= np.isfinite(scores)
        return found

    @property
    def rater_shares(self) -> Array:
        """Shape (models, raters): the share of each rater in a model's scores; zeros where it has none."""
        row, _, rater, _ = self.given
        counts = np.zeros((len(self.models), len(self.raters)))
        np.add.at(counts, (self.model[row], rater), 1)
        return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))

    def adjust(self, models: npt.NDArray[np.bool_], by_rater: bool = False) -> dict[str, Adjusted]:
        """Means on equal cards of some models in each column, and of equal raters where asked for."""
        found = dict(self._adjust(models, by_rater))
        if AVERAGE in self.columns and found and not self.absent:
            found[AVERAGE] = average_adjusted(self._turn(found.items()))
        return found

    def adjust_column(self, column: str, models: npt.NDArray[np.bool_], by_rater: bool) -> Adjusted | None:
        """Those in one column; None where they are not known."""
        if column != AVERAGE:
            return dict(self._adjust(models, by_rater, [column])).get(column)
        return None if self.absent else average_adjusted(self._turn(self._adjust(models, by_rater)))

    def _turn(self, parts: Iterable[tuple[str, Adjusted]]) -> Iterator[Adjusted]:
        """High where it is good."""
        return (part.turned(float(FULL)) if name in self.turned else part for name, part in parts)

    def _adjust(
        self, models: npt.NDArray[np.bool_], by_rater: bool, columns: Collection[str] | None = None
    ) -> Iterator[tuple[str, Adjusted]]:
        """Of each dimension, or of some, as they come."""
        card, shape = self.card, (len(self.models), len(self.cards))
        cell = card * np.intp(len(self.models)) + self.model
        paired = bool(np.count_nonzero(np.bincount(cell)) > len(self.cards))
        own, given = models[self.model], self.given if by_rater else None
        for i, name in enumerate(self.dimensions):
            if columns is not None and name not in columns:
                continue
            if given:
                row, column, rater, points = given
                here = (column == i) & own[row]
                at = row[here]
                there, first = np.unique(at, return_inverse=True)
                weight = self.weights(there)[first] / np.bincount(at, minlength=len(own))[at]  # every dialogue once
                yield name, adjust_means(points[here], self.model[at], card[at], shape, weight, rater[here], paired)
            else:
                where = np.isfinite(self.scores[:, i]) & own
                some = slice(None) if where.all() else where  # of all no copy is made
                weight = self.weights(some)
                yield (
                    name,
                    adjust_means(self.scores[some, i], self.model[some], card[some], shape, weight, None, paired),
                )
                let_go(self.scores)

    def shared_cards(self, column: str) -> Codes:
        """Shape (models, models): cards on which both have a score; for the average, in the dimension with fewest."""
        cell = self.card * np.intp(len(self.models)) + self.model
        found = []
        for name, scores in zip(self.dimensions, each_column(self.scores), strict=True):
            if column in (name, AVERAGE):
                there = np.zeros((len(self.cards), len(self.models)))
                there.reshape(-1)[cell[np.isfinite(scores)]] = 1
                found.append(there.T @ there)
        return np.asarray(np.min(found, axis=0), dtype=np.intp)


def _places(names: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names)}


@dataclass(frozen=True)
class Rank:
    """A place, 1 = best, and between which places it lies; no ends where the model was compared with none."""

    value: int
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Standing:
    """How the models of a board stand.

    Attributes:
        means: Model -> column -> its mean, of all that it has a score for.
        ranked_by: The column that orders: the average where every model that is ranked has one, else the last of the
            dimensions in which most have a mean.
        order: Models as they stand; those without a rank last.
        ranks: Model -> rank; None where it is not ranked.
        equal: Ranked model -> its mean in ``ranked_by`` on equal cards (and raters), which orders; empty where all were
            scored on the same cards as often, so that it is the plain mean.
        by_rater: Whether raters were taken out too.
        confidence: Of ranks, all together, and of intervals.
        differences: Column -> ``first``, ``second``, ``difference`` on equal cards, ``p`` (two-sided), ``p_holm``;
            ``first`` stands before ``second``.
        groups: Maximal runs of ranked models of which no two differ significantly, in order.
        sizes: Model -> how much there is of it.
        missing: Model -> what it has no score for: dimensions of its dialogues, and of cards that others have.
        bounds: Model -> its mean in ``ranked_by``, were everything missing the worst, and the best level.
        may_change: Pairs of ranked models whose order what is missing could turn round.
        confounded: Pairs of models whose difference cannot be told from that of their raters: it is not estimated.
        other_raters: Pairs that share less than ``SHARED_RATERS`` of their raters.
    """

    means: dict[str, dict[str, Estimate]]
    ranked_by: str
    order: tuple[str, ...]
    ranks: dict[str, Rank | None]
    equal: dict[str, Estimate]
    by_rater: bool
    confidence: float
    differences: dict[str, list[dict[str, Any]]]
    groups: list[list[str]]
    sizes: dict[str, Size]
    missing: dict[str, int]
    bounds: dict[str, tuple[float, float] | None]
    may_change: list[tuple[str, str]]
    confounded: list[tuple[str, str]]
    other_raters: list[tuple[str, str]]


def estimate_means(board: Board, boot: Bootstrap) -> dict[str, dict[str, Estimate]]:
    """The mean of each model in each column; the average is the mean of the dimensions' means.

    Returns:
        Model -> column, the average always among them -> mean.
    """
    turned = {i: float(FULL) for i, d in enumerate(board.dimensions) if d in board.turned}
    found = estimate_group_means(board.scores, board.card, board.model, boot, turned, even=board.even)
    out = {}
    for i, model in enumerate(board.models):
        average = found.average[i]
        if board.absent:
            why = f"nobody rated {', '.join(board.absent)}"
            average = Estimate(None, n=average.n, clusters=average.clusters, undefined=why)
        out[model] = dict(zip((*board.dimensions, AVERAGE), [*found.each[i], average], strict=True))
    return out


def rank_models(
    board: Board,
    boot: Bootstrap,
    flips: int = FLIPS,
    unranked: Collection[str] = (),
    by_rater: bool = False,
    every_column: bool = True,
    means: dict[str, dict[str, Estimate]] | None = None,
) -> Standing:
    """Means, ranks with their intervals, paired differences, and what missing ratings and other raters do to them.

    Args:
        board: Scores of models.
        boot: Draws and confidence.
        flips: Sign flips of the permutation tests, at least.
        unranked: Models that are listed and not ranked; they are compared with none.
        by_rater: Whether raters' severity is taken out of means on equal terms, differences and ranks.
        every_column: Whether models are compared in each column, or in the one that ranks alone.
        means: What ``estimate_means`` gave, where it has been asked.
    """
    by_rater = by_rater and len(board.raters) > 1
    means = means or estimate_means(board, boot)
    able = np.array([m not in unranked and any(e.value is not None for e in means[m].values()) for m in board.models])
    column = _choose_column(board, means, able)
    if every_column:
        adjusted = board.adjust(able, by_rater)
    else:
        one = board.adjust_column(column, able, by_rater)
        adjusted = {} if one is None else {column: one}
    own = np.array([np.nan if (v := means[m][column].value) is None else v for m in board.models])
    level = np.where(np.isfinite(own) & able, adjusted[column].value, np.nan) if column in adjusted else own * np.nan
    sign = -1.0 if column in board.turned else 1.0
    good = np.where(np.isfinite(level), np.round(sign * level, DECIMALS), -np.inf)  # equal but for rounding is equal
    order = sorted(range(len(good)), key=lambda i: (-good[i], not able[i], i))
    pairs = np.array(list(combinations([i for i in order if able[i]], 2)), dtype=np.intp).reshape(-1, 2)
    confounded, other = _other_raters(board, able, pairs, by_rater)
    differences = {
        name: _compare(board, name, adjusted.get(name), pairs, confounded, boot, flips)
        for name in (board.columns if every_column else (column,))
    }
    ranked = [i for i in order if np.isfinite(good[i])]
    names = [board.models[i] for i in ranked]
    alpha = 1 - boot.confidence
    unequal = bool((np.abs(level - own)[ranked] > EQUAL).any())
    missing, low, high = _bounds(board, column)
    worst, best = (low, high) if sign > 0 else (-high, -low)
    return Standing(
        means={m: {c: means[m][c] for c in board.columns} for m in board.models},
        ranked_by=column,
        order=tuple(board.models[i] for i in order),
        ranks=_rank(board, good, ranked, differences[column], alpha),
        equal=_equal_means(board, adjusted[column], ranked, boot, means, column) if unequal else {},
        by_rater=by_rater,
        confidence=boot.confidence,
        differences=differences,
        groups=group_indistinguishable(names, differences[column], alpha),
        sizes=board.sizes,
        missing=dict(zip(board.models, missing.tolist(), strict=True)),
        bounds={
            m: (float(low[i]), float(high[i])) if missing[i] and np.isfinite(low[i]) else None
            for i, m in enumerate(board.models)
        },
        may_change=[
            (board.models[i], board.models[j])
            for i, j in combinations(ranked, 2)
            if max((high - low)[[i, j]]) > EQUAL and worst[i] < best[j] - EQUAL
        ],
        confounded=[(board.models[i], board.models[j]) for i, j in confounded],
        other_raters=[(board.models[i], board.models[j]) for i, j in other],
    )


def _choose_column(board: Board, means: dict[str, dict[str, Estimate]], able: npt.NDArray[np.bool_]) -> str:
    """The average where all have one, else the last dimension in which most have a mean."""
    models = [m for m, there in zip(board.models, able, strict=True) if there]
    counts = {c: sum(means[m][c].value is not None for m in models) for c in board.columns}
    if AVERAGE in counts and counts.pop(AVERAGE) == len(models):
        return AVERAGE
    return max(reversed(counts), key=counts.__getitem__)


def _other_raters(
    board: Board, able: npt.NDArray[np.bool_], pairs: Codes, by_rater: bool
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of models that cannot be told from their raters, and further pairs of which most raters differ."""
    if len(board.raters) < 2:
        return [], []
    shares = board.rater_shares
    shared = {(i, j): float(np.minimum(shares[i], shares[j]).sum()) for i, j in pairs.tolist()}
    if not by_rater:
        alone = [pair for pair, share in shared.items() if share < EQUAL]
        return alone, [pair for pair, share in shared.items() if EQUAL <= share < SHARED_RATERS]
    models = np.ones(len(board.models), dtype=bool)
    plain, adjusted = board.adjust(models), board.adjust(able, by_rater)
    alone = [
        (i, j)
        for i, j in pairs.tolist()
        if any(part.linked[i, j] and not adjusted[name].linked[i, j] for name, part in plain.items())
    ]
    return alone, []


def _compare(
    board: Board,
    column: str,
    adjusted: Adjusted | None,
    pairs: Codes,
    confounded: Collection[tuple[int, int]],
    boot: Bootstrap,
    flips: int,
) -> list[dict[str, Any]]:
    """Differences of every two models on equal cards, with p-values; those that cannot be estimated say why."""
    from esc_eval.statistics.correlations import adjust_holm  # scipy

    first, second = pairs.T
    shared = board.shared_cards(column)[first, second]
    gap, tested, wider = np.full(len(pairs), np.nan), np.zeros(len(pairs), dtype=bool), np.ones(len(pairs))
    nulls, each_gap = Table(len(board.cards), len(pairs), "F"), Table(len(board.cards), len(pairs), "F")
    if adjusted is None:
        for j in range(len(pairs)):
            each_gap.put(j, np.nan)
    else:
        alone = np.array([pair in confounded for pair in map(tuple, pairs.tolist())], dtype=bool)
        tested = adjusted.linked[first, second] & (shared > 0) & ~alone
        for j in range(len(pairs)):  # one at a time: what is in between takes memory for each card
            [gap[j]], values, zero, share = adjusted.pair(first[[j]], second[[j]])
            [wider[j]] = widening(share, np.isfinite(values).sum(0), boot.confidence)
            known = tested[j] and np.isfinite(gap[j])
            if known:
                nulls.put(j, np.round(zero[:, 0], 12))  # what is zero but for rounding has no sign
            each_gap.put(j, np.round(values[:, 0], DECIMALS) if known else np.nan)
        tested &= np.isfinite(gap)
    rng = np.random.default_rng([boot.seed, board.columns.index(column)])
    p_values = flip_signs(nulls.done(), max(flips, round(1.25 * len(pairs) / (1 - boot.confidence))), rng)
    adjusted_p = adjust_holm(np.where(tested, p_values, np.nan))
    gaps = each_gap.done()
    found = [
        replace(one, value=one.value and round(one.value, DECIMALS)).widened(float(factor), -FULL, FULL)
        for one, factor in zip(
            estimate_gaps(gaps, np.arange(len(gaps), dtype=np.int32), boot, float(FULL)), wider, strict=True
        )
    ]
    rows = []
    for j, (a, b) in enumerate(pairs.tolist()):
        difference = replace(found[j], n=int(shared[j]))
        if not tested[j]:
            why = "a dimension has no score" if column == AVERAGE else "no score"
            if np.isfinite(gap[j]):
                why = NO_SHARED_RATER if (a, b) in confounded else NO_SHARED_CARD
            difference = Estimate(None, n=int(shared[j]), clusters=int(shared[j]), undefined=why)
        rows.append(
            {
                "first": board.models[a],
                "second": board.models[b],
                "difference": difference,
                "p": float(p_values[j]) if tested[j] else None,
                "p_holm": float(adjusted_p[j]) if tested[j] else None,
            }
        )
    return rows


def flip_signs(parts: Array, flips: int, rng: np.random.Generator) -> Array:
    """Two-sided p-values of sums of parts, shape (clusters, pairs): how often flipped signs give one as far from 0."""
    observed = np.array([abs(one.sum()) - EQUAL * np.abs(one).sum() for one in each_column(parts)])
    extreme = np.zeros(parts.shape[1])
    step = max(1, CHUNK // max(*parts.shape, 1))
    for start in range(0, flips, step):
        signs = rng.integers(0, 2, (min(step, flips - start), len(parts))).astype(float)
        signs *= 2
        signs -= 1
        extreme += (np.abs(multiply(signs, parts)) >= observed).sum(0)
    return (1 + extreme) / (1 + flips)


def _equal_means(
    board: Board,
    adjusted: Adjusted,
    ranked: Sequence[int],
    boot: Bootstrap,
    means: Mapping[str, Mapping[str, Estimate]],
    column: str,
) -> dict[str, Estimate]:
    """Means on equal terms with their intervals, of which no end is nearer than that of the plain mean.

    The influence of cards knows nothing of a card that nobody saw, which the plain mean's interval does.
    """
    influence, share = adjusted.means()
    hangs: npt.NDArray[np.bool_] = np.any(np.isinf(influence), axis=0)
    tables = ClusterTables.build({"m": (np.where(hangs, 0.0, influence), (len(board.models),))})
    drawn = tables.draw(lambda t: t, boot)[1]["m"]
    wider = widening(share, (influence != 0).sum(0), boot.confidence)
    scored, card = board.scored, board.card
    found = {}
    for i in ranked:
        value = round(float(adjusted.value[i]), DECIMALS)
        own = scored & (board.model == i)
        draws = np.round(adjusted.value[i] + drawn[:, i], DECIMALS)
        size, cards = int(own.sum()), len(np.unique(card[own]))
        if hangs[i]:
            found[board.models[i]] = Estimate(value, None, None, size, cards, ONE_LINK)
            continue
        one = boot.estimate(value, draws, size, cards, "no score").widened(float(wider[i]), 0.0, FULL)
        plain = means[board.models[i]][column]
        low, high, middle, below, above = one.low, one.high, plain.value, plain.low, plain.high
        if low is not None and high is not None and middle is not None and below is not None and above is not None:
            low = min(low, max(0.0, value - (middle - below)))
            one = replace(one, low=low, high=max(high, min(float(FULL), value + (above - middle))))
        found[board.models[i]] = one
    return found


def _rank(
    board: Board, good: Array, ranked: Sequence[int], rows: Sequence[dict[str, Any]], alpha: float
) -> dict[str, Rank | None]:
    """Rank of each model and between which places it lies, from the tests of pairs."""
    ranks: dict[str, Rank | None] = dict.fromkeys(board.models)
    for i in ranked:
        name, value = board.models[i], 1 + int((good[ranked] > good[i]).sum())
        tests = [row for row in rows if name in (row["first"], row["second"]) and row["p_holm"] is not None]
        apart = [row for row in tests if row["p_holm"] < alpha]
        other = [board.models.index(row["second"] if row["first"] == name else row["first"]) for row in apart]
        better = int((good[other] > good[i]).sum())
        worse = len(other) - better
        ranks[name] = Rank(value, 1 + better, len(ranked) - worse) if tests else Rank(value)
    return ranks


def _bounds(board: Board, column: str) -> tuple[npt.NDArray[np.intp], Array, Array]:
    """What is missing of each model, and its mean in a column, were all of that on the lowest and the highest level.

    Missing are a dialogue's dimensions without a score, and every dimension of the cards that another model has.
    """
    models = len(board.models)
    weight = board.weights(slice(None))
    rows, plays = np.bincount(board.model, weight, models), np.bincount(board.model, minlength=models)
    played = np.zeros((len(board.cards), models), dtype=bool)
    played[board.card, board.model] = True
    absent = (~played).sum(0) if (played.sum(1) > 1).any() else np.zeros(models, dtype=np.intp)
    there, scored, total, none = np.zeros((4, models, len(board.dimensions)))
    for j, column_scores in enumerate(each_column(board.scores)):
        here = np.isfinite(column_scores)
        there[:, j] = np.bincount(board.model, here, models)
        scored[:, j] = np.bincount(board.model, here * weight, models)
        total[:, j] = np.bincount(board.model, np.nan_to_num(column_scores) * weight, models)
        if board.exempt is not None:
            there[:, j] += np.bincount(board.model, board.exempt[:, j], models)
            none[:, j] = np.bincount(board.model, board.exempt[:, j] * weight, models)
    missing = ((plays + absent)[:, None] - there).sum(1).astype(np.intp)
    due = (rows + absent)[:, None] - none
    wanting = due - scored
    with np.errstate(invalid="ignore"):  # where nothing of a model is due in a dimension, there is no mean
        low, high = ((total + wanting * end) / due for end in (0.0, FULL))
    if column != AVERAGE:
        at = board.dimensions.index(column)
        return missing, low[:, at], high[:, at]
    turned = np.array([d in board.turned for d in board.dimensions])
    ends = np.where(turned, FULL - high, low), np.where(turned, FULL - low, high)
    return missing, ends[0].mean(1), ends[1].mean(1)


def group_indistinguishable(
    order: Sequence[str], rows: Sequence[dict[str, Any]], alpha: float = 0.05
) -> list[list[str]]:
    """Maximal runs of models, best first, of which no two differ significantly.

    A model may be in several runs: "cannot be told apart" is not transitive.
    """
    apart = {frozenset((r["first"], r["second"])) for r in rows if r["p_holm"] is not None and r["p_holm"] < alpha}
    runs: list[list[str]] = []
    for i in range(len(order)):
        run = [order[i]]
        for other in order[i + 1 :]:
            if any(frozenset((m, other)) in apart for m in run):
                break
            run.append(other)
        if not runs or run[-1] != runs[-1][-1]:
            runs.append(run)
    return runs
