"""Any server that speaks the chat-completions API: vLLM, SGLang, llama.cpp, Ollama, transformers serve, a vendor."""

import asyncio
import json
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import Any, TypeVar, cast

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from esc_eval.chat.base import ANSWER_TOKENS, Choice, Conversation, Reply
from esc_eval.chat.endpoint.adapting import CAP, NEW_CAP, OWN, Body, Capabilities, room_left
from esc_eval.chat.endpoint.addresses import DEFAULT_URL, read_address
from esc_eval.chat.endpoint.bodies import Unreadable, read_json
from esc_eval.chat.endpoint.choices import Choices, find_option
from esc_eval.chat.endpoint.keys import Secrets, check_way, clean_key
from esc_eval.chat.endpoint.pool import Pool, Server
from esc_eval.chat.endpoint.refusals import Refusal, Refused, read_refusal, refusal_from
from esc_eval.chat.endpoint.replies import (
    Malformed,
    Trouble,
    find_trouble,
    is_all_reasoning,
    read_reply,
    read_usage,
)
from esc_eval.chat.endpoint.requests import Client, Passing, Response, retry_after
from esc_eval.chat.endpoint.standing import Standing
from esc_eval.chat.question import By, Question, Settled
from esc_eval.chat.stopping import EVERYTHING, Interrupted, Stop, current_stop
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import Served

MOST_ADAPTATIONS = 16
"""Times that one request is changed because of what a server refuses."""
MORE_ROOM = 4
"""What a cap grows by where a reply was all reasoning."""
MOST_ROOM = 16_384
"""Tokens up to which it grows."""
KEPT = 20
"""Different names of what answered that are kept at most."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Ended(Exception):
    """A conversation ends without an answer, and the run goes on."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.problem or trouble.finish_reason)
        self.trouble = trouble


class GivenUp(Exception):
    """A conversation got no answer, which may be its own fault or the server's."""


@dataclass
class Request:
    """One conversation's request on its way, over all its tries.

    Attributes:
        body: As it is asked for.
        stop: What ends it from outside.
        cap: Tokens of the answer, where this conversation needs another cap than it asks for.
        changes: What was done to its settings because of the conversation itself, by name.
        spent: Tokens of replies that were all reasoning.
        begun: Clock time of the first sending.
    """

    body: Mapping[str, Any]
    stop: Stop
    cap: int | None = None
    changes: dict[str, str] = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)
    begun: float | None = None
    last: Server | None = None

    @property
    def asked(self) -> Body:
        """The body, with the cap that this conversation needs."""
        return {**self.body, CAP: self.cap} if self.cap and CAP in self.body else dict(self.body)


class EndpointModel:
    """A model behind an OpenAI-compatible server, or behind several that serve the same.

    Requests run side by side up to ``concurrency``. 408, 429, 5xx, lost connections, time-outs and unreadable replies
    are tried again after a growing, random pause (or the server's Retry-After). A setting that a server refuses is
    left out or sent otherwise from then on; that is said once, and stands in every answer (``served.adapted``) and in
    ``adapted``. A conversation that is refused, too long or given up ends alone (``Reply.problem``).

    Args:
        model: The server's name for the model.
        base_url: Up to and including ``/v1``, or several; None is OPENAI_BASE_URL or api.openai.com.
        key: Sent with each request; "" = none is. It is kept out of every record and message.
        key_header: The header that carries it.
        key_over_plain_http: Whether a key may be sent where others can read it.
        name: Label for tables.
        concurrency: Requests under way at once.
        timeout: Seconds for one whole request.
        attempts: Tries of one request before it is given up.
        longest_wait: Seconds that a pause between tries may grow to.
        extra_body: Fields added to each request, above all others; None as a value drops a field.
        reasoning_tokens: Tokens beside the cap on a reply that the model may think in.

    Attributes:
        usage: Counts of requests, failures and tokens.
        seen: What answered: names of models, fingerprints, headers that name the server's software.
        on_note: Called with each sentence that the user should read, possibly from another thread.
    """

    concurrent = True

    def __init__(
        self,
        model: str,
        base_url: str | Sequence[str] | None = None,
        *,
        key: str = "",
        key_header: str = "Authorization",
        key_over_plain_http: bool = False,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        attempts: int = 8,
        longest_wait: float = 30.0,
        extra_body: Mapping[str, Any] | None = None,
        reasoning_tokens: int = 0,
    ) -> None:
        self.model = model
        given = [base_url] if isinstance(base_url, str) else list(base_url or ())
        addresses = [read_address(url) for url in given or [os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL]]
        key = clean_key(key, f"EndpointModel({model!r})")
        check_way(key, addresses, key_over_plain_http)
        if own := set(extra_body or ()) & set(OWN):
            raise EscEvalError(f"extra body: {min(own)!r} is set by esc-eval alone; leave it out")
        self.name = name or model.rpartition("/")[2]
        self.parallel = concurrency
        self.attempts, self.longest_wait = attempts, longest_wait
        self.reasoning_tokens = reasoning_tokens
        self.server = ", ".join(address.shown for address in addresses)
        self.identity: dict[str, Any] = {
            **{"kind": "openai", "model": model, "server": self.server},
            **({"extra_body": dict(extra_body)} if extra_body else {}),
            **({"reasoning_tokens": reasoning_tokens} if reasoning_tokens else {}),
        }
        self.usage: Counter[str] = Counter()
        self.seen: dict[str, list[str]] = {}
        self.on_note: Callable[[str], None] = _log.warning
        self._noted: set[str] = set()
        self._sends_key = bool(key)
        self._secrets = Secrets([key, *(address.password or "" for address in addresses)])
        self._addresses = {address.url: address for address in addresses}
        self._takes = {url: Capabilities(extra_body or {}) for url in self._addresses}
        self.pool = Pool([address.url for address in addresses], concurrency)
        self._client = Client(key, key_header, timeout, all(address.loopback for address in addresses))
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(concurrency)
        self._standing = Standing()
        threading.Thread(target=self._loop.run_forever, daemon=True, name=f"endpoint {self.name}").start()

    @property
    def adapted(self) -> dict[str, str]:
        """Settings that are not sent as they are asked for, because the servers refuse them: what is done, by name."""
        return {name: done for takes in self._takes.values() for name, done in takes.adapted.items()}

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they arrive; see ``ChatModel.reply``."""
        bodies = [self._body(c, settings, seed) for c, seed in zip(conversations, seeds, strict=True)]
        yield from self._gather(bodies, read_reply, Trouble.as_reply)

    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices, in the way that suits the server, found out on the first; see ``ChoiceModel``."""
        question = Question(tuple(options), partial(find_option, tuple(options)), lead, answer_tokens)
        trial = next((conversation for group in groups for conversation in group), None)
        if trial is not None:
            yield from self.ask(groups, question, self.settle_way(trial, question))

    def settle_way(self, trial: Conversation, question: Question, by: By = "auto") -> Settled:
        """Find out how the server's answers can be had; see ``AskedModel``."""
        return Choices(self).settle(trial, question, by)

    def ask(
        self, groups: Sequence[Sequence[Conversation]], question: Question, settled: Settled
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; see ``AskedModel``."""
        return Choices(self).ask(groups, question, settled)

    def _gather(
        self,
        bodies: Sequence[Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], T],
        give_up: Callable[[Trouble], T] = cast(Any, Trouble.as_choice),
        whose: Sequence[Hashable] | None = None,
    ) -> Iterator[tuple[int, T]]:
        """Send requests side by side and yield what is made of each response, as they arrive.

        Settings of ``adapting.OPTIONAL`` that the server refuses are left out. What is made has its attribute
        ``served`` filled, where it has one.

        Args:
            bodies: Of the requests.
            read: Makes something of a response that is a chat completion and no trouble; what it raises of
                ``Malformed`` and of errors of lookup and type is a response that is asked for again.
            give_up: Makes something of a conversation that ends without an answer.
            whose: The conversation of each request, where several are of one.

        Raises:
            Refused: The server does not take a field that cannot be left out; what was answered was yielded.
            EscEvalError: No conversation can be answered; what was answered was yielded.
        """
        done: queue.SimpleQueue[tuple[int, Future[T]]] = queue.SimpleQueue()
        futures: list[Future[T]] = []
        stop, call = Stop(), object()

        def drop() -> None:
            stop.asked = True
            for future in list(futures):
                future.cancel()

        failures: list[BaseException] = []
        try:
            with current_stop().watch(drop):
                for index, body in enumerate(bodies):
                    owner = (call, whose[index] if whose else index)
                    future = asyncio.run_coroutine_threadsafe(
                        self._answer(Request(body, stop), read, give_up, owner), self._loop
                    )
                    future.add_done_callback(lambda f, index=index: done.put((index, f)))  # type: ignore[misc]
                    futures.append(future)
                for _ in futures:
                    index, future = done.get()
                    if future.cancelled():
                        continue
                    error = future.exception()
                    if error is None:
                        yield index, future.result()
                        continue
                    failures.append(error)
                    drop()  # a server that is down for one is down for all that wait
                if stop.asked and not failures:
                    raise Interrupted("stopped")
        finally:
            drop()
        for error in failures:
            if isinstance(error, Refused):
                raise error
        if failures:
            raise EscEvalError(
                f"{self.name} at {self.server}: {failures[0]}\nWhat was finished is kept. When the server is well, "
                "run the same command again to go on."
            ) from failures[0]

    def _body(self, conversation: Conversation, settings: Generation, seed: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in conversation],
            CAP: settings.max_new_tokens + self.reasoning_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed % 2**31,
        }
        if settings.top_k:
            body["top_k"] = settings.top_k
        if settings.repetition_penalty != 1.0:
            body["repetition_penalty"] = settings.repetition_penalty
        return body

    async def _answer(
        self,
        request: Request,
        read: Callable[[Mapping[str, Any]], T],
        give_up: Callable[[Trouble], T],
        owner: Hashable,
    ) -> T:
        """Have a request answered, whatever it takes; a conversation that gets no answer is given up."""
        self._standing.begin()
        try:
            async with self._slots:
                result = await self._try(request, read)
            self._standing.answered()
            return result
        except Ended as error:
            return give_up(error.trouble)
        except GivenUp as error:
            if await self._standing.is_everybodys(owner):
                raise EscEvalError(str(error)) from error
            return give_up(Trouble(str(error)))
        finally:
            self._standing.end()

    async def _try(self, request: Request, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Send a request until it is answered, at most ``attempts`` times."""
        pause = wait_random_exponential(multiplier=0.5, max=self.longest_wait)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait if isinstance(error, Passing) else None
            return min(asked, self.longest_wait) if asked is not None else pause(state)

        # the system prompt, and with it the role card, tells dialogues apart
        key = json.dumps(request.body["messages"][:2], ensure_ascii=False)

        async def attempt() -> T:
            server = await self.pool.take(key, request.last)
            request.last = server
            try:
                return await self._post(request, server, read)
            finally:
                self.pool.give_back(server)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Passing), stop=stop_after_attempt(self.attempts), wait=wait, reraise=True
        )
        try:
            return cast(T, await retrying(attempt))
        except Passing as error:
            why = f"gave up after {self.attempts} tries: {error}"
            if error.unreachable:
                raise EscEvalError(f"{why}. Check the address.") from error
            raise GivenUp(why) from error

    async def _post(self, request: Request, server: Server, read: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            result = await self._ask(request, server, read)
        except Passing as error:
            self.usage["failures"] += 1
            if error.pushed_back:
                self.pool.pushed_back(server)
            else:
                self.pool.failed(server)
            raise
        self.pool.well(server)
        return result

    async def _ask(self, request: Request, server: Server, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Send a request as the server takes it, and again where it refuses a setting, or the model only thought."""
        takes, address = self._takes[server.url], self._addresses[server.url]
        for _ in range(MOST_ADAPTATIONS):
            sent, done = takes.apply(request.asked)
            request.begun = request.begun or monotonic()
            self.usage["requests"] += 1
            try:
                response = await self._client.post(address, sent, lambda: not (request.stop.asked or EVERYTHING.asked))
            except Passing as error:
                raise Passing(
                    self._secrets.mask(str(error)), error.wait, error.pushed_back, error.unreachable
                ) from error
            try:
                content, refusal = self._take_apart(response)
                if refusal is not None:
                    self._adapt(request, takes, refusal, sent, response)
                    continue
                return self._read(request, content, sent, done, response, read)
            except _Again:
                continue
            except (Malformed, Unreadable, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                said = error if isinstance(error, Malformed | Unreadable) else type(error).__name__
                raise Passing(f"not a chat completion: {self._secrets.mask(str(said))}") from error
        raise GivenUp(f"the server refused the request in {MOST_ADAPTATIONS} forms")

    def _take_apart(self, response: Response) -> tuple[dict[str, Any], Refusal | None]:
        """What a response holds, and what it refuses; an error may stand in a body of status 200."""
        if response.status != 200:
            return {}, self._hide(read_refusal(response.status, response.body))
        text = response.body.decode("utf-8")
        content = read_json(self._secrets.mask_whole(text).encode())
        if not isinstance(content, dict):
            raise Malformed(f"the body is a {type(content).__name__}")
        if content.get("error") and not content.get("choices"):
            error = content["error"]
            code = error.get("code") if isinstance(error, dict) else None
            status = code if isinstance(code, int) and 400 <= code < 600 else 502
            return {}, self._hide(refusal_from(status, error))
        return content, None

    def _hide(self, refusal: Refusal) -> Refusal:
        return replace(refusal, message=self._secrets.mask(refusal.message))

    def _adapt(self, request: Request, takes: Capabilities, refusal: Refusal, sent: Body, response: Response) -> None:
        """Return where the request is worth sending again, in another form.

        Raises:
            Ended: This conversation cannot be answered.
            GivenUp: It is refused, and nothing says whose fault that is.
            Passing: The server may answer later.
            EscEvalError: No conversation can be answered.
        """
        said = f"the server answered {refusal.status}: {refusal.message}"
        if refusal.too_long:
            cap = next((sent[name] for name in (NEW_CAP, CAP) if isinstance(sent.get(name), int)), 0)
            if request.cap is None and (room := room_left(refusal, cap)):
                request.cap = room
                request.changes[CAP] = f"lowered to {room}, which the conversation leaves"
                self._note(f"{self.name}: where a conversation leaves less room, max_tokens is lowered to fit")
                return
            raise Ended(Trouble(None, "context"))
        if refusal.filtered:
            raise Ended(Trouble(said, "content_filter"))
        if refusal.everybodys:
            raise EscEvalError(said + self._remedy(refusal))
        if (refusal.status < 500 and not refusal.transient) or refusal.about_template:
            before = takes.adapted
            if takes.apply(request.asked)[0] != sent or takes.learn(refusal, sent):
                self._note_adaptations(before, takes.adapted)
                return
        if refusal.transient:
            raise Passing(said, retry_after(response.headers), refusal.status in {429, 503})
        raise GivenUp(said)

    def _remedy(self, refusal: Refusal) -> str:
        """What to do about a refusal that any request would get."""
        if refusal.status in (401, 403):
            if self._sends_key:
                return ". Check the key."
            return ". No key was sent there; name the variable that holds one: --api-key-env NAME"
        if refusal.status in (404, 405):
            return ". Check the model's name, and that the base URL ends in /v1 or as the server's manual says."
        return ""

    def _read(
        self,
        request: Request,
        content: dict[str, Any],
        sent: Body,
        done: dict[str, str],
        response: Response,
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """Make something of a completion.

        Raises:
            Ended: It is no answer.
            _Again: The model only thought, and gets more room.
            Malformed: It is no completion.
        """
        usage = read_usage(content)
        if trouble := find_trouble(content):
            self.usage.update(usage)
            raise Ended(Trouble(self._secrets.mask(trouble.problem or ""), trouble.finish_reason))
        cap = next((sent[name] for name in (CAP, NEW_CAP) if isinstance(sent.get(name), int)), None)
        if is_all_reasoning(content, cap):
            self.usage.update(usage)
            request.spent.update(usage)
            self._give_room(request, cap)
        result = read(content)
        self.usage.update(usage)
        self._keep_names(content, response.headers)
        served = Served(
            model=self._name(content.get("model")),
            fingerprint=self._name(content.get("system_fingerprint")),
            seconds=round(monotonic() - (request.begun or monotonic()), 3),
            adapted={**done, **request.changes} or None,
        )
        if isinstance(result, Reply):
            return cast(T, _add_spent(replace(result, served=served), request.spent))
        return cast(T, replace(result, served=served)) if isinstance(result, Choice) else result

    def _give_room(self, request: Request, cap: int | None) -> None:
        """Let a model that only thought think longer."""
        more = min((cap or 0) * MORE_ROOM, MOST_ROOM)
        if cap is None or more <= cap or (request.cap or 0) > cap:  # the server's own limit is reached
            tokens = f"{cap} tokens were" if cap else "the server's own limit was"
            raise Ended(Trouble(f"the reply was all reasoning: {tokens} not enough (see --reasoning-tokens)", "length"))
        self._note(
            f"{self.name}: a reply was all reasoning at {cap} tokens and is asked for again with more; give the model "
            "room to think with --reasoning-tokens"
        )
        request.cap = more
        request.changes[CAP] = f"raised to {more}, as less was all reasoning"
        raise _Again

    def _name(self, value: object) -> str | None:
        return self._secrets.mask(value[:200]) if isinstance(value, str) and value else None

    def _keep_names(self, content: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Keep the names of what answered."""
        versions = [f"{k}: {v}" for k, v in headers.items() if k == "server" or k.endswith("-version")]
        for kind, names in (
            ("models", [content.get("model")]),
            ("fingerprints", [content.get("system_fingerprint")]),
            ("headers", versions),
        ):
            for found in filter(None, map(self._name, names)):
                known = self.seen.setdefault(kind, [])
                if found not in known and len(known) < KEPT:
                    known.append(found)

    def _note_adaptations(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        for name, done in after.items():
            if before.get(name) != done:
                self._note(
                    f"{self.name} at {self.server} does not take {_SETTING.get(name, name)} as asked for: {done}"
                )

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self.on_note(text)


class _Again(Exception):
    """The request is worth sending once more."""


_SETTING = {"system": "a system message", "neighbours": "two messages of one role in a row"}


def _add_spent(reply: Reply, spent: Mapping[str, int]) -> Reply:
    """A reply whose counts hold the tokens of the tries that were all reasoning, which were paid as well."""
    if not spent:
        return reply
    counts = {name: (getattr(reply, name) or 0) + count for name, count in spent.items()}
    return replace(reply, **counts)  # type: ignore[arg-type]
