"""Agreement between raters: every coefficient with its interval, for one set of ratings.

Pairwise coefficients (kappa, Spearman) are means over the pairs of raters, weighted by the units both rated (for two
raters: the coefficient itself; for complete tables: Light's 1971 mean). Exact and within-one are shares of all pairs
of ratings of the same unit.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.bootstrap import Bootstrap, Totals
from esc_eval.statistics.counts import MAX_PAIRS, Ratings, pair_tables, rating_pairs, unit_tables
from esc_eval.statistics.estimate import Array, Estimate

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
PAIRWISE = ("quadratic_kappa", "kappa", "spearman")

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
    """

    measures: dict[str, Estimate]
    pairs: dict[tuple[str, str], Estimate]
    average_of: float | None


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
    clusters = int(ratings.cluster.max(initial=-1)) + 1
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
    point, draws = unit_tables(ratings).draw(_unit_statistics(ratings.levels, k), boot)
    scaled = _relabelled(ratings, weights)
    point, draws = dict(point), dict(draws)
    _add_ac2(scaled, boot, point, draws)
    pairs, problem = _add_pairwise(scaled, boot, point, draws)
    why = {**WHY, **(dict.fromkeys(PAIRWISE, problem) if problem else {})}
    measures = {name: boot.estimate(float(point[name]), draws[name], n, clusters, why[name]) for name in COEFFICIENTS}
    return Agreement(measures, pairs, k)


def _add_ac2(ratings: Ratings, boot: Bootstrap, point: dict[str, Array], draws: dict[str, Array]) -> None:
    weights = co.agreement_weights(ratings.levels)
    if len(ratings.levels) < 2:
        point["gwet_ac2"], draws["gwet_ac2"] = np.array(np.nan), np.full(boot.draws, np.nan)
        return

    def statistic(t: Totals) -> dict[str, Array]:
        shared = co.ratio(t["shared"], t["paired"][..., None, None])
        return {"gwet_ac2": co.gwet_ac2(shared, co.ratio(t["prevalence"], t["rated"][..., None]), weights)}

    one, many = unit_tables(ratings).draw(statistic, boot)
    point.update(one)
    draws.update(many)


def _add_pairwise(
    ratings: Ratings, boot: Bootstrap, point: dict[str, Array], draws: dict[str, Array]
) -> tuple[dict[tuple[str, str], Estimate], str | None]:
    pairs = rating_pairs(ratings)
    if len(pairs.raters) > MAX_PAIRS:
        for name in PAIRWISE:
            point[name], draws[name] = np.array(np.nan), np.full(boot.draws, np.nan)
        return {}, (
            f"{len(pairs.raters)} pairs of raters share dialogues: a mean of pairwise values is computed for up to "
            f"{MAX_PAIRS}; alpha and Fleiss kappa use all ratings"
        )
    quadratic = co.agreement_weights(ratings.levels)
    identity = np.eye(len(ratings.levels))

    def statistic(t: Totals) -> dict[str, Array]:
        table = t["confusion"]
        sizes = table.sum((-1, -2))
        each = co.weighted_kappa(table, quadratic)
        return {
            "quadratic_kappa": pair_mean(each, sizes),
            "kappa": pair_mean(co.weighted_kappa(table, identity), sizes),
            "spearman": pair_mean(co.table_spearman(table), sizes),
            "each": each,
        }

    tables = pair_tables(ratings, pairs)
    one, many = tables.draw(statistic, boot)
    for name in PAIRWISE:
        point[name], draws[name] = one[name], many[name]
    sizes = tables.totals()["confusion"].sum((-1, -2))
    named = {}
    for i, (a, b) in enumerate(pairs.raters):
        units = pairs.unit[pairs.pair == i]
        clusters = len(np.unique(ratings.cluster[units]))
        named[ratings.raters[a], ratings.raters[b]] = boot.estimate(
            float(one["each"][i]), many["each"][:, i], int(sizes[i]), clusters, _BOTH_CONSTANT.replace("every", "this")
        )
    return named, None
