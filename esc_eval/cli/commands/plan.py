"""``plan``: who rates what."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import CardFiles, ReportOptions, Scale, Seed, load_ratings_table

EXAMPLES = (
    "esc-eval plan runs/mine --rater anna --rater ben --out plan.csv",
    "esc-eval plan runs/mine --rater anna --rater ben --overlap 0.5 --pilot pilot.csv --out plan.csv",
)
READS_TABLES = True


def command(
    dialogues: Annotated[list[Path], typer.Argument(help="What is rated: run folders, or files of dialogues.")],
    rater: Annotated[list[str], typer.Option(help="A rater. Repeatable.")],
    out: Annotated[Path, typer.Option(help="CSV to write, for rate --plan and sheet --plan.")],
    per_dialogue: Annotated[int, typer.Option(min=1, help="Ratings of each shared dialogue.")] = 2,
    overlap: Annotated[float, typer.Option(help="Share of the cards that several raters rate.")] = 0.2,
    pilot: Annotated[
        list[Path] | None,
        typer.Option(
            help="Ratings of a pilot, with card and model: says whether the plan is large enough. Repeatable."
        ),
    ] = None,
    difference: Annotated[float, typer.Option(min=0.01, help="Points between two models that it should tell.")] = 2.5,
    cards: CardFiles = None,
    scale: Scale = None,
    seed: Seed = 0,
    *,
    options: ReportOptions,
) -> None:
    """Who rates what, in which order: balanced, with overlap for agreement, all models of a card to the same raters.

    The file names dialogues and no models. How many ratings a difference needs: esc-eval power.
    """
    from esc_eval.api.rate import load_dialogues
    from esc_eval.reporting.plan import plan_report

    report = plan_report(
        load_dialogues(dialogues, cards or ()),
        rater,
        per_dialogue=per_dialogue,
        overlap=overlap,
        seed=seed,
        out=out,
        pilot=load_ratings_table(pilot, scale, beside=dialogues) if pilot else None,
        difference=difference,
    )
    options.show(report)
