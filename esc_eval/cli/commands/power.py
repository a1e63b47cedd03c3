"""``power``: how many cards and raters a difference needs."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import (
    DialogueFiles,
    OfRubric,
    RatingsFiles,
    ReportOptions,
    Scale,
    Seed,
    load_ratings_table,
    parse_numbers,
)

EXAMPLES = (
    "esc-eval power pilot.csv --difference 2.5 --cards 100,200 --raters 1,2",
    "esc-eval power runs/thrice --repeats 1,2,3,5 --card-cost 2",
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
    repeats: Annotated[
        str | None,
        typer.Option(
            metavar="N,N",
            help="From a run with repeats: the error of each difference with so many repeats of a card, beside more "
            "cards, and how many pay.",
        ),
    ] = None,
    card_cost: Annotated[
        float,
        typer.Option(min=0, metavar="DIALOGUES", help="With --repeats: what another card costs beside its dialogues."),
    ] = 1.0,
    dialogues: DialogueFiles = None,
    scale: Scale = None,
    rubric: OfRubric = None,
    seed: Seed = 0,
    *,
    options: ReportOptions,
) -> None:
    """How many cards, raters or repeats, or more ratings beside a scorer's, tell two models d points apart."""
    from esc_eval.prompts.rubric import lower_scales
    from esc_eval.reporting.plan import power_report

    if predictions:
        from esc_eval.reporting.powered import labels_report
        from esc_eval.scoring.rating_checks import find_table_rubrics

        people = load_ratings_table(ratings, scale, dialogues, beside=predictions, rubric=rubric)
        guesses = load_ratings_table(predictions, scale, dialogues, rubric=rubric)
        rubrics = [
            *find_table_rubrics(people, ratings, rubric).values(),
            *find_table_rubrics(guesses, predictions, rubric).values(),
        ]
        numbers = parse_numbers("--difference", difference, float)
        options.show(labels_report(people, guesses, numbers, dimension=dimension, turned=lower_scales(rubrics)))
        return
    if repeats is not None:
        from esc_eval.reporting.repeated import repeats_report

        table = load_ratings_table(ratings, scale, dialogues, rubric=rubric)
        options.show(repeats_report(table, parse_numbers("--repeats", repeats, int), card_cost, dimension=dimension))
        return
    report = power_report(
        load_ratings_table(ratings, scale, dialogues, rubric=rubric),
        parse_numbers("--difference", difference, float),
        parse_numbers("--cards", cards, int),
        parse_numbers("--raters", raters, int),
        dimension=dimension,
        simulations=simulations,
        seed=seed,
        same_raters=not separate_raters,
    )
    options.show(report)
