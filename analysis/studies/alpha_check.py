"""Our Krippendorff alpha held against that of the library krippendorff (Castro 2017), on a table of the user's."""

from importlib.metadata import version
from typing import Literal, get_args

import krippendorff
import numpy as np

from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.agreement import POOLED, choose_stage
from esc_eval.reporting.render import Report, Table, report_signature
from esc_eval.statistics.coefficients import krippendorff_alpha
from esc_eval.statistics.counts import Ratings, unit_tables
from esc_eval.statistics.estimate import Array

Metric = Literal["ordinal", "interval", "nominal"]
TOLERANCE = 1e-9


def library_alpha(ratings: Ratings, metric: Metric) -> float | None:
    """Alpha by the library; None where it has no value, because all ratings that can be paired are on one level."""
    matrix: Array = np.full((len(ratings.raters), len(ratings.cluster)), np.nan)
    matrix[ratings.rater, ratings.unit] = ratings.scores
    paired = matrix[:, (~np.isnan(matrix)).sum(0) > 1]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        return None
    return float(krippendorff.alpha(matrix, level_of_measurement=metric, value_domain=list(ratings.levels)))


def our_alpha(ratings: Ratings, metric: Metric) -> float | None:
    """Alpha as ``agreement`` prints it; None where it is undefined."""
    coincidence = unit_tables(ratings).totals()["coincidence"] if len(ratings.unit) else np.zeros((2, 2))
    value = float(krippendorff_alpha(coincidence, ratings.levels, metric)) if coincidence.any() else float("nan")
    return value if np.isfinite(value) else None


def alpha_check_report(table: RatingsTable, stage: str | None = None) -> Report:
    """Both alphas of every dimension and pooled, and the largest difference.

    Args:
        table: Ratings.
        stage: Stage whose ratings are compared; default the first.
    """
    chosen, _, stage = choose_stage(table, stage)
    column = chosen.clusters()
    rows: list[list[str | float | None]] = []
    for name in (*table.dimensions, POOLED) if len(table.dimensions) > 1 else table.dimensions:
        ratings = Ratings.from_table(chosen, chosen.scored(None if name == POOLED else name), column)
        for metric in get_args(Metric):
            ours, theirs = our_alpha(ratings, metric), library_alpha(ratings, metric)
            rows.append([name, metric, ours, theirs])
    gaps = [abs(ours - theirs) for _, _, ours, theirs in rows if isinstance(ours, float) and isinstance(theirs, float)]
    one_sided = sum((ours is None) != (theirs is None) for _, _, ours, theirs in rows)
    largest = max(gaps, default=0.0)
    same = largest <= TOLERANCE and not one_sided
    notes = [f"Largest difference: {largest:.1e} over {len(gaps)} values; {'the same' if same else 'NOT the same'}."]
    if one_sided:
        notes.append(f"{one_sided} values are defined on one side only.")
    keys = ("dimension", "metric", "ours", "library")
    data = {"alpha": [dict(zip(keys, row, strict=True)) for row in rows], "largest": largest, "same": same}
    sign = report_signature("agreement --check", table.sha256, stage=stage, krippendorff=version("krippendorff"))
    view = Table("Krippendorff alpha: ours and the library's", keys, rows, 6, missing="undefined")
    return Report("agreement --check", data, [view], notes, sign)
