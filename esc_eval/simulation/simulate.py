"""Role cards x seekers x supporters -> dialogues, turn by turn, each turn durable before the next needs it.

A window of dialogues advances in lock step, as large as the models like their batches; where both models take
requests side by side, every dialogue is a window of its own and many run at once. A reply that is none ends its own
dialogue and no other; a supporter that cannot be asked at all stops its own dialogues.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from esc_eval.chat.base import Conversation, Reply, reply_by_language
from esc_eval.chat.side_by_side import call_side_by_side
from esc_eval.chat.stopping import Interrupted, current_stop
from esc_eval.errors import EscEvalError
from esc_eval.schema import Turn
from esc_eval.simulation.budget import SpentError
from esc_eval.simulation.context import ask_within
from esc_eval.simulation.course import read_reply
from esc_eval.simulation.identity import ATTEMPT, admit_plan, finished_dialogues, keep_ids
from esc_eval.simulation.plan import Failure, Plan, Play
from esc_eval.simulation.replay import is_to_replay, set_aside
from esc_eval.simulation.run import Run


@dataclass(frozen=True)
class Played:
    """How the playing of a plan went.

    Attributes:
        finished: Dialogues that are over in the run, those of earlier calls and those that ended early included.
        problems: Why dialogues of the plan ended early, by their ids.
        too_long: Which others ended early because a model could read no further, and whose, by their ids.
        failed: Supporters that could not be asked any more, and why, by name; their other dialogues wait.
    """

    finished: int
    problems: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, str] = field(default_factory=dict)
    failed: dict[str, EscEvalError] = field(default_factory=dict)


class _SupporterFailed(Exception):
    """A supporter cannot be asked; the cause says why."""


def _ignore(_: object) -> None: ...


def play_plan(
    plan: Plan,
    run: Run,
    on_turn: Callable[[Turn], None] = _ignore,
    on_early_end: Callable[[int], None] = _ignore,
    *,
    retry: bool = False,
    before: Callable[[], None] = lambda: None,
) -> Played:
    """Play every dialogue of a plan, or what a run has not yet, and write ``dialogues.jsonl``.

    Args:
        plan: What to play.
        run: Where; open.
        on_turn: Called after each new turn is durable, possibly from several threads.
        on_early_end: Called where a dialogue ends early, with the number of its turns that will not be played.
        retry: Whether dialogues that ended early are played on, from the reply that was none.
        before: Called once the plan fits the run and before any model is asked.

    Raises:
        EscEvalError: The run holds what contradicts the plan, or the seeker or every supporter failed; all turns
            finished by then are kept.
    """
    keep_ids(plan, run)
    ids = {play.id for play in plan.plays()}
    again = run.owners("problem").keys() & ids if retry else set()
    admit_plan(plan, run, again)
    before()
    if again:
        _forget_failures(again, run)
    models = [*plan.seekers, *plan.supporters]
    together = all(model.concurrent for model in models)
    size = 1 if together else min(model.parallel for model in models)
    workers = min(model.parallel for model in models) if together else 1
    windows = _windows(unfinished_plays(plan, run), size)
    failed: dict[str, EscEvalError] = {}
    dropped: list[str] = []

    def play(window: list[Play]) -> None:
        name = window[0].supporter.name
        if name in failed:
            return
        try:
            _play(window, run, on_turn, on_early_end, dropped)
        except _SupporterFailed as error:
            cause = error.__cause__
            if not isinstance(cause, EscEvalError) or len(plan.supporters) == 1:
                raise cause or error from None
            failed.setdefault(name, cause)

    if workers == 1:
        for window in windows:
            play(window)
    else:
        for _ in call_side_by_side((partial(play, window) for window in windows), workers):
            pass
    if dropped:
        run.export_ratings()
    if failed and len(failed) == len(plan.supporters):
        raise next(iter(failed.values()))
    finished, problems, too_long = 0, {}, {}

    def lines() -> Iterator[str]:
        nonlocal finished
        for dialogue in finished_dialogues(run):
            finished += 1
            if dialogue.id in ids and dialogue.problem:
                problems[dialogue.id] = dialogue.problem
            elif dialogue.id in ids and dialogue.too_long:
                too_long[dialogue.id] = dialogue.too_long
            yield dialogue.to_json()

    run.export("dialogues.jsonl", lines())
    return Played(finished, problems, too_long, failed)


def unfinished_plays(plan: Plan, run: Run) -> Iterator[Play]:
    """The dialogues of a plan that have turns to come, those that are to be played again among them."""
    ended, again = run.owners("problem"), plan.replay_faults
    here = (p for p in plan.plays() if p.id not in ended and (again or run.count("turn", p.id) <= plan.last_position))
    return (play for play in here if not read_play(run, play).over or is_to_replay(play, run))


def read_play(run: Run, play: Play) -> Play:
    """A dialogue as far as a run holds it."""
    play.turns, play.attempt = run.read("turn", play.id, Turn), run.count(ATTEMPT, play.id)
    return play


def read_failure(run: Run, dialogue: str) -> Failure:
    """Why a dialogue ended early."""
    return run.read("problem", dialogue, Failure)[0]


def _forget_failures(dialogues: Iterable[str], run: Run) -> None:
    """Let dialogues that ended early go on, and drop what was said of them as such; what they cost stays."""
    scorings = [kind for kind in run.card if kind.startswith("scoring/")]
    for name in dialogues:
        for line in run.of("problem", name):
            run.add("retried", name, run.count("retried", name), line)
        for kind in scorings:
            run.forget(kind, name)
        run.forget("problem", name)
    run.export_ratings()


def _windows(plays: Iterable[Play], size: int) -> Iterator[list[Play]]:
    """Plays of one supporter and seeker, up to ``size`` at a time."""
    window: list[Play] = []
    for play in plays:
        same = window and window[0].supporter is play.supporter and window[0].seeker is play.seeker
        if window and (len(window) == size or not same):
            yield window
            window = []
        window.append(play)
    if window:
        yield window


def is_ended(run: Run, play: Play) -> bool:
    """Whether a dialogue of which a run holds too few turns has ended early."""
    return bool(run.count("problem", play.id)) or (run.count("turn", play.id) > 0 and read_play(run, play).over)


def _play(
    window: list[Play],
    run: Run,
    on_turn: Callable[[Turn], None],
    on_early_end: Callable[[int], None],
    dropped: list[str],
) -> None:
    """Play the dialogues of a window to their end, in lock step from the shortest on.

    Args:
        dropped: Gets the ids of dialogues whose ratings were dropped, because they are played again.
    """

    def begin(play: Play) -> None:
        if is_to_replay(play, run):
            on_early_end(1 - len(play.turns))
            dropped.extend([play.id] if set_aside(play, run) else [])
        if not play.turns:
            _append(play, play.plan.protocol.opening(play.card), run)

    for play in window:
        begin(read_play(run, play))
    while unfinished := [play for play in window if not play.over]:
        if current_stop().asked:
            raise Interrupted("stopped")
        position = min(len(play.turns) for play in unfinished)
        batch = [play for play in unfinished if len(play.turns) == position]
        side, seeds = batch[0].side, [play.next_seed for play in batch]
        for index, reply in _ask(batch, seeds):
            turn = read_reply(batch[index], side, reply, seeds[index])
            if isinstance(turn, Failure):
                run.add("problem", batch[index].id, 0, turn.to_json())
                batch[index].failure = turn
                on_early_end(_left(batch[index]))
                continue
            _append(batch[index], turn, run)
            on_turn(turn)
            if side == "seeker":
                begin(batch[index])
            if batch[index].over and (left := _left(batch[index])):
                on_early_end(left)


def _left(play: Play) -> int:
    return play.plan.last_position + 1 - len(play.turns)


def _ask(batch: list[Play], seeds: list[int]) -> Iterator[tuple[int, Reply]]:
    """The next replies of dialogues of the same two models in which the same side speaks.

    Raises:
        EscEvalError: Of a seeker that cannot be asked, or of what concerns everybody.
        _SupporterFailed: From what a supporter raised.
    """
    plan, side = batch[0].plan, batch[0].side
    model = batch[0].seeker if side == "seeker" else batch[0].supporter
    settings = plan.protocol.seeker if side == "seeker" else plan.supporter_settings(model)

    def send(places: Sequence[int], conversations: Sequence[Conversation]) -> Iterator[tuple[int, Reply]]:
        chosen = [seeds[place] for place in places]
        if side == "seeker":
            languages = [batch[place].card.language for place in places]
            replies = reply_by_language(model, languages, conversations, settings, chosen)
        else:
            replies = model.reply(conversations, settings, chosen)
        return ((places[number], reply) for number, reply in replies)

    replies = ask_within(batch, model, settings, send)
    if side == "seeker":
        yield from replies
        return
    try:
        yield from replies
    except (Interrupted, SpentError):
        raise
    except EscEvalError as error:
        raise _SupporterFailed from error


def _append(play: Play, turn: Turn, run: Run) -> None:
    run.add("turn", play.id, len(play.turns), turn.to_json())
    play.turns.append(turn)
