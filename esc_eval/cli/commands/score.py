"""``score``: rate dialogues."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.chat import Options
from esc_eval.chat.base import ANSWER_TOKENS
from esc_eval.cli.console import print_data, print_progress, talk
from esc_eval.cli.options import (
    RATERS,
    AllowUnknown,
    AnswerTokens,
    Attempts,
    BaseUrl,
    Batch,
    By,
    Concurrency,
    Device,
    DialogueFiles,
    Dtype,
    LinkCards,
    OfficialRepo,
    ParserName,
    Statistic,
    Timeout,
)
from esc_eval.prompts.official_wording import load_wording
from esc_eval.simulation.run import Run

EXAMPLES = ("esc-eval score --dialogues result/llama3_en.json --scorer embedded --out runs/llama3",)


def command(
    dialogues: DialogueFiles,
    scorer: Annotated[
        list[str], typer.Option(metavar="MODEL", help=f"Who rates; repeatable: several judges at once. {RATERS}.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where ratings go; default: the run folder, or scores/NAME.")
    ] = None,
    cards: LinkCards = None,
    rubric: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="A shipped rubric, or your own .yaml; default: esc-eval."),
    ] = None,
    by: By = "auto",
    parser: ParserName = "anchored",
    max_answer_tokens: AnswerTokens = ANSWER_TOKENS,
    official_repo: OfficialRepo = None,
    allow_unknown: AllowUnknown = False,
    reparse: Annotated[
        bool, typer.Option("--reparse", help="Ask no model: read the run's stored answers again with --parser.")
    ] = False,
    calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Temperatures from `esc-eval calibrate`.")
    ] = None,
    statistic: Statistic = "level",
    base_url: BaseUrl = [],  # noqa: B006
    concurrency: Concurrency = None,
    timeout: Timeout = 120,
    attempts: Attempts = 8,
    batch_size: Batch = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Rate dialogues on every dimension of a rubric and report; ratings are kept dialogue by dialogue."""
    from esc_eval.api import workflow

    options = Options(
        base_url=tuple(base_url),
        concurrency=concurrency,
        timeout=timeout,
        attempts=attempts,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
    )
    first = dialogues[0]
    folder = out or (first if first.is_dir() else Path("scores") / first.stem)
    if reparse:
        print_data(workflow.run_reparse(folder, rubric, parser, talk))
        return
    wording = load_wording(official_repo, allow_unknown) if official_repo else None
    name = rubric or "esc-eval"
    judges = [
        workflow.make_scoring(each, name, by, options, parser, wording, calibration, max_answer_tokens)
        for each in scorer or (None,)
    ]
    with Run(folder) as run:
        for scoring in judges:
            workflow.run_scoring(dialogues, cards, scoring, run, talk)
    print_data(workflow.write_report(folder, name, statistic, "text"))
    if len(scorer) > 1:
        print_progress(
            f"Their agreement: python -m analysis agreement {folder}; one rating of them all: esc-eval ensemble"
        )
