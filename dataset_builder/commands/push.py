"""``push``: a build on the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import carry_out, print_progress

EXAMPLES = (
    "python -m dataset_builder push build/public --repo me/esc-eval --tag v1",
    "python -m dataset_builder push build/public --repo me/esc-eval --tag v1 --push",
)


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that `build` made.")],
    repo: Annotated[str, typer.Option(help="Id of the dataset repo, NAMESPACE/NAME.")],
    tag: Annotated[str | None, typer.Option(help="Tag to set on the commit.")] = None,
    really: Annotated[bool, typer.Option("--push", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repo as private.")] = False,
) -> None:
    """Publish a public build on the Hugging Face Hub (a dry run without --push)."""
    from dataset_builder.describe.manifest import describe_withheld, read_manifest
    from dataset_builder.push import plan_push

    plan = plan_push(folder, repo, tag)
    if withheld := describe_withheld(read_manifest(folder)):
        print_progress(withheld)
    carry_out([plan], really, private)
