"""``plan``: who rates what."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import ReportOptions, Seed
from esc_eval.files.records import read_cards

EXAMPLES = ("esc-eval plan --cards cards.jsonl --model a --model b --rater r1 --rater r2 --out plan.csv",)


def command(
    cards: Annotated[list[Path], typer.Option("--cards", help="Role cards. Repeatable.")],
    model: Annotated[list[str], typer.Option(help="A model whose dialogues are rated. Repeatable.")],
    rater: Annotated[list[str], typer.Option(help="A rater. Repeatable.")],
    out: Annotated[Path, typer.Option(help="CSV to write.")],
    per_dialogue: Annotated[int, typer.Option(min=1, help="Ratings of each shared dialogue.")] = 2,
    overlap: Annotated[float, typer.Option(help="Share of the cards that several raters rate.")] = 0.2,
    seed: Seed = 0,
    *,
    options: ReportOptions,
) -> None:
    """Who rates what, in which order: balanced, with overlap for agreement, all models of a card to the same raters."""
    from esc_eval.reporting.plan import plan_report

    ids = [card.id for path in cards for card in read_cards(path)]
    options.show(plan_report(ids, model, rater, per_dialogue=per_dialogue, overlap=overlap, seed=seed, out=out))
