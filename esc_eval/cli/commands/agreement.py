"""``agreement``: how far raters agree."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, print_step

EXAMPLES = ("esc-eval agreement ratings.csv --json agreement.json",)
READS_TABLES = True


@dataclass(frozen=True)
class AgreementOptions(RatingsOptions):
    """What is compared, and how."""

    weights: Annotated[
        Literal["distance", "position"],
        typer.Option(
            help="Weights of kappa and AC2: by score distance on the full scale, or by position among the "
            "levels that occur.",
        ),
    ] = "distance"
    stage: Annotated[str | None, typer.Option(help="Stage whose ratings are compared. Default: the first.")] = None
    top: Annotated[int, typer.Option(help="Disputed items to list.")] = 10


def command(ratings: RatingsFiles, *, options: AgreementOptions) -> None:
    """How far raters agree: alpha, kappa, AC2, ICC, Spearman, and diagnostics of each rater."""
    from esc_eval.reporting.agreement import agreement_report

    report = agreement_report(
        options.read_table(ratings, pairs=True),
        options.bootstrap,
        cluster=options.cluster,
        weights=options.weights,
        stage=options.stage,
        top=options.top,
        progress=print_step,
    )
    options.show(report)
