"""``agreement``: what ``esc-eval agreement`` prints; or our alpha held against the library krippendorff's."""

from typing import Annotated

import typer

from esc_eval.cli.commands import agreement
from esc_eval.cli.commands.agreement import AgreementOptions
from esc_eval.cli.ratings_options import RatingsFiles

EXAMPLES = (
    "python -m analysis agreement ratings.csv --json agreement.json",
    "python -m analysis agreement ratings.csv --check",
)


def command(
    ratings: RatingsFiles,
    check: Annotated[
        bool, typer.Option("--check", help="Compare our alpha with the library krippendorff's; 1 if they differ.")
    ] = False,
    *,
    options: AgreementOptions,
) -> None:
    """How far raters agree: alpha, kappa, AC2, ICC, Spearman, and diagnostics of each rater."""
    if not check:
        agreement.command(ratings, options=options)
        return
    from analysis.studies.alpha_check import alpha_check_report

    report = alpha_check_report(options.read_table(ratings), options.stage)
    options.show(report)
    if not report.data["same"]:
        raise typer.Exit(1)
