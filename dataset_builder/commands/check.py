"""``check``: what is wrong with a build."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m dataset_builder check build/full",)


def command(folder: Annotated[Path, typer.Argument(help="A folder that `build` made.")]) -> None:
    """List everything that is wrong with a build; exit code 1 if there is anything."""
    from dataset_builder.check.build import check_build as problems_of

    problems = problems_of(folder, print_progress)
    for problem in problems:
        print_data(problem)
    print_progress(f"{folder}: {len(problems)} problems" if problems else f"{folder}: sound")
    raise typer.Exit(1 if problems else 0)
