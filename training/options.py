"""What the commands of training have in common: options, and values of a recipe changed on the command line."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.reading import parse_yaml

REPORTERS = {"trackio": ("trackio",), "tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
"""What may draw the loss while it falls, and the packages, one of which it needs."""


def check_reporters(values: list[str] | None) -> list[str] | None:
    """``--report-to`` values that are known and installed.

    Raises:
        EscEvalError: One is not.
    """
    for value in values or ():
        if value not in REPORTERS:
            raise EscEvalError(f"--report-to {value}: unknown; there is: {', '.join(REPORTERS)}")
        if not any(map(find_spec, REPORTERS[value])):
            raise EscEvalError(
                f"--report-to {value}: not installed; pip install {REPORTERS[value][0]}, or leave it out"
            )
    return values


@dataclass(frozen=True)
class TrainingOptions:
    """A recipe, what is changed of it, and what is done with it."""

    recipe: Annotated[Path, typer.Option("--recipe", help="A file of training/recipes, or your own.")]
    out: Annotated[Path, typer.Option("--out", help="Folder of the checkpoint; a stopped run in it goes on.")]
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a value of the recipe, e.g. optimise.epochs=2; repeatable."),
    ] = None
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            "--report-to",
            callback=check_reporters,
            help="trackio, tensorboard or wandb, if installed; log.jsonl is always written.",
        ),
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print rows, tokens, memory and hours; train nothing.")] = (
        False
    )
    tflops: Annotated[
        float | None,
        typer.Option(
            "--tflops", help="What your machine reaches in training, for the hours of --dry-run; else estimated."
        ),
    ] = None

    @property
    def changes(self) -> dict[str, Any]:
        """Values of the recipe by dotted name; see ``parse_changes``."""
        return parse_changes(self.set_)


def parse_changes(values: list[str] | None) -> dict[str, Any]:
    """``--set`` values by dotted name, read as YAML.

    Raises:
        EscEvalError: One has no name, or its value is no YAML.
    """
    found = {}
    for value in values or ():
        name, equals, text = value.partition("=")
        if not equals:
            raise EscEvalError(f"--set {value!r}: expected NAME=VALUE, e.g. optimise.epochs=2")
        try:
            found[name] = parse_yaml(text, "--set")
        except BadRecord as error:
            raise EscEvalError(f"--set {value}: {text!r} is no YAML value: {error.what}") from error
    return found
