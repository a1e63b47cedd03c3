"""``publish``: a release on the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import carry_out, print_progress

EXAMPLES = (
    "python -m release publish release/1 --namespace me",
    "python -m release publish release/1 --namespace me --yes",
)


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that `prepare` made.")],
    namespace: Annotated[str, typer.Option(help="User or organisation on the Hub.")],
    really: Annotated[bool, typer.Option("--yes", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create repositories as private.")] = False,
) -> None:
    """Publish a prepared release on the Hugging Face Hub (a dry run without --yes)."""
    from dataset_builder.describe.manifest import describe_withheld, read_manifest
    from release.publish import plan_uploads

    plans = plan_uploads(folder, namespace)
    if withheld := describe_withheld(read_manifest(folder / "dataset")):
        print_progress(withheld)
    carry_out(plans, really, private, "--yes")
