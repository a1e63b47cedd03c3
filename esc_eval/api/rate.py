"""Ratings from settings: who rates by which rubric, and rating dialogues into a run folder."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from esc_eval.api.outcome import Outcome
from esc_eval.api.play import Open
from esc_eval.api.progress import Counter, OnProgress, Progress, pass_on_notes, stay_quiet
from esc_eval.api.served import keep_served
from esc_eval.api.settings import Settings
from esc_eval.chat import ChatModel
from esc_eval.chat.stopping import Interrupted
from esc_eval.errors import EscEvalError
from esc_eval.files.records import check_unique, each_id, open_dialogues, read_dialogues, read_ratings, with_cards
from esc_eval.hub.cards import local_cards
from esc_eval.prompts.official_wording import load_wording
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import warn_of_one_model
from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring import text_scorer
from esc_eval.scoring.calibration import Calibration
from esc_eval.scoring.default import open_default
from esc_eval.scoring.rater import DialogueRater, DirectScoring
from esc_eval.scoring.resume import find_old_label
from esc_eval.scoring.score import KeptRatings, Scoring, needs_scorer, rate_dialogues
from esc_eval.simulation.budget import Budget, Meter, SpentError
from esc_eval.simulation.cost import Price
from esc_eval.simulation.run import Run, find_simulations
from esc_eval.simulation.seekers import seekers_of
from esc_eval.simulation.unfinished import refresh_runs

NAME_BOTH = "To ask it once more, name it under both labels."


def make_scorings(settings: Settings, open_one: Open) -> list[Scoring | DirectScoring]:
    """One scoring for each scorer; that of ``open_default`` where none is named.

    Raises:
        EscEvalError: As ``open_model`` and the scorings do, text or official prompts of a rater that reads none, or a
            judge is to be asked in words and none is named.
    """
    fitted = Calibration.load(settings.calibration) if settings.calibration else None
    rubric = load_rubric(settings.rubric)
    wording = load_wording(settings.official_repo, settings.allow_unknown) if settings.official_repo else None
    in_words = settings.by == "text" or settings.judge_temperature > 0 or wording is not None
    in_words = in_words or settings.evidence != "none"
    made: list[Scoring | DirectScoring] = []
    if not settings.scorer and (in_words or settings.by not in ("auto", "logits")):
        raise EscEvalError(
            "--by, --judge-temperature, --evidence and --official-repo are for a judge that is asked, and none is "
            "named: --scorer MODEL (embedded shows the machinery, and cannot judge)"
        )
    for named in settings.scorer or (open_default(rubric),):
        rater = text_scorer.open_text_scorer(named) if isinstance(named, str) else named
        if isinstance(rater, DialogueRater):
            if in_words:
                raise EscEvalError(
                    f"{rater.name} is asked nothing: it takes no --by text, --judge-temperature, --evidence or "
                    "--official-repo"
                )
            made.append(DirectScoring(rater, rubric, fitted, settings.out_of_range))
        else:
            scorer = open_one(named)
            made.append(
                Scoring(
                    scorer,
                    rubric,
                    settings.by,
                    settings.parser,
                    wording,
                    fitted,
                    settings.answer_tokens,
                    settings.judge_temperature,
                    settings.evidence,
                    settings.long_dialogues,
                )
            )
    return made


def check_languages(scorings: Iterable[Scoring | DirectScoring], languages: Iterable[str]) -> None:
    """Refuse languages that a model would have to be asked in and has no wording for, before anything is played or
    rated.

    Raises:
        EscEvalError: There is one.
    """
    used = dict.fromkeys(languages)
    for scoring in scorings:
        if isinstance(scoring, Scoring):
            scoring.check_languages(used)


def load_dialogues(paths: Sequence[Path], cards: Sequence[Any] = ()) -> Sequence[Dialogue]:
    """Dialogues of several files; official ones are linked to the cards they were played on, if given.

    Those of one file of ours are not held; see ``open_dialogues``.
    """
    refresh_runs(paths)
    if len(paths) == 1 and not cards:
        return open_dialogues(paths[0])
    dialogues = [dialogue for path in paths for dialogue in read_dialogues(path)]
    check_unique((dialogue.id for dialogue in dialogues), "dialogue", ", ".join(map(str, paths)))
    return with_cards(dialogues, local_cards(cards))


def load_ratings(paths: Sequence[Path]) -> list[Rating]:
    """Ratings of several files."""
    refresh_runs(paths)
    return [rating for path in paths for rating in read_ratings(path)]


def run_scoring(
    dialogues: Sequence[Dialogue],
    scoring: Scoring | DirectScoring,
    run: Run,
    on_progress: OnProgress = stay_quiet,
    prices: Mapping[str, Price] | None = None,
    budget: Budget | None = None,
    *,
    retry: bool = False,
    ahead: int = 0,
    left_out: Mapping[str, frozenset[str]] | None = None,
) -> KeptRatings:
    """Rate dialogues of a run, or what it has no ratings of yet; returns this scorer's.

    Args:
        dialogues, scoring, run: See ``rate_dialogues``.
        on_progress: Told now and then.
        prices: By the model's name; a scorer that has one is paid from the budget.
        budget: What the run may cost.
        retry: Whether the scorer is asked again where it gave no answer.
        ahead: Dialogues that other judges rate afterwards.
        left_out: See ``rate_dialogues``.

    Raises:
        EscEvalError: The run holds ratings of the same rater under another identity; nothing was rated then.
    """
    pass_on_notes(scoring.scorer, on_progress)
    name, size = scoring.scorer.name, len(scoring.rubric.keys)
    kind, price, budget = f"scoring/{name}", (prices or {}).get(name), budget or Budget(None)

    done = sum(run.count(kind, one_id) == size for one_id in each_id(dialogues)) if run.has(kind) else 0
    counter = Counter(on_progress, f"dialogues rated by {name}", len(dialogues), done, ahead)
    for played in find_simulations(run.card):
        for sentence in warn_of_one_model(seekers_of(played), played["supporters"], {name: scoring.scorer.identity}):
            if f"judge {name}" in sentence:
                on_progress(Progress(message=sentence))
    with keep_served(run, kind, {"judge": scoring.scorer}, budget, prices):
        meter = Meter(kind, scoring.scorer, price, budget, run) if price else None
        try:
            return rate_dialogues(
                dialogues,
                scoring,
                run,
                counter.advance,
                retry=retry,
                meter=meter,
                left_out=left_out,
                on_forgotten=partial(counter.advance, items=-1),
            )
        except KeyboardInterrupt as error:
            error.add_note(
                f"Kept in {run.named}: the ratings of {counter.done} of {len(dialogues)} dialogues by {name}. The same "
                "command goes on from there."
            )
            raise


def run_scorings(
    dialogues: Sequence[Dialogue],
    scorings: Sequence[Scoring | DirectScoring],
    run: Run,
    outcome: Outcome,
    on_progress: OnProgress = stay_quiet,
    prices: Mapping[str, Price] | None = None,
    budget: Budget | None = None,
    *,
    retry: bool = False,
) -> None:
    """Rate dialogues by several scorers, one after the other; one that fails does not stop the others.

    Args:
        outcome: Gets the ratings of each, and who failed.
        dialogues, scorings, run, on_progress, prices, budget, retry: As of ``run_scoring``.

    Raises:
        EscEvalError: Every scorer failed, or what the run may cost is spent.
    """
    for number, scoring in enumerate(scorings, 1):
        ahead = len(dialogues) * sum(isinstance(later, Scoring) for later in scorings[number:])
        try:
            outcome.ratings[scoring.scorer.name] = run_scoring(
                dialogues, scoring, run, on_progress, prices, budget, retry=retry, ahead=ahead
            )
        except (Interrupted, SpentError):
            raise
        except EscEvalError as error:
            outcome.failed_raters[scoring.scorer.name] = error
            if len(outcome.failed_raters) == len(scorings):
                raise
            on_progress(Progress(message=outcome.of_failed_raters()[-1]))
    outcome.record(run, raters=(scoring.scorer.name for scoring in scorings))


def rename_raters(scorings: Sequence[Scoring | DirectScoring], run: Run, on_progress: OnProgress = stay_quiet) -> None:
    """Let ratings that a run has by one of these scorers under another label have the label of now."""
    names = [scoring.scorer.name for scoring in scorings]
    for scoring in scorings:
        name = scoring.scorer.name
        if old := find_old_label(scoring, name, names, run):
            run.rename_scoring(f"scoring/{old}", f"scoring/{name}", scoring.scorer.identity)
            on_progress(Progress(message=f"judge {old} is called {name} now: its ratings are kept. {NAME_BOTH}"))


def count_questions(dialogues: Iterable[str], scorings: Iterable[Scoring | DirectScoring], run: Run) -> int:
    """Questions that judges will be asked about dialogues, by id, where a run has no rating yet."""
    ids, total = list(dialogues), 0
    for scoring in scorings:
        if isinstance(scoring, Scoring):
            kind, size = f"scoring/{scoring.scorer.name}", len(scoring.rubric.keys)
            begun = run.has(kind)
            total += sum(max(0, size - (run.count(kind, one) if begun else 0)) for one in ids)
    return total


def models_to_ask(
    dialogues: Sequence[Dialogue], scorings: Iterable[Scoring | DirectScoring], run: Run, retry: bool
) -> list[ChatModel]:
    """The scorers that are chat models and have to be asked for what a run has no ratings of."""
    return [
        scoring.scorer
        for scoring in scorings
        if isinstance(scoring, Scoring) and needs_scorer(dialogues, scoring, run, retry)
    ]
