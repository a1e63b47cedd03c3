"""``fill``: a public build with the text that it withholds."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m dataset_builder fill build/public --official ../ESC-Eval --out build/full",)


def command(
    folder: Annotated[Path, typer.Argument(help="A public build: a snapshot of the dataset repository.")],
    out: Annotated[Path, typer.Option(help="Folder to make; an earlier build there is replaced.")],
    official: Annotated[Path | None, typer.Option(help="Your checkout of the official repository.")] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Folder of others' result files that rows came from; may be repeated.")
    ] = None,
) -> None:
    """Put the text that a public build withholds into it, from your own copy, verified by hash."""
    from dataset_builder.fill import fill_build

    content = fill_build(folder, out, official, runs or (), print_progress)
    print_progress(f"written to {out}; it holds text that may not be re-hosted")
    print_data(json.dumps({"out": str(out), "rows": content["rows"]}))
