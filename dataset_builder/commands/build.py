"""``build``: the tables, splits, manifest and card of a data set."""

import json
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress

EXAMPLES = (
    "python -m dataset_builder build --out build/sample",
    "python -m dataset_builder build --cards open --public --out build/open",
    "python -m dataset_builder build --official ../ESC-Eval --sources sources --out build/full",
    "python -m dataset_builder build --runs runs/mine --annotations scores.csv --public --out build/public",
)


def command(
    out: Annotated[Path, typer.Option(help="Folder to make; an earlier build there is replaced.")],
    official: Annotated[Path | None, typer.Option(help="Checkout of the official repository.")] = None,
    sources: Annotated[Path | None, typer.Option(help="Folder with a sub-folder for each source you hold.")] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Run folder, ours or official format; may be repeated.")
    ] = None,
    annotations: Annotated[
        list[Path] | None, typer.Option(help="Ratings or preferences (.csv, .jsonl, .json); may be repeated.")
    ] = None,
    cards: Annotated[
        list[str] | None, typer.Option(help="Further role cards (.jsonl), or sample or open; may be repeated.")
    ] = None,
    tiers: Annotated[Path | None, typer.Option(help="CSV of card_id, problem_type, confidence, status.")] = None,
    license: Annotated[str, typer.Option(help="Licence of your own dialogues and annotations.")] = "CC-BY-4.0",
    public: Annotated[bool, typer.Option("--public", help="Leave out text that may not be re-hosted.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
    rubric: Annotated[
        list[Path] | None,
        typer.Option(help="Rubric of your own (.yaml) that ratings name and no run folder holds; may be repeated."),
    ] = None,
) -> None:
    """Build the tables, the splits, the manifest and the dataset card. Without inputs: from the sample."""
    from dataset_builder import build as builder

    inputs = builder.Inputs(
        official, sources, runs or (), annotations or (), cards or (), tiers, license, public, seed, rubric or ()
    )
    content = builder.build_dataset(inputs, out, print_progress)
    print_progress(f"written to {out}")
    print_data(json.dumps({"out": str(out), "rows": content["rows"], "files": len(content["files"])}))
