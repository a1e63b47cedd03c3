"""``report``: a leaderboard of a run, or of dialogues and ratings from elsewhere."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import LinkCards, RatedUnder, Statistic, Strategies
from esc_eval.errors import EscEvalError
from esc_eval.files.records import find_in_folder

EXAMPLES = (
    "esc-eval report runs/first --format latex > table.tex",
    "esc-eval report runs/first --human people.csv",
    "esc-eval report runs/first runs/second --out reports/both",
    "esc-eval report runs/first --strategies esc-strategies",
)
READS_TABLES = True


def command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="DIR...", help="A run folder, finished or not; several of one protocol are joined."),
    ] = None,
    dialogues: Annotated[
        list[Path] | None, typer.Option("--dialogues", metavar="FILE", help="Without a run folder: dialogue files.")
    ] = None,
    ratings: Annotated[
        list[Path] | None, typer.Option("--ratings", metavar="FILE", help="Rating files, ours or official.")
    ] = None,
    cards: LinkCards = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where summary.json, report.md and report.html go, with --strategies strategies.csv too; default: the "
            "run folder, if it may be written; of several nowhere.",
        ),
    ] = None,
    rubric: RatedUnder = None,
    statistic: Statistic = "level",
    human: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RATINGS",
            help="Ratings by people of some of the dialogues, drawn at random: with the scorer's of all they give "
            "human means with intervals (prediction-powered). Repeatable.",
        ),
    ] = None,
    strategies: Strategies = None,
    format: Annotated[Literal["text", "json", "markdown", "latex"], typer.Option(help="What to print.")] = "text",
) -> None:
    """Print a leaderboard with intervals, and write summary.json, report.md and report.html.

    Runs that differ in protocol, settings or seeker, or contradict each other, are refused with the difference.
    """
    from esc_eval.api import door
    from esc_eval.simulation.run import find_faults

    folder = folders[0] if folders and len(folders) == 1 else None
    if not folders and not (dialogues and (ratings or strategies)):
        raise EscEvalError("give a run folder, or both --dialogues FILE and --ratings FILE")
    if out is None and folder is not None and folder.is_dir() and not os.access(folder, os.W_OK):
        print_progress(f"note: {folder}: may not be written, so no files of the report are; name a place: --out DIR")
    else:
        out = out or folder
    results = door.report(
        folder or folders or None,
        dialogues=dialogues or None,
        ratings=ratings or None,
        cards=cards,
        rubric=rubric,
        statistic=statistic,
        human=human or (),
        strategies=strategies,
        out=out,
    )
    for fault in (fault for each in folders or () for fault in find_faults(each)):
        print_progress(f"note: {fault}")
    if folders and not results.is_rated and not results.preferences and not strategies:
        if not (results.unfinished or results.course):
            find_in_folder(folders[0], "ratings.jsonl")
        print_data(f"{', '.join(map(str, folders))}: not rated yet. {' '.join(results.unfinished)}")
        for one in results.course.values():
            print_data(one.to_text())
        return
    print_data(results.render(format))
