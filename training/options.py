"""What the commands of training have in common: options, and values of a recipe changed on the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from esc_eval.errors import EscEvalError

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
