"""``leaderboard``: models side by side."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, read_groups

EXAMPLES = ("python -m analysis leaderboard ratings.csv --predictions run/ratings.jsonl",)


def command(
    ratings: RatingsFiles,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="A scorer's ratings of these and more dialogues: gives prediction-powered intervals. Repeatable."
        ),
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of model,group. Default: the column 'group'.")] = None,
    human: Annotated[str, typer.Option(help="Name of the human supporter among the models.")] = "human",
    *,
    options: RatingsOptions,
) -> None:
    """Models side by side: means, ranks, paired differences, groups, gap to people, prediction-powered intervals."""
    from esc_eval.reporting.comparison import leaderboard_report

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
    )
    options.show(report)
