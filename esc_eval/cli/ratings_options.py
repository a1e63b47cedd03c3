"""What the commands share: options, and the way from a command line to a table and from a report to files."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable, raw_rows, read_table
from esc_eval.files.records import read_dialogues
from esc_eval.reporting.render import Report
from esc_eval.schema import Dialogue

RatingsFiles = Annotated[
    list[Path], typer.Argument(help="Ratings: CSV, JSON Lines, Parquet, a run folder, official JSON.")
]
DialogueFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--dialogues", help="Dialogues that were rated: gives card, model, language and category. Repeatable."
    ),
]
CardFiles = Annotated[
    list[Path] | None,
    typer.Option("--cards", help="Card files of official dialogues, so that intervals draw cards. Repeatable."),
]
Scale = Annotated[str, typer.Option(help="Lowest and highest level of the scale.", metavar="LOW-HIGH")]
Draws = Annotated[int, typer.Option(help="Bootstrap draws.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Confidence = Annotated[float, typer.Option(help="Coverage of the intervals.")]
ClusterBy = Annotated[str | None, typer.Option("--cluster", help="Column to cluster by. Default: card, else dialogue.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write JSON to this file.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file.")]
LatexFile = Annotated[Path | None, typer.Option("--latex", help="Write LaTeX to this file.")]


class KappaWeightsOption(StrEnum):
    """What the weights of kappa are measured by."""

    distance = "distance"
    position = "position"


class AverageOption(StrEnum):
    """Over what a sample-level correlation is taken."""

    none = "none"
    model = "model"
    card = "card"


def parse_scale(text: str) -> tuple[int, int]:
    """Two whole numbers from ``0-4``.

    Raises:
        EscEvalError: Anything else.
    """
    low, dash, high = text.rpartition("-")
    try:
        ends = int(low), int(high)
    except ValueError:
        ends = None
    if not dash or ends is None or ends[0] >= ends[1]:
        raise EscEvalError(f"--scale {text}: expected LOW-HIGH in whole numbers, e.g. 0-4 or 1-5")
    return ends


def load_ratings_table(
    paths: list[Path], scale: str, dialogues: list[Path] | None, cards: list[Path] | None = None
) -> RatingsTable:
    """The ratings table of a command line."""
    return read_table(paths, parse_scale(scale), dialogues or (), cards or ())


def every_dialogue(paths: list[Path] | None) -> list[Dialogue]:
    """The dialogues of all files."""
    return [dialogue for path in paths or () for dialogue in read_dialogues(path)]


def read_groups(path: Path) -> dict[str, str]:
    """Model -> group from a CSV with these two columns.

    Raises:
        EscEvalError: No such file or columns.
    """
    if not path.exists():
        raise EscEvalError(f"{path}: no such file")
    frame = raw_rows(path)
    if not {"model", "group"} <= set(frame):
        raise EscEvalError(f"{path}: expected the columns model,group")
    return dict(zip(frame["model"], frame["group"], strict=True))


def make_progress(console: Console) -> Callable[[str], None]:
    """Progress on standard error, where somebody looks at it."""
    return lambda what: console.print(f"{what} ...", style="dim", highlight=False) if console.is_terminal else None


def show_report(report: Report, json_file: Path | None, markdown: Path | None, latex: Path | None) -> None:
    """Print a report, and write the files that were asked for."""
    report.write(json_file, markdown, latex)
    typer.echo(report.to_text(), nl=False)


Number = TypeVar("Number", int, float)


def parse_numbers(option: str, text: str, kind: type[Number]) -> list[Number]:
    """Positive numbers from ``1,2,3``.

    Raises:
        EscEvalError: Anything else.
    """
    try:
        found = [kind(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) <= 0:
        raise EscEvalError(f"{option} {text}: expected positive numbers, comma-separated")
    return found
