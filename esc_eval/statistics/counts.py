"""From ratings to additive count tables, one row a cluster: what every coefficient and its bootstrap are made of."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from esc_eval.files.ratings_table import RatingsTable
from esc_eval.statistics.bootstrap import ClusterTables
from esc_eval.statistics.estimate import Array

Codes = npt.NDArray[np.intp]
MAX_PAIRS = 400
"""Pairs of raters beyond which no pair is shown alone, and Spearman, the mean over pairs, is not computed."""


@dataclass(frozen=True)
class Ratings:
    """Scores as parallel arrays of codes.

    Attributes:
        unit, rater, level: Shape (n,). Unit rated, rater, and index of the score in ``levels``; one row a rating.
        cluster: Shape (units,), the cluster of each unit.
        levels: Shape (q,), the scale, ascending.
        raters: Names by rater code.
    """

    unit: Codes
    rater: Codes
    level: Codes
    cluster: Codes
    levels: Array
    raters: tuple[str, ...]

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike, levels: npt.ArrayLike) -> "Ratings":
        """From shape (units, raters) with NaN for missing; every unit is a cluster of its own.

        Raises:
            ValueError: A score is not one of ``levels``.
        """
        scores = np.asarray(matrix, dtype=float)
        scale = np.sort(np.asarray(levels, dtype=float))
        unit, rater = np.nonzero(~np.isnan(scores))
        values = scores[unit, rater]
        level = np.clip(np.searchsorted(scale, values), 0, len(scale) - 1)
        if not np.array_equal(scale[level], values):
            bad = values[scale[level] != values][0]
            raise ValueError(f"score {bad:g} is not a level of the scale {scale.tolist()}")
        names = tuple(str(i) for i in range(scores.shape[1]))
        return cls(unit, rater, level, np.arange(len(scores)), scale, names)

    @classmethod
    def from_table(cls, table: RatingsTable, rows: pd.DataFrame, cluster: str) -> "Ratings":
        """From rows of a ratings table; a unit is a dialogue x dimension, ``cluster`` a column."""
        score = rows["score"].to_numpy(dtype=float)
        unit, uniques = pd.factorize(pd.MultiIndex.from_frame(rows[["dialogue_id", "dimension"]]))
        rater = pd.Categorical(rows["rater"], categories=table.raters).codes.astype(np.intp)
        first = np.zeros(len(uniques), dtype=np.intp)
        first[unit] = pd.factorize(rows[cluster])[0]
        return cls(unit, rater, (score - table.low).astype(np.intp), first, table.levels, table.raters)

    @property
    def scores(self) -> Array:
        """Shape (n,), the numeric scores."""
        return self.levels[self.level]

    def without(self, rater: int) -> "Ratings":
        """The same ratings less one rater's."""
        keep = self.rater != rater
        return Ratings(self.unit[keep], self.rater[keep], self.level[keep], self.cluster, self.levels, self.raters)


def level_counts(ratings: Ratings) -> Array:
    """How many ratings of each unit fall on each level, shape (units, q)."""
    q = len(ratings.levels)
    flat = np.bincount(ratings.unit * q + ratings.level, minlength=len(ratings.cluster) * q)
    return flat.reshape(-1, q).astype(float)


def by_cluster(ratings: Ratings, values: Array) -> sparse.csr_array:
    """Sum rows of shape (units, columns) within clusters."""
    units = len(ratings.cluster)
    clusters = int(ratings.cluster.max(initial=-1)) + 1
    gather = sparse.csr_array((np.ones(units), (ratings.cluster, np.arange(units))), shape=(clusters, units))
    return sparse.csr_array(gather @ sparse.csr_array(values))


def unit_tables(ratings: Ratings) -> ClusterTables:
    """Tables behind alpha, Fleiss kappa, AC2, exact and within-one agreement, and ICC.

    Blocks: ``coincidence`` (q, q), ordered pairs of a unit's ratings, each 1/(m-1) times; ``pairs`` (q, q), each once;
    ``shared`` (q, q), each 1/(m(m-1)) times; ``paired`` and ``rated``, units with two or more and with any rating;
    ``prevalence`` (q,); ``between``, ``squares``, ``m2`` and ``rater_sum`` / ``rater_n`` (r,) for ICC.
    """
    r = level_counts(ratings)
    q, units = r.shape[1], r.shape[0]
    m = r.sum(1)
    ordered = r[:, :, None] * (r[:, None, :] - np.eye(q))
    ordered = np.where((m >= 2)[:, None, None], ordered, 0).reshape(units, q * q)
    several = np.maximum(m - 1, 1)[:, None]
    rated = np.maximum(m, 1)[:, None]
    sums = r @ ratings.levels
    people = len(ratings.raters)
    clusters = int(ratings.cluster.max(initial=-1)) + 1
    place = (ratings.cluster[ratings.unit], ratings.rater)
    by_rater = {
        name: (sparse.coo_array((values, place), shape=(clusters, people)).tocsr(), (people,))
        for name, values in (("rater_sum", ratings.scores), ("rater_n", np.ones(len(ratings.unit))))
    }
    columns = {
        "coincidence": (ordered / several, (q, q)),
        "pairs": (ordered, (q, q)),
        "shared": (ordered / several / rated, (q, q)),
        "paired": ((m >= 2)[:, None] * 1.0, ()),
        "rated": ((m >= 1)[:, None] * 1.0, ()),
        "prevalence": (r / rated, (q,)),
        "between": (sums[:, None] ** 2 / rated, ()),
        "squares": (r @ ratings.levels[:, None] ** 2, ()),
        "m2": (m[:, None] ** 2, ()),
    }
    parts = {name: (by_cluster(ratings, values), shape) for name, (values, shape) in columns.items()}
    return ClusterTables.build({**parts, **by_rater})


def unseen_units(ratings: Ratings) -> list[tuple[int, int]]:
    """Level indices of two ratings of a unit that nobody saw: the worst and the best that could be for a coefficient.

    A disagreement as large as any that were seen, and by two levels at least, as one is none for a share "within one";
    agreement on the most frequent level; and agreement as far out as any, which is rare and so counts most where chance
    is corrected for. As in ``bootstrap.estimate_gaps`` each lies 1 / (k + 1) of the way from what was seen to the end
    of the scale, k being the units that are not like most.
    """
    last = len(ratings.levels) - 1
    lowest, highest = np.full(len(ratings.cluster), last), np.zeros(len(ratings.cluster), dtype=np.intp)
    np.minimum.at(lowest, ratings.unit, ratings.level)
    np.maximum.at(highest, ratings.unit, ratings.level)
    several = np.bincount(ratings.unit, minlength=len(ratings.cluster)) >= 2
    lowest, highest = lowest[several], highest[several]
    mode, middle = int(np.bincount(ratings.level).argmax()), float(np.median(ratings.level))

    def beyond(seen: int, end: int, unlike: int) -> int:
        part = int(np.floor(abs(end - seen) / (1 + unlike) + 0.5))
        return seen + part if end > seen else seen - part

    spread = highest - lowest
    gap = beyond(int(spread.max()), last, len(spread) - int(np.bincount(spread).max()))
    gap = max(gap, min(2, last))
    first = int(np.clip(round(middle - gap / 2), 0, last - gap))
    unlike = int(((lowest != mode) | (highest != mode)).sum())
    ends = beyond(int(lowest.min()), 0, unlike), beyond(int(highest.max()), last, unlike)
    far = max(ends, key=lambda level: abs(level - middle))
    return [(first, first + gap), (mode, mode), (far, far)]


def unseen_pairs(first: Codes, second: Codes, levels: Array) -> list[tuple[int, int]]:
    """``unseen_units`` of pairs of level indices that are not alike (label and prediction, before and after).

    Args:
        first, second: Shape (n,).
        levels: Shape (q,).
    """
    n = len(first)
    unit, both = np.arange(n), np.concatenate([first, second])
    pairs = Ratings(np.tile(unit, 2), np.repeat([0, 1], n), both, unit, levels, ("first", "second"))
    disagree, usual, far = unseen_units(pairs)
    return list(dict.fromkeys([disagree, disagree[::-1], usual, far]))


MASS = {"coincidence": "coincidence", "pairs": "pairs", "shared": "shared", "prevalence": "prevalence"} | {
    **dict.fromkeys(("paired", "rated", "m2"), ""),
    **dict.fromkeys(("between", "squares", "rater_sum", "rater_n"), "rater_n"),
}


def average_of_those_there(rows: "sparse.csr_array | Array") -> Array:
    """Mean of each column over the clusters that have something in it."""
    table = sparse.csr_array(rows)
    mean: Array = np.asarray(table.sum(axis=0)).ravel() / np.maximum((table != 0).sum(axis=0), 1).ravel()
    return mean


def unseen_unit_rows(ratings: Ratings, tables: ClusterTables) -> list[Array]:
    """Rows for ``ClusterTables.draw_bounded`` of ``unit_tables``: an average cluster of each of ``unseen_units``."""
    blocks = {}
    for name, (start, shape) in tables.blocks.items():
        blocks[name] = tables.rows[:, start : start + int(np.prod(shape, dtype=int))].sum(axis=1)[:, None]
    size = {name: float(average_of_those_there(blocks[MASS[name] or name])[0]) for name in blocks}
    found = []
    for levels in unseen_units(ratings):
        pair = np.arange(2)
        one = Ratings(0 * pair, pair, np.array(levels), np.zeros(1, dtype=np.intp), ratings.levels, ratings.raters)
        row = unit_tables(one).totals()
        parts = [value * size[name] / float(row[MASS[name] or name].sum()) for name, value in row.items()]
        found.append(np.concatenate([np.ravel(part) for part in parts]))
    return found


@dataclass(frozen=True)
class Pairs:
    """Ratings of the same unit by two raters.

    Attributes:
        unit, first, second: Shape (n,): unit and the two level indices; ``first`` is the rater with the lower code.
        pair: Shape (n,), index into ``raters``.
        raters: Rater codes of each pair, lower first.
    """

    unit: Codes
    first: Codes
    second: Codes
    pair: Codes
    raters: list[tuple[int, int]]


def rating_pairs(ratings: Ratings) -> Pairs:
    """Every pair of raters on every unit that both rated."""
    order = np.lexsort((ratings.rater, ratings.unit))
    unit, rater, level = ratings.unit[order], ratings.rater[order], ratings.level[order]
    found: list[tuple[Codes, Codes]] = []
    index = np.arange(len(unit))
    for lag in range(1, int(np.bincount(unit).max(initial=0))):
        same = unit[lag:] == unit[:-lag]
        found.append((index[:-lag][same], index[lag:][same]))
    a = np.concatenate([x for x, _ in found]) if found else np.zeros(0, dtype=np.intp)
    b = np.concatenate([y for _, y in found]) if found else np.zeros(0, dtype=np.intp)
    keys, pair = np.unique(rater[a] * len(ratings.raters) + rater[b], return_inverse=True)
    names = [divmod(int(key), len(ratings.raters)) for key in keys]
    return Pairs(unit[a], level[a], level[b], pair, names)


def pair_tables(ratings: Ratings, pairs: Pairs) -> ClusterTables:
    """One block ``confusion`` (pairs, q, q): the confusion table of each pair of raters."""
    q = len(ratings.levels)
    clusters = int(ratings.cluster.max()) + 1
    columns = (pairs.pair * q + pairs.first) * q + pairs.second
    width = len(pairs.raters) * q * q
    rows = sparse.coo_array(
        (np.ones(len(columns)), (ratings.cluster[pairs.unit], columns)), shape=(clusters, width)
    ).tocsr()
    return ClusterTables.build({"confusion": (rows, (len(pairs.raters), q, q))})


def kappa_tables(ratings: Ratings, pairs: Pairs) -> tuple[ClusterTables, list[Array]]:
    """Tables behind ``coefficients.pooled_kappa``, and the rows of an average cluster of each of ``unseen_units``.

    Blocks: ``observed`` (q, q), ``marginals`` (r, q), ``sizes`` (p,).
    """
    q, r, p = len(ratings.levels), len(ratings.raters), len(pairs.raters)
    clusters = int(ratings.cluster.max()) + 1
    several = np.bincount(ratings.unit, minlength=len(ratings.cluster))[ratings.unit] >= 2
    of_rating, of_pair = ratings.cluster[ratings.unit[several]], ratings.cluster[pairs.unit]

    def table(rows: Codes, columns: Codes, width: int) -> sparse.csr_array:
        return sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(clusters, width)).tocsr()

    tables = ClusterTables.build(
        {
            "observed": (table(of_pair, pairs.first * q + pairs.second, q * q), (q, q)),
            "marginals": (table(of_rating, ratings.rater[several] * q + ratings.level[several], r * q), (r, q)),
            "sizes": (table(of_pair, pairs.pair, p), (p,)),
        }
    )
    totals, there = tables.totals(), max(1, len(np.unique(of_pair)))
    extremes = []
    for first, second in unseen_units(ratings):
        observed, marginals = np.zeros((q, q)), np.zeros((r, q))
        observed[first, second] = totals["sizes"].sum()
        for level in (first, second):
            marginals[:, level] += totals["marginals"].sum(-1) / 2
        parts = (observed.ravel(), marginals.ravel(), totals["sizes"])
        extremes.append(np.concatenate(parts) / there)
    return tables, extremes


def unseen_pair_rows(ratings: Ratings, tables: ClusterTables) -> list[Array]:
    """Rows for ``ClusterTables.draw_bounded`` of ``pair_tables``: an average cluster of each of ``unseen_units``."""
    start, shape = tables.blocks["confusion"]
    pair = np.arange(int(np.prod(shape))) // (shape[1] * shape[2])
    gather = sparse.csr_array((np.ones(len(pair)), (start + np.arange(len(pair)), pair)))
    sizes = average_of_those_there(tables.rows @ gather)
    found = []
    for first, second in unseen_units(ratings):
        row = np.zeros(shape)
        row[:, first, second] += sizes / 2
        row[:, second, first] += sizes / 2
        found.append(row.ravel())
    return found
