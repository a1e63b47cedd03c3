"""Clustered bootstrap: the interval beside every number that is printed.

Dialogues on the same role card are not independent, so whole cards are drawn, not dialogues. Two kinds of interval:

What has bounds (means on a scale of levels, shares, agreement) is drawn with Dirichlet weights on the cards (Rubin
1981) and half a card more that nobody saw, at one end of what is possible for the lower limit and at the other for the
upper. Without clusters and for shares, one such card would give Clopper and Pearson's exact limits (for means: Gaffke
2005; Learned-Miller & Thomas 2020); half a card gives about their mid-p limits. So 20 cards that are all on the top
level do not claim that every card in the world is.

What has no bounds (correlations' differences, severity, changes) has percentile intervals of whole cards drawn with
replacement. They are too narrow with few clusters and are widened as in Hesterberg (2015, The American Statistician
69(4), section 3.3, "expanded percentile"), which makes them match Student's t for a mean.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from esc_eval.errors import EscEvalError
from esc_eval.files.scratch import Table, is_mapped, let_go
from esc_eval.statistics import CONFIDENCE, DRAWS
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scale import FULL

if TYPE_CHECKING:
    from scipy import sparse

Totals = Mapping[str, Array]

CHUNK = 4_000_000
"""Numbers held at once by one block of bootstrap draws."""
PART = 1 << 24
"""Bytes of a table in a file that are worked on at a time."""
UNSEEN = 0.5
"""Weight of the card that nobody saw, in cards (docs/statistics.md says why)."""
DECIMALS = 10
UNDEFINED_SHARE = 0.05
"""An interval is withheld where more than this share of the draws has no value."""
DENSE_SHARE = 0.2
"""Tables with more than this share of entries are multiplied as full matrices."""
ONE_CLUSTER = "no interval: one cluster only, so nothing says how much clusters differ"


def draw_weights(clusters: int, draws: int, rng: np.random.Generator) -> Array:
    """How often each cluster is drawn: shape (draws, clusters), rows sum to the number of clusters."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(np.float64)


def percentile_levels(clusters: int, confidence: float) -> tuple[float, float]:
    """Expanded percentile levels (Hesterberg 2015) for a number of clusters, e.g. (0.0107, 0.9893) for 12 and 95%."""
    from scipy.special import ndtr, stdtrit

    t = stdtrit(clusters - 1, (1 - confidence) / 2)
    low = float(ndtr(np.sqrt(clusters / (clusters - 1)) * t))
    return low, 1 - low


def draw_dirichlet(clusters: int, draws: int, rng: np.random.Generator) -> Array:
    """Exponential weights: divided by their sum, they are flat Dirichlet. Shape (draws, clusters)."""
    return rng.standard_exponential((draws, clusters))


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made, of whole clusters drawn.

    Attributes:
        draws: Bootstrap draws.
        seed: Seed of the draws; 0 is a seed like any other.
        confidence: Coverage aimed at.
    """

    draws: int = DRAWS
    seed: int = 0
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise EscEvalError(f"the seed is a whole number from 0, not {self.seed}")
        if self.draws < 100:
            raise EscEvalError(f"{self.draws} bootstrap draws are too few for an interval: use 100 or more")
        if not 0.5 <= self.confidence < 1:
            raise EscEvalError(f"confidence must lie between 0.5 and 1, not {self.confidence}")

    def interval(self, draws: npt.ArrayLike, clusters: int) -> tuple[float | None, float | None, str | None]:
        """Ends of the interval of drawn values, or the reason why there is none."""
        values = np.asarray(draws, dtype=float)
        if clusters < 2:
            return None, None, ONE_CLUSTER
        missing = float(np.isnan(values).mean())
        if missing > UNDEFINED_SHARE:
            return None, None, f"no interval: undefined in {missing:.0%} of the bootstrap draws"
        low, high = np.nanquantile(values, percentile_levels(clusters, self.confidence))
        return float(low), float(high), None

    def estimate(self, value: float, draws: npt.ArrayLike, n: int, clusters: int, why: str) -> Estimate:
        """An ``Estimate`` from a value (NaN = undefined, for the reason ``why``) and its draws."""
        if not np.isfinite(value):
            return Estimate(None, n=n, clusters=clusters, undefined=why)
        low, high, problem = self.interval(draws, clusters)
        return Estimate(float(value), low, high, n, clusters, problem)

    def between(self, value: float, lows: Array, highs: Array, n: int, clusters: int, why: str) -> Estimate:
        """An ``Estimate`` from a value (NaN = undefined, for the reason ``why``) and what ``draw_bounded`` gives."""
        if not np.isfinite(value):
            return Estimate(None, n=n, clusters=clusters, undefined=why)
        value = float(value)
        if clusters < 2:
            return Estimate(value, None, None, n, clusters, ONE_CLUSTER)
        tail = (1 - self.confidence) / 2
        missing = float(np.isnan(lows).mean())
        if missing > UNDEFINED_SHARE:
            why = f"no interval: undefined in {missing:.0%} of the bootstrap draws"
            return Estimate(value, None, None, n, clusters, why)
        low, high = float(np.nanquantile(lows, tail)), float(np.nanquantile(highs, 1 - tail))
        low, high = float(np.round(low, DECIMALS)), float(np.round(high, DECIMALS))  # 100, and not 100.00000000000001
        return Estimate(value, min(low, value), max(high, value), n, clusters)

    def describe(self, clusters: str) -> str:
        """In words, for a signature: ``95% Dirichlet bootstrap by card, 2000 draws, seed 0``."""
        return f"{self.confidence:.0%} Dirichlet bootstrap by {clusters}, {self.draws} draws, seed {self.seed}"


@dataclass(frozen=True)
class ClusterTables:
    """Additive tables: one row a cluster, several named blocks of columns.

    Attributes:
        rows: Shape (clusters, columns); sparse where few of them are filled.
        blocks: Name -> (first column, trailing shape of the block).
    """

    rows: "sparse.csr_array | Array"
    blocks: dict[str, tuple[int, tuple[int, ...]]]

    @classmethod
    def build(cls, parts: Mapping[str, tuple["sparse.csr_array | Array", tuple[int, ...]]]) -> "ClusterTables":
        """From name -> (matrix of shape (clusters, prod(shape)), shape)."""
        from scipy import sparse

        blocks, start = {}, 0
        for name, (matrix, shape) in parts.items():
            blocks[name] = (start, shape)
            start += matrix.shape[1]
        if not any(sparse.issparse(matrix) for matrix, _ in parts.values()):
            return cls(_thin(np.hstack([np.asarray(matrix, dtype=float) for matrix, _ in parts.values()])), blocks)
        return cls(sparse.csr_array(sparse.hstack([sparse.csr_array(m) for m, _ in parts.values()])), blocks)

    @classmethod
    def sums(cls, table: Table, shape: tuple[int, ...]) -> "ClusterTables":
        """Of sums and numbers: the first and the second half of the columns, each of a shape."""
        return cls(_thin(table.done()), {"sum": (0, shape), "n": (table.shape[1] // 2, shape)})

    def split(self, columns: Array) -> Totals:
        """Named totals with leading batch dimensions from rows of column sums, shape (..., columns)."""
        out = {}
        for name, (start, shape) in self.blocks.items():
            width = int(np.prod(shape, dtype=int))
            out[name] = columns[..., start : start + width].reshape((*columns.shape[:-1], *shape))
        return out

    def totals(self) -> Totals:
        """Totals of the sample itself."""
        if isinstance(self.rows, np.ndarray) and (self.rows.shape[1] == 1 or is_mapped(self.rows)):
            return self.split(np.array([np.cumsum(c)[-1] for c in each_column(self.rows)]))  # in order, as several are
        return self.split(np.asarray(self.rows.sum(axis=0), dtype=float).ravel())

    def _weigh(self) -> Callable[[Array], Array]:
        """What adds up rows by weights of shape (draws, clusters)."""
        rows = self.rows
        if isinstance(rows, np.ndarray):
            return lambda weights: multiply(weights, rows)
        if rows.nnz > DENSE_SHARE * rows.shape[0] * rows.shape[1]:
            full = rows.toarray()
            return lambda weights: weights @ full
        transposed = rows.T.tocsr()
        return lambda weights: np.ascontiguousarray((transposed @ weights.T).T)

    def draw(
        self, statistic: Callable[[Totals], Mapping[str, Array]], boot: Bootstrap
    ) -> tuple[Mapping[str, Array], dict[str, Array]]:
        """A statistic of the sample and of ``boot.draws`` bootstrap samples of whole clusters.

        Args:
            statistic: Totals with any batch shape -> named values of that shape.
            boot: Number of draws and seed.

        Returns:
            Values of the sample, and draws of shape (draws,) each; memory does not grow with ``boot.draws``.
        """
        point = statistic(self.totals())
        clusters, width = self.rows.shape
        rng = np.random.default_rng(boot.seed)
        step = max(1, CHUNK // max(clusters, width))
        parts: list[Mapping[str, Array]] = []
        weigh = self._weigh()
        for start in range(0, boot.draws, step):
            weights = draw_weights(clusters, min(step, boot.draws - start), rng)
            parts.append(statistic(self.split(weigh(weights))))
        return point, {name: np.concatenate([part[name] for part in parts]) for name in point}

    def draw_bounded(
        self, statistic: Callable[[Totals], Mapping[str, Array]], boot: Bootstrap, extremes: Sequence[Array]
    ) -> tuple[Mapping[str, Array], dict[str, Array], dict[str, Array]]:
        """A statistic of the sample, and its lowest and highest value where half a cluster more lies at an extreme.

        Args:
            statistic: Totals with any batch shape -> named values of that shape.
            boot: Number of draws and seed.
            extremes: Rows of shape (columns,): clusters as different from those seen as there can be.

        Returns:
            Values of the sample; lowest and highest draws over the extremes, shape (draws, ...) each.
        """
        clusters, width = self.rows.shape
        rng = np.random.default_rng(boot.seed)
        unseen = np.random.default_rng([boot.seed, 1]).standard_gamma(UNSEEN, boot.draws)
        step = max(1, CHUNK // max(clusters, width))
        weigh = self._weigh()
        lows: list[dict[str, Array]] = []
        highs: list[dict[str, Array]] = []
        for start in range(0, boot.draws, step):
            weights = draw_dirichlet(clusters, min(step, boot.draws - start), rng)
            extra = unseen[start : start + step]
            total = (weights.sum(1) + extra) / clusters
            weights /= total[:, None]
            drawn = weigh(weights)
            each = [statistic(self.split(drawn + (extra / total)[:, None] * extreme)) for extreme in extremes]
            lows.append({name: np.fmin.reduce([one[name] for one in each]) for name in each[0]})
            highs.append({name: np.fmax.reduce([one[name] for one in each]) for name in each[0]})
        low, high = ({name: np.concatenate([p[name] for p in parts]) for name in parts[0]} for parts in (lows, highs))
        return statistic(self.totals()), low, high


@dataclass(frozen=True)
class GroupMeans:
    """Means of groups of rows with their intervals, all from the same draws of clusters.

    Attributes:
        each: By group, then by column.
        average: By group: the mean of its columns' means; its ``n`` are rows with a value in at least one column.
        draws: Shape (draws, groups, columns + 1): the middle of lower and upper draws, columns turned round where they
            are, and their average; NaN where there is none.
    """

    each: list[list[Estimate]]
    average: list[Estimate]
    draws: Array


def _thin(rows: Array) -> "sparse.csr_array | Array":
    """Rows as a sparse table where few are filled."""
    from scipy import sparse

    return rows if sum(map(np.count_nonzero, each_column(rows))) > DENSE_SHARE * rows.size else sparse.csr_array(rows)


def each_column(table: Array) -> Iterator[Array]:
    """The columns of a table; of one in a file each is let go when the next is asked for."""
    for column in table.T:
        yield column
        let_go(table)


def multiply(weights: Array, rows: Array) -> Array:
    """``weights @ rows``; of a table in a file, some columns at a time."""
    if not is_mapped(rows):
        return weights @ rows
    found, width = np.empty((len(weights), rows.shape[1])), max(2, PART // (8 * len(rows)))
    begins = [*range(0, max(1, rows.shape[1] - 1), width), rows.shape[1]]  # no column is alone, whose sum may differ
    for begin, end in pairwise(begins):
        found[:, begin:end] = weights @ rows[:, begin:end]
        let_go(rows)
    return found


def code_clusters(clusters: Sequence[object] | npt.NDArray[Any]) -> tuple[npt.NDArray[np.integer], int]:
    """Clusters, by name or numbered from 0 in any order, as numbers in order of first appearance; and how many."""
    if isinstance(clusters, np.ndarray) and clusters.dtype.kind in "iu":
        first = np.full(int(clusters.max(initial=-1)) + 1, -1, dtype=np.int32)
        first[clusters[::-1]] = np.arange(len(clusters) - 1, -1, -1, dtype=np.int32)  # what is written last stays
        there = np.sort(first[first >= 0])
        code = np.empty(len(first), dtype=np.int32)
        code[clusters[there]] = np.arange(len(there), dtype=np.int32)
        return code[clusters], len(there)
    index: dict[object, int] = {}
    code = np.array([index.setdefault(c, len(index)) for c in clusters], dtype=np.intp)
    return code, len(index)


def _checked_table(table: npt.ArrayLike, clusters: Sequence[object] | npt.NDArray[Any]) -> Array:
    array = np.asarray(table, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise ValueError("expected a table of at least one row and one column")
    if any(np.isinf(column).any() for column in each_column(array)):
        raise ValueError("values must be finite, or NaN where missing")
    if len(clusters) != len(array):
        raise ValueError(f"{len(array)} rows but {len(clusters)} cluster labels")
    return array


def _size_of_unseen(counts: npt.NDArray[Any]) -> Array:
    """Values that the card that nobody saw has: as many as those seen have on average, over the first axis."""
    size: Array = counts.sum(0) / np.maximum((counts > 0).sum(0), 1)
    return size


def estimate_group_means(
    table: npt.ArrayLike,
    clusters: Sequence[object] | npt.NDArray[Any],
    groups: Sequence[int] | npt.NDArray[np.integer],
    boot: Bootstrap,
    turned: Mapping[int, float] | None = None,
    scale: tuple[float, float] = (0.0, float(FULL)),
    even: bool = False,
) -> GroupMeans:
    """Means of every column within each group of rows, and the mean of these means.

    Args:
        table: Shape (n, columns); NaN is missing and left out of its column.
        clusters: Length n, the cluster of each row (e.g. its role card); a cluster may lie in several groups.
        groups: Length n, codes 0 .. groups - 1 (e.g. of the supporter), none empty. Groups that share no cluster are
            drawn each from its own.
        boot: Draws, seed, confidence.
        turned: Columns that enter the average as this number less their mean, because lower is better there.
        scale: Lowest and highest value that there can be; intervals keep to it.
        even: Whether each cluster counts once in a group's mean, however many rows it has there; else every row.

    Raises:
        ValueError: The table is not two-dimensional, holds infinities or values off the scale, or the labels do not
            fit.
    """
    array, group = _checked_table(table, clusters), np.asarray(groups)
    if len(group) != len(array):
        raise ValueError(f"{len(array)} rows but {len(group)} groups")
    slack = 1e-9 * (scale[1] - scale[0])
    if any((c < scale[0] - slack).any() or (c > scale[1] + slack).any() for c in each_column(array)):
        raise ValueError(f"values must lie on the scale, from {scale[0]:g} to {scale[1]:g}")
    code, cards = code_clusters(clusters)
    many_groups, columns = int(group.max()) + 1, array.shape[1]
    place = code * np.intp(many_groups) + group
    if many_groups > 1 and np.count_nonzero(np.bincount(place)) == cards:  # none is shared
        own = [np.flatnonzero(group == g) for g in range(many_groups)]
        alone = [estimate_group_means(array[i], code[i], [0] * len(i), boot, turned, scale, even) for i in own]
        draws = np.concatenate([means.draws for means in alone], axis=1)
        return GroupMeans([means.each[0] for means in alone], [means.average[0] for means in alone], draws)
    sign, offset = np.ones(columns), np.zeros(columns)
    for column, full in (turned or {}).items():
        sign[column], offset[column] = -1, full
    cells = cards * many_groups
    filled, there = Table(cards, 2 * many_groups * columns), np.zeros(len(array), dtype=np.bool_)
    n, own_cards, size = np.zeros((3, many_groups, columns))
    for j, values in enumerate(each_column(array)):  # one at a time: what is in between takes memory for each dialogue
        known = ~np.isnan(values)
        there |= known
        sums = np.asarray(np.bincount(place, np.nan_to_num(offset[j] + sign[j] * values), cells), dtype=float)
        counts = np.asarray(np.bincount(place, known, cells), dtype=float)
        sums, counts = sums.reshape(cards, -1), counts.reshape(cards, -1)
        n[:, j], own_cards[:, j] = counts.sum(0), (counts > 0).sum(0)
        if even:
            sums, counts = sums / np.maximum(counts, 1), np.minimum(counts, 1)
        size[:, j] = _size_of_unseen(counts)
        for g in range(many_groups):
            filled.put(g * columns + j, sums[:, g])
            filled.put((many_groups + g) * columns + j, counts[:, g])
        del sums, counts
    rows = np.bincount(place[there], minlength=cells).reshape(cards, many_groups)
    members, reach = rows.sum(0), (rows > 0).sum(0)
    del place, there, rows

    def statistic(t: Totals) -> dict[str, Array]:
        mean = ratio(t["sum"], t["n"])
        return {"mean": mean, "average": mean.mean(-1)}

    tables = ClusterTables.sums(filled, (many_groups, columns))
    ends = np.sort(offset + sign * np.array(scale)[:, None], axis=0)
    extremes = [np.concatenate([(size * end).ravel(), size.ravel()]) for end in ends]
    one, lows, highs = tables.draw_bounded(statistic, boot, extremes)

    def estimate(name: str, at: tuple[int, ...], size: float, clusters: int, why: str) -> Estimate:
        ends = [np.moveaxis(drawn[name], 0, -1)[at] for drawn in (lows, highs)]
        return boot.between(float(one[name][at]), ends[0], ends[1], int(size), int(clusters), why)

    each = [
        [
            estimate("mean", (g, j), n[g, j], own_cards[g, j], "no score").scaled(float(sign[j]), float(offset[j]))
            for j in range(columns)
        ]
        for g in range(many_groups)
    ]
    average = [estimate("average", (g,), members[g], reach[g], "a column has no score") for g in range(many_groups)]
    middle = {name: (lows[name] + highs[name]) / 2 for name in lows}
    return GroupMeans(each, average, np.concatenate([middle["mean"], middle["average"][..., None]], axis=-1))


def _off_mode(values: Array) -> int:
    """How many values are not the most frequent one; NaN is none."""
    _, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    return int(counts.sum() - counts.max(initial=0))


def estimate_gaps(
    gaps: npt.ArrayLike,
    clusters: Sequence[object] | npt.NDArray[Any],
    boot: Bootstrap,
    limit: float = float(FULL),
    why: str = "no score",
) -> list[Estimate]:
    """Means of differences, of each column.

    The card that nobody saw has the largest difference that was seen, in either direction, and a part of the way from
    there to the largest that there can be: 1 / (k + 1), which is the chance that the next card to differ from the most
    frequent difference is further away than the k that were seen.

    Args:
        gaps: Shape (n, columns); NaN is missing and left out of its column.
        clusters: Length n, the cluster of each row.
        boot: Draws, seed, confidence.
        limit: Largest difference that there can be.
        why: Why a column has no value, where it has none.
    """
    if np.shape(gaps)[1:] == (0,):
        return []
    array = _checked_table(gaps, clusters)
    code, cards = code_clusters(clusters)
    columns = array.shape[1]
    table = Table(cards, 2 * columns)
    n, own, size, end = np.zeros((4, columns))
    for j, values in enumerate(each_column(array)):
        sums = np.bincount(code, np.nan_to_num(values), cards)
        counts = np.bincount(code, ~np.isnan(values), cards)
        each = np.round(ratio(sums, counts), 9)
        largest = np.abs(np.nan_to_num(each)).max()
        end[j] = largest + (limit - largest) / (1 + _off_mode(each))
        n[j], own[j], size[j] = counts.sum(), (counts > 0).sum(), _size_of_unseen(counts)
        table.put(j, sums)
        table.put(columns + j, counts)
    tables = ClusterTables.sums(table, (columns,))
    extremes = [np.concatenate([size * side * end, size]) for side in (-1, 1)]
    one, lows, highs = tables.draw_bounded(lambda t: {"mean": ratio(t["sum"], t["n"])}, boot, extremes)
    return [
        boot.between(float(one["mean"][j]), lows["mean"][:, j], highs["mean"][:, j], int(n[j]), int(own[j]), why)
        for j in range(columns)
    ]


def estimate_share(parts: npt.ArrayLike, wholes: npt.ArrayLike, boot: Bootstrap, n: int, why: str) -> Estimate:
    """The sum of parts by the sum of wholes, with an interval between 0 and 1.

    Args:
        parts, wholes: Shape (clusters,): of each cluster, how many of how many; clusters without any are left out.
        boot: Draws, seed, confidence.
        n: What the estimate says that it is of.
        why: Why there is no value, where there is none.
    """
    rows = np.stack([np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float)], 1)
    rows = rows[rows[:, 1] > 0]
    if not len(rows):
        return Estimate(None, n=n, undefined=why)
    size = rows[:, 1].mean()
    extremes = [np.array([0.0, size]), np.array([size, size])]
    tables = ClusterTables.build({"c": (rows, (2,))})
    one, lows, highs = tables.draw_bounded(lambda t: {"s": ratio(t["c"][..., 0], t["c"][..., 1])}, boot, extremes)
    return boot.between(float(one["s"]), lows["s"], highs["s"], n, len(rows), why)


def bootstrap_mean(
    values: Sequence[float],
    clusters: Sequence[object] | None = None,
    *,
    confidence: float = CONFIDENCE,
    draws: int = DRAWS,
    seed: int = 0,
    scale: tuple[float, float] | None = None,
) -> Estimate:
    """Mean of values with an interval that draws whole clusters.

    Args:
        values: Shape (n,), finite.
        clusters: Length n; None = every value its own.
        confidence: Coverage of the interval, from 0.5 to 1.
        draws: Bootstrap draws.
        seed: Seed of the draws.
        scale: Lowest and highest value that there can be; None where values have no bounds.

    Raises:
        ValueError: No values, a value that is not finite or off the scale, or lengths that differ.

    >>> e = bootstrap_mean([1, 2, 3, 4], seed=0)
    >>> e.value, e.n, e.low < 2.5 < e.high
    (2.5, 4, True)
    >>> e = bootstrap_mean([4] * 20, scale=(0, 4))
    >>> e.value, e.low < 3.8, e.high
    (4.0, True, 4.0)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError("a mean needs at least one value")
    if not np.isfinite(array).all():
        raise ValueError("values must be finite: take unscored items out and count them")
    labels = range(len(array)) if clusters is None else clusters
    boot = Bootstrap(draws, seed, confidence)
    table = _checked_table(array[:, None], labels)
    if scale is not None:
        return estimate_group_means(table, labels, [0] * len(array), boot, scale=scale).each[0][0]
    code, cards = code_clusters(labels)
    sums, counts = np.bincount(code, array, cards)[:, None], np.bincount(code, minlength=cards)[:, None]
    tables = ClusterTables.build({"sum": (sums, ()), "n": (counts.astype(float), ())})
    one, many = tables.draw(lambda t: {"mean": ratio(t["sum"], t["n"])}, boot)
    return boot.estimate(float(one["mean"]), many["mean"], len(array), cards, "no value")
