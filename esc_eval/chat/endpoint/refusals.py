"""What a server says when it does not answer: which field it refuses, and whom it concerns.

Servers say the same in many forms: OpenAI's ``error`` object, FastAPI's ``detail`` with ``loc``, Google's list, JSON
within a string, plain text. All of it is read for codes, for names of fields and for its words.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from esc_eval.chat.endpoint.bodies import Unreadable, read_json
from esc_eval.errors import EscEvalError

SHOWN = 300
"""Characters of a server's message that are repeated."""
READ = 8_000
DEEPEST = 8
ECHOED = frozenset({"input", "messages", "body", "request", "prompt", "ctx", "failed_generation", "url"})
"""Keys under which servers repeat what they were sent."""
TRANSIENT = frozenset({408, 409, 425, 429})
EVERYBODYS = frozenset({401, 402, 403, 404, 405, 407, 410, 421, 426, 431})
"""Statuses that any request would get: the address, the key, the account."""
_NEVER_CONTENT = frozenset({401, 402, 404, 405, 407, 429})

BASE_RESP = {1002: 429, 1004: 401, 1008: 402, 1026: 451, 1027: 451, 1039: 429, 2013: 400, 2049: 401, 2056: 429}
"""The status of HTTP that a code of MiniMax's ``base_resp`` stands for; others are faults of the server."""
_SAYS_FIELD = re.compile(r"^(param|parameter|field|property|argument)s?$")


def _any_of(*wordings: str) -> re.Pattern[str]:
    return re.compile("|".join(wordings), re.IGNORECASE)


_FILTERED = _any_of(
    r"content[ _-]?filter",
    r"content management policy",
    r"ResponsibleAIPolicy",
    r"data_?inspection_?failed",
    r"inappropriate content",
    r"content[ _](policy|exists risk|moderation)",
    r"content violates",
    r"flagged (as|by|for)|(was|been|were|is|are) flagged",
    r"moderation",
    r"sensitive_?content|(new|input|output)_sensitive",
    r"guardrail",
    r"sensitive (information|words?|content)",
    r"敏感内容|敏感词|不安全",
    r"considered high risk|risk control",
    r"prohibited_content|blockReason",
    r"safety_check|safety (system|filter)",
    r"usage (guidelines|policy)|invalid_prompt",
    r"blocked by (our |the |an? )?(content|safety|azure|openai|polic|filter|guard)",
)
_TOO_LONG = _any_of(
    r"context[ _-]?(length|window|size|limit)",
    r"(prompt|input|request|conversation|messages?)\W+(is|are|was|were) too (long|large)",
    r"exceed_?s?_?context",
    r"too many (input )?tokens",
    r"prompt (contains \d+ tokens.*too large|exceeds)",
    r"maximum (prompt|input|sequence|model) length",
    r"maximum number of (input )?tokens allowed",
    r"(input|token) (token )?count .{0,40}exceeds",
    r"number of (input )?tokens .{0,60}exceed",
    r"range of input length",
    r"token limit",
    r"`?inputs`? tokens`?\W+\+\W+`?max_new_tokens",
    r"`inputs` must have less",
    r"longer than the (model|maximum)",
    r"too long for|string_above_max_length",
    r"reduce the (length|size) of",
    r"(request|payload) too large",
    r"超长|超过.{0,12}(长度|上限)",
)
_CAP_LIMIT = _any_of(
    r"max_(completion_)?tokens\W{0,4}(value )?(must|should|has to) be.{0,40}(less|at most|≤|<=|between|range|\[)",
    r"(range of|valid range).{0,20}max_(completion_)?tokens",
    r"supports? (at most|up to|only) [\d,]+ (completion|output)",
    r"maximum (allowed )?(number of )?(output|completion) tokens",
)
_NO_MODEL = _any_of(
    r"model_?not_?found|unknown_?model|invalid_?model|invalid model|no such model|not a valid model",
    r"model .{0,80}(not (exist|found|available)|does not exist|doesn't exist|is unknown)",
)
_NO_MONEY = _any_of(
    r"insufficient_?(quota|balance|credits?)|insufficient balance|billing_hard_limit|exceeded your current quota"
)
_SYSTEM = _any_of(
    r"system[ -]?(role|message|prompt|instruction)s?|role\W+system|\"system\"|'system'|`system`",
    r"developer instruction",
    r"only user(, | and |/)(assistant|model)|only supports? (the )?user",
    r"messages \d+ role: .{0,40}'user'",
)
_NO_SYSTEM = _any_of(r"not |n't|unsupported|unexpected|invalid|only|must|should be|unknown|expected|illegal|cannot")
_ALTERNATE = _any_of(
    r"(must|should|need|have to|required).{0,40}(alternat|interleav)",
    r"alternat\w+ (between )?(user|roles)|roles? .{0,60}alternat",
    r"(consecutive|successive|adjacent|same role).{0,40}(message|role|turn)",
    r"(first|1st) (non-system )?(message|role|turn).{0,60}user|(start|begin)s? with an? .{0,12}user",
    r"expected last role|unexpected role|after .{0,30}role",
)
_TEMPLATE = _any_of(r"jinja|chat[ _]?template|template (error|render)|raise_exception|TemplateError")
_REST = _any_of(
    r"did you mean|expected one of|please use|\buse\b.{0,60}\binstead",
    r"(supported|allowed|valid|permitted|known|accepted|available) "
    r"(param\w*|field\w*|arg\w*|option\w*|prop\w*|values?)( are)?:",
    r"only .{0,40} (is|are) (allowed|supported)",
)
"""What begins the part of a message that names other fields than the refused ones."""


class Refused(EscEvalError):
    """A server does not take a field of the body that cannot be left out without saying something else.

    Attributes:
        field: Its name.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"the server does not take {field!r}: {message}")
        self.field = field


@dataclass(frozen=True)
class Refusal:
    """What a server said.

    Attributes:
        status: Of HTTP, or the code within a body of status 200.
        message: In one line, cut; for people.
        text: All its words and codes.
        fields: Those that it names as refused in so many words (``param``, ``loc``), in order.
    """

    status: int
    message: str
    text: str = field(repr=False)
    fields: tuple[str, ...] = ()

    @property
    def filtered(self) -> bool:
        """Whether the content of this conversation was refused."""
        return self.status == 451 or (self.status not in _NEVER_CONTENT and bool(_FILTERED.search(self.text)))

    @property
    def too_long(self) -> bool:
        """Whether this conversation, with the answer asked for, does not fit."""
        if self.status in _NEVER_CONTENT or self.status == 403 or self.about_cap:
            return False
        return self.status == 413 or bool(_TOO_LONG.search(self.text))

    @property
    def about_cap(self) -> bool:
        """Whether the cap on the answer is more than the server allows in any conversation."""
        return bool(_CAP_LIMIT.search(self.text))

    @property
    def transient(self) -> bool:
        """Whether the same request may be answered later."""
        return self.status in TRANSIENT or self.status >= 500

    @property
    def everybodys(self) -> bool:
        """Whether every request would be refused so: by the address, the key, the account, the model's name."""
        return self.status < 400 or self.status in EVERYBODYS or bool(_NO_MODEL.search(self.text)) or self.no_money

    @property
    def no_money(self) -> bool:
        """Whether an account is empty; such a 429 never passes."""
        return bool(_NO_MONEY.search(self.text))

    @property
    def about_template(self) -> bool:
        """Whether a chat template, or who wrote it, refuses the roles."""
        return self.about_system or self.about_turns or bool(_TEMPLATE.search(self.text))

    @property
    def about_system(self) -> bool:
        """Whether a system message is refused."""
        return bool(_SYSTEM.search(self.text) and _NO_SYSTEM.search(self.text))

    @property
    def about_turns(self) -> bool:
        """Whether the order of user and assistant is refused."""
        return bool(_ALTERNATE.search(self.text))

    def names(self, sent: Collection[str]) -> tuple[str, ...]:
        """Those of the fields sent which are refused: all that it points to, or the first that it mentions."""
        if pointed := tuple(name for name in self.fields if name in sent):
            return pointed
        start = _REST.search(self.text)
        for text in (self.text[: start.start()] if start else self.text, self.text):
            places = {name: _find_name(name, text) for name in sent}
            found = sorted((place, name) for name, place in places.items() if place is not None)
            if found:
                return (found[0][1],)
        return ()

    def mentions(self, name: str) -> bool:
        """Whether a field is named at all."""
        return name in self.fields or _find_name(name, self.text) is not None


def _find_name(name: str, text: str) -> tuple[bool, int] | None:
    """Where a field's name stands in a text, quoted ones first; None where it does not."""
    if match := re.search(rf"[`'\"]{re.escape(name)}[`'\"]", text):
        return False, match.start()
    match = re.search(rf"(?<![\w\-]){re.escape(name)}(?![\w\-])", text)
    return (True, match.start()) if match else None


def read_refusal(status: int, body: bytes) -> Refusal:
    """Take apart what a server sent in place of an answer."""
    try:
        content = read_json(body)
    except Unreadable:
        content = body.decode("utf-8", "replace")
    return refusal_from(status, content)


def find_refusal(content: Mapping[str, Any]) -> Refusal | None:
    """What a body of status 200 without an answer says of an error; None where it says nothing."""
    base = content.get("base_resp")
    code = base.get("status_code") if isinstance(base, Mapping) else None
    if isinstance(base, Mapping) and isinstance(code, int) and code:
        return refusal_from(BASE_RESP.get(code, 502), {"code": code, "message": base.get("status_msg")})
    error = content.get("error")
    if not error:
        return None
    code = error.get("code") if isinstance(error, Mapping) else None
    return refusal_from(code if isinstance(code, int) and 400 <= code < 600 else 502, error)


def refusal_from(status: int, content: object) -> Refusal:
    """The same of what was read from the body."""
    words: list[str] = []
    fields: dict[str, None] = {}
    for kind, text in _walk(content, "", 0):
        if kind == "field":
            fields[text] = None
        else:
            words.append(text)
    text = " ".join(" ".join(dict.fromkeys(words)).split())[:READ]
    if re.match(r"<(!doctype|html|head)", text, re.IGNORECASE):
        text = " ".join(re.sub(r"<[^>]*>", " ", text).split())
    return Refusal(status, text[:SHOWN], text, tuple(fields))


def _walk(content: object, key: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEEPEST:
        return
    if isinstance(content, Mapping):
        for name, value in sorted(content.items(), key=_reading_order):
            if str(name) in ECHOED:
                continue
            if _SAYS_FIELD.match(str(name)) and isinstance(value, str):
                yield "field", _root_of(value)
            elif name == "loc" and isinstance(value, list | tuple):
                yield from _read_place(value)
            else:
                yield from _walk(value, str(name), depth + 1)
    elif isinstance(content, list | tuple):
        for value in content[:50]:
            yield from _walk(value, key, depth + 1)
    elif isinstance(content, str):
        inner = _unwrap(content)
        if inner is None:
            yield "word", content[:READ]
        else:
            yield from _walk(inner, key, depth + 1)
    elif isinstance(content, int) and not isinstance(content, bool) and key in ("code", "n_ctx", "n_prompt_tokens"):
        yield "word", str(content)[:20]


def _reading_order(item: tuple[Any, Any]) -> int:
    """Where it is first, then what is said, then the rest."""
    return {"loc": 0, "message": 1, "msg": 1, "error": 1, "detail": 1}.get(item[0], 2)


def _read_place(place: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """A pydantic ``loc``: the field of the body, and the whole of it as words (``messages 0 role``)."""
    names = [str(part) for part in place if part not in ("body", "query")]
    if names:
        yield "field", names[0]
        yield "word", " ".join(names[:6]) + ":"


def _root_of(name: str) -> str:
    """The field of the body that ``body.messages[0].role`` stands in."""
    return re.split(r"[.\[/]", name.removeprefix("body."))[0]


def _unwrap(text: str) -> object | None:
    """What a string holds that is JSON, or a list as Python writes it; None of any other."""
    stripped = text.strip()
    if not stripped.startswith(("{", "[")) or len(stripped) > READ:
        return None
    try:
        found: object = json.loads(stripped)
    except (ValueError, RecursionError):
        try:
            found = json.loads(_as_json(stripped))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict | list) else None


_PYTHON = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|\b(?P<word>None|True|False)\b|(?P<end>,?\s*[)\]}])|\("""
)


def _as_json(text: str) -> str:
    """A list or dict as Python writes it, in JSON; of what is neither, something that may be no JSON.

    >>> _as_json("[{'loc': ('body',), 'input': None}]")
    '[{"loc": ["body"], "input": null}]'
    """

    def write(match: re.Match[str]) -> str:
        if quoted := match["text"]:
            return json.dumps(re.sub(r"\\([\\'\"])", r"\1", quoted[1:-1]), ensure_ascii=False)
        if match["word"]:
            return {"None": "null", "True": "true", "False": "false"}[match["word"]]
        return (match["end"] or "[").lstrip(",").replace(")", "]")

    return _PYTHON.sub(write, text)
