"""``prepare``: a release put together."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m release prepare --dataset build/public --role role --rank rank --out release/1",)


def command(
    dataset: Annotated[Path, typer.Option(help="A public build: python -m dataset_builder build --public.")],
    role: Annotated[Path, typer.Option(help="Checkpoint folder of ESC-Role: python -m training role.")],
    rank: Annotated[Path, typer.Option(help="Checkpoint folder of ESC-RANK: python -m training rank.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    previous: Annotated[Path | None, typer.Option(help="The build that was released before, to compare rows.")] = None,
    rows_may_differ: Annotated[
        bool, typer.Option("--rows-may-differ", help="Rows that differ from --previous are meant to.")
    ] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Let an unreleased version and a changed checkout pass; tag ends in -draft.")
    ] = False,
) -> None:
    """Check everything and put the release together; refuses with every reason."""
    from dataset_builder.describe.manifest import describe_withheld, read_manifest
    from release.prepare import prepare_release as make

    release = make(dataset, role, rank, out, previous, rows_may_differ, draft, print_progress)
    for note in release.notes:
        print_progress(f"note: {note}")
    if withheld := describe_withheld(read_manifest(out / "dataset")):
        print_progress(withheld)
    print_progress(f"written to {out}; next: python -m release publish {out} --namespace ORG")
    print_data(json.dumps({"out": str(out), "tag": release.tag, "rows": release.rows}))
