"""``push``: a checkpoint on the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import carry_out

EXAMPLES = (
    "python -m model_cards push role --repo me/esc-role --tag v1",
    "python -m model_cards push role --repo me/esc-role --tag v1 --push",
)


def command(
    folder: Annotated[Path, typer.Argument(help="A checkpoint that `python -m training` made.")],
    repo: Annotated[str, typer.Option(help="Id of the model repository, NAMESPACE/NAME.")],
    tag: Annotated[str | None, typer.Option(help="Tag to set on the commit.")] = None,
    really: Annotated[bool, typer.Option("--push", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
) -> None:
    """Publish a checkpoint on the Hugging Face Hub (a dry run without --push)."""
    from model_cards.push import plan_push

    carry_out([plan_push(folder, repo, tag)], really, private)
