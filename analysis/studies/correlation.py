"""``correlation``: automatic metrics against human scores, and which metric is better."""

from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from analysis.studies.pairwise import pairwise_accuracy
from analysis.studies.systems import system_correlations
from esc_eval.errors import EscEvalError
from esc_eval.files.dialogue_ids import align_rows
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.render import Report, Table, report_signature, shown_p, undefined_notes
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.correlations import adjust_holm, correlate, permutation_test, williams_test
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.scores import human_scores

Average = Literal["none", "model", "card"]
STATISTICS = ("pearson", "spearman", "kendall")


def _averaged(pairs: pd.DataFrame, by: str, boot: Bootstrap) -> dict[str, Estimate]:
    """Mean over groups of the correlation within each group; groups with a constant side are left out and counted."""
    values: dict[str, list[float]] = {s: [] for s in STATISTICS}
    left_out = 0
    for _, rows in pairs.groupby(by, sort=False):
        found = correlate(rows["metric_score"], rows["score"], None, Bootstrap(100, boot.seed, boot.confidence))
        if found["pearson"].value is None:
            left_out += 1
            continue
        for s in STATISTICS:
            values[s].append(float(found[s].value or 0.0))
    n = len(values["pearson"])
    if not n:
        return dict.fromkeys(STATISTICS, Estimate(None, undefined=f"constant or fewer than three rows in every {by}"))
    rng = np.random.default_rng(boot.seed)
    index = rng.integers(0, n, (boot.draws, n))
    note = f"{left_out} of {n + left_out} {by}s left out: constant or fewer than three rows" if left_out else None
    out = {}
    for s in STATISTICS:
        x = np.array(values[s])
        low, high, problem = boot.interval(x[index].mean(1), n)
        out[s] = Estimate(float(x.mean()), low, high, n, n, problem or note)
    return out


def correlation_report(
    table: RatingsTable,
    scores: pd.DataFrame,
    boot: Bootstrap,
    *,
    average: Average = "none",
    cluster: str | None = None,
    rule: str = "mean",
    permutations: int = 9999,
) -> Report:
    """Correlate every metric with every dimension, at sample and at system level, and compare the metrics.

    Args:
        table: Human ratings.
        scores: As ``read_scores`` gives.
        boot: Draws, seed, confidence.
        average: Sample level over all dialogues (``none``), or within each model or card and then averaged.
        cluster: Column to cluster by.
        rule: How raters of one dialogue are put together.
        permutations: Permutations of the difference test.
    """
    table = table.final()
    column = table.clusters(cluster)
    human = _with_cluster(human_scores(table.scored(), rule), table.scored(), column)
    if average != "none" and average not in human:
        raise EscEvalError(f"--average {average}: the ratings have no column {average!r}")
    scores = align_rows(scores, set(human["dialogue_id"]), "the metrics", "the ratings")
    joined = human.merge(scores.rename(columns={"score": "metric_score", "dimension": "only"}), on="dialogue_id")
    joined = joined[(joined["only"].isna() | (joined["only"] == joined["dimension"])) & joined["metric_score"].notna()]
    if joined.empty:
        raise EscEvalError("no dialogue has both a human score and a metric score: do the dialogue_ids match?")
    sample: dict[str, dict[str, dict[str, Any]]] = {}
    system: dict[str, dict[str, dict[str, Estimate]]] = {}
    for key, rows in joined.groupby(["dimension", "metric"], sort=False):
        dimension, metric = map(str, key)
        found: dict[str, Any] = dict(
            correlate(rows["metric_score"], rows["score"], rows[column], boot)
            if average == "none"
            else _averaged(rows, average, boot)
        )
        same_card = (
            rows["card"] if "card" in rows and rows["card"].notna().all() and rows["card"].duplicated().any() else None
        )
        accuracy = pairwise_accuracy(rows["metric_score"], rows["score"], same_card, boot)
        if accuracy is not None:
            found |= {
                "pairwise_accuracy": accuracy.accuracy,
                "pairwise_accuracy_per_item": accuracy.per_item,
                "tie_threshold": accuracy.epsilon,
                "pairwise_uncalibrated": accuracy.uncalibrated,
                "human_ties": accuracy.human_ties,
            }
        sample.setdefault(dimension, {})[metric] = found
        if "model" in rows and rows["model"].notna().all() and rows["model"].nunique() > 2:
            system.setdefault(dimension, {})[metric] = system_correlations(rows, column, boot)
    differences = _differences(joined, column, permutations, boot.seed)
    data = {"sample": sample, "system": system, "differences": differences, "average": average, "rule": rule}
    report = Report(
        "correlation",
        data,
        signature=report_signature(
            "correlation", table.sha256, boot, average=average, raters=rule, cluster=column, permutations=permutations
        ),
    )
    report.notes = _notes(table, joined, human, system, sample, average)
    report.tables = _tables(sample, system, differences)
    return report


def _with_cluster(human: pd.DataFrame, rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """People's scores with the column to cluster by.

    Raises:
        EscEvalError: A dialogue has several values of it: it is drawn whole, or not at all.
    """
    values = rows.groupby("dialogue_id")[column] if column != "dialogue_id" else None
    if values is None:
        return human
    if several := int((values.nunique() > 1).sum()):
        raise EscEvalError(
            f"cannot cluster by {column!r}: {several} dialogues have several values of it, and are drawn whole. "
            "Cluster by card, or by another column that is one and the same for all ratings of a dialogue."
        )
    return human.assign(**{column: human["dialogue_id"].map(values.first())})


def _differences(joined: pd.DataFrame, cluster: str, permutations: int, seed: int) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    rng = np.random.default_rng(seed)
    for dimension, rows in joined.groupby("dimension", sort=False):
        wide = rows.pivot(index="dialogue_id", columns="metric", values="metric_score")
        human = rows.drop_duplicates("dialogue_id").set_index("dialogue_id", drop=False)  # it may be the cluster
        for a, b in combinations(wide.columns, 2):
            both = wide[[a, b]].dropna()
            x, z = both[a].to_numpy(), both[b].to_numpy()
            y = human.loc[both.index, "score"].to_numpy()
            if len(y) < 4 or np.ptp(x) == 0 or np.ptp(z) == 0 or np.ptp(y) == 0:
                continue
            clusters = human.loc[both.index, cluster].to_numpy()
            r_xy, r_zy, r_xz = (float(np.corrcoef(u, v)[0, 1]) for u, v in ((x, y), (z, y), (x, z)))
            t, p = williams_test(r_xy, r_zy, r_xz, len(y))
            ranks = rankdata(x), rankdata(z), rankdata(y)
            out.append(
                {
                    "dimension": dimension,
                    "first": a,
                    "second": b,
                    "n": len(y),
                    "pearson_difference": r_xy - r_zy,
                    "williams_t": None if np.isnan(t) else t,
                    "williams_p": None if np.isnan(p) else p,
                    "permutation_p": permutation_test(x, z, y, clusters, permutations, rng),
                    "permutation_p_spearman": permutation_test(*ranks, clusters, permutations, rng),
                }
            )
    for name in ("williams_p", "permutation_p", "permutation_p_spearman"):
        adjusted = adjust_holm([np.nan if d[name] is None else d[name] for d in out])
        for d, p in zip(out, adjusted, strict=True):
            d[f"{name}_holm"] = None if np.isnan(p) else float(p)
    return out


def _notes(
    table: RatingsTable,
    joined: pd.DataFrame,
    human: pd.DataFrame,
    system: dict[str, Any],
    sample: dict[str, Any],
    average: str,
) -> list[str]:
    unmatched = human["dialogue_id"].nunique() - joined["dialogue_id"].nunique()
    level = {
        "none": "all dialogues together",
        "model": "within each model, then averaged",
        "card": "within each card, then averaged",
    }[average]
    notes = [
        f"Sample level: {level}. {joined['dialogue_id'].nunique()} dialogues with both kinds of score"
        + (f"; {unmatched} with a human score only." if unmatched else ".")
    ]
    if system:
        notes.append(
            "System level: the value is of the means as measured; the interval is of these models' means without the "
            "noise of few cards, which draws the value towards 0."
        )
    else:
        notes.append("System level: not computed, it needs a column 'model' with three models or more.")
    notes.append(
        "Differences: Williams' test takes dialogues as independent; the permutation test swaps whole clusters. "
        "p-values are Holm-adjusted over all pairs of metrics and dimensions."
    )
    flat = {
        f"{d}, {m}": {k: v for k, v in found.items() if isinstance(v, Estimate)}
        for d, metrics in sample.items()
        for m, found in metrics.items()
    }
    without = [d for d in table.dimensions if d not in sample]
    if without:
        notes.append(f"No pair of scores: {', '.join(without)}.")
    return notes + undefined_notes(flat)


def _tables(sample: dict[str, Any], system: dict[str, Any], differences: list[dict[str, Any]]) -> list[Table]:
    rows = [
        [
            d,
            m,
            f["pearson"].n,
            f["pearson"],
            f["spearman"],
            f["kendall"],
            f.get("pairwise_accuracy"),
            f.get("human_ties"),
        ]
        for d, metrics in sample.items()
        for m, f in metrics.items()
    ]
    head = ["dimension", "metric", "n", "Pearson", "Spearman", "Kendall tau-b"]
    tables = [
        Table(
            "Sample level",
            [*head, "pairwise accuracy (micro)", "constant metric"],
            rows,
            note="pairwise accuracy: over all pairs alike, with calibrated ties; "
            "constant metric: what a metric of ties only would reach",
        )
    ]
    if system:
        rows = [
            [d, m, f["pearson"].n, f["pearson"], f["spearman"], f["kendall"]]
            for d, metrics in system.items()
            for m, f in metrics.items()
        ]
        tables.append(Table("System level", [head[0], head[1], "models", *head[3:]], rows))
    if differences:
        rows = [
            [
                d["dimension"],
                d["first"],
                d["second"],
                d["n"],
                d["pearson_difference"],
                shown_p(d["williams_p_holm"]),
                shown_p(d["permutation_p_holm"]),
                shown_p(d["permutation_p_spearman_holm"]),
            ]
            for d in differences
        ]
        tables.append(
            Table(
                "Differences of metrics",
                [
                    "dimension",
                    "first",
                    "second",
                    "n",
                    "Pearson difference",
                    "p (Williams)",
                    "p (permutation)",
                    "p (permutation, Spearman)",
                ],
                rows,
            )
        )
    return tables
