"""``check``: what keeps a release from being published."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m release check release/1",)


def command(folder: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")]) -> None:
    """List everything that keeps a prepared release from being published; exit code 1 if there is anything."""
    from release.publish import find_publish_problems

    found = find_publish_problems(folder)
    for problem in found:
        print_data(problem)
    print_progress(f"{folder}: {len(found)} problems" if found else f"{folder}: sound")
    raise typer.Exit(1 if found else 0)
