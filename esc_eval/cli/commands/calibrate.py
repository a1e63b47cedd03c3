"""``calibrate``: fit a judge to people's ratings."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.options import RatedUnder, RatingFiles, Seed
from esc_eval.cli.progress import show_progress
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "esc-eval calibrate --ratings runs/a --labels people.jsonl --out fit.json",
    "esc-eval calibrate --ratings runs/b --apply fit.json > calibrated.jsonl",
)
READS_TABLES = True


def command(
    ratings: RatingFiles,
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", metavar="FILE", help="A few human ratings of the same dialogues.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the fit goes, as JSON.")] = None,
    apply: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Apply the maps of this fit and print one rating a line, as JSON."),
    ] = None,
    rubric: RatedUnder = None,
    seed: Seed = 0,
) -> None:
    """Fit any judge to people's ratings on 20 cards or more: a rising map a dimension where it gains, a temperature."""
    from esc_eval.api import workflow

    if (apply is None) == (labels is None or out is None):
        raise EscEvalError("give --labels and --out to fit a judge to people, or --apply to use such a fit")
    if apply is not None:
        with show_progress() as progress:
            bent = workflow.apply_calibration(ratings, apply, progress)
        print_data(bent)
    elif labels and out:
        print_data(workflow.run_calibration(ratings, labels, out, rubric, seed))
