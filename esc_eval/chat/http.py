"""A chat application behind one address, asked in plain JSON. docs/models.md holds the contract."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError, model_validator

from esc_eval.chat.base import Conversation, Reply
from esc_eval.chat.remote import AWAY, Passing, Refused, RemoteModel, read_retry_after, read_server
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason, Served

LARGEST = 2**22
"""Bytes of an answer that are read, at most."""
NOBODY = frozenset({401, 402, 403, 404, 405})
"""Answers that say that nobody is answered at this address, or not with this key."""


class Usage(BaseModel):
    """Tokens, as the application counts them."""

    prompt_tokens: int | None = Field(default=None, ge=0)
    completion_tokens: int | None = Field(default=None, ge=0)


class Answer(BaseModel):
    """What an application answers; fields of its own besides these are left alone."""

    text: str
    finish_reason: FinishReason = "stop"
    reasoning: str | None = None
    model: str | None = None
    usage: Usage = Usage()

    @model_validator(mode="before")
    @classmethod
    def _takes_reply(cls, value: Any) -> Any:
        return {"text": value["reply"], **value} if isinstance(value, dict) and "reply" in value else value


class HttpModel(RemoteModel):
    """A chat application, with a persona and settings of its own.

    Every request holds the whole conversation, so the application need not remember any. A redirect is not followed.

    Args:
        url: Where conversations are posted.
        key: Sent as ``Authorization: Bearer`` with each request; None = none is.
        name: Label for tables.
        concurrency, timeout, attempts: As of ``RemoteModel``.

    Raises:
        EscEvalError: It is no address, or the key would be sent readable over a network.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        attempts: int = 8,
    ) -> None:
        self.url = url
        self.identity: dict[str, Any] = {"kind": "http", "model": read_server(url), "generation": "own"}
        if key and urlsplit(url).scheme == "http" and not _is_loopback(urlsplit(url).hostname or ""):
            raise EscEvalError(f"http:{url}: a key is sent over https, or to this machine alone; use https://")
        super().__init__(
            name or name_of_url(url), concurrency=concurrency, timeout=timeout, attempts=attempts, secrets=[key or ""]
        )
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=concurrency),
        )

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the application's answers as they arrive; see ``ChatModel.reply``."""
        del settings  # the application has its own
        asks = [
            partial(self._ask, {"messages": [dict(message) for message in conversation], "seed": seed % 2**31})
            for conversation, seed in zip(conversations, seeds, strict=True)
        ]
        yield from self.side_by_side(asks, lambda why: Reply("", "stop", problem=why))

    async def _ask(self, body: Mapping[str, Any]) -> Reply:
        began = monotonic()
        self.count_request()
        try:
            async with self._client.stream("POST", self.url, json=body) as response:
                content = bytearray()
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > LARGEST:
                        raise Refused(f"the answer is longer than {LARGEST} bytes")
        except httpx.TimeoutException as error:
            raise Passing(f"no answer within {self._timeout:g} s") from error
        except httpx.TransportError as error:
            away = isinstance(error, httpx.ConnectError)
            raise Passing(f"connection failed ({type(error).__name__}): {error}", away=away) from error
        except httpx.HTTPError as error:
            raise Passing(f"not an answer ({type(error).__name__}): {error}") from error
        self._refuse(response, bytes(content))
        try:
            answer = Answer.model_validate_json(bytes(content))
        except ValidationError as error:
            raise Passing(f"not an answer as docs/models.md says: {explain_validation(error)}") from error
        usage, seconds = answer.usage, round(monotonic() - began, 3)
        self.count_tokens(usage.prompt_tokens, usage.completion_tokens)
        context = answer.finish_reason == "context"
        return Reply(
            "" if context else answer.text,
            answer.finish_reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            problem="the application withheld its answer" if _is_withheld(answer) else None,
            reasoning=answer.reasoning,
            served=Served(model=answer.model, seconds=seconds),
        )

    def _refuse(self, response: httpx.Response, content: bytes) -> None:
        """Raise what a status other than 200 means."""
        status = response.status_code
        if status == 200:
            return
        what = f"the application answered {status}: {_read_error(content)}"
        if response.is_redirect:
            where = response.headers.get("location", "an address that it does not say")
            raise self.unusable(f"{self.url} sends on to {where}; a redirect is not followed: name that address")
        if status in NOBODY:
            raise self.unusable(f"{what}\nIs {self.url} the right address, and --api-key-env the right key?")
        if status in {408, 425} or status in AWAY or status >= 500:
            raise Passing(what, read_retry_after(response.headers.get("retry-after")), status in AWAY)
        raise Refused(what)


def _is_withheld(answer: Answer) -> bool:
    return answer.finish_reason == "content_filter" and not answer.text


def _read_error(content: bytes) -> str:
    """The ``error`` of a body, or its first words."""
    try:
        found = json.loads(content)
        return str(found["error"])
    except (ValueError, KeyError, TypeError):
        return content[:300].decode("utf-8", "replace") or "nothing"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_of_url(url: str) -> str:
    """A label: the last part of an address's path, or its host.

    >>> name_of_url("https://app.example/bots/kind?tone=warm"), name_of_url("http://127.0.0.1:8000/")
    ('kind', '127.0.0.1')
    """
    parts = urlsplit(url)
    return parts.path.rstrip("/").rpartition("/")[2] or parts.hostname or url
