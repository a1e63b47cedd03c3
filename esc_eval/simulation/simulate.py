"""Role cards x seeker x supporters -> dialogues, turn by turn, each turn durable before the next needs it.

A window of dialogues advances in lock step, as large as the models like their batches; where both models take
requests side by side, every dialogue is a window of its own and many run at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from esc_eval import __version__
from esc_eval.chat.base import ChatModel, Reply
from esc_eval.environment import describe_environment
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Protocol
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import Dialogue, Role, RoleCard, Turn, digest, find_duplicates
from esc_eval.simulation.run import Run

STEP = "simulation"


@dataclass(frozen=True)
class Plan:
    """Everything that decides the dialogues of a run.

    Attributes:
        supporters: The models under test; every card is played with each.
        seed: Of all sampling; each turn's own seed is drawn from it, the card and the turn's position, so that all
            supporters meet the same luck.
        speaks: Languages of a supporter, by name, where it is not to be played in all.
    """

    protocol: Protocol
    cards: Sequence[RoleCard]
    seeker: ChatModel
    supporters: Sequence[ChatModel]
    seed: int = 0
    speaks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if twice := find_duplicates(model.name for model in self.supporters):
            raise EscEvalError(f"two supporters are called {twice[0]!r}; give one a label: NAME={twice[0]}")
        for language in {card.language for card in self.cards}:
            self.protocol.text(language)

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must share."""
        return {
            "esc_eval": __version__,
            "protocol": {"id": self.protocol.id, "sha256": self.protocol.sha256, "rounds": self.protocol.rounds},
            "generation": {
                "seeker": self.protocol.seeker.model_dump(),
                "supporter": self.protocol.supporter.model_dump(),
            },
            "cards": {"n": len(self.cards), "sha256": digest(list(self.cards))},
            "seeker": self.seeker.identity,
            "supporters": {model.name: model.identity for model in self.supporters},
            "seed": self.seed,
        }

    @property
    def last_position(self) -> int:
        """Position of the last turn; the opening is 0."""
        return 2 * self.protocol.rounds

    def plays(self) -> Iterator["Play"]:
        """Every dialogue of the plan, supporter by supporter."""
        return (
            Play(self, card, supporter)
            for supporter in self.supporters
            for card in self.cards
            if card.language in self.speaks.get(supporter.name, (card.language,))
        )


@dataclass
class Play:
    """One dialogue while it is played."""

    plan: Plan
    card: RoleCard
    supporter: ChatModel
    turns: list[Turn] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Id of the dialogue: supporter and card."""
        return f"{self.supporter.name}:{self.card.id}"

    @property
    def over(self) -> bool:
        """Whether the dialogue has all its turns, or one side can read no further."""
        return len(self.turns) > self.plan.last_position or self.turns[-1].finish_reason == "context"

    @property
    def side(self) -> Role:
        """Who speaks next."""
        return "seeker" if self.turns[-1].role == "supporter" else "supporter"

    @property
    def next_seed(self) -> int:
        """Seed of the next turn."""
        return turn_seed(self.plan.seed, self.card.id, len(self.turns))

    def dialogue(self) -> Dialogue:
        """The dialogue as it stands."""
        return Dialogue(
            id=self.id,
            language=self.card.language,
            turns=tuple(self.turns),
            card_id=self.card.id,
            category=self.card.category,
            supporter=self.supporter.name,
            seeker=self.plan.seeker.name,
            protocol=self.plan.protocol.id,
        )


def turn_seed(seed: int, card_id: str, position: int) -> int:
    """Seed of one turn's sampling, 0 .. 2**63 - 1."""
    return int.from_bytes(sha256(f"{seed}|{card_id}|{position}".encode()).digest()[:8]) >> 1


def turn_from_reply(role: Role, reply: Reply, seed: int) -> Turn:
    """A turn from a model's reply; reasoning between ``<think>`` marks is kept aside, not spoken."""
    text = strip_thinking(reply.text)
    return Turn(
        role=role,
        text=text,
        raw=None if text == reply.text else reply.text,
        finish_reason=reply.finish_reason,
        seed=seed,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )


def play_plan(plan: Plan, run: Run, on_turn: Callable[[Turn], None] = lambda _: None) -> int:
    """Play every dialogue of a plan, or what a run has not yet, and write ``dialogues.jsonl``.

    Args:
        plan: What to play.
        run: Where; open.
        on_turn: Called after each new turn is durable, possibly from several threads.

    Returns:
        Number of dialogues.

    Raises:
        EscEvalError: The run has another identity, or a model failed; all turns finished by then are kept.
    """
    run.claim(STEP, plan.identity, describe_environment())
    models = [plan.seeker, *plan.supporters]
    together = all(model.concurrent for model in models)
    size = 1 if together else min(model.parallel for model in models)
    workers = min(model.parallel for model in models) if together else 1
    windows = _windows((p for p in plan.plays() if run.count("turn", p.id) <= plan.last_position), size)

    if workers == 1:
        for window in windows:
            _play(window, run, on_turn)
    else:
        _play_side_by_side(windows, workers, run, on_turn)
    return _export(plan, run)


def _windows(plays: Iterable[Play], size: int) -> Iterator[list[Play]]:
    """Plays of one supporter, up to ``size`` at a time."""
    window: list[Play] = []
    for play in plays:
        if window and (len(window) == size or window[0].supporter is not play.supporter):
            yield window
            window = []
        window.append(play)
    if window:
        yield window


def _play_side_by_side(windows: Iterator[list[Play]], workers: int, run: Run, on_turn: Callable[[Turn], None]) -> None:
    with ThreadPoolExecutor(workers) as pool:
        pending: set[Future[None]] = set()
        try:
            for window in windows:
                pending.add(pool.submit(_play, window, run, on_turn))
                if len(pending) >= 2 * workers:  # what waits is few, however many cards there are
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        finally:
            for future in pending:
                future.cancel()


def _play(window: list[Play], run: Run, on_turn: Callable[[Turn], None]) -> None:
    """Play the dialogues of a window to their end, in lock step from the shortest on."""
    for play in window:
        play.turns = [Turn.model_validate_json(line) for line in run.of("turn", play.id)]
        if not play.turns:
            _append(play, play.plan.protocol.opening(play.card), run)
    while unfinished := [play for play in window if not play.over]:
        position = min(len(play.turns) for play in unfinished)
        batch = [play for play in unfinished if len(play.turns) == position]
        plan, side = batch[0].plan, batch[0].side
        model, settings = (
            (plan.seeker, plan.protocol.seeker) if side == "seeker" else (batch[0].supporter, plan.protocol.supporter)
        )
        conversations = [plan.protocol.conversation(play.card, play.turns, side) for play in batch]
        seeds = [play.next_seed for play in batch]
        problems = set()
        for index, reply in model.reply(conversations, settings, seeds):
            if reply.problem:
                problems.add(reply.problem)
                continue
            turn = turn_from_reply(side, reply, seeds[index])
            _append(batch[index], turn, run)
            on_turn(turn)
        if problems:
            raise EscEvalError(
                f"{model.name}: {', '.join(problems)}; its weights are damaged, or too large for the dtype (--dtype)"
            )


def _append(play: Play, turn: Turn, run: Run) -> None:
    run.add("turn", play.id, len(play.turns), turn.to_json())
    play.turns.append(turn)


def _export(plan: Plan, run: Run) -> int:
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        for play in plan.plays():
            play.turns = [Turn.model_validate_json(line) for line in run.of("turn", play.id)]
            count += 1
            yield play.dialogue().to_json()

    run.export("dialogues.jsonl", lines())
    return count
