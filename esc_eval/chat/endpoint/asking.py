"""Having one conversation answered: by which server, in which form, how often, and when to give it up."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, NoReturn, TypeVar, cast

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from esc_eval.chat.base import ESTIMATED, Reply
from esc_eval.chat.endpoint.adapting import CAP, NEW_CAP, Body, Capabilities, room_left
from esc_eval.chat.endpoint.addresses import Address
from esc_eval.chat.endpoint.bodies import Unreadable, read_json
from esc_eval.chat.endpoint.choices import Answer
from esc_eval.chat.endpoint.keys import Secrets
from esc_eval.chat.endpoint.pool import Pool, Server
from esc_eval.chat.endpoint.record import Record
from esc_eval.chat.endpoint.refusals import Refusal, find_refusal, read_refusal
from esc_eval.chat.endpoint.replies import (
    Malformed,
    Trouble,
    find_trouble,
    first_choice,
    is_all_reasoning,
    is_web_page,
    read_finish,
    read_message,
    read_usage,
)
from esc_eval.chat.endpoint.requests import Client, Passing, Response, retry_after
from esc_eval.chat.endpoint.standing import Standing
from esc_eval.chat.stopping import EVERYTHING, Stop
from esc_eval.errors import EscEvalError
from esc_eval.languages import estimate_tokens
from esc_eval.schema import Served

MOST_ADAPTATIONS = 16
"""Times that one request is changed because of what a server refuses."""
MORE_ROOM = 4
"""What a cap grows by where a reply was all reasoning."""
MOST_ROOM = 16_384
"""Tokens up to which it grows."""
WEB_PAGE = "the server sent a web page"
T = TypeVar("T")


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
        fitted: Whether that is all that the conversation leaves.
        only_thought: Whether the model has once thought, stopped by itself and said nothing.
        changes: What was done to its settings because of the conversation itself, by name.
        spent: Tokens of replies that were all reasoning.
        begun: Clock time of the first sending.
    """

    body: Mapping[str, Any]
    stop: Stop
    cap: int | None = None
    fitted: bool = False
    only_thought: bool = False
    changes: dict[str, str] = field(default_factory=dict)
    spent: Counter[str] = field(default_factory=Counter)
    begun: float | None = None
    last: Server | None = None

    @property
    def asked(self) -> Body:
        """The body, with the cap that this conversation needs."""
        return {**self.body, CAP: self.cap} if self.cap and CAP in self.body else dict(self.body)


class Asker:
    """Has conversations answered by the servers of one model; belongs to one event loop.

    Args:
        addresses: The servers'.
        client: Sends to them.
        secrets: Shown nowhere.
        sends_key: Whether a key goes along.
        extra_body: Fields added to each request.
        concurrency, attempts, longest_wait: As of ``EndpointModel``.
        record: Where it is counted and noted.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        client: Client,
        secrets: Secrets,
        *,
        sends_key: bool,
        extra_body: Mapping[str, Any],
        concurrency: int,
        attempts: int,
        longest_wait: float,
        record: Record,
    ) -> None:
        self.attempts, self.longest_wait = attempts, longest_wait
        self._client, self._secrets, self._sends_key, self._record = client, secrets, sends_key, record
        self._addresses = {address.url: address for address in addresses}
        self._takes = {url: Capabilities(extra_body) for url in self._addresses}
        self._pool = Pool([address.url for address in addresses], concurrency)
        self._slots = asyncio.Semaphore(concurrency)
        self._standing = Standing()

    @property
    def adapted(self) -> dict[str, str]:
        """Settings that are not sent as they are asked for, because the servers refuse them: what is done, by name."""
        return {name: done for takes in self._takes.values() for name, done in takes.adapted.items()}

    @property
    def lists(self) -> list[str]:
        """Where its servers list their models."""
        return [address.to("/models") for address in self._addresses.values()]

    def list_models(self, url: str, timeout: float) -> list[str]:
        """What a server lists, asked with the key; nothing where it lists nothing."""
        try:
            return [str(entry["id"]) for entry in read_json(self._client.get(url, timeout))["data"]]
        except (httpx.HTTPError, httpx.InvalidURL, Unreadable, KeyError, TypeError):
            return []

    async def answer(
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
            server = await self._pool.take(key, request.last)
            request.last = server
            try:
                return await self._post(request, server, read)
            finally:
                self._pool.give_back(server)

        tries = 0

        def is_enough(state: RetryCallState) -> bool:
            nonlocal tries
            tries = state.attempt_number
            error = state.outcome.exception() if state.outcome else None
            return tries >= min(self.attempts, getattr(error, "most", None) or self.attempts)

        retrying = AsyncRetrying(retry=retry_if_exception_type(Passing), stop=is_enough, wait=wait, reraise=True)
        try:
            return cast(T, await retrying(attempt))
        except Passing as error:
            times = f"{tries} tries" if tries > 1 else "one try"
            why = f"gave up after {times}: {error}"
            if error.unreachable:
                raise EscEvalError(f"{why}. Check the address.") from error
            raise GivenUp(why) from error

    async def _post(self, request: Request, server: Server, read: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            result = await self._ask(request, server, read)
        except Passing as error:
            self._record.usage["failures"] += 1
            if error.pushed_back:
                self._pool.pushed_back(server)
            else:
                self._pool.failed(server)
            raise
        self._pool.well(server)
        return result

    async def _ask(self, request: Request, server: Server, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Send a request as the server takes it, and again where it refuses a setting, or the model only thought."""
        takes, address = self._takes[server.url], self._addresses[server.url]
        for _ in range(MOST_ADAPTATIONS):
            sent, done = takes.apply(request.asked)
            request.begun = request.begun or monotonic()
            self._record.usage["requests"] += 1
            try:
                response = await self._client.post(address, sent, lambda: not (request.stop.asked or EVERYTHING.asked))
            except Passing as error:
                raise Passing(
                    self._record.show(str(error)), error.wait, error.pushed_back, error.unreachable, error.most
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
                raise Passing(f"not a chat completion: {self._record.show(str(said))}") from error
        raise GivenUp(f"the server refused the request in {MOST_ADAPTATIONS} forms")

    def _take_apart(self, response: Response) -> tuple[dict[str, Any], Refusal | None]:
        """What a response holds, and what it refuses; an error may stand in a body of status 200."""
        if not 200 <= response.status < 300:
            return {}, self._hide(read_refusal(response.status, response.body))
        if is_web_page(response.body):
            raise Malformed(WEB_PAGE)
        content = self._secrets.mask_answers(read_json(response.body))
        if not isinstance(content, dict):
            raise Malformed(f"the body is a {type(content).__name__}")
        if not content.get("choices") and (refusal := find_refusal(content)):
            return {}, self._hide(refusal)
        return content, None

    def _hide(self, refusal: Refusal) -> Refusal:
        return replace(refusal, message=self._record.show(refusal.message))

    def _adapt(self, request: Request, takes: Capabilities, refusal: Refusal, sent: Body, response: Response) -> None:
        """Return where the request is worth sending again, in another form.

        Raises:
            Ended: This conversation cannot be answered.
            GivenUp: It is refused, and nothing says whose fault that is.
            Passing: The server may answer later.
            EscEvalError: No conversation can be answered.
        """
        inside = response.status if 200 <= response.status < 300 else None
        answered = f"{inside} with error {refusal.status} inside" if inside else refusal.status
        said = f"the server answered {answered}: {refusal.message}"
        if refusal.too_long:
            cap = next((sent[name] for name in (NEW_CAP, CAP) if isinstance(sent.get(name), int)), 0)
            if not request.fitted and (room := room_left(refusal, cap)):
                request.cap, request.fitted = room, True
                request.changes[CAP] = f"lowered to {room}, which the conversation leaves"
                self._record.note("where a conversation leaves less room, max_tokens is lowered to fit")
                return
            raise Ended(_all_reasoning(request.cap) if request.spent else Trouble(None, "context"))
        if refusal.filtered:
            raise Ended(Trouble(said, "content_filter"))
        if refusal.everybodys:
            raise EscEvalError(said + self._remedy(refusal))
        if (refusal.status < 500 and not refusal.transient) or refusal.about_template:
            before = takes.adapted
            if takes.apply(request.asked)[0] != sent or takes.learn(refusal, sent):
                self._record.note_adaptations(before, takes.adapted)
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
            _Again: The model only thought, and gets more room, or another try where it had enough.
            Malformed: It is no completion.
        """
        usage = read_usage(content)
        if trouble := find_trouble(content):
            self._record.usage.update(usage)
            raise Ended(Trouble(self._record.show(trouble.problem or ""), trouble.finish_reason))
        cap = next((sent[name] for name in (CAP, NEW_CAP) if isinstance(sent.get(name), int)), None)
        if is_all_reasoning(content, cap):
            self._record.usage.update(usage)
            request.spent.update(usage)
            if read_finish(first_choice(content)) == "length":
                self._give_room(request, cap)
            if not request.only_thought:
                request.only_thought = True
                raise _Again
            raise Ended(Trouble("the reply was all reasoning; it stopped by itself"))
        result = read(content)
        self._record.usage.update(usage)
        self._record.usage.update(_estimate(usage, sent, content))
        self._record.keep_names(content, response.headers)
        served = Served(
            model=self._record.name(content.get("model")),
            fingerprint=self._record.name(content.get("system_fingerprint")),
            seconds=round(monotonic() - (request.begun or monotonic()), 3),
            adapted={**done, **request.changes} or None,
        )
        if isinstance(result, Reply):
            return cast(T, replace(self._clean(_add_spent(result, request.spent)), served=served))
        if isinstance(result, Answer):
            return cast(T, replace(result, reply=self._clean(result.reply), served=served))
        return result

    def _clean(self, reply: Reply) -> Reply:
        """A reply without secrets, which may have stood in several parts of the message."""
        mask = self._secrets.mask_answer
        return replace(reply, text=mask(reply.text), reasoning=reply.reasoning and mask(reply.reasoning))

    def _give_room(self, request: Request, cap: int | None) -> NoReturn:
        """Let a model that only thought think longer."""
        more = min((cap or 0) * MORE_ROOM, MOST_ROOM)
        if cap is None or more <= cap or request.fitted or (request.cap or 0) > cap:  # more than the server allows
            raise Ended(_all_reasoning(cap))
        self._record.note(
            "replies that are all reasoning are asked for again with more tokens; give the model room to "
            "think with --reasoning-tokens"
        )
        request.cap = more
        request.changes[CAP] = f"raised to {more}, as less was all reasoning"
        raise _Again


class _Again(Exception):
    """The request is worth sending once more."""


def _estimate(usage: Mapping[str, int], sent: Body, content: Mapping[str, Any]) -> dict[str, int]:
    """The tokens of a request and its answer that the server did not count, about, under names of their own."""
    message = read_message(first_choice(content))
    words = {
        "prompt_tokens": "\n".join(each["content"] for each in sent["messages"]),
        "completion_tokens": message.reasoning + message.text,
    }
    return {f"{ESTIMATED}{name}": estimate_tokens(text) for name, text in words.items() if name not in usage}


def _all_reasoning(cap: int | None) -> Trouble:
    tokens = f"{cap} tokens were" if cap else "the server's own limit was"
    return Trouble(f"the reply was all reasoning: {tokens} not enough (see --reasoning-tokens)", "length")


def _add_spent(reply: Reply, spent: Mapping[str, int]) -> Reply:
    """A reply whose counts hold the tokens of the tries that were all reasoning, which were paid as well."""
    if not spent:
        return reply
    counts = {name: (getattr(reply, name) or 0) + count for name, count in spent.items()}
    return replace(reply, **counts)  # type: ignore[arg-type]
