"""``role``: train ESC-Role."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.files.records import read_cards
from training.options import TrainingOptions

EXAMPLES = (
    "python -m training role --recipe training/recipes/esc_role/small.yaml --sources sources --out role "
    "--role-play sheldon.jsonl --test-cards ESC-Eval/data/card_high_en.json",
)


def command(
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    role_play: Annotated[list[Path] | None, typer.Option(help="General role play, ChatHaruhi's form.")] = None,
    role_play_license: Annotated[
        str | None, typer.Option(help='Licence of the general role play, for the card; else it is "not stated".')
    ] = None,
    test_cards: Annotated[
        list[Path] | None, typer.Option(help="Role cards of the evaluation: what they may be made of is removed.")
    ] = None,
    cards: Annotated[
        list[Path] | None, typer.Option(help="Role cards of the sources' conversations, by their ids (roles export).")
    ] = None,
    *,
    options: TrainingOptions,
) -> None:
    """Train ESC-Role: a model that plays the seeker."""
    from training.common import checkpoint, config

    if not options.dry_run:
        checkpoint.refuse_taken(options.out)  # before anything is read
    from training.role import train as roles

    loaded = config.load_recipe(options.recipe, config.RoleRecipe, options.changes)
    tests, own = ([card for path in paths or () for card in read_cards(path)] for paths in (test_cards, cards))
    inputs = roles.Inputs(sources, tuple(role_play or ()), role_play_license, tests, own)
    if options.dry_run:
        print_data(roles.estimate_role_cost(loaded, inputs, options.out, options.tflops))
        return
    roles.train_role(loaded, inputs, options.out, options.report_to or (), print_progress)
