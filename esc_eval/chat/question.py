"""What a judge behind a server is asked, and how the answer may be had."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from esc_eval.chat.base import ANSWER_TOKENS, ChatModel, Choice, Conversation
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import Record, Way

By = Literal["auto", Way]
"""How levels are to be had: ``auto`` is the best way that the scorer has."""
Find = Callable[[str], tuple[str, tuple[int, int]] | None]
"""From an answer to the option that it states and the characters that name it; None: it states no single one."""


@dataclass(frozen=True)
class Question:
    """What is asked of every conversation alike.

    Attributes:
        options: The fixed answers.
        find: The rule that reads an answer in words.
        lead: First words of the answer, for a server that goes on from them.
        answer_tokens: Cap on an answer.
        temperature: Of answers that are read as text.
        whole: Whether ``find`` is given all that the model wrote, its thinking included; else what is said aloud.
    """

    options: tuple[str, ...]
    find: Find
    lead: str = ""
    answer_tokens: int = ANSWER_TOKENS
    temperature: float = 0.0
    whole: bool = False

    def shown(self, raw: str) -> str:
        """Of what a model wrote, what ``find`` is given."""
        return raw if self.whole else strip_thinking(raw)


class Settled(Record):
    """How a server's answers are had: found out once, the same for all conversations, a part of a scoring's identity.

    Attributes:
        way: As of a rating.
        field: What of the request asks for it, where servers differ in that. Of ``text``: that log probabilities are
            asked for all the same, which the server did not give at first.
        proven: Whether the server was seen to heed it where nothing else could have led to its answer.
        spaced: Whether a level's token holds the space before it, so that the last space of the lead is left to it.
    """

    way: Way
    field: str | None = None
    proven: bool | None = None
    spaced: bool | None = None

    @property
    def fact(self) -> dict[str, Any]:
        """As JSON, without what is unset."""
        return self.model_dump(exclude_none=True)


@runtime_checkable
class AskedModel(ChatModel, Protocol):
    """A judge whose server gives levels in one way or another, which has to be found out."""

    def settle_way(self, trial: Conversation, question: Question, by: By = "auto") -> Settled:
        """Find out how answers can be had, best way first: a beginning that is continued, a structured choice, a JSON
        schema, log probabilities of a free answer, its text.

        Args:
            trial: A conversation that no filter refuses.
            by: ``auto``; ``logits``: the best way with level probabilities; or one way alone.

        Raises:
            EscEvalError: The server does not answer, or not in the way that was asked for.
        """
        ...

    def ask(
        self, groups: Sequence[Sequence[Conversation]], question: Question, settled: Settled
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; one that came in another way than the settled one says so."""
        ...
