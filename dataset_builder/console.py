"""What every verb shares: talk on stderr, errors as messages with exit code 2, examples under the help."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from esc_eval.errors import EscEvalError

talk = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def told() -> Iterator[None]:
    """Turn an error that the user can put right into a message and exit code 2."""
    try:
        yield
    except EscEvalError as error:
        talk.print(f"error: {error}", style="red", markup=False)
        raise typer.Exit(2) from error
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("dataset_builder", "esc_eval"):
            raise
        talk.print(f'error: {error.name} is missing: pip install "esc-eval[data]"', style="red", markup=False)
        raise typer.Exit(2) from error


def say(line: str) -> None:
    """A line of progress on stderr."""
    talk.print(line, markup=False)


def epilog(*examples: str) -> str:
    """The foot of a verb's help."""
    return "Examples:\n\n\b\n" + "\n".join(examples)
