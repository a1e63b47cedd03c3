"""``correlation``: automatic metrics against people."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.ratings_options import CardFiles, RatingsFiles, RatingsOptions
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "python -m analysis correlation ratings.csv --dialogues dialogues.jsonl --automatic length,distinct",
    "python -m analysis correlation people/ieval people/ieval-overall --automatic length,distinct --average model",
)


def command(
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
    last_reply: Annotated[
        bool,
        typer.Option(
            "--last-reply", help="Automatic metrics read the supporter's last reply: where replies were rated."
        ),
    ] = False,
    average: Annotated[
        Literal["none", "model", "card"],
        typer.Option(
            help="Sample level: all dialogues together, or within each model or card and then averaged.",
        ),
    ] = "none",
    raters: Annotated[str, typer.Option(help="How raters are put together: mean, median, drop_furthest.")] = "mean",
    permutations: Annotated[int, typer.Option(help="Permutations of the test of differences.")] = 9999,
    cards: CardFiles = None,
    *,
    options: RatingsOptions,
) -> None:
    """Automatic metrics against human scores: Pearson, Spearman, Kendall, pairwise accuracy, tests of differences."""
    import pandas as pd

    from analysis.studies import automatic as automatic_metrics
    from analysis.studies.correlation import correlation_report
    from esc_eval.files.metric_scores import read_scores

    if cards and not options.dialogues:
        raise EscEvalError("--cards finds the cards of rated dialogues: give --dialogues too")
    table = options.read_table(ratings, cards, mixed=True)
    parts: list[pd.DataFrame] = []
    notes: list[str] = []
    if metrics:
        parts.append(read_scores(metrics))
    if automatic:
        text_of = automatic_metrics.last_reply if last_reply else automatic_metrics.supporter_text
        dialogues = options.every_dialogue(ratings)
        found, notes = automatic_metrics.automatic_scores(automatic, dialogues, references, text_of)
        parts.append(found)
    if not parts:
        raise EscEvalError(
            "nothing to correlate with: give --metrics FILE, or --automatic NAMES with --dialogues or a run folder"
        )
    report = correlation_report(
        table,
        pd.concat(parts, ignore_index=True),
        options.bootstrap,
        average=average,
        cluster=options.cluster,
        rule=raters,
        permutations=permutations,
    )
    report.notes += notes
    options.show(report)
