"""``realism``: is the simulated seeker like a person."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import IntervalOptions, RoleCardFiles, every_dialogue
from esc_eval.files.records import load_cards, with_cards
from esc_eval.files.run_folder import read_run_cards
from esc_eval.hub.cards import local_cards

EXAMPLES = ("python -m analysis realism runs/demo --real en=ESConv.json --cards cards.jsonl",)


def command(
    simulated: Annotated[list[Path], typer.Argument(help="Dialogues with a simulated seeker: files or run folders.")],
    real: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANG=PATH", help="Real conversations: en=ESConv file, zh=smile folder, or dialogues. Repeatable."
        ),
    ] = None,
    cards: RoleCardFiles = None,
    rounds: Annotated[int, typer.Option(min=2, help="Parts that each dialogue is cut into.")] = 5,
    turns: Annotated[
        int | None,
        typer.Option(
            min=1, help="Compare after so many turns of the seeker. Default: the median of the simulated dialogues."
        ),
    ] = None,
    *,
    options: IntervalOptions,
) -> None:
    """Is the simulated seeker like a person: emotion over rounds, fit with the card, words, two-sample test."""
    from analysis.studies.real import read_people
    from analysis.studies.realism import realism_report

    people = read_people(real or ())
    own = read_run_cards(simulated)
    known_cards = {card.id: card for card in [*own, *(load_cards(local_cards(cards)) if cards else ())]}
    found = every_dialogue(simulated)
    official = [one for one in found if one.card_id is None and one.key is not None]
    linked = {one.id: one for one in with_cards(official, local_cards(cards or ()))}
    talks = [linked.get(one.id, one) for one in found]
    options.show(realism_report(talks, people, options.bootstrap, cards=known_cards, rounds=rounds, turns=turns))
