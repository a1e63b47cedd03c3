"""Find and mask what points at a person: ways to reach one, numbers of states and banks, addresses, plates.

Digits and letters of other scripts' forms are read as ASCII first, and characters of no width are passed over; what is
found is told by its place in the text as it was. Names of people are not looked for: that needs a model for each
language, and none comes in a package.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from dataset_builder.rows.personal_finders import FINDERS

KINDS = tuple(FINDERS)
LIBRARIES = ("phonenumbers", "linkify-it-py", "python-stdnum", "pyap2")

_MAYBE = re.compile(
    r"[A-Za-z\d\uff21-\uff3a\uff41-\uff5a@\uff20]|[零〇一二三四五六七八九幺]{7}|[账帐]号|昵称|[博书音手站乎](?:叫|上?搜|上?关注)"
)
"""Every finding has one of these; most Chinese utterances have none."""
_WIDTHLESS = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SIGNS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xA0: 0x20, 0x202F: 0x20}
_SIGNS |= dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2212), 0x2D)
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


_MASK = re.compile("|".join(rf"\[{kind.upper()}\]" for kind in KINDS))


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


def has_masks(text: str) -> bool:
    """Whether something was masked in a text.

    >>> has_masks("write to [EMAIL]")
    True
    """
    return _MASK.search(text) is not None


def _read_as_ascii(text: str) -> tuple[str, list[int]]:
    """The text as finders read it, and for each of its characters the place in the text as it was."""
    places = [place for place, sign in enumerate(text) if not _WIDTHLESS.match(sign)]
    seen = "".join(text[place] for place in places).translate(_SIGNS)
    return _OTHER_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), seen), places


def _candidates(text: str) -> Iterator[Finding]:
    if not _MAYBE.search(text):
        return
    seen, places = _read_as_ascii(text)
    for kind, finder in FINDERS.items():
        for start, end in finder(seen):
            yield Finding(places[start], places[end - 1] + 1, kind)


def find_personal_data(text: str) -> list[Finding]:
    """Personal data in a text, in order and without overlaps; the earlier and longer finding wins."""
    kept: list[Finding] = []
    for found in sorted(_candidates(text), key=lambda f: (f.start, -f.end, KINDS.index(f.kind))):
        if not kept or found.start >= kept[-1].end:
            kept.append(found)
    return kept


def finder_versions() -> dict[str, str]:
    """Versions of the libraries that do the finding."""
    return {library: version(library) for library in LIBRARIES}
