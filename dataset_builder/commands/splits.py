"""``splits``: one split manifest."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = (
    "python -m dataset_builder splits build/full card-disjoint --seed 1 > split.json",
    "python -m dataset_builder splits build/full category-disjoint --held-out work_and_study",
    "python -m dataset_builder splits build/full bot-and-rater-disjoint --held-out llama3 --held-out r4",
)


def command(
    folder: Annotated[Path, typer.Argument(help="A folder that `build` made.")],
    scheme: Annotated[
        str,
        typer.Argument(
            help="random-rows, card-disjoint, model-disjoint, model-group-disjoint, "
            "source-disjoint, category-disjoint, cross-language, rater-disjoint or bot-and-rater-disjoint."
        ),
    ],
    seed: Annotated[int, typer.Option(help="Draws another split.")] = 0,
    held_out: Annotated[list[str] | None, typer.Option(help="Value that is the test; may be repeated.")] = None,
    raters: Annotated[
        Literal["human", "model", "all"] | None,
        typer.Option(help="Whose ratings are placed. Default: people's where there are any, else models'."),
    ] = None,
) -> None:
    """Make one split manifest of a build; prints sizes, balance and leaks."""
    from dataset_builder.diff import read_table
    from dataset_builder.rows.splits import SCHEMES, find_similar, find_spellings, split_tables

    names = ("role_cards", "dialogues", "annotations")
    tables = {name: list(read_table(folder, name).values()) for name in names}
    split = split_tables(scheme, tables, seed, held_out, raters)
    for part, n in split["sizes"].items():
        print_progress(f"{part}: {n} rows, {split['balance'][part]}")
    whose = {"human": "people's", "model": "models'", "all": "people's and models'"}[split["raters"]]
    print_progress(f"of {whose} ratings; {split['left_out']} rows are in no part")
    for warning in split["warnings"]:
        print_progress(f"warning: {warning}")
    for facet, table in (("supporter", "dialogues"), ("rater", "annotations")):
        if facet not in SCHEMES[scheme].facets:
            continue
        values = {row[facet] for row in tables[table] if row[facet]}
        out = {spelling for value in held_out or () for spelling in find_spellings(value, values)} & values
        for value in sorted(out):
            if near := sorted(set(find_similar(value, values)) - out):
                print_progress(f"{value} is held out; not held out, and alike by name: {', '.join(near)}")
    for leak in split["leaks"]:
        print_progress(f"leaks: {leak['shared']} of {leak['of']} values of {leak['facet']} in test are also in train")
    print_data(json.dumps(split, ensure_ascii=False, indent=2))
