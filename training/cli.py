"""python -m training: one recipe, one checkpoint."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from esc_eval.errors import EscEvalError
from esc_eval.files import read_cards

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[Path, typer.Option("--recipe", help="A file of training/recipes, or your own.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the checkpoint; a stopped run in it goes on.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", help="Change a value of the recipe, e.g. optimise.epochs=2; repeatable.")
]
Report = Annotated[
    list[str] | None,
    typer.Option("--report-to", help="trackio, tensorboard or wandb, if installed; log.jsonl is always written."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print rows, tokens, memory and hours; train nothing.")]
Speed = Annotated[
    float | None, typer.Option("--tflops", help="Of your machine, for the hours of --dry-run; see docs/training.md.")
]


def changes(values: list[str] | None) -> dict[str, Any]:
    """``--set`` values by dotted name, read as YAML."""
    found = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals:
            raise EscEvalError(f"--set {value!r}: expected NAME=VALUE, e.g. optimise.epochs=2")
        found[name] = yaml.safe_load(text)
    return found


@app.callback()
def training() -> None:
    """Train ESC-Role and ESC-RANK from recipes, and show what they are worth on real conversations."""


@app.command()
def role(
    recipe: RecipeFile,
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    out: Out,
    role_play: Annotated[list[Path] | None, typer.Option(help="General role play, ChatHaruhi's form.")] = None,
    test_cards: Annotated[
        list[Path] | None, typer.Option(help="Role cards of the evaluation: conversations that hold one are removed.")
    ] = None,
    set_: Changes = None,
    report_to: Report = None,
    dry_run: DryRun = False,
    tflops: Speed = None,
) -> None:
    """Train ESC-Role: a model that plays the seeker.

    Example: python -m training role --recipe training/recipes/esc_role/small.yaml --sources sources --out role
    --role-play sheldon.jsonl --test-cards ESC-Eval/data/card_high_en.json
    """
    from training import config
    from training import role as roles

    loaded = config.load(recipe, config.RoleRecipe, changes(set_))
    cards = [card for path in test_cards or () for card in read_cards(path)]
    inputs = roles.Inputs(sources, tuple(role_play or ()), cards)
    if dry_run:
        from training import outlook

        typer.echo(outlook.of_role(loaded, inputs, out, tflops))
        return
    roles.train(loaded, inputs, out, report_to or (), typer.echo)


def main() -> None:
    """Run a command; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
