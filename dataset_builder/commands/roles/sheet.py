"""``sheet``: stage 3a, a sheet for people."""

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m dataset_builder roles sheet --work work/first",)


def command(work: Work) -> None:
    """Stage 3a: write review.csv for people to edit: decision keep / drop / fix, quality high / middle, category.

    What people wrote into the sheet stays.
    """
    from dataset_builder.roles.records import Extraction, Filtering, Review
    from dataset_builder.roles.review import write_sheet
    from dataset_builder.roles.workspace import SHEET, Workspace

    space = Workspace(work)
    cards, verdicts = space.need(Extraction, "extract"), space.need(Filtering, "filter")
    sheet = write_sheet(work / SHEET, list(cards.values()), verdicts, space.read(Review))
    for ids, what in (
        (sheet.vanished, "are not to be reviewed any more"),
        (sheet.changed, "read otherwise by now"),
        (sheet.typed, "were changed outside the columns for it (decision, fixed_card, reason, ...)"),
    ):
        if ids:
            print_progress(f"{len(ids)} cards of the sheet {what}, e.g. {ids[0]}; their rows were left as they are")
    print_progress(
        f"{sheet.rows} cards to review, {sheet.new} of them new. Edit the sheet, then: "
        f"python -m dataset_builder roles review {work / SHEET} --work {work}"
    )
    print_data(work / SHEET)
