"""``crosswalk``: which public scales stand for the seven dimensions, and how well their raters agree."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m training crosswalk --data data --results docs/results.json",)


def command(
    data: Annotated[Path, typer.Option(help="Folder of public rated sets: ratings/, sources/.")],
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Agreement of the raters of every public scale, by dimension, and the ceiling that it sets for any scorer."""
    from esc_eval.statistics.bootstrap import Bootstrap
    from training.open_scorer.crosswalk import crosswalk_section
    from training.open_scorer.pages import crosswalk_page
    from training.results import put_section

    command = f"python -m training crosswalk --data DATA --draws {draws} --seed {seed}"
    section = crosswalk_section(data, Bootstrap(draws, seed), command, print_progress)
    if results:
        put_section(results, "crosswalk", section)
    print_data(crosswalk_page(section))
