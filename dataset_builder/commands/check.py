"""``check``: what is wrong with a build."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import end_with_problems, print_progress

EXAMPLES = ("python -m dataset_builder check build/full",)


def command(folder: Annotated[Path, typer.Argument(help="A folder that `build` made.")]) -> None:
    """List everything that is wrong with a build; exit code 1 if there is anything."""
    from dataset_builder.check.build import check_build as problems_of
    from dataset_builder.describe.manifest import describe_withheld, read_manifest

    problems = problems_of(folder, print_progress)
    if not problems and (withheld := describe_withheld(read_manifest(folder))):
        print_progress(withheld)
    end_with_problems(folder, problems)
