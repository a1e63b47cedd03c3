"""``rank``: train ESC-RANK."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError
from training.options import TrainingOptions

EXAMPLES = ("python -m training rank --recipe training/recipes/esc_rank/small.yaml --data data --out rank",)


def command(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of public rated sets: ratings/, sources/."),
    ] = None,
    dialogues: Annotated[list[Path] | None, typer.Option(help="Your own rated dialogues, with --ratings.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="People's ratings of --dialogues.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Of one adapter for each dimension and language: these, e.g. empathic_en.")
    ] = None,
    *,
    options: TrainingOptions,
) -> None:
    """Train ESC-RANK: a model that rates dialogues as people did."""
    from training.common import checkpoint
    from training.rank.recipe import load_any

    loaded = load_any(options.recipe, options.changes)
    if not options.dry_run and (loaded.kind == "text-rank" or loaded.adapters == "one"):
        checkpoint.refuse_taken(options.out)  # before anything else is read
    from training.open_scorer.judge_rows import crosswalk_set, read_rated
    from training.rank import text_scorer as text_rank
    from training.rank import train as ranks
    from training.rank.data import load_set, own_set

    if bool(data) == bool(dialogues and ratings):
        raise EscEvalError("give --data, or --dialogues and --ratings")
    name = loaded.data.rubric
    if data and loaded.kind == "rank" and loaded.data.ratings == "crosswalk":
        ranked = crosswalk_set(read_rated(data, told=print_progress), loaded.data.sets)
    else:
        ranked = load_set(name, data) if data else own_set(name, dialogues or (), ratings or ())
    if loaded.kind == "text-rank":
        if options.dry_run:
            print_data(text_rank.estimate_text_cost(loaded, ranked))
        else:
            text_rank.train_text_scorer(loaded, ranked, options.out, print_progress)
    elif options.dry_run:
        print_data(ranks.estimate_rank_cost(loaded, ranked, options.out, options.tflops))
    else:
        ranks.train_rank(loaded, ranked, options.out, options.report_to or (), print_progress, tuple(only or ()))
