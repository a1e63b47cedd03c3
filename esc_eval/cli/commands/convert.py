"""``convert``: tables that others made, as ours."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.ratings_options import Scale, parse_scale
from esc_eval.errors import EscEvalError

EXAMPLES = (
    "esc-eval convert anna.xlsx ben.csv --out ratings.csv",
    "esc-eval convert survey.csv --column dialogue_id=Item --column rater=Name --out ratings.csv",
    "esc-eval convert export.json --dialogues runs/mine --name 3=anna --out ratings.jsonl",
    "esc-eval convert personas.csv --as cards --column text=Persona --out cards.jsonl",
    "esc-eval convert hub:ORG/NAME@v1 --as cards --official ../ESC-Eval --out cards.jsonl",
)
READS_TABLES = True


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIR...",
            help="Tables (.csv, .xlsx, .jsonl, .json, .parquet), run folders, builds, official JSON, exports of Label "
            "Studio or Argilla, sheets that came back; of cards also sample, open, hub:ORG/NAME@REV.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the table goes: .csv or .jsonl.")],
    kind: Annotated[Literal["ratings", "cards"], typer.Option("--as", help="What the files hold.")] = "ratings",
    dialogues: Annotated[
        list[Path] | None,
        typer.Option("--dialogues", metavar="RUN|FILE", help="What was rated: gives card, model and language."),
    ] = None,
    scale: Scale = None,
    rubric: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The rubric that an export is of, where it is your own.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="ID=NAME", help="What a rater is called whom an export calls ID. Repeatable."),
    ] = None,
    official: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of cards: your checkout of the official repository, for texts that a public copy withholds; each is "
            "checked by its sha256.",
        ),
    ] = None,
) -> None:
    """Write one table of ratings, or of role cards, from files of any kind; what is guessed of them is said.

    Whatever a command reads as ratings or cards it reads without this too.
    """
    if kind == "cards":
        print_data(f"{_convert_cards(files, out, official)} role cards, in {out}")
        return
    if official:
        raise EscEvalError("--official puts texts into role cards: give --as cards too")
    from esc_eval.api.rate import load_dialogues
    from esc_eval.cli.commands.collect import read_names
    from esc_eval.rate.offline.convert import convert_ratings, write_rows

    rows = convert_ratings(
        [Path(file) for file in files],
        load_dialogues(dialogues or []),
        scale=parse_scale(scale) if scale else None,
        rubric=rubric,
        names=read_names(name or []),
    )
    write_rows(out, rows)
    unscored = sum("score" not in row for row in rows)
    print_data(f"{len(rows)} ratings{f', {unscored} of them without a score' if unscored else ''}, in {out}")


def _convert_cards(files: list[str], out: Path, official: Path | None) -> int:
    from esc_eval.files.card_rows import write_cards
    from esc_eval.files.records import fill_cards, load_cards
    from esc_eval.hub.cards import local_cards

    found = local_cards(files)
    cards = load_cards(found)
    if official:
        cards = fill_cards(cards, found, official)
    write_cards(out, cards)
    return len(cards)
