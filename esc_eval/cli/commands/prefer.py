"""``prefer``: which of two supporters on one card is better, by judges and by people."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.options import MODEL, DryRun, GoingOptions, OpeningOptions, settings_of
from esc_eval.cli.progress import show_progress
from esc_eval.errors import EscEvalError
from esc_eval.scoring.prefer import ANSWER_TOKENS

EXAMPLES = (
    "esc-eval prefer runs/first --judge openai:gpt-4o-mini",
    "esc-eval prefer runs/first --preferences pairs/preferences.csv --inconsistent leave-out",
    "esc-eval prefer --preferences arena.csv --column rater=judge --column preference=winner",
)
READS_TABLES = True


@dataclass(frozen=True)
class JudgeOptions:
    """Who is asked, and how."""

    judge: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help=f"Who compares, each pair in both orders; repeatable. {MODEL}. Without one nobody is asked.",
        ),
    ] = None
    question: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="What a judge is asked: a shipped question, or your own .yaml.")
    ] = "esc-eval"
    max_answer_tokens: Annotated[
        int, typer.Option(min=1, help="Cap on an answer, at least 256; a judge that thinks needs more.")
    ] = ANSWER_TOKENS
    judge_temperature: Annotated[float, typer.Option(min=0, help="Of a judge's answers.")] = 0.0


def command(
    asking: JudgeOptions,
    going: GoingOptions,
    opening: OpeningOptions,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A run folder with dialogues of several supporters.")
    ] = None,
    preferences: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="What people prefer: preferences.csv or .jsonl of rate --pairwise, or any table with a row a person "
            "and pair (--column names its columns); kept in the run folder. Repeatable.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="The farthest that a preference of such a table can be from 0, where it says none."),
    ] = None,
    inconsistent: Annotated[
        Literal["tie", "leave-out"],
        typer.Option(help="What a judge's two orders of a pair count as where they disagree."),
    ] = "tie",
    format: Annotated[Literal["text", "json", "markdown", "latex"], typer.Option(help="What to print.")] = "text",
    dry_run: DryRun = False,
) -> None:
    """Compare supporters two by two: judges in both orders, people's verdicts; Bradley-Terry, ranks, agreement.

    Every two supporters on one card are compared, all else equal. Verdicts are kept as they are given; the same command
    goes on where it was stopped. Without a judge it shows what is there.
    """
    from esc_eval.api import prefer as api

    settings = settings_of(going, opening)
    settings |= {"max_answer_tokens": asking.max_answer_tokens, "judge_temperature": asking.judge_temperature}
    if dry_run:
        if folder is None:
            raise EscEvalError("--dry-run counts the pairs of a run folder: give one")
        print_data(api.estimate_preferring(folder, asking.judge or (), question=asking.question, **settings))
        return
    with show_progress() as progress:
        results = api.prefer(
            folder,
            asking.judge or None,
            preferences=preferences or (),
            steps=steps,
            question=asking.question,
            inconsistent=inconsistent,
            progress=progress,
            **settings,
        )
    print_data(results.render_preferences(format))
