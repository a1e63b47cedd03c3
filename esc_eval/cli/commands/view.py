"""``view``: pages on which everybody reads."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_progress
from esc_eval.cli.options import RatedUnder, Statistic, Strategies
from esc_eval.cli.page_options import PageOptions

EXAMPLES = (
    "esc-eval view runs/first",
    "esc-eval view runs/first runs/second --port 8700 --interface zh",
    "esc-eval view runs/first --strategies esc-strategies",
)
PORT = 8600


def command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run folders; of one protocol they are joined.")
    ],
    rubric: RatedUnder = None,
    statistic: Statistic = "level",
    strategies: Strategies = None,
    token: Annotated[
        str | None, typer.Option(help="What a link must hold; made up where others can reach the address.")
    ] = None,
    *,
    pages: PageOptions,
) -> None:
    """Open pages with leaderboards, pictures and every dialogue, of unfinished runs too, as they are now."""
    from esc_eval.scoring.strategies import open_strategies
    from esc_eval.view.collection import Collection
    from esc_eval.view.serve import serve_view

    collection = Collection.open(folders, rubric, statistic, open_strategies(strategies) if strategies else None)
    for group in collection.groups:
        for reason in group.reasons:
            print_progress(f"note: {reason}")
    for note in collection.notes:
        print_progress(f"note: {note}")
    serve_view(
        collection,
        pages.host,
        PORT if pages.port is None else pages.port,
        tuple(pages.name or ()),
        token,
        pages.interface,
        pages.browser,
        pages.certificate,
        print_progress,
    )
