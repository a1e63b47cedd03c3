"""``table``: a table of the paper beside ours."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import DialogueFiles, IntervalOptions, RoleCardFiles, load_ratings_table
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import official_levels
from esc_eval.files.records import load_cards
from esc_eval.hub.cards import local_cards

EXAMPLES = ("python -m analysis table 4 --predictions predictions.jsonl --ratings labels.csv",)


def command(
    number: Annotated[str, typer.Argument(help="4 (= scorer), leaderboard or cards.")],
    ratings: Annotated[list[Path] | None, typer.Option(help="Ratings by people. Repeatable.")] = None,
    predictions: Annotated[list[Path] | None, typer.Option(help="Ratings by scorers. Repeatable.")] = None,
    cards: RoleCardFiles = None,
    dialogues: DialogueFiles = None,
    language: Annotated[str, typer.Option(help="Column of table 4: en or zh.")] = "en",
    *,
    options: IntervalOptions,
) -> None:
    """A table of the paper again: published | ours | difference; ours from data where data is given."""
    from analysis.paper.tables import COLUMNS, cards_table, leaderboard_table, resolve_table, scorer_table

    levels = official_levels()
    scale = f"{levels[0]}-{levels[-1]}"
    human = load_ratings_table(ratings, scale, dialogues) if ratings else None
    boot = options.bootstrap
    if language not in COLUMNS:
        raise EscEvalError(f"--language {language}: the paper's table has {', '.join(sorted(COLUMNS))} only")
    name = resolve_table(number)
    if name == "cards":
        report = cards_table(load_cards(local_cards(cards)) if cards else [])
    elif name == "leaderboard":
        report = leaderboard_table(human, boot)
    else:
        report = scorer_table(load_ratings_table(predictions, scale) if predictions else None, human, boot, language)
    options.show(report)
