"""``archive``: a prepared release as files for Zenodo."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m release archive release/1 --out archives/1",)


def command(
    release: Annotated[Path, typer.Argument(help="A prepared release.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
) -> None:
    """Write a prepared release as archives with their metadata, to deposit at Zenodo."""
    from release.archive import METADATA, archive_release

    files = archive_release(release, out, print_progress)
    print_progress(f"written to {out}; upload every file of it, and take the fields of the deposit from {METADATA}")
    print_data(json.dumps({"out": str(out), "files": files}))
