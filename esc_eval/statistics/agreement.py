"""Agreement between raters: every coefficient with its interval, for one set of ratings.

Kappa of several raters is a ratio of sums over their pairs (for two raters: Cohen's kappa; for complete tables:
Conger's 1980): a mean of kappas of pairs that share few units is biased. Spearman is a mean over pairs, weighted by the
units both rated. Exact and within-one are shares of all pairs of ratings of the same unit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.counts import (
    MAX_PAIRS,
    Pairs,
    Ratings,
    kappa_tables,
    pair_tables,
    rating_pairs,
    unit_tables,
    unseen_pair_rows,
    unseen_unit_rows,
)
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.variance import icc_interval, mean_squares

KappaWeights = Literal["distance", "position"]

COEFFICIENTS = {
    "krippendorff_alpha_ordinal": "Krippendorff alpha, ordinal",
    "krippendorff_alpha_interval": "Krippendorff alpha, interval",
    "krippendorff_alpha_nominal": "Krippendorff alpha, nominal",
    "quadratic_kappa": "kappa, quadratic weights",
    "kappa": "kappa, unweighted",
    "fleiss_kappa": "Fleiss kappa",
    "gwet_ac2": "Gwet AC2, quadratic weights",
    "icc_2_1": "ICC(2,1)",
    "icc_2_k": "ICC(2,k)",
    "exact": "exact agreement",
    "within_one": "agreement within one point",
    "spearman": "Spearman",
}
FEW_SHARED = 10
"""Units that a pair of raters shares on average, below which a mean over pairs is biased and said to be."""

_ONE_LEVEL = "all ratings that can be paired are on one level: chance would agree as well, so the coefficient is 0/0"
_CONSTANT = "in every pair of raters at least one gives the same score throughout, so the coefficient is 0/0"
_BOTH_CONSTANT = "in every pair both raters give one and the same score throughout, so the coefficient is 0/0"
_ICC = "units, raters and error cannot be told apart: scores are constant, or no unit or rater has two ratings"
WHY = {
    **dict.fromkeys(COEFFICIENTS, _ONE_LEVEL),
    **{"quadratic_kappa": _BOTH_CONSTANT, "kappa": _BOTH_CONSTANT, "spearman": _CONSTANT},
    **{"icc_2_1": _ICC, "icc_2_k": _ICC},
}


@dataclass(frozen=True)
class Agreement:
    """Coefficients of one set of ratings.

    Attributes:
        measures: By name, as in ``COEFFICIENTS``.
        pairs: Quadratic kappa of each pair of raters, names sorted.
        average_of: Mean number of ratings a unit: the k of ICC(2,k).
        shared: Units that a pair of raters shares, on average over pairs that share any; None without pairs.
    """

    measures: dict[str, Estimate]
    pairs: dict[tuple[str, str], Estimate]
    average_of: float | None
    shared: float | None = None


def _relabelled(ratings: Ratings, weights: KappaWeights) -> Ratings:
    """Ratings on the scale by which kappa's weights are measured."""
    if weights == "distance":
        return ratings
    used, level = np.unique(ratings.level, return_inverse=True)
    return replace(ratings, level=level.astype(np.intp), levels=np.arange(len(used), dtype=float))


def _unit_statistics(levels: Array, k: float) -> Callable[[Totals], dict[str, Array]]:
    one = np.abs(levels[:, None] - levels[None, :]) <= 1

    def statistic(t: Totals) -> dict[str, Array]:
        pairs = t["pairs"]
        total = pairs.sum((-1, -2))
        shared = co.ratio(t["shared"], t["paired"][..., None, None])
        prevalence = co.ratio(t["prevalence"], t["rated"][..., None])
        single, average = co.icc(t["between"], t["rater_sum"], t["rater_n"], t["squares"], t["rated"], t["m2"], k)
        alphas = {
            f"krippendorff_alpha_{m}": co.krippendorff_alpha(t["coincidence"], levels, m)
            for m in ("ordinal", "interval", "nominal")
        }
        return {
            **alphas,
            "fleiss_kappa": co.fleiss_kappa(shared, prevalence),
            "icc_2_1": single,
            "icc_2_k": average,
            "exact": co.ratio(np.trace(pairs, axis1=-2, axis2=-1), total),
            "within_one": co.ratio((pairs * one).sum((-1, -2)), total),
        }

    return statistic


def pair_mean(values: Array, sizes: Array) -> Array:
    """Mean over the last axis weighted by ``sizes``, without undefined values; NaN where all are undefined."""
    defined = np.isfinite(values)
    weight = np.where(defined, sizes, 0.0)
    return co.ratio((np.where(defined, values, 0.0) * weight).sum(-1), weight.sum(-1))


def estimate_agreement(ratings: Ratings, boot: Bootstrap, weights: KappaWeights = "distance") -> Agreement:
    """All coefficients of a set of ratings.

    Args:
        ratings: One row a rating; units of one rating count for prevalence and rater means only.
        boot: Draws, seed and confidence of the intervals.
        weights: Whether kappa and AC2 weigh by distance on the full scale, or by position among the levels that
            occur (as software that never saw the scale does).
    """
    n_raters = len(np.unique(ratings.rater))
    m = np.bincount(ratings.unit, minlength=len(ratings.cluster))
    n = int((m >= 2).sum())
    clusters = len(np.unique(ratings.cluster[m >= 2]))
    refusal = None
    if not len(ratings.unit):
        refusal = "no ratings"
    elif n_raters < 2:
        refusal = "one rater only: agreement needs two or more"
    elif not n:
        refusal = "no dialogue was rated by two raters, so there is nothing to compare"
    if refusal:
        blank = Estimate(None, n=n, clusters=clusters, undefined=refusal)
        return Agreement(dict.fromkeys(COEFFICIENTS, blank), {}, None)

    k = float(m[m > 0].mean())
    tables = unit_tables(ratings)
    drawn = Drawn(boot, n, clusters)
    drawn.add(tables, _unit_statistics(ratings.levels, k), unseen_unit_rows(ratings, tables))
    scaled = _relabelled(ratings, weights)
    if len(scaled.levels) > 1:
        tables = unit_tables(scaled)
        drawn.add(tables, _ac2(scaled.levels), unseen_unit_rows(scaled, tables))
    pairs = rating_pairs(scaled)
    shared = len(pairs.unit) / len(pairs.raters)
    tables, extremes = kappa_tables(scaled, pairs)
    drawn.add(tables, _kappas(scaled, pairs), extremes)
    found, spearman = _pairwise(scaled, pairs, boot, n, clusters)
    measures = {name: spearman if name == "spearman" else drawn.estimate(name) for name in COEFFICIENTS}
    for name, average_of in (("icc_2_1", 1.0), ("icc_2_k", k)):
        measures[name] = _with_random_raters(measures[name], ratings, boot.confidence, average_of)
    return Agreement(measures, found, k, shared)


class Drawn:
    """Coefficients of a sample with their lowest and highest draws, as they are added."""

    def __init__(self, boot: Bootstrap, n: int, clusters: int) -> None:
        self.boot, self.n, self.clusters = boot, n, clusters
        self.values: dict[str, tuple[float, Array, Array]] = {}

    def add(
        self, tables: ClusterTables, statistic: Callable[[Totals], dict[str, Array]], extremes: list[Array]
    ) -> None:
        """Draw from tables."""
        one, lows, highs = tables.draw_bounded(statistic, self.boot, extremes)
        self.values |= {name: (float(one[name]), lows[name], highs[name]) for name in one}

    def estimate(self, name: str) -> Estimate:
        """The estimate of a coefficient; undefined where nothing gave it a value."""
        nothing = np.full(1, np.nan)
        value, lows, highs = self.values.get(name, (float("nan"), nothing, nothing))
        return self.boot.between(value, lows, highs, self.n, self.clusters, WHY[name])


def _ac2(levels: Array) -> Callable[[Totals], dict[str, Array]]:
    weights = co.agreement_weights(levels)

    def statistic(t: Totals) -> dict[str, Array]:
        shared = co.ratio(t["shared"], t["paired"][..., None, None])
        return {"gwet_ac2": co.gwet_ac2(shared, co.ratio(t["prevalence"], t["rated"][..., None]), weights)}

    return statistic


def _kappas(ratings: Ratings, pairs: Pairs) -> Callable[[Totals], dict[str, Array]]:
    raters = np.array(pairs.raters, dtype=np.intp)
    weights = {"quadratic_kappa": co.agreement_weights(ratings.levels), "kappa": np.eye(len(ratings.levels))}

    def statistic(t: Totals) -> dict[str, Array]:
        return {
            name: co.pooled_kappa(t["observed"], t["marginals"], t["sizes"], raters, w) for name, w in weights.items()
        }

    return statistic


def _with_random_raters(found: Estimate, ratings: Ratings, confidence: float, average_of: float) -> Estimate:
    """The interval widened to what holds for other raters of the same kind, where the design tells."""
    if found.value is None or found.low is None or found.high is None:
        return found
    table = mean_squares(ratings.scores, ratings.unit, ratings.rater)
    if table is None:
        return replace(found, low=None, high=None, undefined="no interval: too few ratings to tell error from raters")
    if not table.df_rater:
        return replace(
            found, low=None, high=None, undefined="no interval: no two raters are linked by shared dialogues"
        )

    def of_mean(single: float) -> float:
        bottom = 1 + (average_of - 1) * single
        return average_of * single / bottom if bottom > 1e-9 else -1.0

    low, high = (of_mean(limit) for limit in icc_interval(table, confidence))
    low, high = max(-1.0, min(found.low, low)), min(1.0, max(found.high, high))
    return replace(found, low=min(found.value, low), high=max(found.value, high))


def _pairwise(
    ratings: Ratings, pairs: Pairs, boot: Bootstrap, n: int, clusters: int
) -> tuple[dict[tuple[str, str], Estimate], Estimate]:
    """Kappa of each pair of raters, and the mean of their Spearman correlations."""
    if len(pairs.raters) > MAX_PAIRS:
        why = (
            f"{len(pairs.raters)} pairs of raters share dialogues: a mean over pairs is computed for up to {MAX_PAIRS}"
        )
        return {}, Estimate(None, n=n, clusters=clusters, undefined=why)
    quadratic = co.agreement_weights(ratings.levels)

    def statistic(t: Totals) -> dict[str, Array]:
        table = t["confusion"]
        return {
            "spearman": pair_mean(co.table_spearman(table), table.sum((-1, -2))),
            "each": co.weighted_kappa(table, quadratic),
        }

    tables = pair_tables(ratings, pairs)
    one, lows, highs = tables.draw_bounded(statistic, boot, unseen_pair_rows(ratings, tables))
    sizes = tables.totals()["confusion"].sum((-1, -2))
    named = {}
    for i, (a, b) in enumerate(pairs.raters):
        own = len(np.unique(ratings.cluster[pairs.unit[pairs.pair == i]]))
        why = _BOTH_CONSTANT.replace("every", "this")
        ends = lows["each"][:, i], highs["each"][:, i]
        named[ratings.raters[a], ratings.raters[b]] = boot.between(
            float(one["each"][i]), *ends, int(sizes[i]), own, why
        )
    spearman = boot.between(float(one["spearman"]), lows["spearman"], highs["spearman"], n, clusters, WHY["spearman"])
    if (
        spearman.value is not None
        and len(pairs.raters) > 1
        and (few := len(pairs.unit) / len(pairs.raters)) < FEW_SHARED
    ):
        why = f"no interval: pairs of raters share {few:.1f} dialogues on average: their mean is biased"
        spearman = replace(spearman, low=None, high=None, undefined=why)
    return named, spearman
