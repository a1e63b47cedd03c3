"""What every publishing verb shares: stdout is data, stderr is talk, bad input and refusals exit with 2."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from esc_eval.errors import EscEvalError
from esc_eval.hub import plans as hub

OURS = ("analysis", "dataset_builder", "esc_eval", "model_cards", "release", "training")
talk = Console(stderr=True, highlight=False, soft_wrap=True)


def print_progress(line: str) -> None:
    """A line of progress on stderr."""
    talk.print(line, markup=False)


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Turn an error that the user can put right into a message and exit code 2."""
    try:
        yield
    except EscEvalError as error:
        talk.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:
            raise
        talk.print(f'error: {error.name} is missing: pip install "esc-eval[data]"', style="red", markup=False)
        raise typer.Exit(2) from error


def carry_out(plans: list[hub.Plan], really: bool, private: bool, flag: str = "--push") -> None:
    """Show plans and, where it is meant, carry them out; prints each commit."""
    for what in plans:
        for line in what.lines():
            sys.stdout.write(f"{line}\n")
    if not really:
        print_progress(f"dry run: nothing was changed on the Hub. Add {flag} to carry it out.")
        return
    for what, commit in zip(plans, hub.publish_plans(plans, private=private, say=print_progress), strict=True):
        sys.stdout.write(f"{what.repo} {commit}\n")
