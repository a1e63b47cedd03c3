"""``merge``: runs of one protocol as one run."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("esc-eval merge runs/first runs/second --out runs/both",)


def command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders of one protocol.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new run folder.")],
) -> None:
    """Join run folders into a new one, with all that each says of how its dialogues and ratings were made.

    Refused, with the difference: runs of other protocols, settings or seekers, other models under one label, a
    dialogue, card, rubric or rating that is not the same in both. Nothing is played or rated.
    """
    from esc_eval.api.merge import merge_runs

    for sentence in merge_runs(folders, out):
        print_data(sentence)
    print_progress(f"Its leaderboard: esc-eval report {out}. It may grow like any run: esc-eval evaluate --out {out}")
