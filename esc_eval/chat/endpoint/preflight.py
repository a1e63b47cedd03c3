"""One tiny request to each model behind a server, before anything long begins: a wrong address, key or name is said
in seconds."""

import re
from collections.abc import Sequence
from functools import partial
from threading import Timer
from typing import Any

import httpx

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import known_backends
from esc_eval.chat.side_by_side import call_side_by_side
from esc_eval.chat.stopping import Interrupted, Stop, current_stop, obey
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, Message

GREETING: list[Message] = [{"role": "user", "content": "Hello"}]
TOKENS = 16
SHOWN = 10
"""Models of a server that are listed at most."""
LONGEST = 30.0
"""Seconds after which a server that has not answered is left to the run."""
LONGEST_LIST = 5.0
"""Seconds that a server has to list its models."""
_PASSING = re.compile(r"\b(408|409|425|429|5\d\d)\b|no answer within|not a chat completion", re.IGNORECASE)
_UNREACHED = re.compile(r"connection failed|connect", re.IGNORECASE)
_KEY = re.compile(r"\b(401|403)\b")
_NAME = re.compile(r"\b404\b|does not exist|not found|unknown model|no such model", re.IGNORECASE)


def is_remote(model: object) -> bool:
    """Whether a server answers for a model, and not this process."""
    identity: Any = getattr(model, "identity", {})
    backend = known_backends().get(str(identity.get("kind")))
    return backend is not None and backend.remote


def check_models(models: Sequence[ChatModel]) -> None:
    """Ask every model behind a server one tiny question, all at once; others are asked nothing.

    A server that is busy, or answers otherwise than with a refusal of all requests, is left to the run, which tries
    again.

    Raises:
        EscEvalError: Some cannot be asked; one message says of each what to do.
    """
    asked: dict[int, ChatModel] = {id(model): model for model in models if is_remote(model)}
    if not asked:
        return
    found = call_side_by_side((partial(check_model, model) for model in asked.values()), len(asked))
    if problems := sorted(problem for problem in found if problem):
        raise EscEvalError("nothing was played or rated:\n" + "\n".join(f"- {problem}" for problem in problems))


def check_model(model: ChatModel) -> str | None:
    """What keeps a model from answering, with what to do; None where it answers, or where a run should try itself."""
    once: ChatModel = model.trying_once() if hasattr(model, "trying_once") else model
    outer, stop = current_stop(), Stop()
    timer = Timer(LONGEST, stop.ask)
    timer.daemon = True
    timer.start()
    try:
        with outer.watch(stop.ask):
            obey(stop)
            for _, reply in once.reply([GREETING], Generation(max_new_tokens=TOKENS), [0]):
                return explain(model, reply.problem) if reply.problem else None
    except Interrupted:
        if outer.asked:
            raise
    except EscEvalError as error:
        passing = _PASSING.search(str(error)) and not _KEY.search(str(error))
        return explain(model, str(error)) or (None if passing else f"{model.name}: {error}")
    finally:
        timer.cancel()
        obey(outer)
    return None


def explain(model: Any, problem: str) -> str | None:
    """What to do about a failure that every conversation will meet; None for one that may pass, or be one
    conversation's.
    """
    said = " ".join(problem.partition("\nWhat was finished is kept")[0].split())
    where = getattr(model, "server", None) or model.identity.get("server", "its server")
    what = said if said.startswith(model.name) else f"{model.name} at {where}: {said}"
    if _KEY.search(said):
        if "--api-key-env" in said:
            return what
        key = known_backends()[str(model.identity["kind"])].key or "its variable"
        return f"{what}\n  The server refuses the key: see {key}, or name its variable with --api-key-env NAME."
    if _NAME.search(said):
        there = list_models(model)
        listed = f" It has: {', '.join(there[:SHOWN])}{', ...' * (len(there) > SHOWN)}." if there else ""
        return f"{what}\n  The server has no such model, or nothing at this address.{listed}"
    if _PASSING.search(said):
        return None
    if _UNREACHED.search(said):
        return f"{what}\n  Is the server running there?"
    return None


def list_models(model: Any) -> list[str]:
    """The models that a server lists to anybody; none where it lists none."""
    names: dict[str, None] = {}
    for url in getattr(model, "lists", ()):
        try:
            content = httpx.get(url, timeout=LONGEST_LIST, follow_redirects=False).json()
            names |= dict.fromkeys(str(entry["id"]) for entry in content["data"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
            continue
    return list(names)
