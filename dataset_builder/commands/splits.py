"""``splits``: one split manifest."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = (
    "python -m dataset_builder splits build/full card-disjoint --seed 1 > split.json",
    "python -m dataset_builder splits build/full category-disjoint --held-out work_and_study",
)


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that `build` made.")],
    scheme: Annotated[
        str,
        typer.Argument(
            help="random-rows, card-disjoint, model-disjoint, model-group-disjoint, "
            "source-disjoint, category-disjoint or cross-language."
        ),
    ],
    seed: Annotated[int, typer.Option(help="Draws another split.")] = 0,
    held_out: Annotated[list[str] | None, typer.Option(help="Value that is the test; may be repeated.")] = None,
) -> None:
    """Make one split manifest of a build; prints sizes, balance and leaks."""
    from dataset_builder.diff import read_table
    from dataset_builder.rows.splits import SCHEMES, items_of, make_split

    tables = {name: read_table(folder, name) for name in ("role_cards", "dialogues", "annotations")}
    unit = SCHEMES[scheme].unit if scheme in SCHEMES else "dialogue"
    items = items_of(unit, tables["dialogues"].values(), tables["annotations"].values(), tables["role_cards"])
    split = make_split(scheme, items, seed, held_out)
    for part, n in split["sizes"].items():
        print_progress(f"{part}: {n} rows, {split['balance'][part]}")
    for leak in split["leaks"]:
        print_progress(f"leaks: {leak['shared']} of {leak['of']} values of {leak['facet']} in test are also in train")
    print_data(json.dumps(split, ensure_ascii=False, indent=2))
