"""What the Hub may answer instead of doing it: what passes with time, and what to tell the user of the rest."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from esc_eval.errors import EscEvalError

T = TypeVar("T")
PASSING = (408, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""


@dataclass(frozen=True)
class Patience:
    """How long to go on trying.

    Attributes:
        attempts: Of one request.
        first, longest: Seconds to wait after the first failure, and at most; the wait doubles, with jitter. What the
            server asks for (``Retry-After``, ``RateLimit``) replaces it, up to ``asked`` seconds.
    """

    attempts: int = 5
    first: float = 1.0
    longest: float = 60.0
    asked: float = 600.0


def transport_errors() -> tuple[type[Exception], ...]:
    """Errors of the HTTP library below huggingface_hub: no connection, time-out, connection lost."""
    found: list[type[Exception]] = [ConnectionError, TimeoutError]
    for name in ("httpx2", "httpx"):
        if find_spec(name):
            found.append(__import__(name).TransportError)
    return tuple(found)


def status_of(error: BaseException) -> int | None:
    """The HTTP status of a refusal of the Hub, which may be in the cause or, of hf_xet, in the text alone."""
    answers = (getattr(each, "response", None) for each in (error, error.__cause__))
    status = next((answer.status_code for answer in answers if answer is not None), None)
    if status is None and (told := re.search(r"HTTP status \w+ error \((\d{3})\b", str(error))):
        return int(told[1])
    return status


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later."""
    status = status_of(error)
    return isinstance(error, transport_errors()) if status is None else status in PASSING


def try_patiently(what: str, do: Callable[[], T], patience: Patience, progress: Callable[[str], None]) -> T:
    """Do something that may be done twice, again where the Hub's answer passes with time.

    Args:
        what: For the line that is said before a wait.
    """

    def waiting(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        progress(
            f"{what}: {shorten_refusal(error)}; again in {seconds:.3g} s "
            f"({state.attempt_number} of {patience.attempts} attempts)"
        )

    return Retrying(
        stop=stop_after_attempt(patience.attempts),
        wait=lambda state: _wait(state, patience),
        retry=retry_if_exception(may_pass),
        before_sleep=waiting,
        reraise=True,
    )(do)


def _wait(state: RetryCallState, patience: Patience) -> float:
    from huggingface_hub.utils import parse_ratelimit_headers

    error = state.outcome.exception() if state.outcome else None
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = headers.get("retry-after", "")
    if asked.replace(".", "", 1).isdigit():
        return min(float(asked), patience.asked)
    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return min(float(limit.reset_in_seconds), patience.asked)
    return (wait_exponential(patience.first, patience.longest) + wait_random(0, patience.first))(state)


def shorten_refusal(error: BaseException | None) -> str:
    """A refusal in a few words, without anything that was sent."""
    status = status_of(error) if error else None
    if status:
        return f"the Hub answered {status}"
    return f"{'connection failed' if isinstance(error, transport_errors()) else 'refused'} ({type(error).__name__})"


REMEDIES = {
    400: "the Hub finds fault with what was sent. Put that right and run the same command again.",
    401: "no valid token was found. Log in with `hf auth login`, or set HF_TOKEN.",
    403: "the token may not write there. Give it write access to the namespace, or choose another.",
    404: "no such repository, or this token may not see it.",
    409: "the repository is in another state than expected: someone else is changing it. Run the same command again.",
    412: "someone else committed in between. Run the same command again and look at the new plan.",
    429: "too many requests. Run the same command again later; what was uploaded is not uploaded again.",
}


def explain_refusal(repo: str, doing: str, error: BaseException, token: str | None) -> EscEvalError:
    """A refusal as a message: what was being done, what the Hub said, what to do. The token never appears in it."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    status = status_of(error)
    plain = hasattr(error, "response") or isinstance(error, transport_errors())
    said = str(getattr(error, "server_message", None) or ("" if plain else error))
    if token:
        said = said.replace(token, "***")
    other = "the Hub has a fault or cannot be reached. Run the same command again later."
    later = status or may_pass(error) or isinstance(error, LocalEntryNotFoundError)  # nothing answered, no copy here
    remedy = REMEDIES.get(status or 0, other if later else REMEDIES[400])
    return EscEvalError(f"{repo}, {doing}: {shorten_refusal(error)}{f' ({said})' if said else ''}: {remedy}")


def refusal_types() -> tuple[type[Exception], ...]:
    """Every error that a request to the Hub may end in; a ValueError tells of a card or a file that it finds wrong."""
    from huggingface_hub import errors

    xet = getattr(errors, "XetError", ValueError)  # of huggingface_hub before 2
    return (errors.HfHubHTTPError, errors.LocalTokenNotFoundError, xet, ValueError, *transport_errors())


@contextmanager
def unwrap_refusal() -> Iterator[None]:
    """Let a refusal out of the RuntimeError in which huggingface_hub packs those of large files."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error.__cause__, refusal_types()):
            raise error.__cause__ from None
        raise
