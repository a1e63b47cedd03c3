"""Any server that speaks the chat-completions API: vLLM, SGLang, llama.cpp, Ollama, transformers serve, a vendor."""

import asyncio
import json
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from esc_eval.chat.base import ANSWER_TOKENS, Choice, Conversation, Reply
from esc_eval.chat.endpoint.choices import Choices
from esc_eval.chat.endpoint.pool import Pool, Server
from esc_eval.chat.question import Question, Settled
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason

DEFAULT_URL = "https://api.openai.com/v1"
FINISH = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
OPTIONAL = ("top_k", "repetition_penalty", "seed", "top_logprobs", "logprobs")
T = TypeVar("T")


class Passing(Exception):
    """A failure that may not happen again: 429, 5xx, a lost connection, a reply that is no JSON."""

    def __init__(self, what: str, wait: float | None = None, pushed_back: bool = False) -> None:
        super().__init__(what)
        self.wait, self.pushed_back = wait, pushed_back


class EndpointModel:
    """A model behind an OpenAI-compatible server, or behind several that serve the same.

    Requests run side by side up to ``concurrency``. 429, 5xx, lost connections, time-outs and unreadable replies are
    tried again after a growing, random pause (or the server's Retry-After). ``usage`` counts requests, failures and
    tokens. The key is kept out of every record and message.

    Args:
        model: The server's name for the model.
        base_url: Up to and including ``/v1``, or several; None is OPENAI_BASE_URL or api.openai.com.
        key: Sent with each request; "" = none is.
        name: Label for tables.
        concurrency: Requests under way at once.
        timeout: Seconds for one request.
        attempts: Tries of one request before it is given up.
        longest_wait: Seconds that a pause between tries may grow to.
    """

    concurrent = True

    def __init__(
        self,
        model: str,
        base_url: str | Sequence[str] | None = None,
        *,
        key: str = "",
        name: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        attempts: int = 8,
        longest_wait: float = 30.0,
    ) -> None:
        self.model = model
        given = [base_url] if isinstance(base_url, str) else list(base_url or ())
        urls = [url.rstrip("/") for url in given or [os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL]]
        hosts = [_host(url) for url in urls]
        self.name = name or model.rpartition("/")[2]
        self.parallel = concurrency
        self.attempts, self.longest_wait = attempts, longest_wait
        self.server = ", ".join(hosts)
        self.identity: dict[str, Any] = {"kind": "openai", "model": model, "server": self.server}
        self.usage: Counter[str] = Counter()
        self.pool = Pool(urls, concurrency)
        self.dropped: set[str] = set()
        self.cap = "max_tokens"
        self._key = key
        self._timeout = timeout
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(concurrency)
        self._trust = httpx.create_ssl_context()
        self._idle: list[httpx.AsyncClient] = []
        threading.Thread(target=self._loop.run_forever, daemon=True, name=f"endpoint {self.name}").start()

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they arrive; see ``ChatModel.reply``."""
        bodies = [self._body(c, settings, seed) for c, seed in zip(conversations, seeds, strict=True)]
        yield from self._gather(bodies, _reply)

    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices, in the way that suits the server, found out on the first; see ``ChoiceModel``."""
        question = Question(tuple(options), partial(_find_option, options), lead, answer_tokens)
        trial = next((conversation for group in groups for conversation in group), None)
        if trial is not None:
            yield from self.ask(groups, question, self.settle_way(trial, question))

    def settle_way(self, trial: Conversation, question: Question, by: str = "auto") -> Settled:
        """Find out how the server's answers can be had; see ``AskedModel``."""
        return Choices(self, _reply).settle(trial, question, by)

    def ask(
        self, groups: Sequence[Sequence[Conversation]], question: Question, settled: Settled
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; see ``AskedModel``."""
        return Choices(self, _reply).ask(groups, question, settled)

    def _gather(
        self, bodies: Sequence[dict[str, Any]], read: Callable[[Mapping[str, Any]], T]
    ) -> Iterator[tuple[int, T]]:
        """Send requests side by side and yield what ``read`` makes of each response, as they arrive."""
        done: queue.SimpleQueue[tuple[int, Future[T]]] = queue.SimpleQueue()
        futures = []
        for index, body in enumerate(bodies):
            future = asyncio.run_coroutine_threadsafe(self._answer(body, read), self._loop)
            future.add_done_callback(lambda f, index=index: done.put((index, f)))  # type: ignore[misc]
            futures.append(future)
        failures: list[BaseException] = []
        try:
            for _ in futures:
                index, future = done.get()
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    yield index, future.result()
                    continue
                failures.append(error)
                for other in futures:  # a server that is down for one is down for all that wait
                    other.cancel()
        finally:
            for future in futures:
                future.cancel()
        if failures:
            raise EscEvalError(
                f"{self.name} at {self.server}: {failures[0]}\nWhat was finished is kept. When the server is well, "
                "run the same command again to go on."
            ) from failures[0]

    def _body(self, conversation: Conversation, settings: Generation, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in conversation],
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed % 2**31,
        }
        if settings.top_k:
            body["top_k"] = settings.top_k
        if settings.repetition_penalty != 1.0:
            body["repetition_penalty"] = settings.repetition_penalty
        return body

    async def _answer(self, body: dict[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
        pause = wait_random_exponential(multiplier=0.5, max=self.longest_wait)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait if isinstance(error, Passing) else None
            return min(asked, self.longest_wait) if asked is not None else pause(state)

        # the system prompt, and with it the role card, tells dialogues apart
        key = json.dumps(body["messages"][:2], ensure_ascii=False)
        tried: list[Server] = []

        async def attempt() -> T:
            server = await self.pool.take(key, tried[-1] if tried else None)
            tried.append(server)
            try:
                return await self._post(body, server, read)
            finally:
                self.pool.give_back(server)

        async with self._slots:
            retrying = AsyncRetrying(
                retry=retry_if_exception_type(Passing),
                stop=stop_after_attempt(self.attempts),
                wait=wait,
                reraise=True,
            )
            try:
                return cast(T, await retrying(attempt))
            except Passing as error:
                raise EscEvalError(f"gave up after {self.attempts} tries: {error}") from error

    async def _post(self, body: dict[str, Any], server: Server, read: Callable[[Mapping[str, Any]], T]) -> T:
        self.usage["requests"] += 1
        try:
            result = await self._ask(body, server.url, read)
        except Passing as error:
            self.usage["failures"] += 1
            if error.pushed_back:
                self.pool.pushed_back(server)
            else:
                self.pool.failed(server)
            raise
        self.pool.well(server)
        return result

    async def _ask(self, body: dict[str, Any], url: str, read: Callable[[Mapping[str, Any]], T]) -> T:
        sent = {k: v for k, v in body.items() if k not in self.dropped}
        sent[self.cap] = sent.pop("max_tokens")
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            response = await client.post(f"{url}/chat/completions", json=sent)
        except httpx.TimeoutException as error:
            raise Passing(f"no answer within {self._timeout:g} s") from error
        except httpx.TransportError as error:
            raise Passing(f"connection failed ({type(error).__name__}): {error}") from error
        finally:
            self._idle.append(client)
        if response.status_code == 429 or response.status_code >= 500:
            what = f"the server answered {response.status_code}: {self._excerpt(response)}"
            raise Passing(what, _retry_after(response), response.status_code in {429, 503})
        if response.status_code == 400 and self._adapt(response.text, sent):
            return await self._ask(body, url, read)
        if response.status_code != 200:
            raise EscEvalError(f"the server answered {response.status_code}: {self._excerpt(response)}")
        try:
            content = response.json()
            result = read(content)
            usage = content.get("usage") or {}
            for kind in ("prompt_tokens", "completion_tokens"):
                self.usage[kind] += usage.get(kind) or 0
            return result
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise Passing(f"not a chat completion: {self._excerpt(response)}") from error

    def _new_client(self) -> httpx.AsyncClient:
        # One client for each request under way: a client's pool looks through all its connections at every request,
        # which for 64 of them takes longer than the request itself. The last one used is used again first.
        return httpx.AsyncClient(
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            verify=self._trust,
        )

    def _adapt(self, message: str, sent: dict[str, Any]) -> bool:
        """Leave out what a strict server says it does not know; True if a second try is worth it."""
        if "max_completion_tokens" in message and self.cap in sent and self.cap == "max_tokens":
            self.cap = "max_completion_tokens"
            return True
        unknown = {name for name in OPTIONAL if name in sent and name in message}
        self.dropped |= unknown
        return bool(unknown)

    def _excerpt(self, response: httpx.Response) -> str:
        text = " ".join(response.text[:300].split())
        return text.replace(self._key, "***") if self._key else text


def _host(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EscEvalError(f"{url!r} is no base URL; give one such as http://localhost:8000/v1")
    return parts.hostname + (f":{parts.port}" if parts.port else "") + parts.path


def _reply(content: Mapping[str, Any]) -> Reply:
    choice = content["choices"][0]
    text = choice["message"]["content"] or ""
    usage = content.get("usage") or {}
    finish = cast(FinishReason, FINISH.get(choice.get("finish_reason"), "stop"))
    return Reply(str(text), finish, usage.get("prompt_tokens"), usage.get("completion_tokens"))


def _find_option(options: Sequence[str], text: str) -> tuple[str, tuple[int, int]] | None:
    """The option that an answer is, word for word."""
    start = len(text) - len(text.lstrip())
    return (text.strip(), (start, start + len(text.strip()))) if text.strip() in options else None


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
