"""Rater diagnostics: who is severe, who is noisy, who drifts, and what agreement is without each.

Severity is least squares in score = unit + rater, with the units taken out, so that raters who saw harder dialogues
are not called severe; drift in score = unit + rater + drift x progress. Noise is Grubbs' (1948) estimator: the variance
of the difference of two raters is the sum of their error variances.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.agreement import FEW_SHARED
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.counts import Pairs, Ratings, pair_tables, rating_pairs, unit_tables, unseen_unit_rows
from esc_eval.statistics.estimate import Array, Estimate

MAX_RATERS = 100


@dataclass(frozen=True)
class RaterReport:
    """Diagnostics by rater name, and sentences on what the design cannot tell."""

    raters: dict[str, dict[str, Estimate]]
    notes: list[str]


def rating_positions(ratings: Ratings, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Row indices into ``ratings`` of the first and second rating of each pair."""
    key = ratings.unit * len(ratings.raters) + ratings.rater
    order = np.argsort(key)
    codes = np.array(pairs.raters, dtype=np.intp).reshape(-1, 2)[pairs.pair]
    wanted = [pairs.unit * len(ratings.raters) + codes[:, side] for side in (0, 1)]
    first, second = (order[np.searchsorted(key[order], w)] for w in wanted)
    return first, second


def effect_tables(ratings: Ratings, pairs: Pairs, progress: Array | None) -> ClusterTables:
    """Normal equations of rater effects with the units taken out, additive over clusters.

    Args:
        ratings: The ratings.
        pairs: ``rating_pairs(ratings)``.
        progress: Shape (n,), where in its rater's sequence each rating stands, -0.5 first to 0.5 last; None = no drift.

    Returns:
        Blocks ``normal`` (p, p) and ``right`` (p,) with p raters, then p drifts where there is ``progress``.
    """
    r = len(ratings.raters)
    p = r if progress is None else 2 * r
    i, j = rating_positions(ratings, pairs)
    m = np.bincount(ratings.unit, minlength=len(ratings.cluster))[pairs.unit]
    terms = [(ratings.rater[i], np.ones(len(i))), (ratings.rater[j], -np.ones(len(j)))]
    if progress is not None:
        terms += [(ratings.rater[i] + r, progress[i]), (ratings.rater[j] + r, -progress[j])]
    difference = (ratings.scores[i] - ratings.scores[j]) / m
    cluster = ratings.cluster[pairs.unit]
    clusters = int(ratings.cluster.max()) + 1
    normal = sparse.coo_array(
        (
            np.concatenate([a * b / m for _, a in terms for _, b in terms]),
            (
                np.tile(cluster, len(terms) ** 2),
                np.concatenate([x * p + y for x, _ in terms for y, _ in terms]),
            ),
        ),
        shape=(clusters, p * p),
    ).tocsr()
    right = sparse.coo_array(
        (
            np.concatenate([a * difference for _, a in terms]),
            (np.tile(cluster, len(terms)), np.concatenate([x for x, _ in terms])),
        ),
        shape=(clusters, p),
    ).tocsr()
    return ClusterTables.build({"normal": (normal, (p, p)), "right": (right, (p,))})


def spread_tables(ratings: Ratings) -> ClusterTables:
    """Number, sum and sum of squares of each rater's scores, additive over clusters."""
    shape = (int(ratings.cluster.max()) + 1, len(ratings.raters))
    place = (ratings.cluster[ratings.unit], ratings.rater)
    powers = {f"s{k}": sparse.coo_array((ratings.scores**k, place), shape=shape).tocsr() for k in range(3)}
    return ClusterTables.build({name: (rows, (shape[1],)) for name, rows in powers.items()})


def _spread(t: Totals) -> dict[str, Array]:
    squares = t["s2"] - co.ratio(t["s1"] ** 2, t["s0"])
    return {"spread": np.sqrt(np.maximum(co.ratio(squares, t["s0"] - 1), 0))}


def solve_effects(whole: Array) -> Callable[[Totals], dict[str, Array]]:
    """Minimum-norm solution of normal equations: effects that sum to zero over connected raters.

    An effect is NaN in a draw that no longer tells it, as it tells other effects apart than the sample does.

    Args:
        whole: Shape (p, p), the normal equations of the sample.
    """
    told = np.linalg.pinv(whole, rcond=1e-9, hermitian=True) @ whole

    def statistic(totals: Totals) -> dict[str, Array]:
        inverse = np.linalg.pinv(totals["normal"], rcond=1e-9, hermitian=True)
        lost = (np.abs(inverse @ totals["normal"] - told) > 1e-6).any(-1)
        return {"effects": np.where(lost, np.nan, (inverse @ totals["right"][..., None])[..., 0])}

    return statistic


def noise_variances(confusion: Array, levels: Array, raters: list[tuple[int, int]], n: int) -> Array:
    """Error variance of each rater from the variances of pairwise differences, shape (..., n).

    NaN where fewer than three raters are linked pairwise (two raters: only the sum is known).
    """
    d = levels[:, None] - levels[None, :]
    size = confusion.sum((-1, -2))
    mean = co.ratio((confusion * d).sum((-1, -2)), size)
    square = co.ratio((confusion * d**2).sum((-1, -2)), size)
    variance = (square - mean**2) * co.ratio(size, size - 1)
    usable = np.isfinite(variance)
    design = np.zeros((len(raters), n))
    for row, (a, b) in enumerate(raters):
        design[row, [a, b]] = 1.0
    weight = np.where(usable, size, 0.0)
    normal = np.einsum("...p,pa,pb->...ab", weight, design, design)
    right = np.einsum("...p,pa->...a", weight * np.where(usable, variance, 0.0), design)
    solution = (np.linalg.pinv(normal, rcond=1e-9, hermitian=True) @ right[..., None])[..., 0]
    eigen, vectors = np.linalg.eigh(normal)
    free = (np.abs(vectors) > 1e-6) & (eigen < 1e-9 * np.maximum(eigen[..., -1:], 1e-300))[..., None, :]
    return np.where(free.any(-1), np.nan, solution)


def rater_report(ratings: Ratings, boot: Bootstrap, progress: Array | None = None) -> RaterReport:
    """Severity, spread, noise, drift and alpha without each rater.

    Args:
        ratings: One row a rating.
        boot: Draws of clusters.
        progress: As for ``effect_tables``.
    """
    names, n = ratings.raters, len(ratings.raters)
    pairs = rating_pairs(ratings)
    notes: list[str] = []
    if not len(pairs.unit):
        return RaterReport({}, ["Rater diagnostics: no dialogue has two ratings, so raters cannot be compared."])
    if n > MAX_RATERS:
        return RaterReport({}, [f"Rater diagnostics: {n} raters; computed for up to {MAX_RATERS}."])
    clusters = int(ratings.cluster.max()) + 1
    counts = np.bincount(ratings.rater, minlength=n)
    compared = [np.unique(pairs.unit[np.isin(pairs.pair, _pairs_of(code, pairs))]) for code in range(n)]
    meeting = [len(np.unique(ratings.cluster[units])) for units in compared]

    def effects(progress: Array | None) -> tuple[Array, Array, Array]:
        tables = effect_tables(ratings, pairs, progress)
        normal = tables.totals()["normal"]
        one, many = tables.draw(solve_effects(normal), boot)
        return normal, one["effects"], many["effects"]

    normal, severity, severities = effects(None)
    drift, drifts = severity[:0], severities[:, :0]
    if progress is not None:
        normal, drift, drifts = effects(progress)
    notes += _design_notes(normal, n, pairs.raters, names, progress is not None)

    spread = pair_tables(ratings, pairs)
    levels = ratings.levels
    noise, noise_draws = spread.draw(
        lambda t: {"noise": np.sqrt(np.maximum(noise_variances(t["confusion"], levels, pairs.raters, n), 0))}, boot
    )
    width, width_draws = spread_tables(ratings).draw(_spread, boot)
    unscored = "this rater shares no dialogue with another"
    out: dict[str, dict[str, Estimate]] = {}
    for code, name in enumerate(names):
        shared = len(compared[code])
        if not shared:
            out[name] = {"severity": Estimate(None, n=int(counts[code]), clusters=clusters, undefined=unscored)}
            continue
        size = int(counts[code])
        row = {
            "severity": boot.estimate(
                0.0 - round(float(severity[code]), 12), -severities[:, code], size, meeting[code], unscored
            ),
            "spread": boot.estimate(
                float(width["spread"][code]), width_draws["spread"][:, code], size, clusters, "one rating only"
            ),
            "noise": boot.estimate(
                float(noise["noise"][code]),
                noise_draws["noise"][:, code],
                size,
                clusters,
                "error of single raters needs three raters who share dialogues pairwise; with two only the "
                "sum is known",
            ),
        }
        if progress is not None:
            why = f"it needs {FEW_SHARED} dialogues that others rated too, here {shared}"
            told = float(drift[n + code]) if shared >= FEW_SHARED else float("nan")
            row["drift"] = boot.estimate(told, drifts[:, n + code], size, meeting[code], why)
        out[name] = row
    _add_alpha_without(ratings, boot, out)
    return RaterReport(out, notes)


def _pairs_of(code: int, pairs: Pairs) -> list[int]:
    return [index for index, two in enumerate(pairs.raters) if code in two]


def _design_notes(
    normal: Array, n: int, linked: list[tuple[int, int]], names: tuple[str, ...], drift: bool
) -> list[str]:
    graph = sparse.coo_array((np.ones(len(linked)), tuple(np.array(linked).T)), shape=(n, n))
    parts, label = connected_components(graph, directed=False)
    notes = []
    if parts > 1:
        groups = [", ".join(names[i] for i in np.flatnonzero(label == g)) for g in range(parts)]
        notes.append(
            f"Raters fall into {parts} groups that share no dialogue ({' | '.join(groups)}): severity is relative "
            "to the own group only."
        )
    if drift and np.linalg.matrix_rank(normal, tol=1e-9 * np.abs(normal).max(), hermitian=True) < 2 * n - parts:
        notes.append(
            "Raters went through the dialogues in much the same order: a drift common to all cannot be told "
            "from the dialogues, so drift is relative to the raters' mean."
        )
    return notes


def _add_alpha_without(ratings: Ratings, boot: Bootstrap, out: dict[str, dict[str, Estimate]]) -> None:
    def alpha(t: Totals) -> dict[str, Array]:
        return {"alpha": co.krippendorff_alpha(t["coincidence"], ratings.levels, "ordinal")}

    for code, name in enumerate(ratings.raters):
        rest = ratings.without(code)
        m = np.bincount(rest.unit, minlength=len(rest.cluster))
        n = int((m >= 2).sum())
        clusters = len(np.unique(rest.cluster[m >= 2]))
        if not n:
            why = "without this rater no dialogue has two ratings"
            out[name]["alpha_without"] = Estimate(None, n=0, clusters=clusters, undefined=why)
            continue
        tables = unit_tables(rest)
        one, lows, highs = tables.draw_bounded(alpha, boot, unseen_unit_rows(rest, tables))
        why = "without this rater all ratings are on one level"
        out[name]["alpha_without"] = boot.between(float(one["alpha"]), lows["alpha"], highs["alpha"], n, clusters, why)
