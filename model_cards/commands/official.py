"""``official``: the cards of the released checkpoints."""

from typing import Annotated

import typer

from esc_eval.cli.console import print_data

EXAMPLES = ("python -m model_cards official --check",)


def command(
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if one is stale.")] = False,
) -> None:
    """Render the cards of the released ESC-Role and ESC-RANK as this package uses them."""
    from model_cards import official as cards

    stale = cards.find_stale()
    for name in stale:
        print_data(name)
    if only_check:
        raise typer.Exit(1 if stale else 0)
    cards.write_official_cards()
