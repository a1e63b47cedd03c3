"""``harm``: how far judges find the harm that people find."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import ReportOptions

EXAMPLES = (
    "python -m analysis harm people/vera-mh",
    "python -m analysis harm people/vera-mh-safety --judge runs/judged",
)


def command(
    folder: Annotated[Path, typer.Argument(help="Folder that `convert` wrote, or a run folder that people rated.")],
    judge: Annotated[
        list[Path] | None,
        typer.Option("--judge", help="Ratings by scorers of the same dialogues, under the same rubric. Repeatable."),
    ] = None,
    rubric: Annotated[str | None, typer.Option(help="Rubric of the ratings; default: the one they name.")] = None,
    *,
    options: ReportOptions,
) -> None:
    """Sensitivity, specificity and corrected rates of harm: length, words and majority, and scorers, beside people."""
    from analysis.studies.harm import harm_report
    from esc_eval.files.records import read_dialogues, read_ratings
    from esc_eval.scoring.rating_checks import rubric_of

    given = read_ratings(folder)
    people = [rating for rating in given if rating.rater_kind == "human"]
    judged = [r for path in (folder, *(judge or ())) for r in read_ratings(path) if r.rater_kind == "model"]
    found = rubric_of(people, rubric, folder)
    options.show(harm_report(people, read_dialogues(folder), found, [r for r in judged if r.rubric == found.id]))
