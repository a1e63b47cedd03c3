"""``python -m release``."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import carry_out, exit_on_user_error, print_progress

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Prepare, check and publish a release: three dataset configs, ESC-Role, ESC-RANK and the metric.",
)
Folder = Annotated[Path, typer.Argument(help="A folder that `prepare` made.")]


@app.command()
def prepare(
    dataset: Annotated[Path, typer.Option(help="A public build: python -m dataset_builder build --public.")],
    role: Annotated[Path, typer.Option(help="Checkpoint folder of ESC-Role: python -m training role.")],
    rank: Annotated[Path, typer.Option(help="Checkpoint folder of ESC-RANK: python -m training rank.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    previous: Annotated[Path | None, typer.Option(help="The build that was released before, to compare rows.")] = None,
    rows_may_differ: Annotated[
        bool, typer.Option("--rows-may-differ", help="Rows that differ from --previous are meant to.")
    ] = False,
    draft: Annotated[
        bool, typer.Option("--draft", help="Let an unreleased version and a changed checkout pass; tag ends in -draft.")
    ] = False,
) -> None:
    """Check everything and put the release together; refuses with every reason."""
    from release.prepare import prepare_release as make

    with exit_on_user_error():
        release = make(dataset, role, rank, out, previous, rows_may_differ, draft, print_progress)
    for note in release.notes:
        print_progress(f"note: {note}")
    print_progress(f"written to {out}; next: python -m release publish {out} --namespace ORG")
    json.dump({"out": str(out), "tag": release.tag, "rows": release.rows}, sys.stdout)
    sys.stdout.write("\n")


@app.command()
def check(folder: Folder) -> None:
    """List everything that keeps a prepared release from being published; exit code 1 if there is anything."""
    from release.publish import find_publish_problems

    with exit_on_user_error():
        found = find_publish_problems(folder)
    for problem in found:
        sys.stdout.write(f"{problem}\n")
    print_progress(f"{folder}: {len(found)} problems" if found else f"{folder}: sound")
    raise typer.Exit(1 if found else 0)


@app.command()
def publish(
    folder: Folder,
    namespace: Annotated[str, typer.Option(help="User or organisation on the Hub.")],
    really: Annotated[bool, typer.Option("--yes", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create repositories as private.")] = False,
) -> None:
    """Publish a prepared release on the Hugging Face Hub (a dry run without --yes)."""
    from release.publish import plan_uploads

    with exit_on_user_error():
        carry_out(plan_uploads(folder, namespace), really, private, "--yes")


if __name__ == "__main__":
    app()
