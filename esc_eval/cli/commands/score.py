"""``score``: rate dialogues."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.options import (
    DialogueFiles,
    DryRun,
    GoingOptions,
    LinkCards,
    OpeningOptions,
    RatingOptions,
    WordingOptions,
    settings_of,
)
from esc_eval.cli.progress import show_progress, show_what_there_is

EXAMPLES = (
    "esc-eval score --dialogues ESC-Eval/result/2024-06-24/llama3_en.json --scorer embedded --out runs/llama3",
    "esc-eval score --dialogues runs/first --people ratings.csv",
)
READS_TABLES = True


def command(
    dialogues: DialogueFiles,
    rating: RatingOptions,
    wording: WordingOptions,
    going: GoingOptions,
    opening: OpeningOptions,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where ratings go; default: the run folder, or scores/NAME.")
    ] = None,
    cards: LinkCards = None,
    people: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RATINGS", help="Keep these ratings by people in the run folder; asks no model without --scorer."
        ),
    ] = None,
    reparse: Annotated[
        bool, typer.Option("--reparse", help="Ask no model: read the run's stored answers again with --parser.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Rate dialogues on every dimension of a rubric and report; ratings are kept dialogue by dialogue."""
    from esc_eval.api import door, workflow

    settings = settings_of(rating, wording, going, opening)
    if dry_run:
        print_data(door.estimate_scoring(dialogues, cards, **settings))
        return
    first = dialogues[0]
    folder = out or (first if first.is_dir() else Path("scores") / first.stem)
    with show_what_there_is(folder):
        with show_progress() as progress:
            if reparse:
                print_data(workflow.run_reparse(folder, rating.rubric, rating.parser, progress))
                return
            results = door.score(dialogues, cards=cards, people=people or (), out=folder, progress=progress, **settings)
        print_data(results.render())
        if len(rating.scorer) > 1:
            print_progress(
                f"More of their agreement: esc-eval agreement {folder}; weights by people: esc-eval ensemble"
            )
