"""Find and mask what points at a person: e-mail addresses, telephone numbers, URLs, names of accounts.

linkify-it finds addresses and URLs and phonenumbers (Google's libphonenumber) finds telephone numbers, in any
language; both see the text with a line break in place of every non-ASCII character, because Chinese sets no space
around them. Names of people are not looked for: that needs a model for each language, and none comes in a package.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import phonenumbers
from linkify_it import LinkifyIt
from phonenumbers import Leniency, PhoneNumberMatcher

KINDS = ("email", "phone", "url", "handle")
REGIONS = ("US", "CN")

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Full-width forms of ASCII characters, one for one, so that places in the text stay the same."""
_LATIN = re.compile("[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]")
"""Every finding has one of these; most Chinese utterances have none."""
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_MAYBE_LINK = re.compile(r"@|://|www\.|\.(?:com|org|net|cn|edu|gov|io|uk)\b", re.IGNORECASE)
_SURE_LINK = re.compile(r"www\.|\S+\.(?:com|org|net|cn|edu|gov|io|uk)(?:[/?#:]|$)", re.IGNORECASE)
_DIGITS = re.compile(r"(?:\d[^\d\n]{0,3}){6}\d")
_HANDLE = re.compile(
    r"(?<![\w@/.])@[A-Za-z0-9_]{2,}"
    r"|(?<![\w/])/?u/[A-Za-z0-9_-]{3,20}\b"
    r"|(?:QQ|微信|wechat|weixin|vx|telegram|whatsapp|instagram|snapchat|discord|微博|抖音)"
    r"(?:\s|号|号码|群|id|账号|是|is|:|：|at){0,4}"
    r"(?P<name>[0-9]{5,12}|(?=[A-Za-z_.-]*[0-9_])[A-Za-z][A-Za-z0-9_.-]{4,24})",
    re.IGNORECASE,
)


@dataclass(frozen=True, order=True)
class Finding:
    """Characters ``start`` (included) to ``end`` (excluded) of a text, and what kind of personal data they are."""

    start: int
    end: int
    kind: str


@dataclass
class Masker:
    """Masks texts and counts what it masked, by kind.

    >>> masker = Masker()
    >>> masker.mask("write to me: a.b@example.org")
    'write to me: [EMAIL]'
    >>> masker.counts["email"]
    1
    """

    counts: Counter[str] = field(default_factory=Counter)

    def mask(self, text: str) -> str:
        """The text with each finding replaced by its kind in brackets."""
        for found in reversed(find_personal_data(text)):
            text = f"{text[: found.start]}[{found.kind.upper()}]{text[found.end :]}"
            self.counts[found.kind] += 1
        return text

    def mask_optional(self, text: str | None) -> str | None:
        """As ``mask``; None stays None."""
        return None if text is None else self.mask(text)


@cache
def _linkify() -> LinkifyIt:
    return LinkifyIt()


def _candidates(text: str) -> Iterator[Finding]:
    if not _LATIN.search(text):
        return
    text = text.translate(_FULL_WIDTH)
    plain = _NOT_ASCII.sub("\n", text)
    if _MAYBE_LINK.search(plain):
        for link in _linkify().match(plain) or []:
            if link.schema == "mailto:":
                yield Finding(link.index, link.last_index, "email")
            elif link.schema or _SURE_LINK.match(link.raw):
                yield Finding(link.index, link.last_index, "url")
    for handle in _HANDLE.finditer(text):
        yield Finding(*(handle.span("name") if handle["name"] else handle.span()), "handle")
    if _DIGITS.search(plain):
        for region in REGIONS:
            for number in PhoneNumberMatcher(plain, region, leniency=Leniency.VALID):
                yield Finding(number.start, number.end, "phone")


def find_personal_data(text: str) -> list[Finding]:
    """Personal data in a text, in order and without overlaps; the earlier and longer finding wins."""
    kept: list[Finding] = []
    for found in sorted(_candidates(text), key=lambda f: (f.start, -f.end, KINDS.index(f.kind))):
        if not kept or found.start >= kept[-1].end:
            kept.append(found)
    return kept


def finder_versions() -> dict[str, str]:
    """Versions of the libraries that do the finding."""
    from importlib.metadata import version

    return {"phonenumbers": phonenumbers.__version__, "linkify-it-py": version("linkify-it-py")}
