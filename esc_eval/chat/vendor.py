"""Models of vendors, each asked in its own API by the library any-llm, which calls the vendors' own clients.

The library takes and gives chat completions, so ``EndpointModel`` does all else: what a vendor refuses is learnt, what
passes is tried again, a judge is read in every way that the vendor allows.
"""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from any_llm import AnyLLM
from any_llm.exceptions import (
    AnyLLMError,
    AuthenticationError,
    ContentFilterError,
    ContextLengthExceededError,
    GatewayTimeoutError,
    InsufficientFundsError,
    InvalidRequestError,
    ModelNotFoundError,
    RateLimitError,
    UnsupportedParameterError,
    UpstreamProviderError,
)
from any_llm.providers.anthropic.base import BaseAnthropicProvider
from any_llm.providers.openai.base import BaseOpenAIProvider
from any_llm.types.completion import ChatCompletion, CompletionParams
from pydantic import ValidationError

from esc_eval.chat.endpoint.addresses import Address, read_address
from esc_eval.chat.endpoint.keys import Secrets, clean_key
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.requests import Client, Passing, Response
from esc_eval.errors import EscEvalError, explain_validation

STATUS: dict[type[AnyLLMError], int] = {
    AuthenticationError: 401,
    InsufficientFundsError: 402,
    ModelNotFoundError: 404,
    RateLimitError: 429,
    UpstreamProviderError: 502,
    GatewayTimeoutError: 504,
    ContentFilterError: 400,
    ContextLengthExceededError: 400,
    InvalidRequestError: 400,
    UnsupportedParameterError: 400,
}
"""The status of HTTP that an error of the library stands for, where it tells none."""
CODE = {ContentFilterError: "content_filter", ContextLengthExceededError: "context_length_exceeded"}
OWN_NAMES = {"mistral": {"seed": "random_seed"}}
"""What a vendor calls a setting, where the library passes names on as they are."""
OURS = {"random_seed": "seed", "topk": "top_k", "topp": "top_p", "maxoutputtokens": "max_tokens"}
"""Our name for a setting, by the vendor's in small letters, in what a vendor says."""
PROBED = {"temperature": 0.5, "top_p": 0.5, "seed": 7, "logprobs": True, "top_logprobs": 20}
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_OPENAI_AD_TOKEN")
UNREADABLE = "the server sent an answer that the library any-llm cannot read"
FEW = 3
"""Tries of such a request."""
_FIELD = re.compile(r"^body\.(\S+)$", re.MULTILINE)
_UNKNOWN = re.compile(r"unexpected keyword argument '(\w+)'")


class VendorClient(Client):
    """Sends chat completions by any-llm, and gives what a chat-completions server would have answered.

    Args:
        client: The vendor, opened.
        timeout: Seconds for a whole request.
    """

    def __init__(self, client: AnyLLM, timeout: float) -> None:
        self._vendor, self._timeout = client, timeout
        self._known: set[str] = set(CompletionParams.model_fields)
        self._dropped: dict[str, bool] = {}

    async def post(self, address: Address, body: Mapping[str, Any], may_send: Callable[[], bool]) -> Response:
        """Send a chat request; see ``Client.post``."""
        if not may_send():
            raise asyncio.CancelledError
        if dropped := next((name for name in PROBED if name in body and self.is_dropped(body["model"], name)), None):
            return _refusal(400, f"the library any-llm does not pass {dropped!r} on to this vendor", param=dropped)
        try:
            async with asyncio.timeout(self._timeout):
                completion = await self._vendor.acompletion(**self._named(body))
        except TimeoutError as error:
            raise Passing(f"no answer within {self._timeout:g} s") from error
        except AnyLLMError as error:
            return _read_error(error)
        except ValidationError as error:  # of the request, by the vendor's client, or of the answer, by the library
            field = str(error.errors()[0]["loc"][0]) if error.errors()[0]["loc"] else ""
            if field in body:
                return _refusal(400, explain_validation(error), param=field)
            raise Passing(f"{UNREADABLE}: {explain_validation(error)}", most=FEW) from error
        if not isinstance(completion, ChatCompletion):
            raise Passing(f"{UNREADABLE}: it is a stream", most=FEW)
        content = completion.model_dump(mode="json")
        if not self._names_the_model:
            del content["model"]
        return Response(200, {}, json.dumps(content).encode())

    @property
    def _names_the_model(self) -> bool:
        """Whether the library hands on what the vendor says has answered; else it repeats what was asked for."""
        told = isinstance(self._vendor, BaseOpenAIProvider | BaseAnthropicProvider)
        return told or self._vendor.PROVIDER_NAME == "mistral"

    def _named(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body by the names that the library and the vendor's client take."""
        own = OWN_NAMES.get(self._vendor.PROVIDER_NAME, {})
        named = {own.get(name, name): value for name, value in body.items()}
        if isinstance(self._vendor, BaseOpenAIProvider):  # that client takes what it does not know inside the body
            unknown = {name: named.pop(name) for name in set(named) - self._known - {"model"}}
            named |= {"extra_body": unknown} if unknown else {}
        if self._vendor.TIMEOUT_SUPPORT != "unsupported":
            named["timeout"] = self._timeout
        return named

    def is_dropped(self, model: str, name: str) -> bool:
        """Whether the library would send the same without a setting."""
        if name not in self._dropped:
            with_it, without = (self._convert(model, settings) for settings in ({name: PROBED[name]}, {}))
            self._dropped[name] = with_it == without
        return self._dropped[name]

    def _convert(self, model: str, settings: Mapping[str, Any]) -> str:
        params = CompletionParams(model_id=model, messages=[{"role": "user", "content": "."}], max_tokens=1, **settings)
        try:
            return repr(self._vendor._convert_completion_params(params, provider_name=self._vendor.PROVIDER_NAME))
        except UnsupportedParameterError as error:  # said aloud, and again when the request is sent
            return error.message


def _read_error(error: AnyLLMError) -> Response:
    """The answer of HTTP that an error of the library stands for.

    Raises:
        Passing: It stands for none: the connection, or an answer that cannot be read.
    """
    message, status = error.message, error.status_code
    if status is None or status < 400 or (isinstance(error, AuthenticationError) and "api key" in message.lower()):
        status = STATUS.get(type(error))
    if status is None:
        connection = any(word in message.lower() for word in ("connect", "name resolution", "unreachable"))
        cause = error.original_exception
        if (
            isinstance(cause, TypeError | ValueError | LookupError | AttributeError)
            or "Validation" in type(cause).__name__
        ):
            fields = (
                ", ".join(_FIELD.findall(message)) or "a field that the vendor's own answers have, such as 'created',"
            )
            raise Passing(f"{UNREADABLE}: {fields} is missing or of another type", most=FEW) from error
        if error.status_code is not None and error.status_code < 400:
            raise Passing(f"{UNREADABLE}, of status {error.status_code}; is the address right?", most=FEW) from error
        raise Passing(f"connection failed: {message}" if connection else message, unreachable=connection) from error
    said = getattr(error, "retry_after", None)
    unknown = _UNKNOWN.search(message)
    param = error.param or getattr(error, "parameter_name", None) or (unknown and unknown[1])
    headers = {"retry-after": str(said)} if said is not None else {}
    return _refusal(status, message, param=param, code=CODE.get(type(error)) or error.code, headers=headers)


def _refusal(
    status: int,
    message: str,
    *,
    param: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An answer that refuses, in words and names that are read as any server's."""
    words = re.sub(r"\w+", lambda match: OURS.get(match[0].lower(), match[0]), message)
    error: dict[str, Any] = {"message": words}
    error |= {"param": OURS.get(param.lower(), param)} if param else {}
    error |= {"code": code} if code else {}
    return Response(status, headers or {}, json.dumps({"error": error}).encode())


class VendorModel(EndpointModel):
    """A model of a vendor that any-llm knows.

    Args:
        provider: The vendor's name in the library, such as ``anthropic``.
        model: The vendor's name for the model.
        base_url: Where it is asked, if not at the vendor's own address or the one in the library's variable.
        key: Sent with each request; "" is that in the library's variable, which is sent to no ``base_url``.
        options: As of ``EndpointModel``.

    Attributes:
        library: Name and version of what asks; no part of the identity.
        client: Sends requests by the library.

    Raises:
        EscEvalError: The library does not know the vendor, or there is no key.
        ImportError: The vendor's client is not installed.
    """

    def __init__(
        self,
        provider: str,
        model: str,
        base_url: str | None = None,
        *,
        key: str = "",
        timeout: float = 120.0,
        **options: Any,
    ) -> None:
        self.client_version = f"any-llm-sdk {version('any-llm-sdk')}"
        if provider not in (known := AnyLLM.get_supported_providers()):
            raise EscEvalError(
                f"any-llm:{provider}/{model}: {self.client_version} knows no vendor {provider!r}. "
                f"It knows: {', '.join(sorted(known))}"
            )
        kind = AnyLLM.get_provider_class(provider)
        where = base_url or os.environ.get(kind.ENV_API_BASE_NAME or "")
        # A vendor's key is for the vendor: elsewhere it goes only if it was named for that place.
        variables = re.split(r"/| or ", kind.ENV_API_KEY_NAME)
        own = {name: clean_key(os.environ[name], name) for name in variables if os.environ.get(name, "").strip()}
        if not key and own and not base_url:
            options["key_name"], key = next(iter(own.items()))
        secrets = [*own.values(), *(os.environ.get(name, "") for name in SECRETS)]
        # The tries are counted here, so the vendor's client makes one.
        tries: dict[str, Any] = {} if kind.MAX_RETRIES_SUPPORT == "unsupported" else {"max_retries": 0}
        url = read_address(where).url if where else None
        try:
            opened = AnyLLM.create(
                provider, key or ("none" if base_url else None), url, unified_exceptions=True, **tries
            )
        except AnyLLMError as error:
            raise EscEvalError(f"any-llm:{provider}/{model}: {Secrets([key, *secrets]).mask(error.message)}") from error
        client = VendorClient(opened, timeout)
        super().__init__(
            model, url or f"https://{provider}", key=key, timeout=timeout, client=client, secrets=secrets, **options
        )
        self.client = client
        self.identity = {name: value for name, value in self.identity.items() if name != "server" or where}
        self.identity |= {"kind": "any-llm", "provider": provider}

    @property
    def _lists(self) -> list[str]:
        return []  # the library knows where vendors list theirs
