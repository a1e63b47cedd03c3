"""``agreement``: how far raters agree, and what is the matter with single raters."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.render import Cell, Report, Table, name_clusters, report_signature, undefined_notes
from esc_eval.statistics.agreement import COEFFICIENTS, FEW_SHARED, KappaWeights, estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.items import find_disputed, stage_change
from esc_eval.statistics.raters import RaterReport, rater_report

GROUPS = (
    ("krippendorff_alpha_ordinal", "krippendorff_alpha_interval", "krippendorff_alpha_nominal", "fleiss_kappa"),
    ("quadratic_kappa", "kappa", "gwet_ac2", "spearman"),
    ("exact", "within_one", "icc_2_1", "icc_2_k"),
)
RATER_COLUMNS = ("severity", "spread", "noise", "drift", "alpha_without")
NOMINAL = ("krippendorff_alpha_nominal", "fleiss_kappa", "kappa", "exact")
"""Coefficients of names, which 'not applicable' is one of."""
POOLED = "pooled"


def choose_stage(table: RatingsTable, stage: str | None) -> tuple[RatingsTable, tuple[str, ...], str | None]:
    """Rows of one stage: the one asked for, else the first in the file.

    Returns:
        The rows, all stages in order of appearance, and the chosen one (None without stages).
    """
    if "stage" not in table.frame or table.frame["stage"].isna().all():
        if stage is not None:
            raise EscEvalError(f"--stage {stage}: the table has no column 'stage'")
        return table, (), None
    stages = table.stages
    chosen = stages[0] if stage is None else stage
    if chosen not in stages:
        raise EscEvalError(f"--stage {chosen}: the table has stages {', '.join(stages)}")
    return table.replaced(table.frame[table.frame["stage"] == chosen]), stages, chosen


def progress_of(rows: pd.DataFrame) -> Array | None:
    """Where in its rater's sequence each row stands, -0.5 to 0.5, from ``order`` or ``time``; None without either."""
    for column in ("order", "time"):
        if column not in rows or rows[column].isna().any() or (rows[column].astype(str) == "").any():
            continue
        position = (
            pd.to_numeric(rows[column], errors="coerce")
            if column == "order"
            else pd.to_datetime(rows[column], errors="coerce", utc=True, format="ISO8601")
        )
        if position.isna().any():
            raise EscEvalError(
                f"column {column!r} holds {rows[column][position.isna()].iloc[0]!r}: "
                f"{'a number' if column == 'order' else 'ISO 8601'} is needed"
            )
        rank = position.groupby(rows["rater"]).rank(method="dense")
        last = rank.groupby(rows["rater"]).transform("max").to_numpy(dtype=float)
        drift: Array = (rank.to_numpy(dtype=float) - 1) / np.maximum(last - 1, 1) - 0.5
        return drift
    return None


def agreement_report(
    table: RatingsTable,
    boot: Bootstrap,
    *,
    cluster: str | None = None,
    weights: KappaWeights = "distance",
    stage: str | None = None,
    top: int = 10,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Agreement by dimension and pooled, rater diagnostics, disputed items, change between stages.

    Args:
        table: Ratings.
        boot: Draws, seed, confidence.
        cluster: Column to cluster by; default card, else dialogue.
        weights: What kappa's weights are measured by.
        stage: Stage whose ratings are compared; default the first.
        top: Disputed items listed.
        progress: Called with the name of each dimension before its turn.
    """
    chosen, stages, stage = choose_stage(table, stage)
    column = chosen.clusters(cluster)
    dimensions, pairs, ks, shared, named = {}, {}, {}, {}, {}
    applying = chosen.with_not_applicable() if chosen.not_applicable.any() else None
    for name in (*table.dimensions, POOLED) if len(table.dimensions) > 1 else table.dimensions:
        progress(name)
        rows = chosen.scored(None if name == POOLED else name)
        found = estimate_agreement(Ratings.from_table(chosen, rows, column), boot, weights)
        dimensions[name], ks[name] = found.measures, found.average_of
        shared[name] = found.shared
        pairs[name] = {f"{a} - {b}": m for (a, b), m in found.pairs.items()}
        if applying:
            every = Ratings.from_table(applying, applying.scored(None if name == POOLED else name), column)
            of_names = estimate_agreement(every, boot, weights).measures
            named[name] = {key: of_names[key] for key in NOMINAL}
    progress("raters")
    rows = chosen.scored()
    if rows.empty:
        people = RaterReport({}, ["Rater diagnostics: there are no ratings."])
    else:
        people = rater_report(Ratings.from_table(chosen, rows, column), boot, progress_of(rows))
    items = find_disputed(rows, top)
    changes = {}
    for later in stages[1:]:
        changes[f"{stages[0]} -> {later}"] = {
            d: vars(stage_change(table, d, (stages[0], later), table.clusters(cluster), boot)) for d in table.dimensions
        }
    data = {
        "dimensions": {
            n: {**m, "average_of": ks[n], "shared": shared[n], "pairs": pairs[n]} for n, m in dimensions.items()
        },
        "raters": people.raters,
        "disputed": items,
        "stages": changes,
        "scale": [table.low, table.high],
        "missing": table.missing,
        **({"with_not_applicable": named, "not_applicable": int(table.not_applicable.sum())} if named else {}),
    }
    report = Report(
        "agreement",
        data,
        signature=report_signature(
            "agreement",
            table.sha256,
            boot,
            scale=f"{table.low}-{table.high}",
            weights=weights,
            cluster=column,
            stage=stage,
        ),
    )
    without = int(table.frame["stage"].isna().sum()) if stages else 0
    report.notes = [
        *_scope(table, chosen, column, stage, boot),
        *([f"{without} rows without a stage are left out."] if without else []),
        *_few_shared(shared, pairs),
        *undefined_notes(dimensions),
        *undefined_notes({f"{name}, with N/A": found for name, found in named.items()}),
        *people.notes,
        *undefined_notes(people.raters),
    ]
    report.tables = [*_named_tables(named, chosen), *_tables(report.data, dimensions)]
    return report


def _scope(table: RatingsTable, chosen: RatingsTable, cluster: str, stage: str | None, boot: Bootstrap) -> list[str]:
    rows = chosen.frame
    missing, applying = chosen.missing, int(chosen.not_applicable.sum())
    beside = f", {applying} of them 'not applicable'" if applying else ""
    notes = [
        f"{rows['dialogue_id'].nunique()} dialogues, {len(chosen.raters)} raters, {len(rows) - missing} ratings"
        f"{beside} ({missing} missing); scale {table.low} to {table.high}.",
        f"Intervals: {boot.confidence:.0%}, Dirichlet bootstrap of {boot.draws} draws of whole "
        f"{name_clusters(cluster)}, seed {boot.seed}; of ICC for raters drawn anew (F), of all else for these raters.",
    ]
    if stage is not None:
        notes.append(f"Stage {stage!r} only: a review that saw the first score is not an independent rating.")
    return notes


def _few_shared(shared: dict[str, float | None], pairs: dict[str, dict[str, Estimate]]) -> list[str]:
    few = {name: n for name, n in shared.items() if n is not None and n < FEW_SHARED and len(pairs[name]) > 1}
    if not few:
        return []
    said = ", ".join(f"{name} {n:.1f}" for name, n in few.items())
    return [
        f"Pairs of raters share fewer than {FEW_SHARED} dialogues on average ({said}): kappa sums over all pairs, "
        "lies somewhat low, and its interval holds for the design as a whole; kappas of single pairs and Spearman, a "
        "mean over pairs, do not."
    ]


def _named_tables(named: dict[str, dict[str, Estimate]], chosen: RatingsTable) -> list[Table]:
    """Agreement on all that raters can say, 'not applicable' among it, as names without an order."""
    if not named:
        return []
    applying = chosen.frame[chosen.not_applicable]["dimension"].value_counts()
    rows: list[list[Cell]] = [
        [d, m[NOMINAL[0]].n, int(applying.sum() if d == POOLED else applying.get(d, 0)), *(m[n] for n in NOMINAL)]
        for d, m in named.items()
    ]
    return [
        Table(
            "Agreement on the levels and 'not applicable', without an order",
            ["dimension", "n", "N/A given", *(COEFFICIENTS[n] for n in NOMINAL)],
            rows,
            note="The tables below are of the levels alone, so of dialogues that two or more raters call applicable.",
        )
    ]


def _tables(data: dict[str, Any], dimensions: dict[str, dict[str, Estimate]]) -> list[Table]:
    tables = []
    rows: list[list[Cell]]
    for title, names in zip(
        (
            "Agreement: alpha and Fleiss kappa",
            "Agreement: pairs of raters and AC2",
            "Agreement: shares and intraclass correlation",
        ),
        GROUPS,
        strict=True,
    ):
        rows = [[d, m[names[0]].n, *(m[n] for n in names)] for d, m in dimensions.items()]
        tables.append(
            Table(
                title,
                ["dimension", "n", *(COEFFICIENTS[n] for n in names)],
                rows,
                note="n: dialogues (pooled: dialogue x dimension) with two or more ratings",
            )
        )
    if data["raters"]:
        rows = [[r, m["severity"].n, *(m.get(c) for c in RATER_COLUMNS)] for r, m in data["raters"].items()]
        tables.append(
            Table(
                "Raters, over all dimensions",
                ["rater", "n", *RATER_COLUMNS],
                rows,
                note="severity: points below the others on the same dialogues; spread: sd of own scores; "
                "noise: sd of own error; drift: points from first to last rating; "
                "alpha_without: ordinal alpha of the others",
            )
        )
    if data["disputed"]:
        rows = [
            [
                i["dialogue_id"],
                i["dimension"],
                i["mean_squared_difference"],
                ", ".join(f"{r}={s:g}" for r, s in i["scores"].items()),
            ]
            for i in data["disputed"]
        ]
        tables.append(Table("Most disputed", ["dialogue", "dimension", "mean squared difference", "scores"], rows, 2))
    for stages, by in data["stages"].items():
        rows = [[d, c["changed"].n, c["changed"], c["mean_change"], c["quadratic_kappa"]] for d, c in by.items()]
        tables.append(
            Table(f"Stages {stages}", ["dimension", "n", "share changed", "mean change", "quadratic kappa"], rows)
        )
    return tables
