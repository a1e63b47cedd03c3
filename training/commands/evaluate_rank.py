"""``evaluate-rank``: ways to a scorer compared."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.errors import EscEvalError

EXAMPLES = ("python -m training evaluate-rank --data data --out runs/rank --results docs/results.json",)


def command(
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
    split: Annotated[
        list[str] | None, typer.Option(help="Only these splits; --results keeps its others. Repeatable.")
    ] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only these ways to a scorer. Repeatable.")] = None,
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
    seed: Annotated[int, typer.Option(min=0, help="Seed of the splits and the bootstrap.")] = 0,
) -> None:
    """Compare ways to a scorer on people's ratings: with a bot, a scenario or only rows held out."""
    from esc_eval.files.text import read_json_object
    from esc_eval.files.writing import write_jsonl
    from training import results as pages
    from training.ieval import evaluate as evaluation
    from training.ieval.metrics import write_metrics
    from training.ieval.results import rank_page
    from training.rank.data import SETS, load_set
    from training.rank.methods import METHODS

    settings = evaluation.Settings(seed, draws, tuple(method or METHODS))
    if unknown := [name for name in settings.methods if name not in METHODS]:
        raise EscEvalError(f"no way to a scorer {unknown[0]!r}; there is: {', '.join(METHODS)}")
    if chats:
        write_jsonl(chats, evaluation.to_judge(load_set(evaluation.HEADLINE_SET, data), held_out, count, seed))
        return
    command = f"python -m training evaluate-rank --data DATA --out DIR --draws {draws} --seed {seed}"
    command += " --frozen" if frozen else ""
    command += " --ratings FILE" * len(ratings or ())
    for option, values in (("rubric", rubric), ("split", split), ("method", method)):
        command += "".join(f" --{option} {shlex.quote(value)}" for value in values or ())
    found = evaluation.evaluate_rank(
        data,
        settings,
        command,
        out,
        frozen,
        tuple(ratings or ()),
        tuple(rubric or SETS),
        tuple(split or ()),
        print_progress,
    )
    if split and results and results.exists() and "esc_rank" in (known := read_json_object(results)):
        found = evaluation.merge_sections(known["esc_rank"], found)
    print_data(rank_page(found))
    if results:
        pages.put_section(results, "esc_rank", found)
    if checkpoint:
        write_metrics(checkpoint, found)
