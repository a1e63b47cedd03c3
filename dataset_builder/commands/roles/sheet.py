"""``sheet``: stage 3a, a sheet for people."""

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_data, print_progress

EXAMPLES = ("python -m dataset_builder roles sheet --work work/first",)


def command(work: Work) -> None:
    """Stage 3a: write review.csv for people to edit: decision keep / drop / fix, quality high / middle, category."""
    from dataset_builder.roles.records import Extraction, Filtering, Review
    from dataset_builder.roles.review import write_sheet
    from dataset_builder.roles.workspace import SHEET, Workspace

    space = Workspace(work)
    cards, verdicts = space.need(Extraction, "extract"), space.need(Filtering, "filter")
    n = write_sheet(work / SHEET, list(cards.values()), verdicts, space.read(Review))
    print_progress(
        f"{n} cards to review. Edit it, then: python -m dataset_builder roles review {work / SHEET} --work {work}"
    )
    print_data(work / SHEET)
