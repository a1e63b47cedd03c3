"""``python -m analysis``: the statistics of ratings, one verb each."""

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from analysis.measure import Bootstrap
from analysis.report import Report
from analysis.table import RatingsTable, raw_rows, read_table
from esc_eval.errors import EscEvalError
from esc_eval.files import read_dialogues
from esc_eval.schema import Dialogue

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Statistics of ratings: every number with its interval, from one table of ratings.\n\n"
    "A ratings table has the columns dialogue_id, rater, dimension, score (blank = missing) as CSV, JSON Lines or "
    "Parquet; card, model, stage, order, time, language, category are used where present. Tables go to standard "
    "output; --json, --markdown and --latex write the same object to files.",
)

RatingsFiles = Annotated[
    list[Path], typer.Argument(help="Ratings: CSV, JSON Lines, Parquet, a run folder, official JSON.")
]
DialogueFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--dialogues", help="Dialogues that were rated: gives card, model, language and category. Repeatable."
    ),
]
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


class AverageOption(StrEnum):
    """Over what a sample-level correlation is taken."""

    none = "none"
    model = "model"
    card = "card"


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


def every_dialogue(paths: list[Path] | None) -> list[Dialogue]:
    """The dialogues of all files."""
    return [dialogue for path in paths or () for dialogue in read_dialogues(path)]


def read_groups(path: Path) -> dict[str, str]:
    """Model -> group from a CSV with these two columns.

    Raises:
        EscEvalError: No such file or columns.
    """
    if not path.exists():
        raise EscEvalError(f"{path}: no such file")
    frame = raw_rows(path)
    if not {"model", "group"} <= set(frame):
        raise EscEvalError(f"{path}: expected the columns model,group")
    return dict(zip(frame["model"], frame["group"], strict=True))


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
    weights: Annotated[
        KappaWeightsOption,
        typer.Option(
            help="Weights of kappa and AC2: by score distance on the full scale, or by position among the "
            "levels that occur.",
        ),
    ] = KappaWeightsOption.distance,
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
    report = agreement_report(
        table, boot, cluster=cluster, weights=weights.value, stage=stage, top=top, progress=talk(Console(stderr=True))
    )
    show(report, json_file, markdown, latex)


@app.command("correlation")
def correlation_command(
    ratings: RatingsFiles,
    metrics: Annotated[
        list[Path] | None,
        typer.Option(
            "--metrics",
            help="Metric scores: dialogue_id with a column for each metric, or dialogue_id, metric, score. Repeatable.",
        ),
    ] = None,
    automatic: Annotated[
        str | None,
        typer.Option(help="Compute these from the dialogues, comma-separated, or 'all': see analysis/metrics."),
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="References for metrics that need them: JSON Lines of dialogue_id, reference.")
    ] = None,
    dialogues: DialogueFiles = None,
    average: Annotated[
        AverageOption,
        typer.Option(
            help="Sample level: all dialogues together, or within each model or card and then averaged.",
        ),
    ] = AverageOption.none,
    raters: Annotated[str, typer.Option(help="How raters are put together: mean, median, drop_furthest.")] = "mean",
    permutations: Annotated[int, typer.Option(help="Permutations of the test of differences.")] = 1000,
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Automatic metrics against human scores: Pearson, Spearman, Kendall, pairwise accuracy, and tests of differences.

    Example: python -m analysis correlation ratings.csv --dialogues dialogues.jsonl --automatic length,distinct
    """
    from analysis.automatic import automatic_scores
    from analysis.commands.correlation import correlation_report
    from analysis.scores import read_scores

    table = load(ratings, scale, dialogues)
    parts, notes = [], []
    if metrics:
        parts.append(read_scores(metrics))
    if automatic:
        found, notes = automatic_scores(automatic, every_dialogue(dialogues), references)
        parts.append(found)
    if not parts:
        raise EscEvalError("nothing to correlate with: give --metrics FILE, or --automatic NAMES with --dialogues")
    report = correlation_report(
        table,
        pd.concat(parts, ignore_index=True),
        Bootstrap(draws, seed, confidence),
        average=average.value,
        cluster=cluster,
        rule=raters,
        permutations=permutations,
    )
    report.notes += notes
    show(report, json_file, markdown, latex)


@app.command("scorer")
def scorer_command(
    predictions: Annotated[list[Path], typer.Argument(help="Ratings by scorers, in any format of a ratings table.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Ratings by people. Repeatable.")] = None,
    dialogues: DialogueFiles = None,
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Health of a scorer: ACC, kappa, F1, calibration, beside baselines, and whether it can be told from a constant.

    Example: python -m analysis scorer predictions.jsonl --labels ratings.csv
    """
    from analysis.commands.scorer import scorer_report

    told = dialogues if labels else None
    report = scorer_report(
        load(predictions, scale, None),
        load(labels, scale, told) if labels else None,
        Bootstrap(draws, seed, confidence),
        cluster=cluster,
        dialogues=every_dialogue(told),
    )
    show(report, json_file, markdown, latex)


@app.command("leaderboard")
def leaderboard_command(
    ratings: RatingsFiles,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="A scorer's ratings of these and more dialogues: gives prediction-powered intervals. Repeatable."
        ),
    ] = None,
    dialogues: DialogueFiles = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of model,group. Default: the column 'group'.")] = None,
    human: Annotated[str, typer.Option(help="Name of the human supporter among the models.")] = "human",
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Models side by side: means, ranks, paired differences, groups, gap to people, prediction-powered intervals.

    Example: python -m analysis leaderboard ratings.csv --predictions run/ratings.jsonl
    """
    from analysis.commands.leaderboard import leaderboard_report

    table = load(ratings, scale, dialogues)
    guesses = load(predictions, scale, dialogues) if predictions else None
    report = leaderboard_report(
        table,
        Bootstrap(draws, seed, confidence),
        predictions=guesses,
        dialogues=every_dialogue(dialogues),
        groups=read_groups(groups) if groups else None,
        human=human,
        cluster=cluster,
    )
    show(report, json_file, markdown, latex)


@app.command("published")
def published_command(json_file: JsonFile = None, markdown: MarkdownFile = None, latex: LatexFile = None) -> None:
    """Audit of the paper's printed tables: sums, averages, whole-number means, test items, constant guesses.

    Example: python -m analysis published --json findings.json
    """
    from analysis.commands.published import published_report

    show(published_report(), json_file, markdown, latex)


def main() -> None:
    """Run a command; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
