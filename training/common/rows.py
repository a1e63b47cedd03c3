"""Chat messages as training rows: tokens, and labels on the assistant's own words only."""

from dataclasses import dataclass
from typing import Literal

from esc_eval.chat.base import Conversation
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import EscEvalError

IGNORED = -100
"""Label of a token that no loss falls on, as torch and transformers have it."""


@dataclass(frozen=True)
class Row:
    """One sequence to learn from.

    Attributes:
        ids: Tokens, shape (length,).
        labels: The token itself where the loss falls on it, else -100; shape (length,).
        origin: Id of what the row was made from.
        source: Data set that it comes from.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    origin: str
    source: str

    @property
    def learnt(self) -> int:
        """Tokens that the loss falls on."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Made:
    """Rows, and how many of the assistant's messages were too far into a conversation to fit."""

    rows: tuple[Row, ...]
    left_out: int


def end_of_turn(encoder: Encoder) -> int:
    """The token that ends a model's answer.

    Raises:
        EscEvalError: The tokenizer names none.
    """
    token = encoder.tokenizer.eos_token_id
    if token is None:
        raise EscEvalError(f"{encoder.name}: its tokenizer names no end-of-text token, so no answer would ever end")
    return int(token)


def make_rows(
    encoder: Encoder,
    messages: Conversation,
    max_length: int,
    per: Literal["turn", "dialogue"],
    origin: str,
    source: str,
) -> Made:
    """Rows of one conversation.

    The tokens of a prompt are those that the model sees when it plays: ``Encoder.encode`` of all before the answer.
    A row of several answers continues its prompt token for token; where a chat template does not allow that (it
    rewrites what went before), a new row begins.

    Args:
        messages: From the model's own side: its words are the assistant's.
        max_length: Of a row, in tokens.
        per: One row for each answer, or as few as hold all of them.
    """
    end = end_of_turn(encoder)
    done: list[tuple[list[int], list[int]]] = []
    left_out = 0
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = encoder.encode(messages[:number])
        spoken = encoder.answer_start + encoder.defuse(message["content"])  # it is no part of the model's thinking
        answer = encoder.tokenizer(spoken, add_special_tokens=False)["input_ids"]
        whole = [*prompt, *answer, end]
        if len(whole) > max_length:
            left_out += 1
            continue
        labels = [IGNORED] * len(prompt) + [*answer, end]
        if per == "dialogue" and done and whole[: len(done[-1][0])] == done[-1][0]:
            before = done.pop()[1]
            labels = before + labels[len(before) :]
        done.append((whole, labels))
    return Made(tuple(Row(tuple(ids), tuple(labels), origin, source) for ids, labels in done), left_out)
