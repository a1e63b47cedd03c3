"""``space``: a public board as a Hugging Face Space."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "python -m release space --dataset ORG/esc-eval@v0.2.0 --out build/space",
    "python -m release space --dataset build/public --wheel dist/esc_eval-0.2.0-py3-none-any.whl --out build/space",
    "python -m release space --take pending/4f1c --out build/space",
)


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to make; with --take, that of the Space.")],
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORG/NAME@TAG|DIR",
            help="What it shows: a released data set, fetched when it starts, or a public build, copied. Repeatable.",
        ),
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="A run folder that it shows too, copied. Repeatable.")
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The wheel, copied; default: the version from the index.")
    ] = None,
    submissions: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Data set on the Hub for copies of what is handed in.")
    ] = None,
    title: Annotated[str, typer.Option(help="Of the Space.")] = "ESC-Eval",
    take: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Check a run that was handed in once more, and put it into the Space."),
    ] = None,
) -> None:
    """Write a Space: the pages of `esc-eval view`, read-only, and a form by which runs are handed in.

    What is handed in is checked, and waits; nothing of it is shown until a maintainer takes it in (--take).
    """
    from release.space import take_run, write_space

    if take is not None:
        if dataset or run or wheel or submissions:
            raise EscEvalError("--take goes with --out alone")
        print_data(take_run(take, out))
        return
    for note in write_space(out, dataset or [], run or [], wheel, submissions, title):
        print_progress(f"note: {note}")
    print_data(out)
    print_progress(f"Try it: cd {out}; pip install -r requirements.txt; python app.py. It is pushed as any Space is.")
