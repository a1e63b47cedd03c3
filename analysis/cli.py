"""``python -m analysis``: the statistics of ratings, one verb each."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from analysis.measure import Bootstrap
from analysis.report import Report
from analysis.table import RatingsTable, read_table
from esc_eval.errors import EscEvalError

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False,
    help="Statistics of ratings: every number with its interval, from one table of ratings.\n\n"
    "A ratings table has the columns dialogue_id, rater, dimension, score (blank = missing) as CSV, JSON Lines or "
    "Parquet; card, model, stage, order, time, language, category are used where present. Tables go to standard "
    "output; --json, --markdown and --latex write the same object to files.",
)

RatingsFiles = Annotated[list[Path], typer.Argument(help="Ratings: CSV, JSON Lines, Parquet, a run folder, official JSON.")]
DialogueFiles = Annotated[list[Path] | None, typer.Option(
    "--dialogues", help="Dialogues that were rated: gives card, model, language and category. Repeatable.")]
Scale = Annotated[str, typer.Option(help="Lowest and highest level of the scale.", metavar="LOW-HIGH")]
Draws = Annotated[int, typer.Option(help="Bootstrap draws.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Confidence = Annotated[float, typer.Option(help="Coverage of the intervals.")]
ClusterBy = Annotated[str | None, typer.Option("--cluster", help="Column to cluster by. Default: card, else dialogue.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write JSON to this file.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file.")]
LatexFile = Annotated[Path | None, typer.Option("--latex", help="Write LaTeX to this file.")]


class KappaWeightsOption(StrEnum):
    """What the weights of kappa are measured by."""

    distance = "distance"
    position = "position"


def parse_scale(text: str) -> tuple[int, int]:
    """Two whole numbers from ``0-4``.

    Raises:
        EscEvalError: Anything else.
    """
    low, dash, high = text.rpartition("-")
    try:
        ends = int(low), int(high)
    except ValueError:
        ends = None
    if not dash or ends is None or ends[0] >= ends[1]:
        raise EscEvalError(f"--scale {text}: expected LOW-HIGH in whole numbers, e.g. 0-4 or 1-5")
    return ends


def load(paths: list[Path], scale: str, dialogues: list[Path] | None) -> RatingsTable:
    """The ratings table of a command line."""
    return read_table(paths, parse_scale(scale), dialogues or ())


def talk(console: Console) -> Callable[[str], None]:
    """Progress on standard error, where somebody looks at it."""
    return lambda what: console.print(f"{what} ...", style="dim", highlight=False) if console.is_terminal else None


def show(report: Report, json_file: Path | None, markdown: Path | None, latex: Path | None) -> None:
    """Print a report, and write the files that were asked for."""
    report.write(json_file, markdown, latex)
    width = None if sys.stdout.isatty() else 200
    report.print(Console(width=width))


@app.callback()
def _verbs() -> None:
    pass


@app.command("agreement")
def agreement_command(
    ratings: RatingsFiles,
    dialogues: DialogueFiles = None,
    scale: Scale = "0-4",
    weights: Annotated[KappaWeightsOption, typer.Option(
        help="Weights of kappa and AC2: by score distance on the full scale, or by position among the levels that occur.",
    )] = KappaWeightsOption.distance,
    stage: Annotated[str | None, typer.Option(help="Stage whose ratings are compared. Default: the first.")] = None,
    top: Annotated[int, typer.Option(help="Disputed items to list.")] = 10,
    cluster: ClusterBy = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """How far raters agree: alpha, kappa, AC2, ICC, Spearman, and diagnostics of each rater.

    Example: python -m analysis agreement ratings.csv --json agreement.json
    """
    from analysis.commands.agreement import agreement_report

    table = load(ratings, scale, dialogues)
    boot = Bootstrap(draws, seed, confidence)
    report = agreement_report(table, boot, cluster=cluster, weights=weights.value, stage=stage, top=top,
                              progress=talk(Console(stderr=True)))
    show(report, json_file, markdown, latex)


def main() -> None:
    """Run a command; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
