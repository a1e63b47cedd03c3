"""``compare``: models side by side."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, find_rubrics, read_groups

EXAMPLES = ("esc-eval compare ratings.csv --predictions run/ratings.jsonl",)
READS_TABLES = True


def command(
    ratings: RatingsFiles,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="A scorer's ratings of these and more dialogues: gives prediction-powered intervals. Repeatable."
        ),
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of model,group. Default: the column 'group'.")] = None,
    rubric: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Of the ratings: a shipped rubric, or your own .yaml. Default: theirs."),
    ] = None,
    human: Annotated[str, typer.Option(help="Name of the human supporter among the models.")] = "human",
    adjust_raters: Annotated[
        bool,
        typer.Option(
            "--adjust-raters", help="Take people's severity out of order, ranks and differences: model + card + rater."
        ),
    ] = False,
    *,
    options: RatingsOptions,
) -> None:
    """Models side by side: means, ranks, paired differences, groups, gap to people, prediction-powered intervals."""
    from esc_eval.reporting.comparison import leaderboard_report
    from esc_eval.simulation.run import read_card

    table = options.read_table(ratings, beside=predictions)
    guesses = options.read_table(predictions) if predictions else None
    report = leaderboard_report(
        table,
        options.bootstrap,
        predictions=guesses,
        dialogues=options.every_dialogue(ratings),
        groups=read_groups(groups) if groups else None,
        human=human,
        cluster=options.cluster,
        rubrics=find_rubrics(table, ratings, rubric),
        adjust_raters=adjust_raters,
        run=read_card(ratings[0]) if len(ratings) == 1 and ratings[0].is_dir() else None,
    )
    options.show(report)
