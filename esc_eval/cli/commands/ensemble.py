"""``ensemble``: one rating of several judges."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.options import RatedUnder, RatingFiles, Seed
from esc_eval.errors import EscEvalError

EXAMPLES = ("esc-eval ensemble --ratings runs/a --labels people.jsonl --out weights.json",)
READS_TABLES = True


def command(
    ratings: RatingFiles,
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", metavar="FILE", help="Human ratings to fit weights to.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Apply these weights and print one rating a line, as JSON.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the fit goes, as JSON.")] = None,
    dialogues: Annotated[
        list[Path] | None, typer.Option("--dialogues", metavar="DIR|FILE", help="Give the card of each dialogue.")
    ] = None,
    rubric: RatedUnder = None,
    seed: Seed = 0,
) -> None:
    """Weigh several judges by human labels, or apply such weights."""
    from esc_eval.api import workflow

    if (weights is None) == (labels is None or out is None):
        raise EscEvalError("give --labels and --out to fit weights, or --weights to apply them")
    if weights is not None:
        print_data(workflow.apply_ensemble(ratings, weights))
    elif labels and out:
        print_data(workflow.run_ensemble(ratings, labels, out, dialogues or [], rubric, seed))
