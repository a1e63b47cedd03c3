"""``esc-eval``: evaluate, simulate, score, calibrate, ensemble, report, export, doctor, cite; results on stdout."""

import errno
import json
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from esc_eval import __version__
from esc_eval.chat import Options
from esc_eval.chat.base import ANSWER_TOKENS
from esc_eval.cli.options import (
    RATERS,
    AllowUnknown,
    AnswerTokens,
    Attempts,
    BaseUrl,
    Batch,
    By,
    Cards,
    Concurrency,
    Device,
    DialogueFiles,
    DryRun,
    Dtype,
    FitFile,
    LabelFiles,
    Language,
    Limit,
    LinkCards,
    MaxCost,
    OfficialRepo,
    Out,
    ParserName,
    Prices,
    ProtocolName,
    RatedUnder,
    RatingFiles,
    RosterName,
    Rounds,
    RubricName,
    Scorer,
    Seed,
    Seeker,
    Statistic,
    Supporters,
    Timeout,
    Tokens,
)
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards
from esc_eval.prompts.official_wording import load_protocol as official_protocol
from esc_eval.prompts.official_wording import load_wording
from esc_eval.simulation.run import Run

err = Console(stderr=True, highlight=False)
app = typer.Typer(
    name="esc-eval",
    help="Evaluate language models at emotional support: simulate dialogues on role cards, score them, report.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; what the user can put right ends with a message and exit code 2."""
    try:
        app()
    except EscEvalError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        err.print("\nstopped. What was finished is kept; run the same command again to go on.")
        sys.exit(130)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM}:
            _fail(f"{error.filename or 'output'}: {error.strerror}. What was finished is kept; run the command again.")
        raise


def _fail(message: str) -> NoReturn:
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    sys.exit(2)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _top(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None: ...


@app.command(
    epilog="Example: [bold]esc-eval evaluate --supporter embedded --cards sample --language en --limit 4 "
    "--max-new-tokens 48 --out runs/first[/]"
)
def evaluate(
    out: Out,
    supporter: Supporters = [],  # noqa: B006
    roster: RosterName = None,
    seeker: Seeker = "embedded",
    scorer: Scorer = None,
    cards: Cards = ["sample"],  # noqa: B006
    language: Language = None,
    limit: Limit = None,
    rounds: Rounds = None,
    max_new_tokens: Tokens = None,
    seed: Seed = 0,
    protocol: ProtocolName = "esc-eval",
    rubric: RubricName = "esc-eval",
    by: By = "auto",
    parser: ParserName = "anchored",
    max_answer_tokens: AnswerTokens = ANSWER_TOKENS,
    official_repo: OfficialRepo = None,
    allow_unknown: AllowUnknown = False,
    statistic: Statistic = "level",
    base_url: BaseUrl = [],  # noqa: B006
    concurrency: Concurrency = None,
    timeout: Timeout = 120,
    attempts: Attempts = 8,
    batch_size: Batch = None,
    device: Device = None,
    dtype: Dtype = None,
    price: Prices = [],  # noqa: B006
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Simulate, score and report: one leaderboard for one or more supporters on the same cards."""
    from esc_eval.api import workflow as steps
    from esc_eval.simulation.supporters import choose_supporters

    options = Options(
        base_url=tuple(base_url),
        concurrency=concurrency,
        timeout=timeout,
        attempts=attempts,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
    )
    chosen = load_cards(cards, language, limit)
    lineup = choose_supporters(seeker, supporter, roster, price)
    played = official_protocol(official_repo, allow_unknown) if official_repo else protocol
    wording = load_wording(official_repo, allow_unknown) if official_repo else None
    if dry_run:
        typer.echo(steps.dry_run(chosen, steps.make_protocol(played, rounds, max_new_tokens), lineup), nl=False)
        return
    specs = lineup.specs(bool(base_url))
    plan = steps.make_plan(chosen, seeker, specs, played, rounds, max_new_tokens, seed, options, lineup.speaks)
    scoring = steps.make_scoring(scorer, rubric, by, options, parser, wording, answer_tokens=max_answer_tokens)
    with Run(out) as run:
        steps.run_simulation(plan, run, err, lineup.prices, max_cost)
        steps.run_scoring([out], None, scoring, run, err)
    typer.echo(steps.write_report(out, rubric, statistic, "text"), nl=False)
    err.print(f"Read {out / 'report.html'} in a browser; all files are in {out}.")


@app.command(epilog="Example: [bold]esc-eval simulate --supporter hf:Qwen/Qwen2.5-0.5B-Instruct --out runs/qwen[/]")
def simulate(
    out: Out,
    supporter: Supporters = [],  # noqa: B006
    roster: RosterName = None,
    seeker: Seeker = "embedded",
    cards: Cards = ["sample"],  # noqa: B006
    language: Language = None,
    limit: Limit = None,
    rounds: Rounds = None,
    max_new_tokens: Tokens = None,
    seed: Seed = 0,
    protocol: ProtocolName = "esc-eval",
    official_repo: OfficialRepo = None,
    allow_unknown: AllowUnknown = False,
    base_url: BaseUrl = [],  # noqa: B006
    concurrency: Concurrency = None,
    timeout: Timeout = 120,
    attempts: Attempts = 8,
    batch_size: Batch = None,
    device: Device = None,
    dtype: Dtype = None,
    price: Prices = [],  # noqa: B006
    max_cost: MaxCost = None,
    dry_run: DryRun = False,
) -> None:
    """Play every card with every supporter; prints the path of the dialogues."""
    from esc_eval.api import workflow as steps
    from esc_eval.simulation.supporters import choose_supporters

    options = Options(
        base_url=tuple(base_url),
        concurrency=concurrency,
        timeout=timeout,
        attempts=attempts,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
    )
    chosen = load_cards(cards, language, limit)
    lineup = choose_supporters(seeker, supporter, roster, price)
    played = official_protocol(official_repo, allow_unknown) if official_repo else protocol
    if dry_run:
        typer.echo(steps.dry_run(chosen, steps.make_protocol(played, rounds, max_new_tokens), lineup), nl=False)
        return
    specs = lineup.specs(bool(base_url))
    plan = steps.make_plan(chosen, seeker, specs, played, rounds, max_new_tokens, seed, options, lineup.speaks)
    with Run(out) as run:
        steps.run_simulation(plan, run, err, lineup.prices, max_cost)
    typer.echo(out / "dialogues.jsonl")


@app.command(
    epilog="Example: [bold]esc-eval score --dialogues result/llama3_en.json --scorer embedded --out runs/llama3[/]"
)
def score(
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
    from esc_eval.api import workflow as steps

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
        typer.echo(steps.run_reparse(folder, rubric, parser, err))
        return
    wording = load_wording(official_repo, allow_unknown) if official_repo else None
    name = rubric or "esc-eval"
    judges = [
        steps.make_scoring(each, name, by, options, parser, wording, calibration, max_answer_tokens)
        for each in scorer or (None,)
    ]
    with Run(folder) as run:
        for scoring in judges:
            steps.run_scoring(dialogues, cards, scoring, run, err)
    typer.echo(steps.write_report(folder, name, statistic, "text"), nl=False)
    if len(scorer) > 1:
        err.print(f"Their agreement: python -m analysis agreement {folder}; one rating of them all: esc-eval ensemble")


@app.command(
    epilog="Example: [bold]esc-eval calibrate --ratings runs/a --labels people.jsonl --out temperature.json[/]"
)
def calibrate(
    ratings: RatingFiles, labels: LabelFiles, out: FitFile, rubric: RatedUnder = None, seed: Seed = 0
) -> None:
    """Fit a temperature a dimension to level probabilities; prints what it changes, for score --calibration."""
    from esc_eval.api import workflow as steps

    typer.echo(steps.run_calibration(ratings, labels, out, rubric, seed), nl=False)


@app.command(epilog="Example: [bold]esc-eval ensemble --ratings runs/a --labels people.jsonl --out weights.json[/]")
def ensemble(
    ratings: RatingFiles,
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", metavar="FILE", help="Human ratings to fit weights to.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Apply these weights and print one rating a line, as JSON.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where the fit goes, as JSON.")] = None,
    dialogues: Annotated[
        list[Path] | None, typer.Option("--dialogues", metavar="DIR|FILE", help="Give the card of each dialogue.")
    ] = None,
    rubric: RatedUnder = None,
    seed: Seed = 0,
) -> None:
    """Weigh several judges by human labels, or apply such weights."""
    from esc_eval.api import workflow as steps

    if (weights is None) == (labels is None or out is None):
        raise EscEvalError("give --labels and --out to fit weights, or --weights to apply them")
    if weights is not None:
        typer.echo(steps.apply_ensemble(ratings, weights), nl=False)
    elif labels and out:
        typer.echo(steps.run_ensemble(ratings, labels, out, dialogues or [], rubric, seed), nl=False)


@app.command(epilog="Example: [bold]esc-eval report runs/first --format latex > table.tex[/]")
def report(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="A run folder.")] = None,
    dialogues: Annotated[
        list[Path] | None, typer.Option("--dialogues", metavar="FILE", help="Without a run folder: dialogue files.")
    ] = None,
    ratings: Annotated[
        list[Path] | None, typer.Option("--ratings", metavar="FILE", help="Rating files, ours or official.")
    ] = None,
    cards: LinkCards = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where summary.json, report.md and report.html go; default: the run folder."),
    ] = None,
    rubric: RubricName = "esc-eval",
    statistic: Statistic = "level",
    format: Annotated[Literal["text", "json", "markdown", "latex"], typer.Option(help="What to print.")] = "text",
) -> None:
    """Print a leaderboard with intervals, and write summary.json, report.md and report.html."""
    from esc_eval.api import workflow as steps

    if folder is not None and (dialogues or ratings):
        raise EscEvalError("give a run folder, or --dialogues and --ratings, not both")
    if folder is not None:
        typer.echo(steps.write_report(folder, rubric, statistic, format, out), nl=False)
        return
    if not dialogues or not ratings:
        raise EscEvalError("give a run folder, or both --dialogues FILE and --ratings FILE")
    loaded = steps.load_dialogues(dialogues, cards)
    typer.echo(steps.report_on(loaded, steps.load_ratings(ratings), {}, rubric, statistic, format, out), nl=False)


@app.command(epilog="Example: [bold]esc-eval export runs/first --out official[/]")
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where result/ and score/ go.")],
) -> None:
    """Write dialogues and ratings as the official release formats them: result/ and score/ MODEL_LANGUAGE.json."""
    from esc_eval.api import workflow as steps

    for path in steps.export_official(folder, out):
        typer.echo(path)


@app.command(epilog="Example: [bold]esc-eval doctor --json[/]")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what is installed, which models can run here, what is missing and how to get it."""
    from esc_eval.cli.doctor import examine_machine

    findings = examine_machine()
    if as_json:
        typer.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
        return
    signs = {"ok": "ok     ", "missing": "missing", "note": "note   "}
    for finding in findings:
        typer.echo(f"{signs[finding.state]}  {finding.what}: {finding.detail}")
        if finding.remedy:
            typer.echo(f"         -> {finding.remedy}")


@app.command(epilog="Example: [bold]esc-eval cite > esc-eval.bib[/]")
def cite() -> None:
    """Print BibTeX for the paper and for this package."""
    from esc_eval.citation import PACKAGE, PAPER

    typer.echo(f"{PAPER}\n\n{PACKAGE}")
