"""Base URLs of servers: where requests go, what of it may be shown, and how one is written into a model's name."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from esc_eval.environment import hide_password
from esc_eval.errors import EscEvalError

DEFAULT_URL = "https://api.openai.com/v1"
CHAT = "/chat/completions"
_WITH_ADDRESS = re.compile(r"(?P<model>.*?)@(?P<url>https?://.+)", re.DOTALL | re.IGNORECASE)
_IP = r"\[[0-9a-f:.]+\]|\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f:]*:[0-9a-f:.]*"
_VERSION = r"v?\d+(?:\.\d+)*[.\-+]?(?:a|b|rc|alpha|beta|dev|post|pre)\w*$"
_DOTTED = rf"(?!{_VERSION})[\w\-]+(?:\.[\w\-]+)*\.[a-z]{{2,}}"
_HOST = rf"(?:{_IP}|localhost|{_DOTTED})\.?"
_LIKE_ADDRESS = re.compile(
    rf"(?<=\S)@(?P<host>(?:[^@\s/]*:[^@\s/]*@)?"
    rf"(?://\S*|{_HOST}(?:[:/?#]\S*)?|(?!refs/)[\w.\-]+(?::\d+(?!\w)|/|\?)\S*))$",
    re.IGNORECASE,
)
"""What stands behind the last @ of a name and is no revision: a host with dots, an IP, localhost, or a word with a
port, path or query. A revision is a word, a hash, a version such as ``v1.0`` or a ref such as ``refs/pr/1``.
"""
_OTHER_SCHEME = re.compile(r"@(?P<url>[a-z][a-z0-9+.\-]*://.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """A base URL, checked.

    Attributes:
        url: Up to and including ``/v1``, as it is used: with user and password where they were given.
        shown: Host, port and path alone, as records and messages name it.
        host: In small letters.
        secure: Whether what is sent can be read by nobody on the way: https, or this machine.
        loopback: Whether it is this machine.
        password: The one in the URL; None = none.
    """

    url: str = field(repr=False)
    shown: str
    host: str
    secure: bool
    loopback: bool
    password: str | None = field(default=None, repr=False)

    def to(self, path: str) -> str:
        """The URL of something on the server; a query of the base URL (``?api-version=``) goes along."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=parts.path + path))


def read_address(url: str) -> Address:
    """Check a base URL.

    Raises:
        EscEvalError: It is none.
    """
    given = url.strip()
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError as error:
        raise EscEvalError(f"{hide_password(given)!r} is no base URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise EscEvalError(f"{hide_password(given)!r} is no base URL; give one such as http://localhost:8000/v1")
    path = parts.path.rstrip("/").removesuffix(CHAT).rstrip("/")
    host = parts.hostname.rstrip(".")
    here = _is_loopback(host)
    return Address(
        url=urlunsplit(parts._replace(path=path, fragment="")),
        shown=(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
        + (f":{port}" if port else "")
        + path,
        host=host,
        secure=parts.scheme == "https" or here,
        loopback=here,
        password=unquote(parts.password) if parts.password else None,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def split_name(what: str) -> tuple[str, str | None]:
    """The server's name for a model and its base URL, from ``MODEL[@URL]``; None where no URL is given.

    An ``@`` may be part of a model's name (``org/model@revision``).

    Raises:
        EscEvalError: No model is named, or what stands behind it is no address; nothing is sent elsewhere for that.
    """
    if match := _WITH_ADDRESS.fullmatch(what):
        return _check_name(match["model"], what), match["url"]
    if match := _OTHER_SCHEME.search(what):
        raise EscEvalError(f"{hide_password(match['url'])!r} is no base URL; give one such as http://localhost:8000/v1")
    if match := _LIKE_ADDRESS.search(what):
        model, host = what[: match.start()], match["host"].rpartition("@")[2].lstrip("/")
        raise EscEvalError(
            f"openai:{model}@{host}: the address has no scheme; write openai:{model}@http://{host}, or https://"
        )
    return _check_name(what, what), None


def _check_name(model: str, what: str) -> str:
    """A server's name for a model, which is not empty, ends with no ``@`` and holds no address."""
    if not model.strip() or model.endswith("@") or "://" in model:
        raise EscEvalError(
            f"openai:{hide_password(what)}: write openai:MODEL or openai:MODEL@URL, such as "
            "openai:my-model@http://localhost:8000/v1"
        )
    return model.strip()


def target_of(location: str) -> str:
    """The host that a redirect points to."""
    try:
        parts: SplitResult = urlsplit(location)
        return parts.hostname or "another path"
    except ValueError:
        return "nowhere"


def label_of_model(what: str) -> str:
    """The label of a model: the last part of the server's name for it."""
    return split_name(what)[0].rpartition("/")[2]
