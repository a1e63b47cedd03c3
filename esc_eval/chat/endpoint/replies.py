"""Chat completions taken apart: what was spoken, what was thought, why it ended, what it took."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esc_eval.chat.base import Choice, Reply
from esc_eval.chat.endpoint.bodies import read_count
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import FinishReason

CUT = frozenset({"length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded"})
FILTERED = re.compile(
    r"filter|safety|sensitive|prohibited|block|recitation|spii|guardrail|moderat|flagged|toxic|polic(y|ies)|refus"
)
"""In a reason for which an answer ended, in small letters: it is none, or not the model's own words."""
REFUSED = "refusal"
SENSITIVE = ("input_sensitive", "output_sensitive")
"""Fields of a completion (MiniMax) that are true where it was filtered."""
FAILED = frozenset({"error", "network_error"})
THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields beside ``content`` in which servers put what a model thought."""
THINKING_PARTS = frozenset({"thinking", "reasoning", "reasoning.text", "reasoning.summary", "summary_text", "summary"})
DEEPEST = 6


class Malformed(Exception):
    """No chat completion; says what is wrong with it."""


@dataclass(frozen=True)
class Trouble:
    """Why a conversation got no answer and ends.

    Attributes:
        problem: In words; None where ``finish_reason`` says it.
        finish_reason: ``context`` where the conversation does not fit.
    """

    problem: str | None
    finish_reason: FinishReason = "stop"

    def as_reply(self) -> Reply:
        """As a model's reply."""
        return Reply("", self.finish_reason, problem=self.problem)

    def as_choice(self) -> Choice:
        """As a choice of a judge."""
        if self.finish_reason == "context":
            return Choice(text="", finish_reason="context", problem=self.problem)
        return Choice(problem=self.problem, finish_reason=self.finish_reason)


@dataclass(frozen=True)
class Message:
    """What a server says that a model answered.

    Attributes:
        text: Spoken, as it came: marks of thinking may stand in it.
        reasoning: Thought, where it came apart; "" = none.
        refusal: What it says in a field of its own where it refuses; "" = none.
        finish: Why it stopped.
    """

    text: str
    reasoning: str
    refusal: str
    finish: FinishReason


def read_message(choice: Mapping[str, Any]) -> Message:
    """Take one of a completion's ``choices`` apart.

    Raises:
        Malformed: It is none.
    """
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Malformed("a choice without a message")
    text, reasoning, refusal = _read_content(message.get("content"))
    for name in THOUGHTS:
        reasoning = reasoning or _gather_text(message.get(name))
    refused = message.get("refusal")
    return Message(text, reasoning, refused if isinstance(refused, str) else refusal, read_finish(choice))


def read_finish(choice: Mapping[str, Any]) -> FinishReason:
    """Why a model stopped, in our words.

    Raises:
        Malformed: It did not: the server failed on the way.
    """
    said = str(choice.get("finish_reason") or "stop").lower()
    if said in FAILED or choice.get("error"):
        raise Malformed(f"an answer that broke off: {_gather_text(choice.get('error')) or said}")
    return "length" if said in CUT else "content_filter" if FILTERED.search(said) else "stop"


def _read_content(content: object) -> tuple[str, str, str]:
    """Spoken text, thought and refusal of a message's content, which is a text or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", "", ""
    if not isinstance(content, list):
        raise Malformed(f"a message whose content is a {type(content).__name__}")
    spoken, thought, refused = [], [], []
    for part in content:
        if isinstance(part, str):
            spoken.append(part)
            continue
        if not isinstance(part, Mapping):
            raise Malformed(f"a part of a message that is a {type(part).__name__}")
        kind = str(part.get("type", "text"))
        if kind in THINKING_PARTS:
            thought.append(_gather_text(part))
        elif kind == "refusal":
            refused.append(_gather_text(part.get("refusal")))
        elif isinstance(part.get("text"), str):
            spoken.append(part["text"])
        elif kind != "redacted_thinking":
            raise Malformed(f"a part of a message of the kind {kind[:40]!r}, which is no text")
    return "".join(spoken), "\n".join(filter(None, thought)), "\n".join(filter(None, refused))


def _gather_text(value: object, depth: int = 0) -> str:
    """All text in a value that is a text, a part, or a list of them."""
    if isinstance(value, str):
        return value
    if depth > DEEPEST:
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_gather_text(item, depth + 1) for item in value)))
    if isinstance(value, Mapping):
        names = ("text", "thinking", "reasoning", "summary", "content", "message")
        return next(filter(None, (_gather_text(value.get(name), depth + 1) for name in names)), "")
    return ""


def first_choice(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The one choice of a completion.

    Raises:
        Malformed: There is none.
    """
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
        raise Malformed("it has no choices")
    return choices[0]


def is_web_page(body: bytes) -> bool:
    """Whether a body is HTML, which no model's server answers with."""
    return bool(
        re.match(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype html|html|head|body)\b", body[:2000], re.I | re.S)
    )


def read_usage(content: Mapping[str, Any]) -> dict[str, int]:
    """The tokens that a server counted, ``prompt_tokens`` and ``completion_tokens``; what is no count is left out."""
    usage = content.get("usage")
    found = (
        {name: read_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")}
        if isinstance(usage, Mapping)
        else {}
    )
    return {name: count for name, count in found.items() if count is not None}


def read_reply(content: Mapping[str, Any]) -> Reply:
    """A completion as a model's reply.

    Raises:
        Malformed: It is none.
    """
    message, usage = read_message(first_choice(content)), read_usage(content)
    return Reply(
        message.text,
        message.finish,
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        reasoning=message.reasoning or None,
    )


def find_trouble(content: Mapping[str, Any]) -> Trouble | None:
    """Why a completion is no answer of the model, and asking again would bring none; None where nothing is wrong.

    Raises:
        Malformed: It is no completion.
    """
    if not content.get("choices") and (why := _filter_results(content)):
        return Trouble(f"the server's filter refused the conversation: {why}", "content_filter")
    choice = first_choice(content)
    message = read_message(choice)
    sensitive = next((name for name in SENSITIVE if content.get(name) is True), "")
    if message.finish == "content_filter" or sensitive:
        cut = ", after it had begun" if message.text.strip() else ""
        said = sensitive or f"finish_reason {' '.join(str(choice.get('finish_reason')).split())[:40]}"
        if REFUSED in said.lower():
            return Trouble(f"the model refused ({said}){cut}", "content_filter")
        return Trouble(f"the server's filter withheld the reply ({said}){cut}", "content_filter")
    if message.refusal and not message.text.strip():
        return Trouble(f"the model refused: {' '.join(message.refusal.split())[:300]}", "content_filter")
    return None


def _filter_results(content: Mapping[str, Any]) -> str:
    """What a completion without choices says that was filtered; "" where it speaks of no filter."""
    found = content.get("prompt_filter_results") or content.get("promptFeedback") or content.get("prompt_feedback")
    return str(found)[:200] if found else ""


def is_all_reasoning(content: Mapping[str, Any], cap: int | None) -> bool:
    """Whether a model thought and then had no tokens left to speak.

    Args:
        cap: Tokens that it had. A judge that is asked for a token or two has not thought.
    """
    message = read_message(first_choice(content))
    if strip_thinking(message.text).strip() or message.refusal:
        return False
    thought = bool(message.reasoning) or bool(message.text.strip())
    return thought or (message.finish == "length" and (cap is None or cap > THOUGHTLESS))


THOUGHTLESS = 8
"""Tokens of an answer in which no model thinks."""
