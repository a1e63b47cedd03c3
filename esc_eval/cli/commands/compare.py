"""``compare``: models side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from esc_eval.cli.console import print_progress
from esc_eval.cli.ratings_options import RatingsFiles, RatingsOptions, read_groups

if TYPE_CHECKING:
    from esc_eval.api.results import Results
    from esc_eval.reporting.columns import DialogueColumns
    from esc_eval.schema import Dialogue

EXAMPLES = (
    "esc-eval compare ratings.csv --predictions run/ratings.jsonl",
    "esc-eval compare runs/before runs/after --fail-if-worse before",
)
READS_TABLES = True


def command(
    ratings: RatingsFiles,
    predictions: Annotated[
        list[Path] | None,
        typer.Option(
            help="A scorer's ratings of these and more dialogues: gives prediction-powered intervals. Repeatable."
        ),
    ] = None,
    groups: Annotated[Path | None, typer.Option(help="CSV of model,group. Default: the column 'group'.")] = None,
    human: Annotated[str, typer.Option(help="Name of the human supporter among the models.")] = "human",
    adjust_raters: Annotated[
        bool,
        typer.Option(
            "--adjust-raters", help="Take people's severity out of order, ranks and differences: model + card + rater."
        ),
    ] = False,
    fail_under: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            metavar="POINTS",
            help="For CI: exit code 1 if a model's whole interval, of the Average or what else ranks, lies under this; "
            "also if it has no interval. An interval that reaches it passes.",
        ),
    ] = None,
    fail_if_worse: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="For CI: exit code 1 if another model is worse than MODEL: the whole interval of their paired "
            "difference on equal cards lies below 0, or there is none. Give --confidence for another interval.",
        ),
    ] = None,
    *,
    options: RatingsOptions,
) -> None:
    """Models side by side: means, ranks, paired differences, groups, gap to people, prediction-powered intervals.

    Differences are also shown by dimension and by category of problem. Several run folders are joined; runs of other
    protocols are refused with the difference.
    """
    from esc_eval.api.results import Results
    from esc_eval.files.run_folder import is_run_folder
    from esc_eval.reporting.comparison import leaderboard_report
    from esc_eval.reporting.gates import find_failures
    from esc_eval.scoring.rating_checks import find_table_rubrics
    from esc_eval.simulation.unfinished import read_run, refresh_runs

    run: Mapping[str, Any] | None = None
    talks: Sequence[Dialogue] | DialogueColumns | None = None
    refresh_runs(ratings)
    given = predictions or options.dialogues or options.scale or options.cluster
    large = None if given or len(ratings) > 1 else _open_large(ratings[0])
    if large:
        run, table, talks = large.run, large.tabulate(rubric=options.rubric, slim=True), large.as_source("").talks
    elif len(ratings) > 1 and all(map(is_run_folder, ratings)):
        joined = Results.join(ratings)
        run, table = joined.run, joined.tabulate(rubric=options.rubric)
    else:
        table = options.read_table(ratings, beside=predictions)
        run = read_run(ratings[0]) if len(ratings) == 1 and ratings[0].is_dir() else None
    guesses = options.read_table(predictions) if predictions else None
    rubrics = find_table_rubrics(guesses, predictions, options.rubric) if guesses and predictions else {}
    report = leaderboard_report(
        table,
        options.bootstrap,
        predictions=guesses,
        dialogues=options.every_dialogue(ratings) if talks is None else talks,
        groups=read_groups(groups) if groups else None,
        human=human,
        cluster=options.cluster,
        rubrics=rubrics | find_table_rubrics(table, ratings, options.rubric),
        adjust_raters=adjust_raters,
        run=run,
    )
    options.show(report)
    failures = find_failures(report, fail_under, fail_if_worse)
    for failure in failures:
        print_progress(f"failed: {failure}")
    if failures:
        raise typer.Exit(1)


def _open_large(path: Path) -> "Results | None":
    """A run folder whose ratings are too many to be held, all under one rubric; None of anything else."""
    from esc_eval.api.results import Results
    from esc_eval.files.records import Stored, open_ratings
    from esc_eval.files.run_folder import RATINGS, is_run_folder

    if not is_run_folder(path) or not (path / RATINGS).is_file() or not isinstance(open_ratings(path), Stored):
        return None
    found = Results.load(path)
    return found if len({said.rubric for said in found.as_source("").given.kinds}) == 1 else None
