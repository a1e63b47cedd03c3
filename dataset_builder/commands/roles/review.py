"""``review``: stage 3b, what people decided."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.roles.options import Work
from esc_eval.cli.console import print_progress

EXAMPLES = ("python -m dataset_builder roles review work/first/review.csv --work work/first",)


def command(file: Annotated[Path, typer.Argument(help="The edited sheet.")], work: Work) -> None:
    """Stage 3b: take over what people decided; rows without a decision stay open."""
    from dataset_builder.roles.records import Extraction, Review
    from dataset_builder.roles.review import read_sheet
    from dataset_builder.roles.workspace import Workspace

    space = Workspace(work)
    reviews, open_rows = read_sheet(file, space.need(Extraction, "extract"))
    space.merge(Review, reviews)
    print_progress(f"{len(reviews)} decisions taken over, {open_rows} rows without one")
