"""``sheet``: files in which people rate without a server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import Seed

EXAMPLES = (
    "esc-eval sheet runs/mine --rater anna --rater ben --out sheets",
    "esc-eval sheet runs/mine --plan plan.csv --out sheets",
    "esc-eval sheet runs/mine --plan plan.csv --format xlsx --out sheets",
    "esc-eval sheet runs/mine --format label-studio --out tasks",
    "esc-eval sheet runs/mine --format argilla --out tasks",
)
Format = Literal["html", "csv", "xlsx", "label-studio", "argilla"]


@dataclass(frozen=True)
class AskedOptions:
    """What raters are asked."""

    rubric: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A shipped rubric, or your own .yaml: its levels in words.")
    ] = "esc-eval"
    dimensions: Annotated[str, typer.Option(metavar="KEY,...", help="Ask only these dimensions of the rubric.")] = ""
    language: Annotated[
        str | None,
        typer.Option(
            metavar="CODE", help="Language of the page and of the levels. Default: the dialogues', where all have one."
        ),
    ] = None
    contact: Annotated[
        str | None, typer.Option(help="Whom raters can tell that something is wrong, and how to reach them.")
    ] = None
    seed: Seed = 0


def command(
    dialogues: Annotated[
        list[Path], typer.Argument(metavar="RUN|FILE", help="What is rated: run folders, or files of dialogues.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")],
    asked: AskedOptions,
    rater: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who rates; with --plan, those of it who are wanted. Repeatable."),
    ] = None,
    plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Who rates what, from `esc-eval plan`.")] = None,
    format: Annotated[
        Format, typer.Option(help="A page, a spreadsheet, or tasks of an annotation tool in place of a sheet a rater.")
    ] = "html",
    cards: Annotated[
        list[Path] | None,
        typer.Option("--cards", metavar="FILE", help="Role cards, shown beside official dialogues; repeatable."),
    ] = None,
) -> None:
    """Write a file for each rater to rate in, without a server; esc-eval collect reads what comes back.

    html: one page that opens from a disk, keeps what is clicked in the browser and exports it. csv, xlsx: a dialogue a
    row. label-studio, argilla: tasks for everybody, to import there.
    """
    from esc_eval.prompts.rubric import load_rubric
    from esc_eval.rate.offline.writing import write_sheets
    from esc_eval.rate.study import Design, load_study

    keys = tuple(key.strip() for key in asked.dimensions.split(",") if key.strip())
    study = load_study(dialogues, cards or [], load_rubric(asked.rubric), Design(dimensions=keys, seed=asked.seed))
    if study.left_out:
        print_progress(f"{study.left_out} dialogues ended early or hold no answer, and are not rated.")
    for path in write_sheets(study, format, out, rater or [], plan, asked.language, asked.contact):
        print_data(path)
    given = " ".join(map(str, dialogues))
    print_progress(f"When they come back: esc-eval collect FILES --dialogues {given} --out ratings.jsonl")
