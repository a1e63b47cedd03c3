"""``python -m dataset_builder``: each verb is short; stdout is data, stderr is talk; bad input exits with 2."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from dataset_builder.console import epilog, exit_on_user_error, print_progress
from dataset_builder.roles.cli import app as roles

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Build, check, compare and publish the role cards, dialogues and annotations of esc-eval.",
)
app.add_typer(roles, name="roles")

Folder = Annotated[Path, typer.Argument(help="A folder that `build` made.")]


@app.command(
    epilog=epilog(
        "python -m dataset_builder build --out build/sample",
        "python -m dataset_builder build --official ../ESC-Eval --sources sources --out build/full",
        "python -m dataset_builder build --runs runs/mine --annotations scores.csv --public --out build/public",
    )
)
def build(
    out: Annotated[Path, typer.Option(help="Folder to make; an earlier build there is replaced.")],
    official: Annotated[Path | None, typer.Option(help="Checkout of the official repository.")] = None,
    sources: Annotated[Path | None, typer.Option(help="Folder with a sub-folder for each source you hold.")] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Run folder, ours or official format; may be repeated.")
    ] = None,
    annotations: Annotated[
        list[Path] | None, typer.Option(help="Ratings (.csv, .jsonl, .json); may be repeated.")
    ] = None,
    cards: Annotated[
        list[str] | None, typer.Option(help="Further role cards (.jsonl), or sample; may be repeated.")
    ] = None,
    tiers: Annotated[Path | None, typer.Option(help="CSV of card_id, problem_type, confidence, status.")] = None,
    license: Annotated[str, typer.Option(help="Licence of your own dialogues and annotations.")] = "CC-BY-4.0",
    public: Annotated[bool, typer.Option("--public", help="Leave out text that may not be re-hosted.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 0,
) -> None:
    """Build the three tables, the splits, the manifest and the dataset card. Without inputs: from the sample."""
    with exit_on_user_error():
        from dataset_builder import build as builder

        inputs = builder.Inputs(
            official, sources, runs or (), annotations or (), cards or (), tiers, license, public, seed
        )
        content = builder.build_dataset(inputs, out, print_progress)
        print_progress(f"written to {out}")
        json.dump({"out": str(out), "rows": content["rows"], "files": len(content["files"])}, sys.stdout)
        sys.stdout.write("\n")


@app.command(epilog=epilog("python -m dataset_builder check build/full"))
def check(folder: Folder) -> None:
    """List everything that is wrong with a build; exit code 1 if there is anything."""
    from dataset_builder.check.build import check_build as problems_of

    with exit_on_user_error():
        problems = problems_of(folder, print_progress)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    print_progress(f"{folder}: {len(problems)} problems" if problems else f"{folder}: sound")
    raise typer.Exit(1 if problems else 0)


@app.command(epilog=epilog("python -m dataset_builder diff build/old build/new"))
def diff(
    old: Annotated[Path, typer.Argument(help="A build.")], new: Annotated[Path, typer.Argument(help="Another build.")]
) -> None:
    """List rows that differ between two builds; exit code 1 if there are any. Values are not shown."""
    from dataset_builder.diff import diff_builds as changes_of
    from dataset_builder.diff import other_differences

    with exit_on_user_error():
        changes = list(changes_of(old, new))
        others = other_differences(old, new)
    for change in changes:
        sys.stdout.write(f"{change}\n")
    if others:
        print_progress(f"manifests differ in: {', '.join(others)}")
    print_progress(f"{len(changes)} rows differ")
    raise typer.Exit(1 if changes else 0)


@app.command(
    epilog=epilog(
        "python -m dataset_builder splits build/full card-disjoint --seed 1 > split.json",
        "python -m dataset_builder splits build/full category-disjoint --held-out work_and_study",
    )
)
def splits(
    folder: Folder,
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

    with exit_on_user_error():
        tables = {name: read_table(folder, name) for name in ("role_cards", "dialogues", "annotations")}
        unit = SCHEMES[scheme].unit if scheme in SCHEMES else "dialogue"
        items = items_of(unit, tables["dialogues"].values(), tables["annotations"].values(), tables["role_cards"])
        split = make_split(scheme, items, seed, held_out)
    for part, n in split["sizes"].items():
        print_progress(f"{part}: {n} rows, {split['balance'][part]}")
    for leak in split["leaks"]:
        print_progress(f"leaks: {leak['shared']} of {leak['of']} values of {leak['facet']} in test are also in train")
    json.dump(split, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


@app.command(
    epilog=epilog(
        "python -m dataset_builder push build/public --repo me/esc-eval --tag v1",
        "python -m dataset_builder push build/public --repo me/esc-eval --tag v1 --push",
    )
)
def push(
    folder: Folder,
    repo: Annotated[str, typer.Option(help="Id of the dataset repo, NAMESPACE/NAME.")],
    tag: Annotated[str | None, typer.Option(help="Tag to set on the commit.")] = None,
    really: Annotated[bool, typer.Option("--push", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repo as private.")] = False,
) -> None:
    """Publish a public build on the Hugging Face Hub (a dry run without --push)."""
    from dataset_builder.push import plan_push
    from esc_eval.cli.console import carry_out

    with exit_on_user_error():
        carry_out([plan_push(folder, repo, tag)], really, private)


@app.command("sources", epilog=epilog("python -m dataset_builder sources"))
def list_sources() -> None:
    """The sources: what they are, their licences, and how to get them."""
    with exit_on_user_error():
        from dataset_builder.sources import SOURCES

    table = Table("source", "what it is", "licence", "how to get it", show_lines=True)
    for key, source in SOURCES.items():
        table.add_row(key, source.ABOUT, source.LICENSE, source.INSTRUCTIONS)
    Console().print(table)
