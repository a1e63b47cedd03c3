"""``sheet``: files in which people rate without a server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import Seed
from esc_eval.cli.study_options import (
    RATED,
    AskedDimensions,
    AskedRubric,
    Contact,
    PlanFile,
    ShownCards,
    open_study,
    split_names,
)

EXAMPLES = (
    "esc-eval sheet runs/mine --rater anna --rater ben --out sheets",
    "esc-eval sheet runs/mine --plan plan.csv --out sheets",
    "esc-eval sheet runs/mine --plan plan.csv --format xlsx --out sheets",
    "esc-eval sheet runs/mine --format label-studio --out tasks",
    "esc-eval sheet runs/mine --format argilla --out tasks",
)
READS_TABLES = True
Format = Literal["html", "csv", "xlsx", "label-studio", "argilla"]


@dataclass(frozen=True)
class AskedOptions:
    """What raters are asked."""

    rubric: AskedRubric = "esc-eval"
    dimensions: AskedDimensions = ""
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Language of the page and of the levels. Default: the dialogues', where all have one."
        ),
    ] = None
    contact: Contact = None
    seed: Seed = 0


def command(
    dialogues: Annotated[list[Path], RATED],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    asked: AskedOptions,
    rater: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who rates; with --plan, those of it who are wanted. Repeatable."),
    ] = None,
    plan: PlanFile = None,
    format: Annotated[
        Format, typer.Option(help="A page, a spreadsheet, or tasks of an annotation tool in place of a sheet a rater.")
    ] = "html",
    cards: ShownCards = None,
) -> None:
    """Write a file for each rater to rate in, without a server; esc-eval collect reads what comes back.

    html: one page that opens from a disk, keeps what is clicked in the browser and exports it. csv, xlsx: a dialogue a
    row. label-studio, argilla: tasks for everybody, to import there.
    """
    from esc_eval.rate.offline.writing import write_sheets
    from esc_eval.rate.study import Design

    design = Design(dimensions=tuple(split_names(asked.dimensions)), seed=asked.seed)
    study = open_study(dialogues, cards, asked.rubric, design)
    for path in write_sheets(study, format, out, rater or [], plan, asked.language, asked.contact):
        print_data(path)
    given = " ".join(map(str, dialogues))
    print_progress(f"When they come back: esc-eval collect FILES --dialogues {given} --out ratings.jsonl")
