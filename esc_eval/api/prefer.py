"""Preferences from settings: judges compare every two supporters of a run, and people's come to the same tables."""

from __future__ import annotations  # help() shows names of types, not what they are made of

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from esc_eval.api.play import chat_scorers, open_models
from esc_eval.api.progress import Counter, OnProgress, Progress, pass_on_notes, stay_quiet
from esc_eval.api.results import Results
from esc_eval.api.served import keep_served
from esc_eval.api.settings import Asking, Scorers, Settings, make_settings
from esc_eval.chat.endpoint.preflight import check_models
from esc_eval.chat.stopping import Interrupted
from esc_eval.errors import EscEvalError, Incomplete, refuse_unknown
from esc_eval.files.built import is_built, read_built
from esc_eval.files.card_rows import WITHHELD
from esc_eval.files.hashing import hash_file
from esc_eval.files.preferences import Given, Inconsistent, read_preferences
from esc_eval.files.records import read_dialogues
from esc_eval.files.run_folder import PREFERENCES, is_run_folder
from esc_eval.prompts.comparison import Comparison, load_comparison
from esc_eval.reading import is_file
from esc_eval.reporting.making import group_reasons
from esc_eval.schema import Dialogue, Preference
from esc_eval.scoring.prefer import ANSWER_TOKENS, ORDERS, Pair, Preferring, find_pairs, keep_people, prefer_pairs
from esc_eval.scoring.score import was_not_asked
from esc_eval.simulation import cost
from esc_eval.simulation.budget import Budget, Meter, SpentError, make_budget
from esc_eval.simulation.cost import Load, Price, load_row
from esc_eval.simulation.run import Run
from esc_eval.simulation.supporters import choose_prices, is_priced, name_of
from esc_eval.simulation.unfinished import read_run

NO_PAIR = (
    "no two supporters played one card alike (same card, language, seeker, protocol and repeat), so there is "
    "nothing to compare"
)


def prefer(
    run: Results | str | Path | None = None,
    judge: Scorers | None = None,
    *,
    preferences: str | Path | Sequence[str | Path] = (),
    steps: int | None = None,
    question: str | Path = "esc-eval",
    inconsistent: Inconsistent = "tie",
    progress: OnProgress | None = None,
    **settings: Unpack[Asking],
) -> Results:
    """Which of two supporters on one card is better: judges are asked in both orders, people's verdicts are read.

    Args:
        run: A run folder, or its results; None = the preferences of files alone.
        judge: Any chat model, or several; None = nobody is asked, and what is there is shown.
        preferences: Files of preferences by people: those of ``rate --pairwise``, or any table with a row a person and
            pair. They are kept in the run folder, where there is one; without one a build of the dataset builder, with
            judges' preferences too, is one more.
        steps: The farthest that a preference in these files can be from 0, where they do not say.
        question: What judges are asked: a shipped one, or the path of a ``.yaml``.
        inconsistent: What two orders that disagree count as: a ``tie``, or ``leave-out``.
        progress: Called with a ``Progress`` now and then, such as ``print``.
        settings: Everything else that the command line takes; see ``api.settings.Settings``.

    Returns:
        Results whose ``preference_reports`` are the tables.

    Raises:
        EscEvalError: Nothing to compare or to show, or something that the caller can put right; all that was finished
            is in the run folder.
        Incomplete: A judge could not go on or gave no preference at all, or with ``strict`` one is missing; it holds
            the results.
    """
    refuse_unknown(settings, Asking.__optional_keys__, "prefer")
    known = make_settings("prefer", scorer=judge, **settings)
    files = [Path(path) for path in ((preferences,) if isinstance(preferences, str | Path) else preferences)]
    tell = progress or stay_quiet
    given = {path: read_preferences(path, steps=steps) for path in files}
    if run is None:
        if known.scorer or not files:
            raise EscEvalError("give a run folder, or files of preferences by people without a judge")
        compared = [talk for path in files if is_built(path) for talk in read_built(path).dialogues]
        return Results(
            [talk for talk in compared if not any(turn.text == WITHHELD for turn in talk.turns)],
            preferences=[one for own in given.values() for one in own],
            inconsistent=inconsistent,
        )
    if built := [path for path in files if is_built(path)]:
        raise EscEvalError(f"{built[0]}: is a build, whose dialogues are of runs of their own; give it without {run}")
    folder = _folder_of(run)
    dialogues = read_dialogues(folder)
    missing: list[str] = []
    code = 1
    if known.scorer:
        missing, code = _ask_judges(folder, dialogues, known, question, tell, given)
    elif given:
        with Run(folder) as opened:
            _keep({**_find_unkept(folder, opened), **given}, dialogues, opened, tell)
    found = Results.load(folder).shown(inconsistent=inconsistent)
    if not found.preferences:
        raise EscEvalError(
            f"{folder}: no preferences yet. Name a judge (--judge MODEL), or people's verdicts (--preferences FILE)."
        )
    found.write_report(folder)
    if missing:
        raise Incomplete(missing, found, code)
    return found


def estimate_preferring(
    run: Results | str | Path, judge: Scorers, *, question: str | Path = "esc-eval", **settings: Unpack[Asking]
) -> str:
    """What asking judges about every pair would take, as a table; no model is opened.

    Args:
        run, judge, question, settings: As of ``prefer``.

    Raises:
        EscEvalError: As ``prefer``.
    """
    known = make_settings("prefer", scorer=judge, **settings)
    if not known.scorer:
        raise EscEvalError("name the judges whose cost is asked for: --judge MODEL")
    comparison = load_comparison(question)
    pairs = [pair for pair in _pairs_of(read_dialogues(_folder_of(run)), comparison) if not pair.problem]
    tokens = sum(
        cost.count_tokens(message["content"], pair.a.language) + cost.FRAME
        for pair in pairs
        for left in ORDERS
        for message in comparison.conversation(*pair.shown(left))
    )
    requests = len(pairs) * len(ORDERS)
    load = Load(requests, tokens, tokens, requests * _answer_tokens(known))
    models = chat_scorers(known)
    prices = choose_prices(models, (), known.price)
    rows = []
    for model in models:
        name = name_of(model)
        price = prices.get(name, None if is_priced(model) else Price())
        rows.append(load_row(f"judge {name}", 2 * len(pairs), load, {name: (load, price)}, cost.RATE))
    return cost.as_text(rows)


def _folder_of(run: Results | str | Path) -> Path:
    folder = run.folder if isinstance(run, Results) else Path(run)
    if folder is None:
        raise EscEvalError("these results are in no run folder, where preferences are kept; Results.save makes one")
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such run folder")
    read_run(folder)
    if not is_run_folder(folder):
        raise EscEvalError(f"{folder}: holds no dialogues; esc-eval simulate makes some")
    return folder


def _answer_tokens(known: Settings) -> int:
    """Cap on an answer: a reason has room in it."""
    return max(known.max_answer_tokens, ANSWER_TOKENS)


def _pairs_of(dialogues: Sequence[Dialogue], comparison: Comparison) -> list[Pair]:
    """Every pair, all in languages in which the question has a wording.

    Raises:
        EscEvalError: There is none, or a wording is missing.
    """
    if not (pairs := find_pairs(dialogues)):
        raise EscEvalError(NO_PAIR)
    for language in dict.fromkeys(pair.a.language for pair in pairs):
        comparison.text(language)
    return pairs


def _keep(given: Mapping[Path, Sequence[Given]], dialogues: Sequence[Dialogue], run: Run, tell: OnProgress) -> None:
    """Keep people's preferences in a run."""
    files = {path: hash_file(path / PREFERENCES if path.is_dir() else path) for path in given}
    count = keep_people([one.preference for own in given.values() for one in own], dialogues, run, files)
    tell(Progress(message=f"{count} new preferences by people are kept in {run.named}"))


def _find_unkept(folder: Path, run: Run) -> dict[Path, list[Given]]:
    """Preferences by people that lie in a folder whose ledger has none: those of a set that was converted."""
    if any(run.owners(kind) for kind in run.preferred_kinds) or not is_file(folder / PREFERENCES):
        return {}
    found = read_preferences(folder)
    return {folder: found} if all(one.preference.rater_kind == "human" for one in found) else {}


def _ask_judges(
    folder: Path,
    dialogues: Sequence[Dialogue],
    known: Settings,
    question: str | Path,
    tell: OnProgress,
    given: Mapping[Path, Sequence[Given]],
) -> tuple[list[str], int]:
    """Ask judges one after the other; one that fails does not stop the others.

    Returns:
        What is missing that should not be, a sentence each, and the exit code that this deserves.

    Raises:
        EscEvalError: Every judge failed, or what the run may cost is spent.
    """
    comparison = load_comparison(question)
    pairs = _pairs_of(dialogues, comparison)
    if len(models := chat_scorers(known)) < len(known.scorer):
        raise EscEvalError(
            "a text scorer compares nothing; a judge here is a chat model (--judge embedded, openai:...)"
        )
    open_one = open_models(known)
    judges = [
        Preferring(open_one(model), comparison, _answer_tokens(known), known.judge_temperature) for model in models
    ]
    prices = choose_prices([each.judge for each in judges], (), known.price)
    budget = make_budget(known.max_cost, prices)
    failed: dict[str, EscEvalError] = {}
    missing = []
    with Run(folder) as run:
        given = {**_find_unkept(folder, run), **given}
        run.describe(settings=known.describe(Asking.__optional_keys__ | {"scorer"}))
        if given:
            _keep(given, dialogues, run, tell)
        waiting = [each for each in judges if _has_to_ask(pairs, each, run, known.retry_failed)]
        check_models([each.judge for each in waiting])
        for each in judges:
            try:
                given_now = _ask(pairs, each, run, tell, prices, budget, known.retry_failed)
                missing += _explain_missing(each.judge.name, given_now, known.strict)
            except (Interrupted, SpentError):
                raise
            except EscEvalError as error:
                failed[each.judge.name] = error
                if len(failed) == len(judges):
                    raise
                missing.append(f"{each.judge.name} could not compare any more; the others did. {error}")
                tell(Progress(message=missing[-1]))
    return missing, 2 if failed else 1


def _explain_missing(judge: str, found: Sequence[Preference], strict: bool) -> list[str]:
    """A sentence where a judge that was asked gave no preference at all, or with ``strict`` not on every question."""
    asked = [one for one in found if not was_not_asked(one.problem)]
    unread = [one.problem or "" for one in asked if one.preference is None]
    if not unread or (len(unread) < len(asked) and not strict):
        return []
    return [f"{len(unread)} of {len(asked)} answers by {judge} say no preference: {group_reasons(unread)}."]


def _has_to_ask(pairs: Sequence[Pair], preferring: Preferring, run: Run, retry: bool) -> bool:
    there = run.owners(preferring.kind)
    return retry or any(there.get(pair.id, 0) < len(ORDERS) for pair in pairs if not pair.problem)


def _ask(
    pairs: Sequence[Pair],
    preferring: Preferring,
    run: Run,
    tell: OnProgress,
    prices: Mapping[str, Price],
    budget: Budget,
    retry: bool,
) -> list[Preference]:
    name, kind = preferring.judge.name, preferring.kind
    pass_on_notes(preferring.judge, tell)
    there = run.owners(kind)
    done = sum(there.get(pair.id, 0) == len(ORDERS) for pair in pairs)
    counter = Counter(tell, f"pairs compared by {name}", len(pairs), done)
    models: dict[str, Any] = {"judge": preferring.judge}
    with keep_served(run, kind, models, budget, prices):
        meter = Meter(kind, preferring.judge, prices[name], budget, run) if name in prices else None
        try:
            found = prefer_pairs(pairs, preferring, run, counter.advance, retry=retry, meter=meter)
        except KeyboardInterrupt as error:
            whole = sum(run.owners(kind).get(pair.id, 0) == len(ORDERS) for pair in pairs)
            error.add_note(
                f"Kept in {run.named}: the verdicts of {name} on {whole} of {len(pairs)} pairs. The same command goes "
                "on from there."
            )
            raise
    if unread := sum(one.preference is None for one in found):
        tell(Progress(message=f"{unread} of {len(found)} answers by {name} say no preference; the tables say why"))
    return found
