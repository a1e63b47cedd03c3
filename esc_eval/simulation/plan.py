"""What is to be played: cards x seekers x supporters under a protocol, and one dialogue of them while it is played."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from esc_eval.chat.base import ChatModel, Reply, name_by_language
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, Protocol
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import FinishReason, Record, Role, RoleCard, Served, Turn, find_duplicates


@dataclass(frozen=True)
class Plan:
    """Everything that decides the dialogues of a run.

    Attributes:
        seeker: Who plays the cards.
        supporters: The models under test; every card is played with each.
        seed: Of all sampling; each turn's own seed is drawn from it, the card and the turn's position, so that all
            supporters meet the same luck.
        repeats: How often each card is played with each supporter. The first time has ``seed``, the second the seed
            after it, and so on: each is the dialogue that a run of that seed would have.
        speaks: Languages of a supporter, by name, where it is not to be played in all.
        replay_faults: How often a dialogue whose seeker is at fault is played again, each time with another seed; no
            part of what dialogues are made of, as a run may take more later.
        own_settings: Whether supporters sample as they were released to, save for the protocol's cap on a reply.
        notes: What to know of the models, a sentence each.
        ids: Of dialogues by supporter, card, repetition and seeker, where a run has them under another id.
        other_seekers: Further seekers; every card is played by each, under the same seeds.
        tagged: Of seekers of a run, by name, whether the ids of their dialogues name them.
    """

    protocol: Protocol
    cards: Sequence[RoleCard]
    seeker: ChatModel
    supporters: Sequence[ChatModel]
    seed: int = 0
    speaks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ids: dict[tuple[str, str, int, str], str] = field(default_factory=dict, compare=False)
    repeats: int = 1
    own_settings: bool = False
    replay_faults: int = 0
    notes: Sequence[str] = field(default=(), compare=False)
    other_seekers: Sequence[ChatModel] = ()
    tagged: dict[str, bool] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if twice := find_duplicates(model.name for model in self.supporters):
            raise EscEvalError(f"two supporters are called {twice[0]!r}; give one a label: NAME={twice[0]}")
        for language in {card.language for card in self.cards}:
            self.protocol.text(language)
            if twice := find_duplicates(name_by_language(model, language) for model in self.seekers):
                raise EscEvalError(f"two seekers are called {twice[0]!r}; give one a label: NAME={twice[0]}")
        for model in self.supporters if self.own_settings else ():
            if not isinstance(getattr(model, "settings", None), Generation):
                raise EscEvalError(
                    f"{model.name} names no settings of its own, as models in this process do. What a server's model "
                    'samples with where it is not told: --extra-body \'{"temperature": null, "top_p": null}\''
                )

    @property
    def seekers(self) -> tuple[ChatModel, ...]:
        """Everybody who plays the cards."""
        return (self.seeker, *self.other_seekers)

    def models_of(self, side: Role) -> Sequence[ChatModel]:
        """All models that speak on a side."""
        return self.seekers if side == "seeker" else self.supporters

    def supporter_settings(self, supporter: ChatModel) -> Generation:
        """How a supporter's replies are sampled."""
        if not self.own_settings:
            return self.protocol.supporter
        own: Generation = supporter.settings  # type: ignore[attr-defined]
        return own.model_copy(update={"max_new_tokens": self.protocol.supporter.max_new_tokens})

    @property
    def supporter_identities(self) -> dict[str, dict[str, Any]]:
        """Identities by name, with the settings where they are a supporter's own."""
        return {
            model.name: {
                **model.identity,
                **({"own_settings": self.supporter_settings(model).model_dump()} if self.own_settings else {}),
            }
            for model in self.supporters
        }

    @property
    def last_position(self) -> int:
        """Position of the last turn; the opening is 0."""
        return 2 * self.protocol.rounds

    def plays(self) -> Iterator["Play"]:
        """Every dialogue of the plan, supporter by supporter, all cards by all seekers before any is played again."""
        return (
            Play(self, card, supporter, repetition=repetition, played_by=seeker)
            for supporter in self.supporters
            for repetition in range(1, self.repeats + 1)
            for seeker in self.seekers
            for card in self.cards_of(supporter.name)
        )

    def dialogue_id(self, supporter: str, card: str, repetition: int = 1, seeker: str | None = None) -> str:
        """Id of the dialogue of a supporter, by name, about a card, by id.

        It names the seeker where a plan, or the run that it is played in, has several; a run keeps the ids that it has.

        Args:
            seeker: Who plays the card, by name; None = the first.
        """
        name = self.seeker.name if seeker is None else seeker
        if known := self.ids.get((supporter, card, repetition, name)):
            return known
        tagged = self.tagged.get(name, len(self.seekers) > 1 or bool(self.tagged))
        return dialogue_id(supporter, card, repetition, name if tagged else None)

    def seed_of(self, repetition: int) -> int:
        """Seed of a repetition, counted from 1."""
        return self.seed + repetition - 1

    def cards_of(self, supporter: str) -> list[RoleCard]:
        """The cards that are played with a supporter, named: those in its languages."""
        return [card for card in self.cards if card.language in self.speaks.get(supporter, (card.language,))]


class Failure(Record):
    """Why a dialogue ended early: the reply that was none, as the ledger keeps it.

    Attributes:
        role: Whose turn it was.
        problem: Why there is no turn.
        raw: What the model emitted all the same, such as its reasoning.
        finish_reason, prompt_tokens, completion_tokens, served: As of a turn.
    """

    role: Role
    problem: str
    raw: str | None = None
    finish_reason: FinishReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    served: Served | None = None


@dataclass
class Play:
    """One dialogue while it is played.

    Attributes:
        attempt: How often it was set aside and begun anew.
    """

    plan: Plan
    card: RoleCard
    supporter: ChatModel
    turns: list[Turn] = field(default_factory=list)
    failure: "Failure | None" = None
    repetition: int = 1
    played_by: ChatModel | None = None

    @property
    def seeker(self) -> ChatModel:
        """Who plays the card."""
        return self.played_by or self.plan.seeker

    attempt: int = 0

    @property
    def id(self) -> str:
        """Id of the dialogue."""
        return self.plan.dialogue_id(self.supporter.name, self.card.id, self.repetition, self.seeker.name)

    @property
    def over(self) -> bool:
        """Whether the dialogue came to its end, or ended early."""
        return self.failure is not None or bool(self.turns and is_over(self.turns, self.plan.protocol.rounds))

    @property
    def side(self) -> Role:
        """Who speaks next."""
        return "seeker" if self.turns[-1].role == "supporter" else "supporter"

    @property
    def seed(self) -> int:
        """From which the seeds of its turns are drawn: the run's, or where it is played again, one drawn from that."""
        seed = self.plan.seed_of(self.repetition)
        return turn_seed(seed, f"{self.card.id}|attempt", self.attempt) if self.attempt else seed

    @property
    def next_seed(self) -> int:
        """Seed of the next turn."""
        return turn_seed(self.seed, self.card.id, len(self.turns))


def dialogue_id(supporter: str, card: str, repetition: int = 1, seeker: str | None = None) -> str:
    """Id of a dialogue: what stands after the last colon is the card, then the seeker where it is one of several, and
    from the second time on the repetition, so that no two dialogues share one.

    >>> dialogue_id("qwen2:7b", "1"), dialogue_id("qwen2", "7b:1"), dialogue_id("qwen2", "1", 2)
    ('qwen2:7b:1', 'qwen2:7b%3A1', 'qwen2:1#2')
    >>> dialogue_id("qwen2", "1", 2, "terse")
    'qwen2:1#by-terse#2'
    """
    by = f"{SEEKER_MARK}{_escape(seeker)}" if seeker is not None else ""
    return f"{supporter}:{_escape(card)}{by}" + (f"#{repetition}" if repetition > 1 else "")


SEEKER_MARK = "#by-"
"""Stands in an id before the seeker; in cards ``#`` is escaped."""


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace(":", "%3A").replace("#", "%23")


def seeker_in(dialogue: str) -> str | None:
    """The seeker that the id of a dialogue names, as it is written there; None where it names none.

    >>> seeker_in("qwen2:1#by-terse#2"), seeker_in("qwen2:1#2")
    ('terse', None)
    """
    found = re.search(rf"{SEEKER_MARK}([^:#]*)(#\d+)?$", dialogue)
    return found[1] if found else None


def repetition_of(dialogue: str) -> int:
    """Which repetition a dialogue is, counted from 1, by its id.

    >>> repetition_of("qwen2:1"), repetition_of("qwen2:1#12")
    (1, 12)
    """
    found = re.search(r"#(\d+)$", dialogue)
    return int(found[1]) if found else 1


def is_over(turns: Sequence[Turn], rounds: int) -> bool:
    """Whether a dialogue that has begun has all its turns, or was ended, or one side can read no further."""
    return len(turns) > 2 * rounds or turns[-1].finish_reason == "context" or turns[-1].end is not None


def turn_seed(seed: int, card_id: str, position: int) -> int:
    """Seed of one turn's sampling, 0 .. 2**63 - 1."""
    return int.from_bytes(sha256(f"{seed}|{card_id}|{position}".encode()).digest()[:8]) >> 1


ALL_REASONING = "the reply was all reasoning, nothing was said"
FILTERED = "the content filter let nothing of the reply through"


def find_failure(role: Role, reply: Reply) -> Failure | None:
    """Why a reply is no turn; None where it is one.

    A reply of no word is one, unless something else stood in its place.
    """
    problem, said = reply.problem, strip_thinking(reply.text).strip()
    if problem is None and not said and reply.finish_reason != "context":
        if reply.text.strip() or (reply.reasoning or "").strip():
            problem = ALL_REASONING
        elif reply.finish_reason == "content_filter":
            problem = FILTERED
    return None if problem is None else failure_from_reply(role, reply, problem)


def failure_from_reply(role: Role, reply: Reply, problem: str) -> Failure:
    """A reply that is no turn, with why it is none."""
    return Failure(
        role=role,
        problem=problem,
        raw=reply.reasoning or reply.text or None,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        served=reply.served,
    )


def turn_from_reply(role: Role, reply: Reply, seed: int) -> Turn:
    """A turn from a model's reply; what it thought is kept aside in ``raw``, not spoken.

    A seed that the server did not take is none.
    """
    text = strip_thinking(reply.text)
    adapted = (reply.served and reply.served.adapted) or {}
    return Turn(
        role=role,
        text=text,
        raw=None if text == reply.raw else reply.raw,
        finish_reason=reply.finish_reason,
        seed=None if "seed" in adapted else seed,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        served=reply.served,
        left_out=reply.left_out or None,
    )
