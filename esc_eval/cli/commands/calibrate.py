"""``calibrate``: fit temperatures to people's ratings."""

from esc_eval.cli.console import print_data
from esc_eval.cli.options import FitFile, LabelFiles, RatedUnder, RatingFiles, Seed

EXAMPLES = ("esc-eval calibrate --ratings runs/a --labels people.jsonl --out temperature.json",)


def command(ratings: RatingFiles, labels: LabelFiles, out: FitFile, rubric: RatedUnder = None, seed: Seed = 0) -> None:
    """Fit a temperature a dimension to level probabilities; prints what it changes, for score --calibration."""
    from esc_eval.api import workflow

    print_data(workflow.run_calibration(ratings, labels, out, rubric, seed))
