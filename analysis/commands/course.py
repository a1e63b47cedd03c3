"""``course``: how seekers' states go over talks, beside SAGE's and real ones."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.ratings_options import IntervalOptions, RoleCardFiles, every_dialogue
from esc_eval.files.records import load_cards, with_cards
from esc_eval.files.run_folder import read_run_cards
from esc_eval.hub.cards import local_cards

EXAMPLES = (
    "python -m analysis course runs/course --sage SAGE/gpt-4o-0808_result.jsonl --esconv ESConv/valid.txt",
    "python -m analysis course --real en=ESConv/valid.txt",
)


def command(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="Dialogues with states: files or run folders.")
    ] = None,
    sage: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Results of SAGE, .jsonl; repeatable.")
    ] = None,
    esconv: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file of ESConv with its survey; repeatable.")
    ] = None,
    real: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LANG=PATH",
            help="Real conversations on which the rules of faults and goodbyes are to find nothing: en=ESConv file, "
            "zh=smile folder, or dialogues. Repeatable.",
        ),
    ] = None,
    cards: RoleCardFiles = None,
    *,
    options: IntervalOptions,
) -> None:
    """Change and area under the curve of seekers' states, and how often faults are found where there is none."""
    from analysis.studies.course import count_contradictions, course_report_of, list_series, read_esconv_change
    from analysis.studies.real import read_people
    from analysis.studies.sage import read_sage

    people = read_people(real or ())
    played = every_dialogue(runs or ())
    series = list_series(played, "run")
    for file in sage or ():
        series += list_series(read_sage(file), "SAGE")
    series += [read_esconv_change(file) for file in esconv or ()]
    known = [*read_run_cards(runs or ()), *(load_cards(local_cards(cards)) if cards else ())]
    official = [one for one in played if one.card_id is None and one.key is not None]
    linked = {one.id: one for one in with_cards(official, local_cards(cards or ()))}
    talks = [linked.get(one.id, one) for one in played]
    boot = options.bootstrap
    contradictions = count_contradictions(talks, {card.id: card for card in known}, boot) if known else None
    options.show(course_report_of(series, people, boot, contradictions))
