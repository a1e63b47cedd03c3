"""``propose``: leaves for cards that exist already."""

from pathlib import Path
from typing import Annotated

import typer

from dataset_builder.roles.options import ModelOptions, Work
from esc_eval.cli.console import print_progress
from esc_eval.cli.progress import count_items

EXAMPLES = ("python -m dataset_builder roles propose --cards card_high_en.json --work work/tiers --out tiers.csv",)


def command(
    cards: Annotated[list[str], typer.Option(help="sample, open, or a file of cards, official or ours; repeatable.")],
    work: Work,
    out: Annotated[Path, typer.Option(help="File to write: leaves (.csv) for `build --tiers`.")],
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many cards.")] = None,
    seed: Annotated[int, typer.Option(help="Of the votes of a model without probabilities.")] = 0,
    *,
    options: ModelOptions,
) -> None:
    """Propose tiers 2 and 3 for cards that exist already; their tier 1 stays as it is."""
    from dataset_builder.roles.classify import classify_cards as run_classify
    from dataset_builder.roles.classify import missing_taxonomies, refuse_nothing
    from dataset_builder.roles.workspace import cases_of, write_tiers
    from esc_eval.files.records import load_cards
    from esc_eval.simulation.run import Run, refuse_foreign

    cases = cases_of(load_cards(cards, limit=limit))
    for note in missing_taxonomies(cases):
        print_progress(note)
    refuse_foreign(work)
    with Run(work) as run, count_items("propose", len(cases)) as advance:
        chosen = run_classify(run, options.open(), cases, seed, on_case=advance)
    refuse_nothing(chosen)
    print_progress(f"{write_tiers(out, chosen)} of {len(cases)} cards have a proposal in {out}")
