"""``card``: the card of a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_progress

EXAMPLES = ("python -m model_cards card role",)


def command(
    folder: Annotated[Path, typer.Argument(help="A checkpoint that `python -m training` made.")],
) -> None:
    """Write README.md into a checkpoint folder, and LICENSE where its data ask for one, from its records."""
    from model_cards.render import write_card

    write_card(folder)
    print_progress(f"written to {folder / 'README.md'}")
