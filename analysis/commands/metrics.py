"""``metrics``: how far automatic metrics follow people."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import IntervalOptions

EXAMPLES = ("python -m analysis metrics people/ieval people/usr --automatic length,distinct --draws 500",)


def command(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders that `convert` wrote, or run folders that people rated.")
    ],
    automatic: Annotated[
        str | None,
        typer.Option(help="Compute these, comma-separated, or 'all': see analysis/studies/metrics."),
    ] = None,
    metrics: Annotated[
        list[Path] | None,
        typer.Option("--metrics", help="Metric scores, as of `correlation`; of dialogues in any of the folders."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Write computed scores to this file (JSON Lines) as they come, and read those that it holds."
        ),
    ] = None,
    *,
    options: IntervalOptions,
) -> None:
    """Automatic metrics against people: over all dialogues, within a bot, within a scenario and its spread."""
    from analysis.studies.metric_validity import Rated, find_unit, gather_scores, metric_report
    from esc_eval.cli.ratings_options import load_ratings_table
    from esc_eval.files.records import read_dialogues
    from esc_eval.prompts.rubric import lower_scales
    from esc_eval.scoring.rating_checks import find_table_rubrics

    sets = []
    for folder in folders:
        table, unit = load_ratings_table([folder], None), find_unit(folder)
        scores, notes = gather_scores(folder, read_dialogues(folder), automatic, metrics or (), unit, keep)
        lower = lower_scales(find_table_rubrics(table, [folder]).values())
        sets.append(Rated(folder.name, table, lower, scores, unit, notes))
    options.show(metric_report(sets, options.bootstrap))
