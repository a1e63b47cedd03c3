"""Models that another program answers for: requests side by side, tried again where that may help."""

import asyncio
import os
import queue
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus, urlsplit

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from esc_eval.errors import EscEvalError

T = TypeVar("T")

IN_A_ROW = 20
"""Conversations that fail one after the other, none answered between them, before the fault is the program's."""
AWAY = frozenset({429, 502, 503, 504, 529})
"""Answers that say that the program cannot be reached or has too much to do, whatever it is asked."""


class Passing(Exception):
    """A failure that may not happen again: 408, 429, 5xx, a lost connection, an answer that cannot be read.

    Args:
        what: What went wrong.
        wait: Seconds that the program asked to be left alone.
        away: Whether the program cannot be reached at all, whatever it is asked.
    """

    def __init__(self, what: str, wait: float | None = None, away: bool = False) -> None:
        super().__init__(what)
        self.wait, self.away = wait, away


class Refused(Exception):
    """This request is not answered, however often it is sent; others may be."""


class RemoteModel:
    """What models behind a server have in common, whatever they speak.

    Requests run side by side up to ``concurrency``, on one event loop of this object. ``Passing`` failures are tried
    again after a growing, random pause, or the one that the server asks for. A request that is refused, or fails to
    the last try while others are answered, is the end of its conversation alone. ``usage`` counts requests, failures
    and tokens.

    Args:
        name: Label for tables.
        concurrency: Requests under way at once.
        timeout: Seconds for one request, from its beginning to its whole answer.
        attempts: Tries of one request before it is given up.
        secrets: Kept out of every message.
        longest_wait: Seconds that a pause between tries may grow to.
    """

    concurrent = True

    def __init__(
        self,
        name: str,
        *,
        concurrency: int,
        timeout: float,
        attempts: int,
        secrets: Sequence[str] = (),
        longest_wait: float = 30.0,
    ) -> None:
        self.name, self.parallel, self.longest_wait = name, concurrency, longest_wait
        self.usage: Counter[str] = Counter()
        self._timeout, self._attempts, self._secrets = timeout, attempts, tuple(filter(None, secrets))
        self._slots = asyncio.Semaphore(concurrency)
        self._answered = self._failed_in_a_row = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name=f"requests of {name}").start()

    def side_by_side(
        self, asks: Sequence[Callable[[], Awaitable[T]]], failed: Callable[[str], T]
    ) -> Iterator[tuple[int, T]]:
        """Yield (index, answer) as answers arrive.

        Args:
            asks: Each sends one request and reads its answer; called once a try.
            failed: What stands for the answer of a request that has none, from the reason.

        Raises:
            EscEvalError: After everything that could be answered was yielded: the server itself cannot be used.
        """
        done: queue.SimpleQueue[tuple[int, Future[T]]] = queue.SimpleQueue()
        futures = []
        for index, ask in enumerate(asks):
            future = asyncio.run_coroutine_threadsafe(self._answer(ask, failed), self._loop)
            future.add_done_callback(lambda f, index=index: done.put((index, f)))  # type: ignore[misc]
            futures.append(future)
        failures: list[BaseException] = []
        try:
            for _ in futures:
                index, future = done.get()
                if future.cancelled():
                    continue
                if (error := future.exception()) is None:
                    yield index, future.result()
                    continue
                failures.append(error)
                for other in futures:  # a server that is down for one is down for all that wait
                    other.cancel()
        finally:
            for future in futures:  # after Ctrl-C nothing more is sent
                future.cancel()
        if failures:
            raise failures[0]

    async def _answer(self, ask: Callable[[], Awaitable[T]], failed: Callable[[str], T]) -> T:
        pause = wait_random_exponential(multiplier=0.5, max=self.longest_wait)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait if isinstance(error, Passing) else None
            return min(asked, self.longest_wait) if asked is not None else pause(state)

        async with self._slots:
            before = self._answered
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(Passing), stop=stop_after_attempt(self._attempts), wait=wait, reraise=True
            )
            try:
                answer: T = await retrying(self._ask_once, ask)
            except (Passing, Refused) as error:
                what, away = str(error), False
                if isinstance(error, Passing):
                    what, away = f"gave up after {self._attempts} tries: {error}", error.away
                self._failed_in_a_row += 1
                if self._failed_in_a_row >= IN_A_ROW or (away and self._answered == before):
                    raise self.unusable(what) from error
                return failed(self.mask(what))
            self._answered += 1
            self._failed_in_a_row = 0
            return answer

    async def _ask_once(self, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await ask()
        except TimeoutError as error:
            self.usage["failures"] += 1
            raise Passing(f"no answer within {self._timeout:g} s") from error
        except Passing:
            self.usage["failures"] += 1
            raise

    def count_request(self) -> None:
        """One more in ``usage``; called for each that is sent."""
        self.usage["requests"] += 1

    def count_tokens(self, prompt: int | None, completion: int | None) -> None:
        """Add the tokens of an answer to ``usage``."""
        self.usage["prompt_tokens"] += prompt or 0
        self.usage["completion_tokens"] += completion or 0

    def unusable(self, what: str) -> EscEvalError:
        """The error that ends a run: nothing can be had of this server."""
        return EscEvalError(
            f"{self.name}: {self.mask(what)}\nWhat was finished is kept. When the server is well, run the same command "
            "again to go on."
        )

    def mask(self, text: str) -> str:
        """Text on one line without the secrets, however they are written in an address."""
        for secret in self._secrets:
            for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                text = text.replace(form, "***")
        return " ".join(text.split())[:600]


def read_key(variable: str | None) -> str | None:
    """The key in an environment variable, without the blanks around it; None where no variable is named.

    Raises:
        EscEvalError: The variable is not set.
    """
    if variable is None:
        return None
    if not (key := os.environ.get(variable, "").strip()):
        raise EscEvalError(f"--api-key-env {variable}: the environment variable {variable} is not set")
    return key


def read_server(url: str) -> str:
    """Host, port and path of an address, as they stand in an identity.

    Raises:
        EscEvalError: It is no address, or holds a user or a password, which would be written down with it.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EscEvalError(f"{url!r} is no address of a model; it begins with http:// or https:// and a host")
    if parts.username or parts.password:
        raise EscEvalError(f"the address at {parts.hostname} holds a user or a password; use --api-key-env NAME instead")
    host = parts.hostname + (f":{parts.port}" if parts.port else "")
    return host + parts.path.rstrip("/") + (f"?{parts.query}" if parts.query else "")


def read_retry_after(value: Any) -> float | None:
    """Seconds from a ``Retry-After`` header, which is a number of them or a date; None where it is neither.

    >>> read_retry_after("2.5"), read_retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), read_retry_after(None)
    (2.5, 0.0, None)
    """
    with suppress(TypeError, ValueError):
        return max(0.0, float(value))
    with suppress(TypeError, ValueError, AttributeError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return None
