"""A chat application behind one address, asked in plain JSON; docs/models.md holds the contract.

Its answers are handed on as chat completions, so ``EndpointModel`` does all else.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError, model_validator

from esc_eval.chat.base import Conversation
from esc_eval.chat.endpoint.addresses import Address, read_address
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.requests import Client, Passing, Response
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason


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

    def as_completion(self) -> Response:
        """As a chat-completions server would have answered."""
        if self.finish_reason == "context":
            return Response(413, {}, b"the application has no room for the conversation")
        message = {"role": "assistant", "content": self.text, "reasoning": self.reasoning}
        content = {
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
            "usage": self.usage.model_dump(),
        }
        return Response(200, {}, json.dumps(content).encode())


@dataclass(frozen=True)
class ExactAddress(Address):
    """An address that is posted to as it stands."""

    def to(self, path: str) -> str:
        """The address itself."""
        return self.url


class ApplicationClient(Client):
    """Sends conversations to one address, as the contract says.

    Args:
        url: The address.
        key, timeout: As of ``Client``.
    """

    def __init__(self, url: str, key: str, timeout: float) -> None:
        address = read_address(url)
        super().__init__(key, "Authorization", timeout, address.loopback)
        self._exact = ExactAddress(**{**vars(address), "url": url.strip().partition("#")[0]})

    async def post(self, address: Address, body: Mapping[str, Any], may_send: Callable[[], bool]) -> Response:
        """Send a conversation; see ``Client.post``."""
        response = await super().post(self._exact, body, may_send)
        if response.status in (404, 405, 410):
            raise EscEvalError(
                f"the server answered {response.status}: no application answers there. Check the address"
            )
        if response.status != 200:
            return response
        try:
            answer = Answer.model_validate_json(response.body)
        except ValidationError as error:
            raise Passing(f"no answer as docs/models.md says: {explain_validation(error)}") from error
        completion = answer.as_completion()
        return Response(completion.status, response.headers, completion.body)


class HttpModel(EndpointModel):
    """A chat application, with a persona and settings of its own.

    Every request holds the whole conversation, so the application need not remember any.

    Args:
        url: Where conversations are posted.
        key: Sent as ``Authorization: Bearer`` with each request; "" = none is.
        name: Label for tables.
        timeout: Seconds for one whole request.
        ignored: Options that were given and are not for applications, which is said once.
        options: As of ``EndpointModel``.

    Raises:
        EscEvalError: It is no address, or the key would be sent readable over a network.
    """

    choose = None  # type: ignore[assignment]  # an application gives words alone

    def __init__(
        self,
        url: str,
        *,
        key: str = "",
        name: str | None = None,
        timeout: float = 120.0,
        ignored: Sequence[str] = (),
        **options: Any,
    ) -> None:
        client = ApplicationClient(url, key, timeout)
        super().__init__(url, url, key=key, name=name or name_of_url(url), timeout=timeout, client=client, **options)
        self.server += f"?{query}" if (query := urlsplit(url).query) else ""
        self._ignored = [f"--{name.replace('_', '-')}" for name in ignored]
        self.identity = {"kind": "http", "model": self.server, "generation": "own"}

    @property
    def _lists(self) -> list[str]:
        """Nowhere: an application is one model."""
        return []

    def _body(self, conversation: Conversation, settings: Generation, seed: int) -> dict[str, Any]:
        if self._ignored:
            self._record.note(f"{' and '.join(self._ignored)}: nothing of it is sent to an application, only to models")
        return {"messages": [dict(message) for message in conversation], "seed": seed % 2**31}


def name_of_url(url: str) -> str:
    """A label: the last part of an address's path, or its host.

    >>> name_of_url("https://app.example/bots/kind?tone=warm"), name_of_url("http://127.0.0.1:8000/")
    ('kind', '127.0.0.1')
    """
    parts = urlsplit(url)
    return parts.path.rstrip("/").rpartition("/")[2] or parts.hostname or url
