"""``power``: how many cards and raters a difference needs."""

from typing import Annotated

import typer

from esc_eval.cli.ratings_options import (
    DialogueFiles,
    RatingsFiles,
    ReportOptions,
    Scale,
    Seed,
    load_ratings_table,
    parse_numbers,
)

EXAMPLES = ("esc-eval power pilot.csv --difference 2.5 --cards 100,200 --raters 1,2",)


def command(
    ratings: RatingsFiles,
    difference: Annotated[str, typer.Option(help="True differences in points, comma-separated.")] = "1,2.5,5",
    cards: Annotated[str, typer.Option(help="Numbers of cards to try, comma-separated.")] = "50,100,200,331",
    raters: Annotated[str, typer.Option(help="Ratings of each dialogue to try, comma-separated.")] = "1,2,3",
    dimension: Annotated[str | None, typer.Option(help="One dimension. Default: the average.")] = None,
    separate_raters: Annotated[
        bool, typer.Option("--separate-raters", help="The two dialogues of a card go to different raters.")
    ] = False,
    simulations: Annotated[int, typer.Option(min=100, help="Simulated studies for each size.")] = 2000,
    dialogues: DialogueFiles = None,
    scale: Scale = None,
    seed: Seed = 0,
    *,
    options: ReportOptions,
) -> None:
    """How many cards and raters tell two models d points apart, by simulation from a ratings table."""
    from esc_eval.reporting.plan import power_report

    report = power_report(
        load_ratings_table(ratings, scale, dialogues),
        parse_numbers("--difference", difference, float),
        parse_numbers("--cards", cards, int),
        parse_numbers("--raters", raters, int),
        dimension=dimension,
        simulations=simulations,
        seed=seed,
        same_raters=not separate_raters,
    )
    options.show(report)
