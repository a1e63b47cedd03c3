"""``check``: what keeps a release from being published."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import end_with_problems

EXAMPLES = ("python -m release check release/1",)


def command(folder: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")]) -> None:
    """List everything that keeps a prepared release from being published; exit code 1 if there is anything."""
    from release.publish import find_publish_problems

    end_with_problems(folder, find_publish_problems(folder))
