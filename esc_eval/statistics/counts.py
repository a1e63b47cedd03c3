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
"""Pairs of raters beyond which pairwise coefficients are not computed."""


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
