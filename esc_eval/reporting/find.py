"""Find words in what was said: without regard to case, width and kind of quotation mark, in any script.

A plain scan: it finds parts of words, which Chinese needs, and there is no index to build or to keep.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

_PLAIN = {"‘": "'", "’": "'", "‛": "'", "′": "'", "“": '"', "”": '"', "„": '"', "…": "...", "\u00ad": ""}
_SPACES = re.compile(r"\s+")
_WORDS = re.compile(r'"([^"]+)"|(\S+)')
AROUND = 60
"""Characters that an excerpt shows before and behind a find."""
Piece = tuple[str, bool]
"""Some text, and whether it was looked for."""


def fold(text: str) -> str:
    """Text as it is compared.

    >>> fold("It’s  ＯＫ,\\nthen") == fold("it's ok, THEN")
    True
    """
    return _SPACES.sub(" ", _fold_letters(text))


def _fold_letters(text: str) -> str:
    for written, plain in _PLAIN.items():  # many times as fast as str.translate
        text = text.replace(written, plain)
    return unicodedata.normalize("NFKC", text).casefold()


def split_query(query: str) -> tuple[str, ...]:
    """The words that must all occur, folded; words within quotation marks belong together.

    >>> split_query('sleep "so tired"')
    ('sleep', 'so tired')
    """
    found = (" ".join((phrase or word).split()) for phrase, word in _WORDS.findall(fold(query)))
    return tuple(dict.fromkeys(filter(None, found)))


def contains(folded: str, words: Iterable[str]) -> bool:
    """Whether every word occurs."""
    return all(word in folded for word in words)


def holds(text: str, words: Sequence[str]) -> bool:
    """Whether every word occurs in a text that is not folded.

    >>> holds("So\\n tired", ("so tired",)), holds("So tired", ("tired so",))
    (True, False)
    """
    letters = _fold_letters(text)
    if not all(part in letters for word in words for part in word.split(" ")):
        return False  # known without the spaces, which take long to fold
    return all(" " not in word for word in words) or contains(_SPACES.sub(" ", letters), words)


def mark(text: str, words: Sequence[str]) -> list[Piece]:
    """The text in pieces: those that are one of the words, and those between.

    >>> mark("So tired, so", ["so"])
    [('So', True), (' tired, ', False), ('so', True)]
    """
    spans = _spans(text, words)
    pieces: list[Piece] = []
    end = 0
    for start, stop in spans:
        if start > end:
            pieces.append((text[end:start], False))
        pieces.append((text[start:stop], True))
        end = stop
    return [*pieces, *([(text[end:], False)] if end < len(text) or not pieces else [])]


def excerpt(text: str, words: Sequence[str], around: int = AROUND) -> list[Piece]:
    """The neighbourhood of the first find, in pieces as of ``mark``; the beginning of the text where there is none."""
    spans = _spans(text, words)
    first, last = spans[0] if spans else (0, 0)
    low, high = max(0, first - around), min(len(text), max(last, 2 * around if not spans else last + around))
    shown = mark(" ".join(text[low:high].split()), words)
    return [*([("… ", False)] if low else []), *shown, *([(" …", False)] if high < len(text) else [])]


def _spans(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where words stand in a text, as it is written; overlapping finds are one."""
    if not words:
        return []
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for each in fold(character):
            if each == " " and folded and folded[-1] == " ":
                continue
            folded.append(each)
            places.append(place)
    whole = "".join(folded)
    found = []
    for word in words:
        at = whole.find(word)
        while at >= 0:
            found.append((places[at], places[at + len(word) - 1] + 1))
            at = whole.find(word, at + len(word))
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined
