"""What a chat model is: it answers a batch of conversations, and may give the probabilities of fixed answers."""

import copy
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, Message
from esc_eval.reasoning import join_thinking
from esc_eval.schema import FinishReason, Served, Way

Conversation = Sequence[Message]

ESTIMATED = "estimated_"
"""What the name of a count of tokens begins with that no server gave."""
ANSWER_TOKENS = 64
"""Cap on a judge's answer in text, where nothing else is said."""
NOT_FINITE = "the model's logits are not finite"
ALL_REASONING = "the reply was all reasoning, and nothing was said; give it room (--reasoning-tokens)"


@dataclass(frozen=True)
class Reply:
    """A model's answer, word for word, save halves of characters, which no file can hold: they become U+FFFD.

    ``finish_reason`` "context" means that the conversation no longer fits the model, and that ``text`` is empty.

    Attributes:
        problem: Why this is no answer of the model, e.g. logits that are not finite, refused content, an error that
            repeats; ``text`` is empty then, and this conversation alone ends.
        reasoning: What the model thought before it spoke, where it came apart from ``text``. Thinking that stands
            between marks in ``text`` is taken off by ``esc_eval.reasoning``.
        served: Of a model behind a server: what answered, and what it was really asked.
        left_out: Turns of the dialogue that the model was not shown.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    problem: str | None = None
    reasoning: str | None = None
    served: Served | None = None
    left_out: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", replace_surrogates(self.text))
        object.__setattr__(self, "reasoning", self.reasoning and replace_surrogates(self.reasoning))

    @property
    def raw(self) -> str:
        """All that the model emitted: its reasoning between marks, then its text."""
        return join_thinking(self.reasoning, self.text) if self.reasoning else self.text


@dataclass(frozen=True)
class Choice:
    """How probable each of a few fixed answers is to a model.

    Attributes:
        probabilities: Over the options, sums to 1; None where the model could not be asked (see ``problem``).
        mass: What the model gave the options together, before they were made to sum to 1.
        top: The token that the model itself found most probable.
        problem: Why there are no probabilities.
        text, finish_reason: The answer, of a model that could only be asked for text.
        way: How the probabilities, or the text, were had.
        served: Of a model behind a server: what answered, and what it was really asked.
    """

    probabilities: tuple[float, ...] | None = None
    mass: float | None = None
    top: str | None = None
    problem: str | None = None
    text: str | None = None
    finish_reason: FinishReason | None = None
    way: Way | None = None
    served: Served | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.text and replace_surrogates(self.text))


def replace_surrogates(text: str) -> str:
    r"""Text in which halves of characters (lone surrogates) are U+FFFD.

    >>> replace_surrogates("so sad \ud83d"), replace_surrogates("\ud83d\ude22")
    ('so sad \ufffd', '\U0001f622')
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@runtime_checkable
class ChatModel(Protocol):
    """Something that answers conversations. Conversations handed in are never changed.

    Attributes:
        name: Short label for tables.
        identity: All that decides what the model says, as JSON; part of a run's identity. ``"generation": "own"`` says
            that it heeds neither the temperature nor the token cap that it is given.
        parallel: How many conversations it likes to be given at once.
        concurrent: True if several threads may call ``reply`` at the same time.
    """

    name: str
    identity: dict[str, Any]
    parallel: int
    concurrent: bool

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index, reply) for each conversation, as replies are finished.

        Raises:
            EscEvalError: After everything that could be answered was yielded, if something could not.
        """
        ...


@runtime_checkable
class ChoiceModel(ChatModel, Protocol):
    """A chat model whose logits can be had."""

    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield (index, choices) for each group of conversations that share a beginning.

        Args:
            groups: Conversations; those of one group share their beginning, which is encoded once.
            lead: The first words of the answer, put into the model's mouth.
            options: The answers to compare, each one token long after ``lead``.
            answer_tokens: Cap on the answer of a model that cannot be asked without one.
        """
        ...


class Stream(Protocol):
    """Replies of one model, under way side by side; new conversations join whenever they are asked for."""

    @property
    def busy(self) -> int:
        """Replies that are under way or wait."""
        ...

    def ask(self, key: Hashable, conversation: Conversation, settings: Generation, seed: int) -> None:
        """Have a conversation answered.

        Args:
            key: Names the conversation, also when it is asked for again, longer; no reply to it is under way.
            conversation: Never changed.
            settings: Of this reply.
            seed: Of this reply.

        Raises:
            EscEvalError: The conversation is none that the model can be shown.
        """
        ...

    def step(self) -> list[tuple[Hashable, Reply]]:
        """Compute for a short while; the keys and replies that are finished by then. Something must be under way."""
        ...

    def forget(self, key: Hashable) -> None:
        """Make the place of a conversation free for another one."""
        ...


@runtime_checkable
class StreamingModel(ChatModel, Protocol):
    """A chat model that takes conversations one by one, while it answers others."""

    def stream(self, places: int) -> Stream | None:
        """Begin to; None where batches serve it better.

        Args:
            places: Conversations that are known at a time, at most.
        """
        ...


@runtime_checkable
class CountingModel(ChatModel, Protocol):
    """A chat model that counts the tokens of a conversation.

    Attributes:
        context: Tokens that it can read, its reply among them.
    """

    context: int

    def count_tokens(self, conversation: Conversation) -> int:
        """Tokens of a conversation as the model reads it."""
        ...


@runtime_checkable
class AdapterModel(ChatModel, Protocol):
    """A chat model that is another one for each dimension and language."""

    def use(self, dimension: str, language: str) -> None:
        """Answer as the model of a dimension and language from now on."""
        ...


@runtime_checkable
class LanguageModel(ChatModel, Protocol):
    """A chat model that is another one in each language."""

    def reply_in(
        self, language: str, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """As ``reply``, of conversations in one language."""
        ...

    def name_in(self, language: str) -> str:
        """What the one that answers in a language is called in tables."""
        ...


@runtime_checkable
class ComposedModel(LanguageModel, Protocol):
    """A chat model that has another model answer in each language."""

    def model_in(self, language: str) -> ChatModel:
        """The one that answers in a language."""
        ...


def model_by_language(model: ChatModel, language: str) -> ChatModel:
    """The model that answers in a language, where it is one of several; else the model itself."""
    return model.model_in(language) if isinstance(model, ComposedModel) else model


def reply_by_language(
    model: ChatModel,
    languages: Sequence[str],
    conversations: Sequence[Conversation],
    settings: Generation,
    seeds: Sequence[int],
) -> Iterator[tuple[int, Reply]]:
    """Replies of a model to conversations, each in its language; models that tell none apart are asked at once."""
    if not isinstance(model, LanguageModel):
        yield from model.reply(conversations, settings, seeds)
        return
    for language in dict.fromkeys(languages):
        own = [number for number, spoken in enumerate(languages) if spoken == language]
        asked = [conversations[number] for number in own], settings, [seeds[number] for number in own]
        for number, reply in model.reply_in(language, *asked):
            yield own[number], reply


def name_by_language(model: ChatModel, language: str) -> str:
    """What the model that answers in a language is called."""
    return model.name_in(language) if isinstance(model, LanguageModel) else model.name


N = TypeVar("N")


def relabel(model: N, name: str | None) -> N:
    """The same model under another name; None = as it is. The object handed in keeps its own.

    Raises:
        EscEvalError: The object allows no other name.
    """
    if name is None or getattr(model, "name", None) == name:
        return model
    other = copy.copy(model)
    try:
        other.name = name  # type: ignore[attr-defined]
    except AttributeError as error:
        raise EscEvalError(f"{model!r} cannot be called {name!r}: its attribute name cannot be set") from error
    return other
