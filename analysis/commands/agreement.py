"""``agreement``: how far raters agree."""

from typing import Annotated, Literal

import typer

from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, print_step

EXAMPLES = ("python -m analysis agreement ratings.csv --json agreement.json",)


def command(
    ratings: RatingsFiles,
    weights: Annotated[
        Literal["distance", "position"],
        typer.Option(
            help="Weights of kappa and AC2: by score distance on the full scale, or by position among the "
            "levels that occur.",
        ),
    ] = "distance",
    stage: Annotated[str | None, typer.Option(help="Stage whose ratings are compared. Default: the first.")] = None,
    top: Annotated[int, typer.Option(help="Disputed items to list.")] = 10,
    *,
    options: RatingsOptions,
) -> None:
    """How far raters agree: alpha, kappa, AC2, ICC, Spearman, and diagnostics of each rater."""
    from esc_eval.reporting.agreement import agreement_report

    table = options.read_table(ratings)
    boot = options.bootstrap
    report = agreement_report(
        table,
        boot,
        cluster=options.cluster,
        weights=weights,
        stage=stage,
        top=top,
        progress=print_step,
    )
    options.show(report)
