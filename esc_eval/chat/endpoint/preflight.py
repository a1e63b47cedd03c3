"""One tiny request to each model behind a server, before anything long begins: a wrong address, key or name is said
in seconds."""

import re
from collections.abc import Sequence
from functools import partial
from threading import Timer
from typing import Any

from esc_eval.chat.base import ChatModel
from esc_eval.chat.endpoint.asking import WEB_PAGE
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
MOST_TRIES = 5
"""Requests to a server whose answers cannot be read, before it is said that they cannot."""
_STATUS = re.compile(r"the server answered (?:(?P<outer>\d{3}) with error )?(?P<status>\d{3})\b")
"""In our own words, which stand before the server's: the status of HTTP, and that of an error inside a 200."""
_BUSY = frozenset({408, 409, 425, 429, 503})
_NO_ACCESS = frozenset({401, 403})
_NOTHING_THERE = frozenset({404, 405, 410})
_UNREADABLE = re.compile(
    r"not a chat completion|no answer as docs/models\.md says|answer that the library .{0,20}cannot"
)
_UNREACHED = re.compile(r"connection failed|connect", re.IGNORECASE)
_NAME = re.compile(r"does not exist|not found|unknown model|no such model", re.IGNORECASE)


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
            for _ in range(MOST_TRIES):
                problem, concerns_all = _ask(once)
                if problem is None or not is_useless(problem):
                    break
    except Interrupted:
        if outer.asked:
            raise
        return None
    finally:
        timer.cancel()
        obey(outer)
    if problem is None:
        return None
    passing = not concerns_all or is_passing(problem)
    return explain(model, problem) or (None if passing else _say(model, problem))


def _ask(model: ChatModel) -> tuple[str | None, bool]:
    """What keeps a model from answering one tiny question, and whether it said so of all questions."""
    try:
        for _, reply in model.reply([GREETING], Generation(max_new_tokens=TOKENS), [0]):
            return (None if reply.finish_reason == "content_filter" else reply.problem), False
    except Interrupted:
        raise
    except EscEvalError as error:
        return str(error), True
    return None, False


def _statuses(problem: str) -> tuple[int | None, int | None]:
    """The status of HTTP, and of an error within a body of status 200; None where a problem is of another kind."""
    match = _STATUS.search(problem)
    if match is None:
        return None, None
    return (int(match["outer"]), int(match["status"])) if match["outer"] else (int(match["status"]), None)


def is_useless(problem: str) -> bool:
    """Whether a server did answer, and with nothing that can be read."""
    status, inner = _statuses(problem)
    return inner not in (None, *_BUSY) if status else bool(_UNREADABLE.search(problem))


def is_passing(problem: str) -> bool:
    """Whether a run, which tries again, may fare better."""
    status, inner = _statuses(problem)
    if status is None:
        return "no answer within" in problem or bool(_UNREADABLE.search(problem))
    given_up = "gave up after" in problem.partition("the server answered")[0]  # and not refused for good, as of money
    return given_up and ((inner or status) in _BUSY or (inner or status) >= 500)


def _say(model: Any, problem: str) -> str:
    """A failure in one line that begins with the model and its server."""
    said = " ".join(problem.partition("\nWhat was finished is kept")[0].split())
    where = getattr(model, "server", None) or model.identity.get("server", "its server")
    return said if said.startswith(model.name) else f"{model.name} at {where}: {said}"


def explain(model: Any, problem: str) -> str | None:
    """What to do about a failure that every conversation will meet; None for one that may pass, or be one
    conversation's.
    """
    said = what = _say(model, problem)
    backend = known_backends()[str(model.identity["kind"])]
    outer, inner = _statuses(said)
    status = inner or outer
    if status in _NO_ACCESS:
        if "--api-key-env" in said:
            return what
        key = getattr(model, "key_name", "") or backend.key or "its variable"
        return f"{what}\n  The server refuses the key: see {key}, or name its variable with --api-key-env NAME."
    if status in _NOTHING_THERE or (status and status < 500 and status not in _BUSY and _NAME.search(said)):
        if model.identity.get("generation") == "own":  # an application, which has no models
            return f"{what}\n  Nothing answers at this address: see that it is the one that takes conversations."
        there = model.list_models(LONGEST_LIST) if hasattr(model, "list_models") else []
        listed = f" It has: {', '.join(there[:SHOWN])}{', ...' * (len(there) > SHOWN)}." if there else ""
        return f"{what}\n  The server has no such model, or nothing at this address.{listed}"
    if is_useless(said):
        if WEB_PAGE in said:
            return f"{what}\n  This is the address of a web page; a model's base URL ends in /v1 or as its manual says."
        return f"{what}\n  The server answers, and with nothing that can be read, {MOST_TRIES} times of {MOST_TRIES}."
    if status is None and "no answer within" not in said and _UNREACHED.search(said):
        return f"{what}\n  Is the server running there?"
    return None
