"""Role cards x seekers x supporters -> dialogues, turn by turn, each turn durable before the next needs it.

A window of dialogues advances in lock step, as large as the models like their batches. Where both models take
conversations one by one, dialogues go on as soon as they are answered, and one that ends makes room for the next; where
both take requests side by side, every dialogue is a window of its own and many run at once. A reply that is none ends
its own dialogue and no other; a model that cannot be asked at all stops its own dialogues, where there are others of
its side.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby, islice
from typing import Any

from esc_eval.chat.base import (
    ChatModel,
    Conversation,
    Reply,
    Stream,
    StreamingModel,
    model_by_language,
    reply_by_language,
)
from esc_eval.chat.side_by_side import call_side_by_side
from esc_eval.chat.stopping import Interrupted, current_stop
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import Role, Turn
from esc_eval.simulation.budget import SpentError
from esc_eval.simulation.context import Asking, ask_within
from esc_eval.simulation.course import read_reply
from esc_eval.simulation.identity import ATTEMPT, admit_plan, finished_dialogues, keep_ids
from esc_eval.simulation.plan import Failure, Plan, Play
from esc_eval.simulation.replay import is_to_replay, set_aside
from esc_eval.simulation.run import Run

SIDES: tuple[Role, ...] = ("seeker", "supporter")


@dataclass(frozen=True)
class Played:
    """How the playing of a plan went.

    Attributes:
        finished: Dialogues that are over in the run, those of earlier calls and those that ended early included.
        problems: Why dialogues of the plan ended early, by their ids.
        too_long: Which others ended early because a model could read no further, and whose, by their ids.
        failed, failed_seekers: Supporters and seekers that could not be asked any more, and why, by name; their other
            dialogues wait.
    """

    finished: int
    problems: dict[str, str] = field(default_factory=dict)
    too_long: dict[str, str] = field(default_factory=dict)
    failed: dict[str, EscEvalError] = field(default_factory=dict)
    failed_seekers: dict[str, EscEvalError] = field(default_factory=dict)


class _ModelFailed(Exception):
    """The model of a side cannot be asked; the cause says why."""

    def __init__(self, side: Role) -> None:
        self.side = side


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
        EscEvalError: The run holds what contradicts the plan, or every seeker or every supporter failed; all turns
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
    failed: dict[Role, dict[str, EscEvalError]] = {side: {} for side in SIDES}
    table = _Table(run, on_turn, on_early_end, [])

    def play(window: list[Play]) -> None:
        guard(window[0].seeker, window[0].supporter, partial(_play_in_step, window, table))

    def guard(seeker: ChatModel, supporter: ChatModel, work: Callable[[], None]) -> None:
        names: dict[Role, str] = {"seeker": seeker.name, "supporter": supporter.name}
        if any(names[side] in failed[side] for side in SIDES):
            return
        try:
            work()
        except _ModelFailed as error:
            cause, alone = error.__cause__, len(plan.models_of(error.side)) == 1
            if not isinstance(cause, EscEvalError) or alone:
                raise cause or error from None
            failed[error.side].setdefault(names[error.side], cause)

    plays = unfinished_plays(plan, run)
    if workers > 1:
        for _ in call_side_by_side((partial(play, window) for window in _windows(plays, size)), workers):
            pass
    else:
        known = {id(model): model for model in models}
        for pair, own in groupby(plays, key=lambda play: (id(play.supporter), id(play.seeker))):
            supporter, seeker = (known[number] for number in pair)
            first = list(islice(own, size))
            own = chain(first, own)
            if streams := None if together else _open_streams(plan, seeker, supporter, len(first)):
                guard(seeker, supporter, partial(_Flow(len(first), streams, table).play, own))
            else:
                for window in _windows(own, size):
                    play(window)
    if table.dropped:
        run.export_ratings()
    for side, causes in failed.items():
        if len(causes) == len(plan.models_of(side)):
            raise next(iter(causes.values()))
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
    return Played(finished, problems, too_long, failed["supporter"], failed["seeker"])


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


@dataclass
class _Table:
    """Where dialogues of one seeker and one supporter are played: what becomes of a reply, and who is told.

    Attributes:
        dropped: Gets the ids of dialogues whose ratings were dropped, because they are played again.
    """

    run: Run
    on_turn: Callable[[Turn], None]
    on_early_end: Callable[[int], None]
    dropped: list[str]

    def begin(self, play: Play) -> None:
        """Set a dialogue aside that is to be played again, and open one that has no turn."""
        if is_to_replay(play, self.run):
            self.on_early_end(1 - len(play.turns))
            self.dropped.extend([play.id] if set_aside(play, self.run) else [])
        if not play.turns:
            self._append(play, play.plan.protocol.opening(play.card))

    def take(self, play: Play, reply: Reply, seed: int) -> None:
        """Make the next turn of a dialogue of a reply, or end it."""
        side = play.side
        turn = read_reply(play, side, reply, seed)
        if isinstance(turn, Failure):
            self.run.add("problem", play.id, 0, turn.to_json())
            play.failure = turn
            self.on_early_end(_left(play))
            return
        self._append(play, turn)
        self.on_turn(turn)
        if side == "seeker":
            self.begin(play)
        if play.over and (left := _left(play)):
            self.on_early_end(left)

    def _append(self, play: Play, turn: Turn) -> None:
        self.run.add("turn", play.id, len(play.turns), turn.to_json())
        play.turns.append(turn)


def _play_in_step(window: list[Play], table: _Table) -> None:
    """Play the dialogues of a window to their end, in lock step from the shortest on."""
    for play in window:
        table.begin(read_play(table.run, play))
    while unfinished := [play for play in window if not play.over]:
        _obey()
        position = min(len(play.turns) for play in unfinished)
        batch = [play for play in unfinished if len(play.turns) == position]
        seeds = [play.next_seed for play in batch]
        for index, reply in _ask(batch, seeds):
            table.take(batch[index], reply, seeds[index])


def _obey() -> None:
    if current_stop().asked:
        raise Interrupted("stopped")


def _left(play: Play) -> int:
    return play.plan.last_position + 1 - len(play.turns)


def _next_speaker(play: Play) -> tuple[ChatModel, Generation]:
    """Who speaks next, and the settings of its reply."""
    if play.side == "seeker":
        return play.seeker, play.plan.protocol.seeker
    return play.supporter, play.plan.supporter_settings(play.supporter)


@contextmanager
def _blaming(side: Role) -> Iterator[None]:
    """What a model of a side raises stops its own dialogues alone.

    Raises:
        _ModelFailed: From it.
    """
    try:
        yield
    except (Interrupted, SpentError):
        raise
    except EscEvalError as error:
        raise _ModelFailed(side) from error


def _ask(batch: list[Play], seeds: list[int]) -> Iterator[tuple[int, Reply]]:
    """The next replies of dialogues of the same two models in which the same side speaks.

    Raises:
        EscEvalError: Of what concerns everybody.
        _ModelFailed: From what a model raised.
    """
    side, (model, settings) = batch[0].side, _next_speaker(batch[0])
    asked = [ask_within(play, model, settings) for play in batch]
    waiting: dict[int, Conversation] = {}

    def go_on(place: int, reply: Reply | None) -> Iterator[tuple[int, Reply]]:
        try:
            waiting[place] = asked[place].send(reply) if reply else next(asked[place])
        except StopIteration as stop:
            yield place, stop.value

    with _blaming(side):
        for place in range(len(batch)):
            yield from go_on(place, None)
        while waiting:
            places = sorted(waiting)
            conversations = [waiting.pop(place) for place in places]
            chosen = [seeds[place] for place in places]
            if side == "seeker":
                languages = [batch[place].card.language for place in places]
                replies = reply_by_language(model, languages, conversations, settings, chosen)
            else:
                replies = model.reply(conversations, settings, chosen)
            for number, reply in replies:
                yield from go_on(places[number], reply)


class _Flow:
    """Dialogues of one seeker and one supporter, each of which goes on as soon as it is answered.

    Args:
        size: Dialogues under way at a time.
        streams: Of each model that speaks, by its id.
    """

    def __init__(self, size: int, streams: dict[int, Stream], table: _Table) -> None:
        self.size, self.streams, self.table = size, streams, table
        self.stream: Stream | None = None
        self.changed = True  # whether the last step gave replies
        self.asked: dict[tuple[str, Role], tuple[Play, int, Asking]] = {}

    def play(self, plays: Iterator[Play]) -> None:
        """Play them; one that ends makes room for the next."""
        while True:
            while len(self.asked) < self.size and (play := next(plays, None)):
                self.table.begin(read_play(self.table.run, play))
                self._go_on(play)
            if not self.asked:
                return
            _obey()
            heard = self._choose().step()
            for key, reply in heard:
                self._hear(key, reply)
            self.changed = bool(heard)

    def _choose(self) -> Stream:
        """The stream to compute with: a few long replies of one side do not keep the other waiting."""
        others = [stream for stream in self.streams.values() if stream is not self.stream]
        most = max(others, key=lambda stream: stream.busy, default=None)
        now = self.stream.busy if self.stream else 0
        if most and (self.stream is None or (self.changed and most.busy >= max(1, now + now // 2))):
            self.stream = most
        assert self.stream is not None  # noqa: S101
        return self.stream

    def _go_on(self, play: Play) -> None:
        """Ask who speaks next."""
        while not play.over:
            side, seed, (model, settings) = play.side, play.next_seed, _next_speaker(play)
            with _blaming(side):
                asked = ask_within(play, model, settings)
                try:
                    conversation = next(asked)
                except StopIteration as stop:
                    reply = stop.value
                else:
                    self._ask(play, side, seed, asked, conversation)
                    return
            self.table.take(play, reply, seed)
        for side in SIDES:
            self._stream(play, side).forget((play.id, side))

    def _ask(self, play: Play, side: Role, seed: int, asked: Asking, conversation: Conversation) -> None:
        self.asked[play.id, side] = play, seed, asked
        self._stream(play, side).ask((play.id, side), conversation, _next_speaker(play)[1], seed)

    def _hear(self, key: Any, reply: Reply) -> None:
        play, seed, asked = self.asked.pop(key)
        try:
            conversation = asked.send(reply)
        except StopIteration as stop:
            self.table.take(play, stop.value, seed)
            self._go_on(play)
        else:
            with _blaming(key[1]):
                self._ask(play, key[1], seed, asked, conversation)

    def _stream(self, play: Play, side: Role) -> Stream:
        model = model_by_language(play.seeker, play.card.language) if side == "seeker" else play.supporter
        return self.streams[id(model)]


def _open_streams(plan: Plan, seeker: ChatModel, supporter: ChatModel, size: int) -> dict[int, Stream] | None:
    """A stream of each model that speaks, by its id; None where one of them takes batches only."""
    languages = dict.fromkeys(card.language for card in plan.cards_of(supporter.name))
    speaking = [model_by_language(seeker, language) for language in languages]
    speaking = [*{id(model): model for model in speaking}.values(), supporter]
    streams: dict[int, Stream] = {}
    for model in speaking:
        if not isinstance(model, StreamingModel):
            return None
        if id(model) not in streams:
            stream = model.stream(size * sum(other is model for other in speaking))
            if stream is None:
                return None
            streams[id(model)] = stream
    return streams
