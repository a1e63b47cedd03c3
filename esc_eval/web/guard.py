"""What a page refuses before anything looks at a request: other sites, other names, too much, too often, no token."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing inline, no frame around it."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # a link may hold a token; "no-referrer" would hide forms' Origin too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
COOKIE = "esc_eval_token"
MOST_CLIENTS = 4096
"""Clients whose requests are counted; who has been quiet longest is forgotten first."""


def is_loopback(host: str) -> bool:
    """Whether an address or name is of this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Access:
    """Who may ask, and how much.

    Attributes:
        names: Host names that the pages answer to, beside addresses and localhost: a name that somebody else points
            at this machine is none of them.
        token: What every request must carry, in ``?token=`` or the cookie that this sets; None = nothing.
        largest: Bytes of a request's body.
        a_second: Requests that one address may send a second in the long run.
        at_once: Requests that it may send at once.
        framed_by: Sites whose pages may show these in a frame.
    """

    names: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    largest: int = 64 * 1024
    a_second: float = 300
    at_once: int = 1500
    framed_by: tuple[str, ...] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        """What every answer carries."""
        if not self.framed_by:
            return HEADERS
        policy = POLICY.replace("frame-ancestors 'none'", f"frame-ancestors {' '.join(self.framed_by)}")
        kept = {name: value for name, value in HEADERS.items() if name != "X-Frame-Options"}
        return {**kept, "Content-Security-Policy": policy}

    def answers_to(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = urlsplit(f"//{host}").hostname if _is_netloc(host) else None
        return name is not None and (name == "localhost" or is_address(name) or name in map(str.lower, self.names))


class Bucket:
    """A count of events by key that runs full: ``at_once`` at once, ``a_second`` in the long run."""

    def __init__(self, a_second: float, at_once: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.a_second, self.at_once, self.clock = a_second, at_once, clock
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Count one event; False where it is one too many."""
        now = self.clock()
        level, then = self._seen.pop(key, (0.0, now))
        level = max(0.0, level - (now - then) * self.a_second)
        fits = level + 1 <= self.at_once
        self._seen[key] = (level + 1 if fits else level, now)
        while len(self._seen) > MOST_CLIENTS:
            self._seen.popitem(last=False)
        return fits


class Guard:
    """The outermost layer of an application."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.requests = Bucket(access.a_second, access.at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse, or hand on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.access.headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refuse(scope)
        if refusal is None and scope["method"] == "POST":
            body = await _read_body(receive, self.access.largest)
            if body is None:
                refusal = _say(413, f"The request is larger than {self.access.largest:,} bytes.")
            else:
                receive = _replay(body, receive)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refuse(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self.access.answers_to(host):
            return _say(421, "This server does not answer to that name. Its command takes --name NAME for another.")
        if not self.requests.take((scope.get("client") or ("unknown",))[0]):
            return _say(429, "Too many requests; wait a moment.", {"Retry-After": "2"})
        if scope["method"] not in ("GET", "HEAD") and not _is_same_site(headers, host, self.access):
            return _say(403, "A page of another site sent this; it is refused.")
        return self._ask_for_token(scope)

    def _ask_for_token(self, scope: Scope) -> Response | None:
        if self.access.token is None:
            return None
        asked = HTTPConnection(scope)
        given = asked.query_params.get("token")
        if given is not None and is_same(given, self.access.token):
            rest = urlencode([pair for pair in parse_qsl(scope["query_string"].decode()) if pair[0] != "token"])
            answer = RedirectResponse(asked.url.path + (f"?{rest}" if rest else ""), 303)
            set_cookie(answer, COOKIE, given, "/", secure=scope["scheme"] == "https")
            return answer
        if is_same(asked.cookies.get(COOKIE, ""), self.access.token):
            return None
        return _say(401, "Open the whole link that the command printed: it ends in a token.")


def set_cookie(answer: Response, name: str, value: str, path: str, *, secure: bool) -> None:
    """Set a cookie that scripts cannot read and other sites' forms do not send."""
    answer.set_cookie(name, value, max_age=180 * 24 * 3600, path=path, secure=secure, httponly=True, samesite="lax")


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how much of them is."""
    return compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _is_netloc(host: str) -> bool:
    try:
        urlsplit(f"//{host}").port  # noqa: B018 - raises where there is none
    except ValueError:
        return False
    return bool(host) and not set(host) & set("/\\@?# ")


def _is_same_site(headers: Headers, host: str, access: Access) -> bool:
    """Whether a request comes from a page of ours, as browsers tell; what is no browser tells nothing."""
    if site := headers.get("sec-fetch-site"):  # no page can set it
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is None:
        return True
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not _is_netloc(parts.netloc):
        return False
    default = {"http": ":80", "https": ":443"}[parts.scheme]
    same = parts.netloc.lower().removesuffix(default) == host.lower().removesuffix(default)
    return same or (parts.hostname or "") in map(str.lower, access.names)


async def _read_body(receive: Receive, largest: int) -> bytes | None:
    """The body of a request; None where it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > largest:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _say(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(f"{sentence}\n", status, headers)
