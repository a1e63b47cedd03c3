"""What a real server answered, kept by the hash of each request; its words are of a model under Apache-2.0."""

import json
import threading
from pathlib import Path
from typing import Any

from esc_eval.schema import digest

KEPT = 2
"""Tokens of an answer whose candidates are kept."""


def shorten(content: dict[str, Any]) -> dict[str, Any]:
    """A chat completion with the log probabilities of its first tokens alone, in short form."""
    [choice] = content["choices"]
    rows = (choice.get("logprobs") or {}).get("content") or []
    tokens = [
        [row["token"], row["logprob"], [[top["token"], round(top["logprob"], 6)] for top in row["top_logprobs"]]]
        for row in rows[:KEPT]
    ]
    message = {"role": "assistant", "content": choice["message"]["content"]}
    return {
        **{"message": message, "finish_reason": choice["finish_reason"], "tokens": tokens},
        **{key: content.get(key) for key in ("model", "system_fingerprint", "usage")},
    }


def lengthen(short: dict[str, Any]) -> dict[str, Any]:
    """The chat completion again."""
    rows = [
        {"token": token, "logprob": own, "top_logprobs": [{"token": t, "logprob": p} for t, p in top]}
        for token, own, top in short["tokens"]
    ]
    choice = {
        **{"index": 0, "message": short["message"], "finish_reason": short["finish_reason"]},
        "logprobs": {"content": rows} if rows else None,
    }
    return {"choices": [choice], **{key: short[key] for key in ("model", "system_fingerprint", "usage")}}


class Recorded:
    """Answers as a server that was recorded did; a request that it never saw is refused."""

    def __init__(self, path: Path) -> None:
        self.content = json.loads(path.read_text(encoding="utf-8"))
        self.unknown: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> tuple[int, Any]:
        found = self.content["answers"].get(digest(body))
        if found is None:
            with self._lock:
                self.unknown.append(body)
            return 404, {"error": {"message": "not recorded"}}
        status, answer = found
        return status, lengthen(answer) if status == 200 else answer
