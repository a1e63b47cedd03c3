"""``reach``: what a scorer fitted to a rated set reaches on its other dialogues."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import RatingsOptions

EXAMPLES = ("python -m analysis reach people/kokorochat --cluster rater",)


def command(
    ratings: Annotated[
        list[Path], typer.Argument(help="A folder that `convert` wrote, or a run folder or table that people rated.")
    ],
    *,
    options: RatingsOptions,
) -> None:
    """What a scorer that is fitted to some dialogues reaches on the others, beside length, and what scales share."""
    from analysis.studies.reach import reach_report

    table = options.read_table(ratings)
    options.show(reach_report(table, options.every_dialogue(ratings), options.bootstrap, options.cluster))
