"""``power``: how many cards and raters a difference needs."""

from pathlib import Path
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

EXAMPLES = (
    "esc-eval power pilot.csv --difference 2.5 --cards 100,200 --raters 1,2",
    "esc-eval power people.jsonl --predictions runs/first --difference 5",
)
READS_TABLES = True


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
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="A scorer's ratings of these and more dialogues: says how many more ratings by people tell each pair "
            "of models apart, with its help and without. Repeatable."
        ),
    ] = None,
    dialogues: DialogueFiles = None,
    scale: Scale = None,
    seed: Seed = 0,
    *,
    options: ReportOptions,
) -> None:
    """How many cards and raters, or how many more ratings beside a scorer's, tell two models d points apart."""
    from esc_eval.reporting.plan import power_report

    if predictions:
        from esc_eval.reporting.powered import labels_report

        options.show(
            labels_report(
                load_ratings_table(ratings, scale, dialogues, beside=predictions),
                load_ratings_table(predictions, scale, dialogues),
                parse_numbers("--difference", difference, float),
                dimension=dimension,
            )
        )
        return
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
