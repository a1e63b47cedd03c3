"""``sheet``: stage 3a, a sheet for people."""

import re
from typing import Annotated

import typer

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "python -m dataset_builder roles sheet --work work/first",
    "python -m dataset_builder roles sheet --work work/first --xlsx --reviewer jo",
)


def command(
    work: Work,
    xlsx: Annotated[bool, typer.Option("--xlsx", help="Write review.xlsx, with lists to choose from.")] = False,
    reviewer: Annotated[str, typer.Option(help="A sheet of one's own for this person: review-NAME.")] = "",
) -> None:
    """Stage 3a: write review.csv for people to edit: decision keep / drop / fix, quality high / middle, category.

    What people wrote into the sheet stays. Where a classifier has proposed a problem type, `confirm` confirms it.
    """
    from dataset_builder.roles.records import Classification, Extraction, Filtering, Review
    from dataset_builder.roles.review import write_sheet
    from dataset_builder.roles.workspace import SHEET, Workspace

    space = Workspace(work)
    cards, verdicts = space.need(Extraction, "extract"), space.need(Filtering, "filter")
    if reviewer and not re.fullmatch(r"[\w-]+", reviewer):
        raise EscEvalError(f"--reviewer {reviewer!r}: letters, figures and hyphens, for it is part of a file's name")
    path = work / f"{SHEET}{'-' * bool(reviewer)}{reviewer}{'.xlsx' if xlsx else '.csv'}"
    done = {} if reviewer else space.read(Review)
    sheet = write_sheet(path, list(cards.values()), verdicts, done, space.read(Classification))
    for ids, what in (
        (sheet.vanished, "are not to be reviewed any more"),
        (sheet.changed, "read otherwise by now"),
        (sheet.typed, "were changed outside the columns for it (decision, fixed_card, reason, ...)"),
    ):
        if ids:
            print_progress(f"{len(ids)} cards of the sheet {what}, e.g. {ids[0]}; their rows were left as they are")
    print_progress(
        f"{sheet.rows} cards to review, {sheet.new} of them new. Edit the sheet, then: "
        f"python -m dataset_builder roles review {path} --work {work}"
    )
    print_data(path)
