"""``diff``: rows that differ between two builds."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m dataset_builder diff build/old build/new",)


def command(
    old: Annotated[Path, typer.Argument(help="A build.")], new: Annotated[Path, typer.Argument(help="Another build.")]
) -> None:
    """List rows that differ between two builds; exit code 1 if there are any. Values are not shown."""
    from dataset_builder.diff import diff_builds as changes_of
    from dataset_builder.diff import other_differences

    changes = list(changes_of(old, new))
    others = other_differences(old, new)
    for change in changes:
        print_data(change)
    if others:
        print_progress(f"manifests differ in: {', '.join(others)}")
    print_progress(f"{len(changes)} rows differ")
    raise typer.Exit(1 if changes else 0)
