"""The commands of ESC-RANK: ``rank`` and ``evaluate-rank``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from esc_eval.errors import EscEvalError
from training.options import Changes, DryRun, Out, RecipeFile, Report, Speed, parse_changes

Data = Annotated[
    Path | None,
    typer.Option(help="Folder of public rated sets: ratings/ieval/ieval_data.json, sources/esconv/train.txt."),
]


def rank(
    recipe: RecipeFile,
    out: Out,
    data: Data = None,
    dialogues: Annotated[list[Path] | None, typer.Option(help="Your own rated dialogues, with --ratings.")] = None,
    ratings: Annotated[list[Path] | None, typer.Option(help="People's ratings of --dialogues.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Of one adapter for each dimension and language: these, e.g. empathic_en.")
    ] = None,
    set_: Changes = None,
    report_to: Report = None,
    dry_run: DryRun = False,
    tflops: Speed = None,
) -> None:
    """Train ESC-RANK: a model that rates dialogues as people did.

    Example: python -m training rank --recipe training/recipes/esc_rank/small.yaml --data data --out rank
    """
    from training.rank import text_scorer as text_rank
    from training.rank import train as ranks
    from training.rank.data import load_set, own_set
    from training.rank.recipe import load_any

    loaded = load_any(recipe, parse_changes(set_))
    if bool(data) == bool(dialogues and ratings):
        raise EscEvalError("give --data, or --dialogues and --ratings")
    name = loaded.data.rubric
    ranked = load_set(name, data) if data else own_set(name, dialogues or (), ratings or ())
    if loaded.kind == "text-rank":
        if dry_run:
            typer.echo(text_rank.estimate_text_cost(loaded, ranked), nl=False)
        else:
            text_rank.train_text_scorer(loaded, ranked, out, typer.echo)
    elif dry_run:
        typer.echo(ranks.estimate_rank_cost(loaded, ranked, out, tflops), nl=False)
    else:
        ranks.train_rank(loaded, ranked, out, report_to or (), typer.echo, tuple(only or ()))


def evaluate_rank(
    data: Annotated[Path, typer.Option(help="Folder of public rated sets.")],
    out: Annotated[Path, typer.Option(help="Folder for what is worked out; a stopped evaluation goes on.")],
    ratings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Ratings by a language model that saw none of their labels (ratings.jsonl of esc-eval score)."
        ),
    ] = None,
    frozen: Annotated[bool, typer.Option(help="Read iEval with the frozen embedded model too (an hour).")] = False,
    rubric: Annotated[list[str] | None, typer.Option(help="Only these rated sets.")] = None,
    chats: Annotated[
        Path | None, typer.Option(help="Write iEval's chats for judges to rate into this file, and do nothing else.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=2, help="How many chats --chats writes; default: all.")] = None,
    held_out: Annotated[str | None, typer.Option(help="The bot whose chats alone --chats writes.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Put the figures into this JSON file, and the page .md beside it.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A text scorer whose metrics.json gets the headline figures.")
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the splits and the bootstrap.")] = 0,
) -> None:
    """Compare ways to a scorer on people's ratings: with a bot, a scenario or only rows held out.

    Example: python -m training evaluate-rank --data data --out runs/rank --results docs/results.json
    """
    from esc_eval.files.writing import write_jsonl
    from training import results as pages
    from training.ieval import evaluate as evaluation
    from training.ieval.metrics import write_metrics
    from training.ieval.results import rank_page
    from training.rank.data import SETS, load_set

    settings = evaluation.Settings(seed, draws)
    if chats:
        write_jsonl(chats, evaluation.to_judge(load_set(evaluation.HEADLINE_SET, data), held_out, count, seed))
        return
    command = f"python -m training evaluate-rank --data DATA --out DIR --draws {draws} --seed {seed}"
    command += " --frozen" if frozen else ""
    command += " --ratings FILE" * len(ratings or ())
    err = Console(stderr=True)
    found = evaluation.evaluate_rank(
        data, settings, command, out, frozen, tuple(ratings or ()), tuple(rubric or SETS), lambda line: err.print(line)
    )
    typer.echo(rank_page(found))
    if results:
        pages.put_section(results, "esc_rank", found)
    if checkpoint:
        write_metrics(checkpoint, found)
