"""One request to one server: sent with its key, bounded in time and size, and told apart by how it failed."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import httpx

from esc_eval.chat.endpoint.addresses import CHAT, Address, target_of
from esc_eval.chat.endpoint.bodies import ACCEPTED, Unreadable, read_body
from esc_eval.errors import EscEvalError


class Passing(Exception):
    """A failure that may not happen again: 429, 5xx, a lost connection, a reply that is no JSON.

    Attributes:
        wait: Seconds that the server asks to wait; None = it does not say.
        pushed_back: Whether it has too much to do.
        unreachable: Whether nobody listens there, so that no other conversation will fare better.
        most: Tries that such a failure is worth; None = as many as there are.
    """

    def __init__(
        self,
        what: str,
        wait: float | None = None,
        pushed_back: bool = False,
        unreachable: bool = False,
        most: int | None = None,
    ) -> None:
        super().__init__(what)
        self.most = most
        self.wait, self.pushed_back, self.unreachable = wait, pushed_back, unreachable


@dataclass(frozen=True)
class Response:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client:
    """Sends requests, a connection for each that is under way.

    Args:
        key: Sent with each; "" = none is.
        header: The header that carries it; ``Authorization`` says ``Bearer`` before it.
        timeout: Seconds for a whole request.
        own_machine: Whether all servers are on this machine, so that no proxy of the environment is asked.
    """

    def __init__(self, key: str, header: str, timeout: float, own_machine: bool) -> None:
        value = f"Bearer {key}" if header.lower() == "authorization" else key
        self._headers = {"Accept-Encoding": ACCEPTED, **({header: value} if key else {})}
        self._timeout, self._own_machine = timeout, own_machine
        self._idle: list[httpx.AsyncClient] = []

    async def post(self, address: Address, body: Mapping[str, Any], may_send: Callable[[], bool]) -> Response:
        """Send a chat request and read all of the answer.

        Args:
            may_send: Asked last before anything is sent.

        Raises:
            Passing: No answer came in time, the connection failed, or the body cannot be read.
            EscEvalError: The server sends the request elsewhere.
        """
        if not may_send():
            raise asyncio.CancelledError
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            async with (
                asyncio.timeout(self._timeout),
                client.stream("POST", address.to(CHAT), json=body) as response,
            ):
                if response.is_redirect:
                    raise EscEvalError(
                        f"the server sends the request on to {target_of(response.headers.get('location', ''))} "
                        f"({response.status_code}); nothing was sent there. Give the address that it means as base URL"
                    )
                return Response(response.status_code, response.headers, await read_body(response))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Passing(f"no answer within {self._timeout:g} s") from error
        except httpx.TransportError as error:
            unreachable = isinstance(error, httpx.ConnectError)
            raise Passing(f"connection failed ({type(error).__name__}): {error}", unreachable=unreachable) from error
        except Unreadable as error:
            raise Passing(f"the server sent {error}") from error
        finally:
            self._idle.append(client)

    def get(self, url: str, timeout: float) -> bytes:
        """The body of something on a server of the model's; redirects are not followed, so that no key goes along.

        Raises:
            httpx.HTTPError: It cannot be had.
        """
        trust = not self._own_machine
        return httpx.get(url, headers=self._headers, timeout=timeout, verify=_trust(), trust_env=trust).content

    def _new_client(self) -> httpx.AsyncClient:
        # One client for each request under way: a client's pool looks through all its connections at every request,
        # which for 64 of them takes longer than the request itself. The last one used is used again first.
        return httpx.AsyncClient(
            timeout=self._timeout, headers=self._headers, verify=_trust(), trust_env=not self._own_machine
        )


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that are trusted, which take longer to read than a request takes."""
    return httpx.create_ssl_context()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, given as such, as milliseconds or as a time."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        said = headers["retry-after"]
    except (KeyError, ValueError):
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        then = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
