"""``convert``: a public set of rated dialogues as folders that every command reads."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = (
    "python -m analysis convert ieval ieval_data.json --out people",
    "python -m analysis convert esconv ESConv.json --out people",
)


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="ieval, fed, usr, conture, duo, lend-an-ear, vera-mh, esconv, esconv-sra, kokorochat."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="Your copy of its file, or folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the folders go, one a scale.")],
) -> None:
    """Write a set that people rated as folders of dialogues and ratings: one for each scale that it was rated on."""
    from analysis.rated import convert_set, load_set

    folders = convert_set(name, path, out)
    known = load_set(name)
    print_progress(f"{known.NAME}: {known.AUTHORS}, {known.LINK}. Licence: {known.LICENSE}.")
    for folder in folders:
        print_data(folder)
