"""``review``: stage 3b, what people decided."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "python -m dataset_builder roles review work/first/review.csv --work work/first",
    "python -m dataset_builder roles review work/first/review-jo.csv work/first/review-kim.csv --work work/first",
)


def command(
    files: Annotated[list[Path], typer.Argument(help="The edited sheet (.csv or .xlsx), or two people's.")], work: Work
) -> None:
    """Stage 3b: take over what people decided; rows without a decision stay open.

    Of two people's sheets the agreement is printed, and cards on which they differ stay open: settle them in one sheet.
    """
    from dataset_builder.roles.records import Classification, Extraction, Review
    from dataset_builder.roles.review import compare_reviews, read_sheet
    from dataset_builder.roles.workspace import Workspace

    if len(files) > 2:
        raise EscEvalError(f"{len(files)} sheets: give one, or those of two people")
    space = Workspace(work)
    cards, proposed = space.need(Extraction, "extract"), space.read(Classification)
    read = [read_sheet(path, cards, proposed) for path in files]
    taken = {review.id: review for reviews, _ in reversed(read) for review in reviews}
    if len(read) == 2:
        accord = compare_reviews(read[0][0], read[1][0])
        for name in accord.apart:
            del taken[name]
            print_data(name)
        kappas = [("keep or drop", accord.decision, accord.n), ("quality", accord.quality, accord.n_quality)]
        said = ", ".join(f"{what} kappa {'-' if k is None else f'{k:.2f}'} (n {n})" for what, k, n in kappas)
        print_progress(f"both decided on {accord.n} cards, the same on {accord.same}; {said}")
        if accord.apart:
            print_progress(
                f"{len(accord.apart)} cards on which they differ stay as they were; settle them in one sheet"
            )
    space.merge(Review, taken.values())
    print_progress(f"{len(taken)} decisions taken over, {min(rows for _, rows in read)} rows without one")
