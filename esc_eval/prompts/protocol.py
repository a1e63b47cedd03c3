"""How a dialogue is played: prompts, opening, rounds and generation settings, read from ``protocols/*.yaml``."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.languages import known_folders
from esc_eval.prompts.state import Ends, EndWords, StateBlock, StateWords, hear_own, word_hidden
from esc_eval.prompts.wording import PROMPTS, Worded, fill_template, list_names, locate_data_file, read_parts
from esc_eval.schema import Role, RoleCard, Turn

Message = dict[Literal["role", "content"], str]


ContextPolicy = Literal["stop", "drop-oldest"]


class Generation(FrozenYaml):
    """Settings of one side's replies.

    Attributes:
        max_new_tokens: Cap on a reply, in the model's tokens.
        temperature: 0 is greedy.
        top_k: 0 is off. Endpoints that know no top_k or repetition_penalty are sent them only if they differ from off.
    """

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    repetition_penalty: float = Field(default=1.0, gt=0)


class Context(FrozenYaml):
    """What is done where a talk grows longer than a side can read.

    Attributes:
        policy: ``drop-oldest`` leaves out whole exchanges, the oldest first; the system prompt, the opening and what
            is answered stay. ``stop`` ends the dialogue.
        budget: Tokens that a conversation and its reply may have together; None = what the model says that it reads.
    """

    policy: ContextPolicy = "drop-oldest"
    budget: int | None = Field(default=None, ge=1)


class ProtocolText(FrozenYaml):
    """One language's prompts. ``{card}`` in the seeker's prompt is the text of the role card.

    Attributes:
        state, ends: How the seeker is asked for its hidden state, and told how to end the talk.
    """

    seeker: str
    opening: str
    supporter: str
    state: StateWords | None = None
    ends: EndWords | None = None


class Protocol(Worded[ProtocolText]):
    """Everything that decides how a dialogue is played, except who plays.

    Attributes:
        rounds: Of every dialogue; where the seeker may end it, at most.
        context: What is done where a talk grows too long; None = a dialogue ends where a model can read no further.
        state: What the seeker is asked to say of itself before it speaks, hidden from the supporter; None = nothing.
        ends: How a dialogue may end before its last round; None = it does not.
    """

    rounds: int = Field(ge=1)
    supporter_sees_opening: bool
    seeker: Generation
    supporter: Generation
    context: Context | None = None
    state: StateBlock | None = None
    ends: Ends | None = None

    @model_validator(mode="after")
    def _is_worded(self) -> Self:
        for language, text in self.texts.items():
            for block, words, name in ((self.state, text.state, "state"), (self.ends, text.ends, "ends")):
                if (block is None) != (words is None):
                    lacks = f"texts.{language} does not word it" if words is None else "the protocol has no such block"
                    raise ValueError(f"texts.{language}.{name}: {lacks}; give both or neither")
            if self.state and text.state:
                self.state.check_words(text.state, language)
            if self.ends and text.ends:
                self.ends.check_words(text.ends, language)
        return self

    def with_system(self, prompt: str) -> "Protocol":
        """The protocol with another system prompt of the supporter, in all its languages."""
        texts = {language: text.model_copy(update={"supporter": prompt}) for language, text in self.texts.items()}
        return self.model_copy(update={"texts": texts, "version": f"{self.version}+system"})

    def word_hidden(self, language: str) -> str:
        """What the seeker is told of its state and of ends, beside its role; empty where there is neither."""
        text = self.text(language)
        return word_hidden(self.state, text.state, self.ends, text.ends)

    def opening(self, card: RoleCard) -> Turn:
        """The supporter's first line, which the protocol says in its name."""
        return Turn(role="supporter", text=self.text(card.language).opening, finish_reason="scripted")

    def conversation(self, card: RoleCard, turns: Sequence[Turn], side: Role, left_out: int = 0) -> list[Message]:
        """The dialogue so far as the chat messages that ``side`` answers.

        Args:
            card: Whom the seeker plays.
            turns: The dialogue so far, opening first.
            side: Who speaks next. Its own turns become the assistant's.
            left_out: Turns after the opening that are not shown; an even number.
        """
        turns = [*turns[:1], *turns[1 + left_out :]]
        text = self.text(card.language)
        if side == "seeker":
            system = fill_template(text.seeker, card=card.text) + self.word_hidden(card.language)
            seen: Sequence[Turn] = [hear_own(turn, self.state) for turn in turns]
        else:
            system, seen = text.supporter, turns if self.supporter_sees_opening else turns[1:]
        messages: list[Message] = [{"role": "system", "content": system}]
        messages += [{"role": "assistant" if t.role == side else "user", "content": t.text} for t in seen]
        return messages


def load_protocol(name: str | Path = "esc-eval") -> Protocol:
    """A shipped protocol by name, or a user's own by the path of its YAML file.

    Raises:
        EscEvalError: Not found, or a key is missing or misspelt.
    """
    return _load(locate_data_file(name, PROMPTS / "protocols"), known_folders())


def list_protocols() -> list[str]:
    """Names of the shipped protocols."""
    return list_names(PROMPTS / "protocols")


@cache
def _load(path: Path, _known: tuple[Path, ...]) -> Protocol:
    try:
        return Protocol.model_validate({"texts": {}, **read_parts(path, "protocol")})
    except ValidationError as error:
        raise EscEvalError(f"{path} and its languages: {explain_validation(error)}") from error
