"""``figures``: the pictures of runs as files for a paper."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import RatedUnder, Statistic

EXAMPLES = (
    "esc-eval figures runs/first --out figures",
    "esc-eval figures runs/first runs/second --out figures --format pdf",
)

FORMATS: dict[str, Any] = {"both": ("svg", "pdf"), "all": ("svg", "pdf", "png")}


def command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run folders; of one protocol they are joined.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the files go.")],
    format: Annotated[Literal["both", "svg", "pdf", "png", "all"], typer.Option(help="Which files: both is SVG and PDF.")] = "both",
    rubric: RatedUnder = None,
    statistic: Statistic = "level",
) -> None:
    """Write the pictures of leaderboards and of rounds as SVG, PDF or PNG, signed, with a file that describes each."""
    from esc_eval.view.collection import Collection
    from esc_eval.view.figures import write_figures

    collection = Collection.open(folders, rubric, statistic)
    for reason in (reason for group in collection.groups for reason in group.reasons):
        print_progress(f"note: {reason}")
    paths, missing = write_figures(collection, out, FORMATS.get(format, (format,)))
    if missing:
        print_progress(
            f"note: no font of this machine has {missing}, so the PDF and PNG files show boxes there; install one, e.g. Noto "
            "Sans CJK (fonts-noto-cjk). The SVG files are whole."
        )
    for path in paths:
        print_data(path)
