"""Keys: to which servers one is sent, and that nothing shows it."""

import base64
import html
import json
import os
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from esc_eval.chat.endpoint.addresses import Address
from esc_eval.errors import EscEvalError

OPENAI = "OPENAI_API_KEY"
OPENAI_HOST = "api.openai.com"
SHOWN = "***"
PART = 8
"""Characters of a key that are hidden wherever they stand; one that is shorter is hidden whole."""
LEAST = 4
"""Characters of something worth hiding; every text is full of shorter ones."""
WHOLE = 16
"""Characters of a key that no text contains by chance, whatever they are; see ``Secrets.mask_answer``."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_MADE = re.compile(r"[a-z].*(\d|[A-Z])|[A-Z].*\d|\d.*[A-Za-z]", re.DOTALL)
"""Letters and figures, or capitals within: no word is written so."""
_CUT = re.compile(r"\*{2,}|\.{3,}|…+|•+|[xX]{4,}|[\[<](?:\.{3}|redacted|masked|hidden)[\]>]", re.IGNORECASE)
"""What servers put in place of the middle of a key, or of all but its end."""
SHORTENED_LEAST = 2
"""Characters that have to be left of it."""
_SECRET_FIELD = re.compile(
    r"^token$|(^|_)(api_?key|authori[sz]ation|pass(word|wd|phrase)|secret|bearer|credentials?"
    r"|(access|auth|bearer|id|refresh|session|security|secret|private|subscription)_(token|key)|x_api_\w+)$"
)
_SECRET_VALUE = re.compile(r"(?i:bearer|basic) \S{8,}|(?<![A-Za-z0-9])sk-[\w\-/+=]{12,}")


class Secrets:
    """Strings that must be seen nowhere: a key, the password of a URL.

    Args:
        secrets: Empty ones count for nothing.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(dict.fromkeys(filter(None, secrets)))
        self._whole = [secret for secret in secrets if len(secret) >= PART]
        self._pieces: dict[int, set[str]] = {}
        self._telling: dict[int, set[str]] = {}
        for secret in secrets:
            for form, width in _forms_of(secret):
                small = form.translate(_SMALL)
                width = min(width, len(small))
                if width >= LEAST:
                    self._pieces.setdefault(width, set()).update(_windows(small, width))
                if width >= PART:
                    made = (piece for piece in _windows(form, width) if _MADE.search(piece))
                    self._telling.setdefault(width, set()).update(made)
                if len(form) >= WHOLE:
                    whole = max(width, WHOLE)
                    self._telling.setdefault(whole, set()).update(_windows(form, whole))

    def __repr__(self) -> str:
        return f"Secrets({SHOWN})"

    def mask(self, text: str) -> str:
        """A text in which no secret, none of its parts and none of its encodings can be read."""
        text = self._mask_shortened(text)
        return _blot(text, text.translate(_SMALL), self._pieces)

    def _mask_shortened(self, text: str) -> str:
        """A text without what a server leaves of a secret that it shortens: the beginning, the end, or both."""
        for cut in reversed(list(_CUT.finditer(text))):
            before, after = text[: cut.start()], text[cut.end() :]
            for secret in self._whole:
                sizes = range(len(secret), 0, -1)
                start = next((n for n in sizes if before.endswith(secret[:n]) and _ends_word(before[:-n])), 0)
                end = next((n for n in sizes if after.startswith(secret[-n:]) and _ends_word(after[n:][::-1])), 0)
                if start + end >= SHORTENED_LEAST:
                    text = before[: len(before) - start] + SHOWN + after[end:]
                    break
        return text

    def mask_answer(self, text: str) -> str:
        """The same of what a model said, which is its own and else left alone.

        Hidden are ``PART`` characters of a secret that no word is made of (letters and figures, capitals within), and
        ``WHOLE`` of any kind; of no more than a word, such as a key ``dummy-key``, nothing is.
        """
        return _blot(text, text, self._telling)

    def mask_answers(self, value: Any) -> Any:
        """The same of all texts in a body that was read from JSON."""
        if isinstance(value, str):
            return self.mask_answer(value)
        if isinstance(value, list):
            return [self.mask_answers(item) for item in value]
        return {name: self.mask_answers(item) for name, item in value.items()} if isinstance(value, dict) else value


def _ends_word(text: str) -> bool:
    """Whether nothing goes on after a text that is part of its last word."""
    return not text[-1:].isalnum()


def _windows(text: str, width: int) -> Iterable[str]:
    return (text[start : start + width] for start in range(len(text) - width + 1))


def _blot(text: str, looked_at: str, pieces: Mapping[int, set[str]]) -> str:
    """A text with ``SHOWN`` in place of each run of characters that pieces, by their length, cover."""
    hidden = bytearray(len(text))
    for width, known in pieces.items():
        for at, piece in enumerate(_windows(looked_at, width)):
            if piece in known:
                hidden[at : at + width] = b"\1" * width
    if not any(hidden):
        return text
    shown: list[str] = []
    for position, character in enumerate(text):
        if not hidden[position]:
            shown.append(character)
        elif not position or not hidden[position - 1]:
            shown.append(SHOWN)
    return "".join(shown)


def _forms_of(secret: str) -> Iterable[tuple[str, int]]:
    """How a secret can be written, and how many characters of it say as much as ``PART`` of its own."""
    raw = secret.encode()
    quoted = {quote(secret, ""), quote_plus(secret)}
    small = {re.sub("%..", lambda match: match[0].lower(), form) for form in quoted}
    for form in {secret, json.dumps(secret)[1:-1], secret.replace("/", "\\/"), html.escape(secret)} | quoted | small:
        yield form, PART
    yield secret[::-1], PART
    yield "".join(f"&#{ord(character)};" for character in secret), 5 * PART
    yield "".join(f"&#x{ord(character):x};" for character in secret), 6 * PART
    yield raw.hex(), 2 * PART
    yield raw.hex().upper(), 2 * PART
    yield "".join(f"%{byte:02x}" for byte in raw), 3 * PART
    yield "".join(f"\\u{ord(character):04x}" for character in secret), 6 * PART
    for before in range(3):  # where in another text its bytes begin decides how base64 writes them
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            written = encode(b"\0" * before + raw).decode().rstrip("=")
            end = len(written) - ((before + len(raw)) % 3 > 0)
            yield written[(0, 2, 3)[before] : end], PART * 4 // 3


def check_extra_body(extra: Any, secrets: Secrets, name: str = "") -> None:
    """Refuse a secret among the fields that a user adds to each request, which stand in every record.

    Args:
        extra: The fields, or what stands in one of them.
        secrets: What may not stand there by whatever name.
        name: The field's.

    Raises:
        EscEvalError: There is one; the message does not repeat it.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", name).lower()
    told = isinstance(extra, str) and (_SECRET_VALUE.search(extra) or secrets.mask_answer(extra) != extra)
    if told or (extra is not None and _SECRET_FIELD.search(snake)):
        raise EscEvalError(
            f"extra body: {secrets.mask(name)!r} looks like a secret, and what stands there is recorded. Put the key "
            "into a variable of the environment and name it: --api-key-env NAME"
        )
    if isinstance(extra, Mapping):
        for inner, value in extra.items():
            check_extra_body(value, secrets, str(inner))
    elif isinstance(extra, list | tuple):
        for value in extra:
            check_extra_body(value, secrets, name)


def clean_key(value: str, where: str) -> str:
    """A key without the spaces and line ends around it.

    Raises:
        EscEvalError: It cannot be sent as it is; the message shows nothing of it.
    """
    key = value.strip()
    if not all("!" <= character <= "~" for character in key):
        raise EscEvalError(
            f"the key in {where} holds a space, a line end or a character that no key has; copy it again"
        )
    return key


def read_key(variable: str) -> str:
    """The key in a variable of the environment.

    Raises:
        EscEvalError: There is no such variable, it is empty, or holds no key.
    """
    if not _NAME.fullmatch(variable):
        raise EscEvalError(
            "--api-key-env takes the name of an environment variable, such as MY_LAB_KEY, and not a key itself"
        )
    if not os.environ.get(variable, "").strip():
        raise EscEvalError(f"--api-key-env {variable}: there is no such environment variable; export {variable}=...")
    return clean_key(os.environ[variable], variable)


def split_named(named: Iterable[str]) -> dict[str | None, str]:
    """Variables by the label of the model whose key they hold, from ``[LABEL=]NAME``; None = of all others."""
    found: dict[str | None, str] = {}
    for text in named:
        label, equals, variable = text.rpartition("=")
        found[label if equals else None] = variable
    return found


def find_variable(label: str, named: Sequence[str]) -> str:
    """The variable that a user names for a model, see ``choose_key``; "" = none."""
    variables: Mapping[str | None, str] = split_named(named)
    return variables.get(label) or variables.get(None) or ""


def choose_key(label: str, named: Sequence[str], addresses: Sequence[Address], from_environment: bool) -> str:
    """The key that is sent to a model's servers; "" = none.

    ``OPENAI_API_KEY`` belongs to api.openai.com, and to the server that OPENAI_BASE_URL names; to every other server
    goes only what the user names for it.

    Args:
        label: The model's.
        named: ``[LABEL=]NAME``: variables that hold keys.
        addresses: Where it would go.
        from_environment: Whether OPENAI_BASE_URL gave the address.

    Raises:
        EscEvalError: A variable that is named holds no key.
    """
    if variable := find_variable(label, named):
        return read_key(variable)
    own = all(address.host == OPENAI_HOST or from_environment for address in addresses)
    if own and all(address.secure for address in addresses):
        return clean_key(os.environ.get(OPENAI, ""), OPENAI)
    return ""


def check_way(key: str, addresses: Iterable[Address], plain_http: bool) -> None:
    """Refuse to send a key, or the password in a URL, where others can read it.

    Args:
        plain_http: Whether the user allows it.

    Raises:
        EscEvalError: It would be.
    """
    for address in addresses:
        if (key or address.password) and not address.secure and not plain_http:
            raise EscEvalError(
                f"{address.shown}: a key would go there over plain http, where others can read it. Use https://, or "
                "allow it with --key-over-plain-http"
            )
