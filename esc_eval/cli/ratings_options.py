"""What verbs on ratings share: options as records, the way from files to a table, and from a report to files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from esc_eval.cli.console import print_data, talk, voice
from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_terminal
from esc_eval.statistics import CONFIDENCE, DRAWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esc_eval.files.ratings_table import RatingsTable
    from esc_eval.reporting.render import Report
    from esc_eval.schema import Dialogue
    from esc_eval.statistics.bootstrap import Bootstrap

RatingsFiles = Annotated[
    list[Path], typer.Argument(help="Ratings: a table (.csv, .xlsx, .jsonl, .parquet), a run folder, official JSON.")
]
CardFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--cards",
        metavar="FILE|DIR|hub:ORG/NAME@REV",
        help="Cards of official dialogues, in their order, so that intervals draw cards. Repeatable.",
    ),
]
RoleCardFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--cards",
        metavar="sample|open|safety|FILE|DIR|hub:ORG/NAME@REV",
        help="Role cards. Repeatable.",
    ),
]
DialogueFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--dialogues", help="Dialogues that were rated: gives card, model, language and category. Repeatable."
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(help="Lowest and highest level. Default: of a run folder's rubric, else 0-4.", metavar="LOW-HIGH"),
]
OfRubric = Annotated[
    str | None,
    typer.Option(
        "--rubric",
        metavar="NAME|FILE",
        help="Of the ratings: a shipped rubric, or your own .yaml; of ratings under several, those under this one. "
        "Default: theirs.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything random.")]


@dataclass(frozen=True)
class ReportOptions:
    """Where a report goes beside stdout."""

    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON to this file.")] = None
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write Markdown to this file.")] = None
    latex: Annotated[Path | None, typer.Option("--latex", help="Write LaTeX to this file.")] = None

    def show(self, report: Report) -> None:
        """Print a report, and write the files that were asked for."""
        report.write(self.json_file, self.markdown, self.latex)
        print_data(report.to_text())


@dataclass(frozen=True)
class IntervalOptions(ReportOptions):
    """How intervals are drawn, and where a report goes."""

    draws: Annotated[int, typer.Option(help="Bootstrap draws.")] = DRAWS
    seed: Seed = 0
    confidence: Annotated[float, typer.Option(help="Coverage of the intervals.")] = CONFIDENCE

    @property
    def bootstrap(self) -> Bootstrap:
        """How intervals are made."""
        from esc_eval.statistics.bootstrap import Bootstrap

        return Bootstrap(self.draws, self.seed, self.confidence)


@dataclass(frozen=True)
class RatingsOptions(IntervalOptions):
    """How ratings are read, how intervals are drawn, and where a report goes."""

    dialogues: DialogueFiles = None
    scale: Scale = None
    rubric: OfRubric = None
    cluster: Annotated[
        str | None, typer.Option("--cluster", help="Column to cluster by. Default: card, else dialogue.")
    ] = None

    def read_table(
        self,
        paths: Sequence[Path],
        cards: Sequence[str] | None = None,
        beside: Sequence[Path] | None = None,
        *,
        mixed: bool = False,
        pairs: bool = False,
    ) -> RatingsTable:
        """The ratings of files, with what the dialogues say of them, also those of run folders beside them."""
        return load_ratings_table(
            paths, self.scale, self.dialogues, cards, beside, mixed=mixed, pairs=pairs, rubric=self.rubric
        )

    def every_dialogue(self, *ratings: Sequence[Path] | None) -> list[Dialogue]:
        """The dialogues of --dialogues, and those of the run folders among files of ratings."""
        from esc_eval.files.run_folder import is_run_folder

        runs = [path for paths in ratings for path in paths or () if is_run_folder(path)]
        return list({dialogue.id: dialogue for dialogue in every_dialogue([*(self.dialogues or ()), *runs])}.values())


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
    if not dash or ends is None or ends[0] >= ends[1] or ends[1] - ends[0] > 1000:
        raise EscEvalError(f"--scale {text}: expected LOW-HIGH in whole numbers, e.g. 0-4 or 1-5")
    return ends


def load_ratings_table(
    paths: Sequence[Path],
    scale: str | None,
    dialogues: Sequence[Path] | None = None,
    cards: Sequence[str] | None = None,
    beside: Sequence[Path] | None = None,
    *,
    mixed: bool = False,
    pairs: bool = False,
    rubric: str | None = None,
) -> RatingsTable:
    """The ratings table of a command line; see ``files.ratings_table.read_table``."""
    from esc_eval.files.ratings_table import read_table
    from esc_eval.hub.cards import local_cards
    from esc_eval.prompts.rubric import name_rubric
    from esc_eval.simulation.unfinished import refresh_runs

    refresh_runs([*paths, *(dialogues or ()), *(beside or ())])
    known = parse_scale(scale) if scale else None
    found = local_cards(cards or ())
    return read_table(
        paths,
        known,
        dialogues or (),
        found,
        beside or (),
        mixed=mixed,
        pairs=pairs,
        rubric=name_rubric(rubric) if rubric else None,
    )


def every_dialogue(paths: Sequence[Path] | None) -> list[Dialogue]:
    """The dialogues of all files."""
    from esc_eval.files.records import read_dialogues
    from esc_eval.simulation.unfinished import refresh_runs

    refresh_runs(paths or ())
    return [dialogue for path in paths or () for dialogue in read_dialogues(path)]


def read_groups(path: Path) -> dict[str, str]:
    """Model -> group from a CSV with these two columns.

    Raises:
        EscEvalError: No such file or columns.
    """
    from esc_eval.files.ratings_table import raw_rows

    frame = raw_rows(path)
    if not {"model", "group"} <= set(frame):
        raise EscEvalError(f"{path}: expected the columns model,group")
    return dict(zip(frame["model"], frame["group"], strict=True))


def print_step(what: str) -> None:
    """Say on stderr what takes a while now, where somebody looks at it."""
    if talk.is_terminal and not voice.quiet:
        talk.print(escape_terminal(f"{what} ..."), style="dim", markup=False)


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
