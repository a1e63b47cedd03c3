"""``publish``: a release on the Hub."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import carry_out

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
    from release.publish import plan_uploads

    carry_out(plan_uploads(folder, namespace), really, private, "--yes")
