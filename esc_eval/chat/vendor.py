"""Models of vendors, each asked in its own API by the library any-llm, which calls the vendors' own clients."""

import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from time import monotonic
from typing import Any

from any_llm import AnyLLM
from any_llm.exceptions import (
    AnyLLMError,
    AuthenticationError,
    ContentFilterError,
    ContextLengthExceededError,
    InsufficientFundsError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    UnsupportedParameterError,
)
from any_llm.providers.anthropic.base import BaseAnthropicProvider
from any_llm.providers.openai.base import BaseOpenAIProvider
from any_llm.types.completion import ChatCompletion, CompletionParams
from pydantic import ValidationError

from esc_eval.chat.base import ANSWER_TOKENS, Choice, Conversation, Reply
from esc_eval.chat.endpoint import logprobs
from esc_eval.chat.remote import AWAY, Passing, Refused, RemoteModel, read_retry_after, read_server
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import FinishReason, Served

ROOM = 4096
"""Tokens that a reply gets on top of its cap where reasoning left none for the answer."""
LEFT_OUT = "left out"
EXPENDABLE = ("top_logprobs", "logprobs", "repetition_penalty", "top_k", "seed", "top_p", "temperature")
"""What a request can do without, in the order in which it is given up."""
OWN_NAMES = {"mistral": {"seed": "random_seed"}}
"""What a vendor calls a setting, where the library passes names on as they are."""
FINISH: dict[str | None, FinishReason] = {"length": "length", "content_filter": "content_filter"}
TOO_LONG = re.compile(
    r"too long|too large|too many tokens|token count|context (length|window|size|limit)|maximum.{0,20} tokens", re.IGNORECASE
)
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_OPENAI_AD_TOKEN")


@dataclass
class Request:
    """One request: what is sent, by the library's names, and what was asked for and is not sent as such."""

    messages: list[dict[str, Any]]
    sent: dict[str, Any]
    adapted: dict[str, str] = field(default_factory=dict)
    began: float | None = None


class VendorModel(RemoteModel):
    """A model of a vendor that any-llm knows.

    Settings that the vendor refuses, or that the library would drop without a word, are left out and named in each
    reply's ``served.adapted``. The library's version is recorded in ``library`` and is no part of the identity.

    Args:
        provider: The vendor's name in the library, such as ``anthropic``.
        model: The vendor's name for the model.
        base_url: Where it is asked, if not at the vendor's own address or the one in the library's variable.
        key: Sent with each request; None is that of the library's variable, which is sent to no ``base_url``.
        name: Label for tables.
        concurrency, timeout, attempts: As of ``RemoteModel``.

    Raises:
        EscEvalError: The library does not know the vendor, or there is no key.
        ImportError: The vendor's client is not installed.
    """

    may_answer_in_text = True  # where a vendor gives no log probabilities

    def __init__(
        self,
        provider: str,
        model: str,
        base_url: str | None = None,
        *,
        key: str | None = None,
        name: str | None = None,
        concurrency: int = 16,
        timeout: float = 120.0,
        attempts: int = 8,
    ) -> None:
        if provider not in AnyLLM.get_supported_providers():
            raise EscEvalError(
                f"any-llm:{provider}/{model}: the library any-llm {version('any-llm-sdk')} knows no vendor "
                f"{provider!r}. It knows: {', '.join(sorted(AnyLLM.get_supported_providers()))}"
            )
        kind = AnyLLM.get_provider_class(provider)
        variables = [*kind.ENV_API_KEY_NAME.replace(" or ", "/").split("/"), *SECRETS]
        super().__init__(
            name or model.rpartition("/")[2],
            concurrency=concurrency,
            timeout=timeout,
            attempts=attempts,
            secrets=[key or "", *(os.environ.get(variable, "") for variable in variables)],
        )
        self.provider, self.model = provider, model
        self.library = f"any-llm-sdk {version('any-llm-sdk')}"
        self.identity: dict[str, Any] = {"kind": "any-llm", "provider": provider, "model": model}
        if where := base_url or os.environ.get(kind.ENV_API_BASE_NAME or ""):
            self.identity["server"] = read_server(where)
        # A vendor's key is for the vendor: elsewhere it goes only if it was named for that place.
        self._key = key or ("none" if base_url else None)
        self._where = base_url
        try:
            self._client = self._open(kind)
        except AnyLLMError as error:
            raise EscEvalError(f"any-llm:{provider}/{model}: {self.mask(error.message)}") from error
        self._left_out = self._find_dropped()

    def _open(self, kind: type[AnyLLM]) -> AnyLLM:
        # The tries are counted here, so the vendor's client makes one.
        tries: dict[str, Any] = {} if kind.MAX_RETRIES_SUPPORT == "unsupported" else {"max_retries": 0}
        return AnyLLM.create(self.provider, self._key, self._where, unified_exceptions=True, **tries)

    def _find_dropped(self) -> dict[str, str]:
        """The settings without which the library would send the same."""
        values = {"temperature": 0.5, "top_p": 0.5, "seed": 7, "logprobs": True, "top_logprobs": logprobs.TOP}
        plain = self._converted({})
        return {name: LEFT_OUT for name, value in values.items() if self._converted({name: value}) == plain}

    def _converted(self, settings: Mapping[str, Any]) -> str:
        params = CompletionParams(
            model_id=self.model, messages=[{"role": "user", "content": "."}], max_tokens=1, **settings
        )
        try:
            return repr(self._client._convert_completion_params(params, provider_name=self.provider))
        except UnsupportedParameterError:
            return repr(self._client._convert_completion_params(params.model_copy(update=dict.fromkeys(settings))))

    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies as they arrive; see ``ChatModel.reply``."""
        asks = [
            partial(self._reply, self._request(conversation, settings, seed))
            for conversation, seed in zip(conversations, seeds, strict=True)
        ]
        yield from self.side_by_side(asks, lambda why: Reply("", "stop", problem=why))

    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices, from log probabilities where the vendor gives them, else text alone."""
        del lead  # an answer cannot be begun for a vendor's model
        places = [(index, n) for index, group in enumerate(groups) for n in range(len(group))]
        asks: list[Callable[[], Awaitable[Choice]]] = []
        for index, n in places:
            request = self._request(groups[index][n], Generation(max_new_tokens=answer_tokens), None)
            request.sent |= {"logprobs": True, "top_logprobs": logprobs.TOP}
            asks.append(partial(self._choose, request, options))
        waiting: dict[int, dict[int, Choice]] = {}
        for number, choice in self.side_by_side(asks, lambda why: Choice(problem=why)):
            index, n = places[number]
            found = waiting.setdefault(index, {})
            found[n] = choice
            if len(found) == len(groups[index]):
                yield index, [found[i] for i in range(len(groups[index]))]
                del waiting[index]

    def _request(self, conversation: Conversation, settings: Generation, seed: int | None) -> Request:
        sent: dict[str, Any] = {
            "max_tokens": settings.max_new_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
        }
        if seed is not None:
            sent["seed"] = seed % 2**31
        if settings.top_k:
            sent["top_k"] = settings.top_k
        if settings.repetition_penalty != 1.0:
            sent["repetition_penalty"] = settings.repetition_penalty
        return Request([dict(message) for message in conversation], sent)

    async def _reply(self, request: Request) -> Reply:
        try:
            completion = await self._complete_with_room(request)
        except ContentFilterError as error:
            return Reply("", "content_filter", problem=f"refused content: {self.mask(error.message)}")
        except ContextLengthExceededError:
            return Reply("", "context", served=self._served(None, request))
        choice, usage, served = completion.choices[0], completion.usage, self._served(completion, request)
        text, reasoning = _spoken(completion)
        finish = FINISH.get(choice.finish_reason, "stop")
        problem = None
        if not text and finish == "content_filter":
            problem = "the vendor's filter withheld the answer"
        elif not text and finish == "length":
            problem = f"no answer within {request.sent['max_tokens']} tokens: all was reasoning"
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
        return Reply(text, finish, *tokens, problem=problem, reasoning=reasoning, served=served)

    async def _choose(self, request: Request, options: Sequence[str]) -> Choice:
        try:
            completion = await self._complete_with_room(request)
        except ContentFilterError as error:
            return Choice(problem=f"refused content: {self.mask(error.message)}")
        except ContextLengthExceededError as error:
            return Choice(problem=f"too long for {self.name}: {self.mask(error.message)}")
        answer = completion.choices[0].model_dump(include={"finish_reason", "logprobs"})
        choice = logprobs.choice_from(answer | {"message": {"content": _spoken(completion)[0]}}, options)
        way = choice.way or ("text" if choice.probabilities is None else "logprobs")
        return replace(choice, way=way, served=self._served(completion, request))

    async def _complete_with_room(self, request: Request) -> ChatCompletion:
        """The completion; once more with a higher cap where reasoning took all of it."""
        completion = await self._complete(request)
        if _spoken(completion)[0] or completion.choices[0].finish_reason != "length" or "max_tokens" in request.adapted:
            return completion
        request.sent["max_tokens"] += ROOM
        request.adapted["max_tokens"] = f"raised by {ROOM}: reasoning left no room for an answer"
        return await self._complete(request)

    async def _complete(self, request: Request) -> ChatCompletion:
        """Send a request until the vendor takes its settings, and read its answer or its refusal."""
        request.began = request.began or monotonic()
        while True:
            request.adapted |= {name: how for name, how in self._left_out.items() if name in request.sent}
            sent = {name: value for name, value in request.sent.items() if name not in self._left_out}
            self.count_request()
            try:
                completion = await self._client.acompletion(self.model, request.messages, **self._named(sent))
            except AnyLLMError as error:
                self._read_refusal(error, sent)
                continue
            except ValidationError as error:  # of the request by the vendor's client, or of the answer by the library
                if not self._leave_out(str(error), sent):
                    raise Passing(f"an answer that cannot be read: {explain_validation(error)}") from error
                continue
            if not isinstance(completion, ChatCompletion) or not completion.choices:
                raise Passing("the answer holds no choices")
            if completion.choices[0].finish_reason == "error":
                raise Passing("the answer ended in an error")
            usage = completion.usage
            self.count_tokens(usage and usage.prompt_tokens, usage and usage.completion_tokens)
            return completion

    def _named(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by the names that the vendor's client takes."""
        own = OWN_NAMES.get(self.provider, {})
        named = {own.get(name, name): value for name, value in sent.items()}
        if isinstance(self._client, BaseOpenAIProvider):  # that client takes others only inside the body
            body = {name: named.pop(name) for name in ("top_k", "repetition_penalty") if name in named}
            named |= {"extra_body": body} if body else {}
        if self._client.TIMEOUT_SUPPORT != "unsupported":
            named["timeout"] = self._timeout
        return named

    def _read_refusal(self, error: AnyLLMError, sent: Mapping[str, Any]) -> None:
        """Return if the request is worth another try without what was refused, else say what the failure means.

        Raises:
            AnyLLMError: Refused content, or too long.
            Passing, Refused: See there.
            EscEvalError: No conversation can be answered: key, name of the model, funds.
        """
        message, status = error.message, error.status_code
        if isinstance(error, AuthenticationError | ModelNotFoundError | InsufficientFundsError):
            raise self.unusable(message) from error
        if status in {408, 409, 425} or status in AWAY or (status or 0) >= 500:
            raise Passing(message, read_retry_after(getattr(error, "retry_after", None)), status in AWAY) from error
        if isinstance(error, ContentFilterError | ContextLengthExceededError):
            raise error
        if isinstance(error, InvalidRequestError | UnsupportedParameterError) or status in {400, 413, 422}:
            if self._leave_out(message, sent):
                return
            if TOO_LONG.search(message):
                raise ContextLengthExceededError(message, error) from error
            raise Refused(message) from error
        if isinstance(error, ProviderError) and status is None:  # the connection, or an answer that cannot be read
            raise Passing(message, away="connect" in message.lower()) from error
        raise Passing(message) from error

    def _leave_out(self, message: str, sent: Mapping[str, Any]) -> bool:
        """Leave out the first setting that a refusal names, of those that a request can do without; False if none."""
        own = OWN_NAMES.get(self.provider, {})
        said = message.lower().replace("_", "").replace("-", "")
        for name in EXPENDABLE:
            if name in sent and re.search(rf"(?<![a-z]){own.get(name, name).replace('_', '')}(?![a-z])", said):
                self._left_out = {**self._left_out, name: LEFT_OUT}
                return True
        return False

    def _served(self, completion: ChatCompletion | None, request: Request) -> Served:
        # Only these hand the vendor's own words on; others of the library repeat the name that was asked for.
        told = completion and isinstance(self._client, BaseOpenAIProvider | BaseAnthropicProvider)
        told = told or (completion and self.provider == "mistral")
        return Served(
            model=completion.model if completion and told else None,
            fingerprint=completion.system_fingerprint if completion else None,
            seconds=None if request.began is None else round(monotonic() - request.began, 3),
            adapted=dict(request.adapted) or None,
        )


def _spoken(completion: ChatCompletion) -> tuple[str, str | None]:
    """The text of an answer, and the reasoning that came apart from it."""
    message = completion.choices[0].message
    return message.content or "", message.reasoning.content if message.reasoning else None
