"""``python -m model_cards``."""

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
    help="Render cards, check and publish checkpoints.",
)
Folder = Annotated[Path, typer.Argument(help="A checkpoint folder that `python -m training` made.")]


@app.command()
def card(folder: Folder) -> None:
    """Write README.md into a checkpoint folder, from its records."""
    from model_cards.render import write_card

    with exit_on_user_error():
        write_card(folder)
    print_progress(f"written to {folder / 'README.md'}")


@app.command()
def official(
    only_check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 if one is stale.")] = False,
) -> None:
    """Render the cards of the released ESC-Role and ESC-RANK as this package uses them."""
    from model_cards import official as cards

    stale = cards.find_stale()
    for name in stale:
        sys.stdout.write(f"{name}\n")
    if only_check:
        raise typer.Exit(1 if stale else 0)
    cards.write_official_cards()


@app.command()
def check(folder: Folder) -> None:
    """List everything that keeps a checkpoint from being published; exit code 1 if there is anything."""
    from model_cards.check import find_checkpoint_notes, find_checkpoint_problems, left_out

    with exit_on_user_error():
        found = find_checkpoint_problems(folder)
        for problem in found:
            sys.stdout.write(f"{problem}\n")
        if not found:
            for note in find_checkpoint_notes(folder):
                print_progress(f"note: {note}")
            if others := left_out(folder):
                print_progress(f"not published: {', '.join(others)}")
    print_progress(f"{folder}: {len(found)} problems" if found else f"{folder}: sound")
    raise typer.Exit(1 if found else 0)


@app.command()
def push(
    folder: Folder,
    repo: Annotated[str, typer.Option(help="Id of the model repository, NAMESPACE/NAME.")],
    tag: Annotated[str | None, typer.Option(help="Tag to set on the commit.")] = None,
    really: Annotated[bool, typer.Option("--push", help="Publish; without it only say what would change.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as private.")] = False,
) -> None:
    """Publish a checkpoint on the Hugging Face Hub (a dry run without --push)."""
    from model_cards.push import plan_push

    with exit_on_user_error():
        carry_out([plan_push(folder, repo, tag)], really, private)


if __name__ == "__main__":
    app()
