"""Commands on ratings: agreement, correlation, scorer, leaderboard."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from esc_eval.cli.ratings_options import (
    AverageOption,
    CardFiles,
    ClusterBy,
    Confidence,
    DialogueFiles,
    Draws,
    JsonFile,
    KappaWeightsOption,
    LatexFile,
    MarkdownFile,
    RatingsFiles,
    Scale,
    Seed,
    every_dialogue,
    load_ratings_table,
    make_progress,
    read_groups,
    show_report,
)
from esc_eval.errors import EscEvalError
from esc_eval.statistics.bootstrap import DRAWS, Bootstrap


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
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """How far raters agree: alpha, kappa, AC2, ICC, Spearman, and diagnostics of each rater.

    Example: python -m analysis agreement ratings.csv --json agreement.json
    """
    from esc_eval.reporting.agreement import agreement_report

    table = load_ratings_table(ratings, scale, dialogues)
    boot = Bootstrap(draws, seed, confidence)
    report = agreement_report(
        table,
        boot,
        cluster=cluster,
        weights=weights.value,
        stage=stage,
        top=top,
        progress=make_progress(Console(stderr=True)),
    )
    show_report(report, json_file, markdown, latex)


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
        typer.Option(help="Compute these from the dialogues, comma-separated, or 'all': see analysis/studies/metrics."),
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
    permutations: Annotated[int, typer.Option(help="Permutations of the test of differences.")] = 9999,
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Automatic metrics against human scores: Pearson, Spearman, Kendall, pairwise accuracy, and tests of differences.

    Example: python -m analysis correlation ratings.csv --dialogues dialogues.jsonl --automatic length,distinct
    """
    from analysis.studies.automatic import automatic_scores
    from analysis.studies.correlation import correlation_report
    from esc_eval.statistics.scores import read_scores

    table = load_ratings_table(ratings, scale, dialogues)
    parts: list[pd.DataFrame] = []
    notes: list[str] = []
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
    show_report(report, json_file, markdown, latex)


def scorer_command(
    predictions: Annotated[list[Path], typer.Argument(help="Ratings by scorers, in any format of a ratings table.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Ratings by people. Repeat the option for each file.")
    ] = None,
    dialogues: DialogueFiles = None,
    cards: CardFiles = None,
    scale: Scale = "0-4",
    cluster: ClusterBy = None,
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Health of a scorer: ACC, kappa, F1, calibration, beside baselines, and whether it can be told from a constant.

    Example: python -m analysis scorer predictions.jsonl --labels ratings.csv
    """
    from esc_eval.reporting.health import scorer_report

    if cards and not (labels and dialogues):
        raise EscEvalError("--cards finds the cards of labelled dialogues: give --labels and --dialogues too")
    told = dialogues if labels else None
    report = scorer_report(
        load_ratings_table(predictions, scale, None),
        load_ratings_table(labels, scale, told, cards) if labels else None,
        Bootstrap(draws, seed, confidence),
        cluster=cluster,
        dialogues=every_dialogue(told),
    )
    show_report(report, json_file, markdown, latex)


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
    draws: Draws = DRAWS,
    seed: Seed = 0,
    confidence: Confidence = 0.95,
    json_file: JsonFile = None,
    markdown: MarkdownFile = None,
    latex: LatexFile = None,
) -> None:
    """Models side by side: means, ranks, paired differences, groups, gap to people, prediction-powered intervals.

    Example: python -m analysis leaderboard ratings.csv --predictions run/ratings.jsonl
    """
    from esc_eval.reporting.comparison import leaderboard_report

    table = load_ratings_table(ratings, scale, dialogues)
    guesses = load_ratings_table(predictions, scale, dialogues) if predictions else None
    report = leaderboard_report(
        table,
        Bootstrap(draws, seed, confidence),
        predictions=guesses,
        dialogues=every_dialogue(dialogues),
        groups=read_groups(groups) if groups else None,
        human=human,
        cluster=cluster,
    )
    show_report(report, json_file, markdown, latex)
