"""What the verbs of the command line are made of: open, play, rate, report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from esc_eval.chat import Options, label_of, open_model
from esc_eval.chat.base import ANSWER_TOKENS
from esc_eval.errors import EscEvalError
from esc_eval.files import official
from esc_eval.files.records import check_unique, read_cards, read_dialogues, read_ratings, write_official
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.prompts.official_wording import OfficialWording
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.page import as_page
from esc_eval.reporting.render import terminal_width
from esc_eval.reporting.summary import Statistic
from esc_eval.schema import Dialogue, Rating, RoleCard, Turn
from esc_eval.scoring import calibration, text_scorer
from esc_eval.scoring import ensemble as ensembles
from esc_eval.scoring.parsers import reparse_ratings
from esc_eval.scoring.rater import DirectScoring
from esc_eval.scoring.rating_checks import check_levels, rubric_of
from esc_eval.scoring.resume import keep_dialogues
from esc_eval.scoring.score import By, Scoring, score_dialogues
from esc_eval.simulation import cost as outlook
from esc_eval.simulation.budget import Price, within_budget
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run, read_card
from esc_eval.simulation.simulate import play_plan
from esc_eval.simulation.supporters import Supporters
from esc_eval.statistics.estimate import Estimate

open_once = cache(open_model)  # seeker, supporter and scorer may be the same weights

Format = Literal["text", "json", "markdown", "latex"]


def make_plan(
    cards: Sequence[RoleCard],
    seeker: str,
    supporters: Sequence[str],
    protocol: str | Protocol,
    rounds: int | None,
    max_new_tokens: int | None,
    seed: int,
    options: Options,
    speaks: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """A plan from names; rounds and the cap on replies override the protocol's where given."""
    return Plan(
        protocol=make_protocol(protocol, rounds, max_new_tokens),
        cards=cards,
        seeker=open_once(seeker, options),
        supporters=[open_once(spec, options) for spec in supporters],
        seed=seed,
        speaks=speaks or {},
    )


def make_protocol(protocol: str | Protocol, rounds: int | None, max_new_tokens: int | None) -> Protocol:
    """A protocol with its rounds and the cap on replies overridden where given."""
    chosen = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    if rounds is not None:
        chosen = chosen.model_copy(update={"rounds": rounds})
    if max_new_tokens is not None:
        cap = {"max_new_tokens": max_new_tokens}
        chosen = chosen.model_copy(
            update={
                "seeker": chosen.seeker.model_copy(update=cap),
                "supporter": chosen.supporter.model_copy(update=cap),
            }
        )
    return chosen


def make_scoring(
    scorer: str | None,
    rubric: str,
    by: By,
    options: Options,
    parser: str = "anchored",
    wording: OfficialWording | None = None,
    temperatures: Path | None = None,
    answer_tokens: int = ANSWER_TOKENS,
) -> Scoring | DirectScoring:
    """A scoring from names.

    Args:
        scorer: None = the text scorer that is shipped for the rubric, or ``embedded`` where there is none or the
            judge is to be asked in words.

    Raises:
        EscEvalError: As ``open_model`` and the scorings do, or text or official prompts of a rater that reads none.
    """
    fitted = calibration.Calibration.load(temperatures) if temperatures else None
    asked = load_rubric(rubric)
    if scorer is None:
        in_words = by == "text" or wording is not None
        scorer = (None if in_words else text_scorer.shipped_for(asked)) or "embedded"
    if rater := text_scorer.open_text_scorer(scorer):
        if by == "text" or wording:
            raise EscEvalError(f"{rater.name} is asked nothing: it takes neither --by text nor --official-repo")
        return DirectScoring(rater, asked, fitted)
    return Scoring(open_once(scorer, options), asked, by, parser, wording, fitted, answer_tokens)


@contextmanager
def _progress(console: Console, what: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on the console; yields a function to call with the tokens of each finished item."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, refresh_per_second=4) as progress:
        task = progress.add_task(what, total=total, completed=done, rate="")
        tokens = 0

        def advance(new_tokens: int) -> None:
            nonlocal tokens
            tokens += new_tokens
            seconds = progress.tasks[task].elapsed or 0
            rate = f"{tokens / seconds:.0f} tokens/s" if tokens and seconds else ""
            progress.update(task, advance=1, rate=rate)

        yield advance


def dry_run(cards: Sequence[RoleCard], protocol: Protocol, lineup: Supporters) -> str:
    """What the plan would take, as a table; no model is opened."""
    free = Price()
    supporters = {name: (lineup.speaks.get(name, ()), lineup.prices.get(name, free)) for name in lineup.names}
    rows = outlook.estimate_cost(cards, protocol, supporters, lineup.prices.get(label_of(lineup.seeker), free))
    return outlook.as_text(rows)


def run_simulation(
    plan: Plan, run: Run, console: Console, prices: Mapping[str, Price] | None = None, max_cost: float | None = None
) -> None:
    """Play the plan with a progress bar; models that have a price are paid up to ``max_cost`` dollars."""
    plan, budget = within_budget(plan, run, prices or {}, max_cost)
    per_dialogue = plan.last_position
    counts = [run.count("turn", play.id) for play in plan.plays()]
    total, done = len(counts) * per_dialogue, sum(min(max(count - 1, 0), per_dialogue) for count in counts)
    if done:
        console.print(f"going on after {done} of {total} turns")
    with _progress(console, "turns", total, done) as advance:

        def on_turn(turn: Turn) -> None:
            advance(turn.completion_tokens or 0)

        play_plan(plan, run, on_turn)
    if prices:
        console.print(f"the tokens of this run have cost ${budget.spent:.2f}")


def load_dialogues(paths: Sequence[Path], cards: Path | None = None) -> list[Dialogue]:
    """Dialogues of several files; official ones are linked to the cards they were played on, if given."""
    dialogues = [dialogue for path in paths for dialogue in read_dialogues(path)]
    check_unique((dialogue.id for dialogue in dialogues), "dialogue", ", ".join(map(str, paths)))
    return official.link_cards(dialogues, read_cards(cards)) if cards else dialogues


def load_ratings(paths: Sequence[Path]) -> list[Rating]:
    """Ratings of several files."""
    return [rating for path in paths for rating in read_ratings(path)]


def run_scoring(
    paths: Sequence[Path], cards: Path | None, scoring: Scoring | DirectScoring, run: Run, console: Console
) -> None:
    """Rate dialogues with a progress bar; those from elsewhere are copied into the run folder first.

    Raises:
        EscEvalError: The run holds other dialogues, or ratings of other dimensions; nothing was rated then.
    """
    dialogues = load_dialogues(paths, cards)
    _check_fits(scoring, run)
    keep_dialogues(dialogues, run)
    size, counts = len(scoring.rubric.keys), run.owners(f"scoring/{scoring.scorer.name}")
    done = sum(counts.get(dialogue.id) == size for dialogue in dialogues)
    with _progress(console, "dialogues rated", len(dialogues), done) as advance:
        score_dialogues(dialogues, scoring, run, lambda: advance(0))


def _check_fits(scoring: Scoring | DirectScoring, run: Run) -> None:
    """Refuse a run with other raters' ratings that one report cannot show beside this scoring's."""
    others = [kind for kind in run.card if kind.startswith("scoring/") and kind != f"scoring/{scoring.scorer.name}"]
    ratings = [Rating.model_validate_json(line) for kind in others for line in run.all(kind)]
    if unknown := [rating for rating in ratings if rating.dimension not in scoring.rubric.keys]:
        raise EscEvalError(
            f"{run.folder} holds ratings of {unknown[0].dimension} under {unknown[0].rubric}, a dimension that "
            f"{scoring.rubric.id} has not. Choose another --out."
        )
    check_levels(ratings, scoring.rubric.levels)


def run_reparse(folder: Path, rubric: str | None, parser: str, console: Console) -> Path:
    """Read a run's raw answers by another rule into ``ratings-PARSER.jsonl``; no model is asked.

    Each rating is read by the levels of the rubric that it carries.
    """
    ratings: list[Rating] = []
    count = 0
    for _, group in groupby(read_ratings(folder), lambda rating: rating.rubric):
        before = list(group)
        after, read = reparse_ratings(before, rubric_of(before, rubric).levels, parser)
        ratings, count = ratings + after, count + read
    if not count:
        raise EscEvalError(f"{folder}: no rating has a raw answer; those of level probabilities have nothing to parse")
    path = folder / f"ratings-{parser}.jsonl"
    write_jsonl(path, ratings)
    unscored = sum(rating.score is None for rating in ratings)
    console.print(f"{count} of {len(ratings)} ratings read by the {parser} rule; {unscored} unscored")
    return path


def run_calibration(ratings: Sequence[Path], labels: Sequence[Path], out: Path, rubric: str | None, seed: int) -> str:
    """Fit temperatures, save them, and return a table of what they change."""
    given = load_ratings(ratings)
    fitted = calibration.fit_calibration(given, load_ratings(labels), rubric_of(given, rubric).levels, seed)
    fitted.save(out)
    lines = ["dimension\tn\ttemperature\tlog loss\tcalibrated\theld-out gain [95%]\tcalibration error\tcalibrated"]
    for name, d in fitted.dimensions.items():
        lines.append(
            f"{name}\t{d.n}\t{d.temperature:.3f}\t{d.log_loss[0]:.3f}\t{d.log_loss[1]:.3f}\t{_interval(d.held_out_gain)}"
            f"\t{d.calibration_error[0]:.3f}\t{d.calibration_error[1]:.3f}"
        )
    return "\n".join(lines) + "\n"


def run_ensemble(
    ratings: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
    dialogues: Sequence[Path],
    rubric: str | None,
    seed: int,
) -> str:
    """Fit weights, save them, and return a table of weights and held-out errors."""
    cards = {d.id: d.card_id for d in load_dialogues(dialogues) if d.card_id} if dialogues else None
    given = load_ratings(ratings)
    fitted = ensembles.fit_ensemble(given, load_ratings(labels), rubric_of(given, rubric).levels, cards, seed)
    fitted.save(out)
    lines = ["dimension\tn\tcards\trater\tweight\theld-out error [95%]"]
    for name, d in fitted.dimensions.items():
        for rater, error in d.error.items():
            weight = f"{d.weights[rater]:.3f}" if rater in d.weights else "-"
            lines.append(f"{name}\t{d.n}\t{d.clusters}\t{rater}\t{weight}\t{_interval(error)}")
    return "\n".join(lines) + "\n"


def _interval(found: Estimate | None) -> str:
    if found is None:
        return "-"
    value, low, high = found.value, found.low, found.high
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def apply_ensemble(ratings: Sequence[Path], weights: Path) -> str:
    """Ratings of the ensemble, as JSON Lines."""
    fitted = ensembles.Ensemble.load(weights)
    return "".join(rating.to_json() + "\n" for rating in fitted.apply(load_ratings(ratings)))


def report_on(
    dialogues: Sequence[Dialogue],
    ratings: Sequence[Rating],
    card: dict[str, Any],
    rubric: str,
    statistic: Statistic,
    format: Format,
    out: Path | None,
) -> str:
    """Summarise, write summary.json, report.md and report.html if there is a folder, and return what to print."""
    chosen = load_rubric(rubric)
    try:
        summary = summarise_ratings(dialogues, ratings, chosen, card, statistic=statistic)
    except ValueError as error:
        raise EscEvalError(f"ratings and dialogues do not fit: {error}") from error
    as_json = summary.model_dump_json(indent=2) + "\n"
    if out is not None:
        write_whole(out / "summary.json", [as_json])
        write_whole(out / "report.md", [as_markdown(summary)])
        write_whole(out / "report.html", [as_page(summary, dialogues, ratings, chosen)])
    makers: dict[Format, Callable[[], str]] = {
        "text": lambda: as_text(summary, terminal_width()),
        "json": lambda: as_json,
        "markdown": lambda: as_markdown(summary),
        "latex": lambda: as_latex(summary),
    }
    return makers[format]()


def write_report(folder: Path, rubric: str, statistic: Statistic, format: Format, out: Path | None = None) -> str:
    """The report of a run folder; see ``report_on``."""
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such run folder")
    dialogues, ratings = read_dialogues(folder), read_ratings(folder)
    return report_on(dialogues, ratings, read_card(folder), rubric, statistic, format, out or folder)


def export_official(folder: Path, out: Path) -> list[Path]:
    """Write a run as official result and score files, one a supporter, language and rater; return their paths.

    Raises:
        EscEvalError: The run is broken, or its ratings have no official form; nothing was written then.
    """
    dialogues = read_dialogues(folder)
    ratings = read_ratings(folder) if (folder / "ratings.jsonl").exists() else []
    official.check_official_form(ratings)
    for code in {dialogue.language for dialogue in dialogues}:
        official.official_names(code)
    paths = []

    def kind(dialogue: Dialogue) -> tuple[str, str]:
        return dialogue.supporter or "unknown", dialogue.language

    for (supporter, language), group in groupby(sorted(dialogues, key=kind), key=kind):
        chosen = list(group)
        name = f"{supporter.replace('/', '_')}_{official.official_names(language).suffix}.json"
        content = official.dialogues_to_official(chosen)
        keys = dict(zip((dialogue.id for dialogue in chosen), content, strict=True))
        files: dict[Path, Any] = {out / "result" / name: content}
        raters = dict.fromkeys(rating.rater for rating in ratings if rating.dialogue_id in keys)
        for rater in raters:
            own = [r for r in ratings if r.rater == rater and r.dialogue_id in keys]
            score_folder = out / "score" if len(raters) == 1 else out / "score" / rater.replace("/", "_")
            files[score_folder / name] = official.ratings_to_official(own, keys)
        for path, data in files.items():
            write_official(path, data)
            paths.append(path)
    return paths
