"""``check``: what keeps a checkpoint from being published."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import end_with_problems, print_progress

EXAMPLES = ("python -m model_cards check role",)


def command(
    folder: Annotated[Path, typer.Argument(help="A checkpoint that `python -m training` made.")],
) -> None:
    """List everything that keeps a checkpoint from being published; exit code 1 if there is anything."""
    from model_cards.check import find_checkpoint_notes, find_checkpoint_problems, left_out

    found = find_checkpoint_problems(folder)
    if not found:
        for note in find_checkpoint_notes(folder):
            print_progress(f"note: {note}")
        if others := left_out(folder):
            print_progress(f"not published: {', '.join(others)}")
    end_with_problems(folder, found)
