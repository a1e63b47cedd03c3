"""``export``: cards and leaves for a build."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = ("python -m dataset_builder roles export --work work/first --cards cards.jsonl --tiers tiers.csv",)


def command(
    work: Work,
    cards: Annotated[Path, typer.Option(help="File to write: role cards (.jsonl) for `build --cards`.")],
    tiers: Annotated[Path, typer.Option(help="File to write: leaves (.csv) for `build --tiers`.")],
) -> None:
    """Write the cards that people kept, and their leaves."""
    from dataset_builder.roles.workspace import Workspace, write_tiers
    from esc_eval.files.writing import write_jsonl

    space = Workspace(work)
    made = space.cards()
    if not made:
        raise EscEvalError(f"{work}: no card was kept by a reviewer yet")
    write_jsonl(cards, made)
    print_progress(f"{len(made)} cards, {write_tiers(tiers, space.tiers())} leaves")
