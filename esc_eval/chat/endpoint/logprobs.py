"""Level probabilities from the log probabilities that a chat-completions server gives with its answer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from esc_eval.chat.base import Choice

TOP = 20


def request_logprobs(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request that asks for log probabilities too, and is greedy."""
    return {**body, "temperature": 0.0, "top_p": 1.0, "logprobs": True, "top_logprobs": TOP}


def choice_from(answer: Mapping[str, Any], options: Sequence[str]) -> Choice:
    """How probable each option was, at the first token where the server's answer is one of them.

    An option that is not among the most probable tokens there counts as 0. Without log probabilities, without such a
    token, or after spoken reasoning (whose numbers are not the answer), the choice carries the text alone.

    Args:
        answer: One element of a chat completion's ``choices``.
        options: The fixed answers.
    """
    text = (answer.get("message") or {}).get("content") or ""
    finish = "length" if answer.get("finish_reason") == "length" else "stop"
    tokens = (answer.get("logprobs") or {}).get("content") or []
    for token in [] if "<think>" in text else tokens:
        if str(token.get("token", "")).strip() not in options or not token.get("top_logprobs"):
            continue
        weights = dict.fromkeys(options, 0.0)
        for other in token["top_logprobs"]:
            name = str(other.get("token", "")).strip()
            if name in weights and isinstance(other.get("logprob"), int | float):
                weights[name] += math.exp(other["logprob"])
        mass = sum(weights.values())
        if not math.isfinite(mass) or mass <= 0:
            break
        return Choice(tuple(w / mass for w in weights.values()), min(mass, 1.0), str(token["token"]), text=text)
    return Choice(problem="the server gave no log probabilities of a level", text=text, finish_reason=finish)  # type: ignore[arg-type]
