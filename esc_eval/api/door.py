"""What ``esc_eval`` offers to Python: evaluate, simulate, score, rejudge, prefer, report, compare.

Nothing here prints. A call works in a run folder: the one given as ``out``, where the same call goes on after it was
stopped, or a temporary one that lives as long as its results.
"""

from __future__ import annotations  # help() shows names of types, not what they are made of

import shutil
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Unpack

from esc_eval.api.outcome import Outcome
from esc_eval.api.play import estimate_cost, estimate_judges, make_plan, open_models, pin_settings, run_simulation
from esc_eval.api.prefer import prefer as prefer
from esc_eval.api.progress import OnProgress, Progress, stay_quiet
from esc_eval.api.rate import (
    check_languages,
    count_questions,
    load_dialogues,
    load_ratings,
    make_scorings,
    models_to_ask,
    rename_raters,
    run_scorings,
)
from esc_eval.api.results import Results
from esc_eval.api.settings import (
    PLAYING,
    RATING,
    Cards,
    Models,
    Playing,
    PlayingAndRating,
    Rating,
    Scorers,
    Settings,
    make_settings,
    several_cards,
)
from esc_eval.chat import ChatModel
from esc_eval.chat.endpoint.preflight import check_models
from esc_eval.errors import EscEvalError, refuse_unknown
from esc_eval.files.records import Survey, check_unique, open_dialogues
from esc_eval.files.run_folder import DIALOGUES, is_run_folder, rubric_file
from esc_eval.prompts.kept import kept_rubric
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.render import Report
from esc_eval.reporting.summary import Statistic
from esc_eval.schema import Dialogue
from esc_eval.schema import Rating as GivenRating
from esc_eval.scoring.people import keep_people
from esc_eval.scoring.rating_checks import find_shipped_rubric, rubric_of
from esc_eval.scoring.resume import keep_dialogues
from esc_eval.scoring.score import Scoring
from esc_eval.simulation.budget import make_budget
from esc_eval.simulation.cost import as_text
from esc_eval.simulation.run import CARD, Run, read_card, refuse_foreign
from esc_eval.simulation.simulate import unfinished_plays
from esc_eval.simulation.supporters import choose_prices
from esc_eval.statistics import DRAWS
from esc_eval.statistics.bootstrap import Bootstrap


def evaluate(
    supporters: Models = (),
    cards: Cards = "sample",
    *,
    language: str | None = None,
    limit: int | None = None,
    rounds: int | None = None,
    seeker: Models = "embedded",
    scorer: Scorers | None = None,
    rubric: str | Path | None = None,
    protocol: str | Path = "esc-eval",
    seed: int = 0,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
    **settings: Unpack[PlayingAndRating],
) -> Results:
    """Let supporters talk with a seeker on role cards, rate the dialogues, and report.

    Args:
        supporters: Models under test: one, a list, or a dict of labels to models. A model is a name as on the command
            line (``openai:MODEL``), a chat model object, or a function ``f(messages) -> str``, plain or async.
        cards: ``sample``, ``open``, files or folders of role cards, ``hub:ORG/NAME@REVISION``, a list of role cards, or
            a ``datasets.Dataset`` of them.
        language, limit: Keep the cards of one language, and the first so many of these.
        rounds: Of seeker and supporter; None = the protocol's.
        seeker: Who plays the cards; one or several models, as supporters are given.
        scorer: Who rates: one or several models, or text scorers; None = the text scorer that is shipped for the
            rubric, on dimensions for which it was shown to be of use. A function is a judge that is asked in words.
        rubric, protocol: A shipped one, or the path of a ``.yaml``; the rubric ``esc-eval`` where none is named.
        seed: Of all sampling.
        out: The run folder; None = a temporary one that is removed with the results (``Results.save`` keeps it), and
            stays where the call ends with an exception, whose note says where.
        progress: Called with a ``Progress`` now and then, such as ``print``.
        settings: Everything else that the command line takes; see ``api.settings.Settings``.

    Raises:
        EscEvalError: Something that the caller can put right; all that was finished is in the run folder.
    """
    refuse_unknown(settings, PlayingAndRating.__optional_keys__, "evaluate")
    known = make_settings(
        "evaluate",
        supporter=supporters,
        cards=cards,
        language=language,
        limit=limit,
        rounds=rounds,
        seeker=seeker,
        scorer=scorer,
        rubric=rubric,
        protocol=protocol,
        seed=seed,
        **settings,
    )
    known = pin_settings(known)
    open_one = open_models(known)
    plan, prices = make_plan(known, open_one)
    scorings = make_scorings(known, open_one)
    check_languages(scorings, (play.card.language for play in plan.plays()))
    tell = progress or stay_quiet
    budget = make_budget(known.max_cost, prices)

    def judges() -> list[ChatModel]:
        """Those that will be asked: all where dialogues are to come."""
        again = known.retry_failed and run.owners("problem")
        waiting = bool(again) or any(True for _ in unfinished_plays(plan, run))
        there = [] if waiting or not is_run_folder(run.folder) else open_dialogues(run.folder)
        chat = [scoring.scorer for scoring in scorings if isinstance(scoring, Scoring)]
        return chat if waiting else models_to_ask(there, scorings, run, known.retry_failed)

    def questions() -> int:
        return count_questions((play.id for play in plan.plays()), scorings, run)

    with (place := _RunFolder(out)) as run:
        run.describe(settings=known.describe(PLAYING | RATING))
        rename_raters(scorings, run, tell)
        outcome = run_simulation(
            plan, run, tell, prices, budget, retry=known.retry_failed, also_asked=judges, ahead=questions
        )
        outcome.by_default = not known.scorer
        run_scorings(open_dialogues(run.folder), scorings, run, outcome, tell, prices, budget, retry=known.retry_failed)
        return _finish(run.folder, known, place, out, outcome, tell)


def estimate(supporter: Models = (), *, rated: bool = False, **settings: Any) -> str:
    """What a simulation or an evaluation would take, as a table: dialogues, requests, tokens, hours and money.

    Args:
        supporter, settings: As of ``evaluate``; no model is opened.
        rated: Whether the dialogues are rated too.

    Raises:
        EscEvalError: As ``evaluate``.
    """
    known = make_settings("estimate", supporter=supporter, **settings)
    return estimate_cost(known, rated)


def estimate_scoring(dialogues: Any, cards: Cards | None = None, **settings: Any) -> str:
    """What a scoring would take, as a table.

    Args:
        dialogues, cards, settings: As of ``score``; no model is opened.

    Raises:
        EscEvalError: As ``score``, or no scorer is asked anything.
    """
    known = make_settings("estimate", **settings)
    given, _ = _read_dialogues(dialogues, cards)
    rows = estimate_judges(known, [dialogue for dialogue in given if not dialogue.problem])
    if not rows:
        raise EscEvalError("no judge is asked anything: name one with --scorer MODEL; text scorers cost nothing")
    return as_text(rows)


def simulate(
    supporters: Models = (),
    cards: Cards = "sample",
    *,
    language: str | None = None,
    limit: int | None = None,
    rounds: int | None = None,
    seeker: Models = "embedded",
    protocol: str | Path = "esc-eval",
    seed: int = 0,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
    **settings: Unpack[Playing],
) -> Results:
    """Let supporters talk with a seeker on role cards; the results have dialogues and no ratings.

    Args:
        supporters, cards, language, limit, rounds, seeker, protocol, seed, out, progress: As of ``evaluate``.
        settings: Everything else that the command line takes; see ``api.settings.Settings``.

    Raises:
        EscEvalError: As ``evaluate``.
    """
    refuse_unknown(settings, Playing.__optional_keys__, "simulate")
    known = make_settings(
        "simulate",
        supporter=supporters,
        cards=cards,
        language=language,
        limit=limit,
        rounds=rounds,
        seeker=seeker,
        protocol=protocol,
        seed=seed,
        **settings,
    )
    known = pin_settings(known)
    plan, prices = make_plan(known, open_models(known))
    budget = make_budget(known.max_cost, prices)
    with (place := _RunFolder(out)) as run:
        run.describe(settings=known.describe(PLAYING))
        outcome = run_simulation(plan, run, progress or stay_quiet, prices, budget, retry=known.retry_failed)
        results = Results.load(run.folder, keep=place)
        outcome.raise_for(results, known.strict)
    return results


def score(
    dialogues: Results | str | Path | Sequence[str | Path] | Sequence[Dialogue],
    scorer: Scorers | None = None,
    *,
    rubric: str | Path | None = None,
    cards: Cards | None = None,
    people: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    progress: OnProgress | None = None,
    **settings: Unpack[Rating],
) -> Results:
    """Rate dialogues.

    Args:
        dialogues: Results, a run folder, files of ours or official ones, or the dialogues themselves.
        scorer, rubric, progress: As of ``evaluate``.
        cards: The cards that official dialogues were played on, in their order; as of ``evaluate``.
        people: Files of ratings by people, to be kept in the run folder too; without a scorer no model is asked.
        out: The run folder; None = that of the dialogues, if they are of one; else a temporary one, as of ``evaluate``.
        settings: Everything else that the command line takes; see ``api.settings.Settings``.

    Raises:
        EscEvalError: As ``evaluate``, or the run folder holds other dialogues.
    """
    refuse_unknown(settings, Rating.__optional_keys__, "score")
    known = make_settings("score", scorer=scorer, rubric=rubric, **settings)
    given = [Path(path) for path in _several(people)]
    return _score(dialogues, known, cards, out, progress or stay_quiet, given)[0]


def rejudge(
    run: Results | str | Path,
    scorer: Scorers | None = None,
    *,
    against: str | Sequence[str] = (),
    rubric: str | Path | None = None,
    out: str | Path | None = None,
    progress: OnProgress | None = None,
    **settings: Unpack[Rating],
) -> list[Report]:
    """Rate the dialogues of a run that is rated by other judges, and say what that changes.

    Args:
        run: A run folder, or its results.
        scorer: Who rates now, under a name of its own.
        against: The old raters to compare with; none = all.
        rubric: Of the new ratings; None = that of the old ones.
        out: Where the new ratings go; None = beside the old ones.
        progress, settings: As of ``score``.

    Returns:
        A report for each new and old rater: by dimension the means, the paired difference, agreement and n; then the
        ranks of supporters.

    Raises:
        EscEvalError: As ``score``, or there are no ratings to compare with.
    """
    refuse_unknown(settings, Rating.__optional_keys__, "rejudge")
    before = run if isinstance(run, Results) else Results.load(run)
    chosen = (against,) if isinstance(against, str) else tuple(against)
    if absent := set(chosen) - {rating.rater for rating in before.ratings}:
        raise EscEvalError(f"the run has no ratings by {min(absent)!r} to compare with")
    wanted = [rating for rating in before.ratings if rating.rater in chosen or not chosen]
    if not wanted:
        raise EscEvalError("the run is not rated, so there is nothing to compare with: use score")
    own = rubric or _rubric_name(wanted, before.folder)
    known = make_settings("rejudge", scorer=scorer, rubric=own, **settings)
    results, outcome = _score(before, known, None, out, progress or stay_quiet, rename=False)
    rated = {name: list(ratings) for name, ratings in outcome.ratings.items()}
    old = {rating.rater: rating.rubric for rating in wanted if rating.rater not in rated}
    under = {rating.dimension for new in rated.values() for rating in new}
    alike = {rating.rater for rating in wanted if rating.dimension in under}
    if not chosen and old.keys() & alike:  # raters under another rubric are not asked about
        old = {name: carried for name, carried in old.items() if name in alike}
    if not old:
        raise EscEvalError("the run is rated by nobody else: give the new judge a label of its own, NEW=MODEL")
    try:
        from esc_eval.reporting.drift import drift_report
    except ModuleNotFoundError as error:
        raise EscEvalError(f'{error.name} is missing: pip install "esc-eval[statistics]"') from error
    card = {**read_card(before.folder or results.folder), **read_card(results.folder)} if results.folder else {}
    return [
        drift_report(
            before.dialogues, [r for r in wanted if r.rater == name], new, load_rubric(known.rubric), Bootstrap(), card
        )
        for new in rated.values()
        for name in old
    ]


def _rubric_name(ratings: Sequence[GivenRating], folder: Path | None) -> str | Path:
    """The rubric of ratings as ``load_rubric`` takes it: the one that their run folder keeps, else a shipped one."""
    carried = ratings[0].rubric
    if folder and (kept := rubric_file(folder, carried)).exists():
        shipped = find_shipped_rubric(carried)
        same = shipped and (own := kept_rubric(folder, carried)) and own.sha256 == shipped.sha256
        return shipped.name if shipped and same else kept
    return rubric_of(ratings, None, folder).name


def _score(
    dialogues: Any,
    known: Settings,
    cards: Cards | None,
    out: str | Path | None,
    tell: OnProgress,
    people: Sequence[Path] = (),
    rename: bool = True,
) -> tuple[Results, Outcome]:
    """The results of a scoring, and what became of it; see ``score``."""
    scorings = make_scorings(known, open_models(known)) if known.scorer or not people else []
    scorers = [scoring.scorer for scoring in scorings if isinstance(scoring, Scoring)]
    prices = choose_prices(scorers, (), known.price)
    budget = make_budget(known.max_cost, prices)
    given, sources = _read_dialogues(dialogues, cards)
    folder = sources[0] if len(sources) == 1 and sources[0].is_dir() else None
    if not given:
        raise EscEvalError("there are no dialogues to rate")
    survey = Survey.of(given)
    check_languages(scorings, survey.languages)
    with (place := _RunFolder(out or folder)) as run:
        run.describe(settings=known.describe(RATING))
        keep_dialogues(given, run, sources)
        if people:
            count = keep_people(load_ratings(people), given, run, people)
            tell(Progress(message=f"{count} new ratings by people are kept in {run.named}"))
        if rename:
            rename_raters(scorings, run, tell)
        check_models(models_to_ask(given, scorings, run, known.retry_failed))
        outcome = Outcome(len(given), survey.problems, survey.too_long, by_default=not known.scorer)
        run_scorings(given, scorings, run, outcome, tell, prices, budget, retry=known.retry_failed)
        if not rename:
            outcome.ratings = {name: list(ratings) for name, ratings in outcome.ratings.items()}
        return _finish(run.folder, known, (place, dialogues), out, outcome, tell), outcome


def merge(runs: Sequence[Results | str | Path], out: str | Path) -> Results:
    """Run folders of one protocol as a new one, which keeps what each says of how its dialogues and ratings were made.

    Args:
        runs: Run folders, or results that are in one.
        out: A new folder; it may grow like any run where the runs have one seed.

    Raises:
        EscEvalError: They contradict each other (the message says where), or something is at ``out``.
    """
    from esc_eval.api.merge import merge_runs

    folders = [run.folder if isinstance(run, Results) else Path(run) for run in _several(runs)]
    if None in folders:
        raise EscEvalError("results that are in no run folder are nothing to merge; Results.save keeps them")
    merge_runs([folder for folder in folders if folder], Path(out))
    return Results.load(out)


def report(
    run: Results | str | Path | Sequence[Results | str | Path] | None = None,
    *,
    dialogues: Results | str | Path | Sequence[str | Path] | Sequence[Dialogue] | None = None,
    ratings: Results | str | Path | Sequence[str | Path] | Sequence[GivenRating] | None = None,
    cards: Cards | None = None,
    rubric: str | Path | None = None,
    statistic: Statistic = "level",
    human: str | Path | Sequence[str | Path] = (),
    strategies: str | Path | None = None,
    out: str | Path | None = None,
) -> Results:
    """Dialogues and ratings that are there, with every view of them; no model is asked.

    Args:
        run: A run folder, or results to be shown in another way; several of one protocol are joined.
        dialogues, ratings: Without a run: files or records from anywhere.
        cards: The cards that official dialogues were played on, in their order; as of ``evaluate``.
        rubric: Of the ratings; None = the one that they name.
        statistic: What tables show: mean ``level``, or mean ``expected`` level.
        human: Files of ratings by people of some of the dialogues: adds human means of all of them, with intervals.
        strategies: Name (``esc-strategies``) or folder of a classifier that tells which support strategies replies use;
            None = they are not shown. Ratings may then be left out.
        out: A folder for summary.json, report.md and report.html, and for strategies.csv where strategies are told;
            None = they are not written.

    Raises:
        EscEvalError: Neither a run nor both of the others, something cannot be read, or does not fit together.
    """
    given = dialogues is not None and (ratings is not None or strategies is not None)
    if (run is None) != given or (run is not None and (dialogues or ratings)):
        raise EscEvalError("give a run folder, or both dialogues and ratings")
    if isinstance(run, Results):
        found = run
    elif run is not None:
        several = _several(run)
        found = Results.load(several[0]) if isinstance(run, str | Path) else Results.join(several, rubric)
    else:
        talks, sources = _read_dialogues(dialogues, cards)
        folders = [path.parent if path.name == DIALOGUES else path for path in sources]
        whole = bool(folders) and all((folder / CARD).is_file() for folder in folders)
        making = Results.join(folders, rubric).run if whole else {}
        found = Results(talks, () if ratings is None else _read_ratings(ratings), run=making)
    found = found.shown(rubric, statistic, [Path(path) for path in _several(human)], classifier=strategies)
    if out is not None:
        found.write_report(Path(out))
    return found


def compare(
    runs: Results | str | Path | Sequence[Results | str | Path],
    *,
    rater: str | None = None,
    rubric: str | Path | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    adjust_raters: bool = False,
) -> Report:
    """Supporters of one run or of several side by side, on the cards that they share.

    Args:
        runs: Results, run folders, or several of these, of one protocol.
        rater: Whose ratings, where there are several raters.
        rubric: Of the ratings; None = the one that they name.
        draws, seed: Of the bootstrap.
        adjust_raters: Whether people's severity is taken out of order, ranks and differences.

    Raises:
        EscEvalError: No run, runs that are not of one protocol (the message names the difference), or ratings under
            several scales.
    """
    several = [runs] if isinstance(runs, Results) else _several(runs)
    if not several:
        raise EscEvalError("there is no run to compare")
    return Results.join(several, rubric).compare(rater, draws, seed, adjust_raters)


def _several(given: Any) -> Sequence[Any]:
    if isinstance(given, str | Path):
        return (given,)
    if not isinstance(given, Iterable):
        raise EscEvalError(f"{given!r}: expected results, a path, or a list of paths or records")
    return tuple(given)


def _read_dialogues(given: Any, cards: Cards | None) -> tuple[Sequence[Dialogue], list[Path]]:
    """Dialogues, and the files and run folders that they are from."""
    if isinstance(given, Results):
        there = [given.folder] if given.folder else []
        return (open_dialogues(given.folder) if given.folder else list(given.dialogues)), there
    several = _several(given)
    if all(isinstance(one, Dialogue) for one in several):
        check_unique((one.id for one in several), "dialogue", "the dialogues given")
        return list(several), []
    paths = [Path(path) for path in several]
    return load_dialogues(paths, (several_cards(cards) if cards is not None else ())), paths


def _read_ratings(given: Any) -> list[GivenRating]:
    if isinstance(given, Results):
        return list(given.ratings)
    several = _several(given)
    if all(isinstance(one, GivenRating) for one in several):
        return list(several)
    return load_ratings([Path(path) for path in several])


def _finish(
    folder: Path, settings: Settings, keep: object, out: str | Path | None, outcome: Outcome, tell: OnProgress
) -> Results:
    """The results of a run folder, with the report's files where it was asked for by name.

    Raises:
        Incomplete: Something did not work at all, or with ``strict`` is missing; it holds the results.
    """
    found = Results._open(folder, rubric=settings.rubric, statistic=settings.statistic, keep=keep)
    if out is not None:
        found.write_report(folder)
    for sentence in outcome.gaps_of_ratings:
        tell(Progress(message=sentence))
    outcome.raise_for(found, settings.strict)
    return found


class _RunFolder:
    """The run folder of a call; a temporary one stays where the call fails, else as long as this object.

    Args:
        out: The folder; None = a temporary one.
    """

    def __init__(self, out: str | Path | None) -> None:
        self._temporary = out is None
        if out is not None:
            refuse_foreign(out)
        # a model that is a function of the user's may change the folder that relative paths are of
        self._run = Run(mkdtemp(prefix="esc-eval-") if out is None else Path(out).absolute())
        self._run.named = self._run.folder if out is None else Path(out)

    def __enter__(self) -> Run:
        try:
            return self._run.__enter__()
        except BaseException:
            self._remove_later()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run.__exit__(kind, error, traceback)
        if error is None:
            self._remove_later()
        elif self._temporary:
            folder = str(self._run.folder)
            error.add_note(f"What was finished is in {folder}; the same call with out={folder!r} goes on from there.")

    def _remove_later(self) -> None:
        if self._temporary:
            weakref.finalize(self, shutil.rmtree, self._run.folder, ignore_errors=True)
