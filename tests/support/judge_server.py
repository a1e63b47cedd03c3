"""Judges behind a real server on loopback: what they answer is a function of the request."""

import json
import math
import random
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
OTHER = 0.02


def level_at(best: int | str) -> dict[str, float]:
    """Candidates of a token where the levels 0 to 4 are said: 0.9 for one of them, 0.02 for each of the others."""
    return {**{str(level): OTHER for level in range(5)}, str(best): 0.9}


def tokens_of(*tokens: Any) -> dict[str, Any]:
    """``logprobs`` of these tokens, each a text, or a text and its candidates with their probabilities."""
    rows = []
    for token in tokens:
        text, top = token if isinstance(token, tuple) else (token, {token: 0.9})
        candidates = [{"token": t, "logprob": math.log(p), "bytes": None} for t, p in top.items()]
        own = next((c["logprob"] for c in candidates if c["token"].strip() == text.strip()), math.log(0.9))
        rows.append({"token": text, "logprob": own, "bytes": None, "top_logprobs": candidates})
    return {"content": rows}


def completion(content: Any, logprobs: Any = None, finish: str = "stop", **message: Any) -> tuple[int, Body]:
    """A chat completion as servers send it."""
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": said, "finish_reason": finish, "logprobs": logprobs}
    return 200, {
        "object": "chat.completion",
        "choices": [choice],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5},
    }


def refusal(field: str, status: int = 400) -> tuple[int, Body]:
    """A server that does not know a field."""
    return status, {"error": {"message": f"Unrecognized request argument supplied: {field}", "param": field}}


SAID: dict[str, tuple[Any, ...]] = {
    "reasoning in the log probabilities": (
        "Score: 3",
        [
            *("<think>", "Levels", " from", (" 0", level_at(0)), " to", (" 4", level_at(4)), ".", "</think>"),
            *("Score", ":", (" 3", level_at(3)), "<|im_end|>"),
        ],
        {"reasoning_content": "Levels from 0 to 4."},
    ),
    "list marker": (
        "1. The empathy score is 3.",
        [("1", level_at(1)), ".", " The empathy score is", (" 3", level_at(3)), "."],
    ),
    "full marks": ("满分4分，我给3分。", ["满分", ("4", level_at(4)), "分", "，我给", ("3", level_at(3)), "分。"]),
    "per cent": (
        "The reply is 100% warm. Score: 3",
        [
            "The reply is",
            " ",
            ("1", level_at(1)),
            ("0", level_at(0)),
            ("0", level_at(0)),
            "% warm. Score:",
            (" 3", level_at(3)),
        ],
    ),
    "name of a model": (
        "As a GPT-4 would say: score 3.",
        ["As a GPT", "-", ("4", level_at(4)), " would say: score", (" 3", level_at(3)), "."],
    ),
    "name of a question": (
        "Q2 is answered. Rating: 3",
        ["Q", ("2", level_at(2)), " is answered. Rating:", (" 3", level_at(3))],
    ),
    "scale in brackets": (
        "Score (0-4): 3",
        ["Score (", ("0", level_at(0)), "-", ("4", level_at(4)), "):", (" 3", level_at(3))],
    ),
    "fraction": ("Rating: 3/4", ["Rating:", (" 3", level_at(3)), "/", ("4", level_at(4))]),
    "counts": (
        "2 of the 5 replies are warm. Score: 3",
        [("2", level_at(2)), " of the", (" 5", {"5": 0.9}), " replies are warm. Score:", (" 3", level_at(3))],
    ),
    "JSON": ('{"score": 3}', ['{"', "score", '":', (" 3", level_at(3)), "}"]),
    "bold": ("**3**", ["**", ("3", level_at(3)), "**"]),
    "Han numeral": ("我给三分。", ["我给", ("三", {"三": 0.9, "四": 0.02, "2": 0.02, "一": 0.02, "０": 0.02}), "分。"]),
    "full width": (
        "得分：３",
        ["得分：", ("３", {"３": 0.85, "3": 0.05, "0": 0.02, "1": 0.02, "2": 0.02, "４": 0.02})],
    ),
    "sentencepiece": ("3", [("▁", {"▁": 0.9}), ("3", level_at(3))]),
    "byte-level pieces": (
        "Score: 3",
        ["Score", ":", ("Ġ3", {f"Ġ{level}": p for level, p in level_at(3).items()}), "<|eot_id|>"],
    ),
    "parts of characters": ("我给3分", ["我", "\ufffd", "\ufffd", ("3", level_at(3)), "分", "<|im_end|>"]),
    "words before": (
        "The supporter listens well. I would rate it 3.",
        ["The supporter listens well. I would rate it", (" 3", level_at(3)), "."],
    ),
}
"""Answers that state level 3 with an expected level of 2.9, and hold other numbers or odd tokens."""


def say(name: str, body: Mapping[str, Any]) -> tuple[int, Body]:
    """One of ``SAID``; with log probabilities where they are asked for."""
    text, tokens, *message = SAID[name]
    return completion(text, tokens_of(*tokens) if body.get("logprobs") else None, **(message[0] if message else {}))


class Judge:
    """A weak judge: left alone it answers in words; its level stands in the probabilities of the next token.

    Args:
        heeds: Fields of the body that its server knows: ``continue_final_message``, ``prefix``, ``assistant``,
            ``structured_outputs``, ``guided_choice``, ``regex``, ``response_format``, ``logprobs``.
        refuses: Fields that it refuses; all others that it does not know are left out without a word.
        free: What it says where nothing holds it.
    """

    def __init__(self, *heeds: str, refuses: tuple[str, ...] = (), free: Any = "Let me think about it.") -> None:
        self.heeds, self.refuses, self.free = heeds, refuses, free

    def __call__(self, body: Body) -> tuple[int, Body]:
        messages = body["messages"]
        told = {*body, *(key for message in messages for key in message)}
        if unknown := next((field for field in self.refuses if field in told), None):
            return refusal(unknown)
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else None
        goes_on = any(name in told for name in self.heeds if name in ("continue_final_message", "prefix"))
        if begun is not None and (goes_on or "assistant" in self.heeds):
            if begun.endswith("is Par"):
                return self.answer(body, "is.", ["is", "."])
            return self.answer(body, "3, for it listens", [("3", level_at(3)), ", for", " it", " listens"])
        if options := self.options(body):
            level = "3" if "3" in options else options[0]
            return self.answer(body, level, [(level, level_at(3) if level == "3" else {level: 0.9})])
        if values := self.enum(body):
            level = "3" if 3 in values else json.dumps(values[0])
            return self.answer(body, f'{{"score": {level}}}', ['{"', "score", '":', (f" {level}", level_at(3)), "}"])
        return self.answer(body, self.free, [self.free])

    def options(self, body: Body) -> list[str]:
        if "structured_outputs" in self.heeds and "structured_outputs" in body:
            return body["structured_outputs"]["choice"]
        if "guided_choice" in self.heeds and "guided_choice" in body:
            return body["guided_choice"]
        return body["regex"].strip("()").split("|") if "regex" in self.heeds and "regex" in body else []

    def enum(self, body: Body) -> list[Any]:
        if "response_format" not in self.heeds or "response_format" not in body:
            return []
        return body["response_format"]["json_schema"]["schema"]["properties"]["score"]["enum"]

    def answer(self, body: Body, text: str, tokens: list[Any]) -> tuple[int, Body]:
        given = "logprobs" in self.heeds and body.get("logprobs")
        return completion(text, tokens_of(*tokens) if given else None)


def mixed(first: Callable[[Body], tuple[int, Body]], others: list[Any], share: float, seed: int = 0) -> Any:
    """A server that answers now and then as one of others would."""
    draw, lock = random.Random(seed), threading.Lock()

    def answer(body: Body) -> tuple[int, Body]:
        with lock:
            other = draw.choice(others) if draw.random() < share else first
        return other(body)

    return answer


class JudgeServer:
    """Answers chat requests by a function of the body that returns a status and a payload; keeps the bodies."""

    def __init__(self, answer: Callable[[Body], tuple[int, Any]]) -> None:
        self.answer, self.bodies = answer, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send({"data": [{"id": "judge"}], "object": "list"})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.bodies.append(body)
                status, payload = server.answer(body)
                self.send(payload, status)

            def send(self, payload, status=200):
                data = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "JudgeServer":
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
