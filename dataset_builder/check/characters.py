"""Characters that a text may not hold: those that cannot be seen, that are none, that another encoding made."""

import re
import unicodedata
from collections.abc import Iterator

_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u2069\ud800-\udfff"
    "\ue000-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\uffff\u034f\u115f\u1160\u180e\u3164\uffa0"
    "\U00035000-\U000e001f\U000e0080-\U000e00ff\U000e01f0-\U0010ffff]"
)
"""Controls, zero-width spaces, fillers, turned writing, private, lone and unassigned characters, and what stands for an
unreadable one. Planes 1 and 2 are left alone: what is unassigned there today may be an emoji of tomorrow."""
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{2,6}\U000e007f")
"""The flag of a region is spelt in tag characters; nothing else is."""
_TAGS = re.compile("[\U000e0020-\U000e007f]")
_JOINED = "\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\ua840-\ua87f\ufb50-\ufdff\ufe70-\ufefc"
"""Scripts whose letters change their form beside others (Arabic, those of India, Burmese, Khmer, Mongolian)."""
_JOINER = re.compile(f"(?<![{_JOINED}])[\u200c\u200d](?![{_JOINED}])")
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_HEAP = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{4}")
_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U00034fff]")
_TWINS = "АВЕКМНОРСТХЅІЈаеорсухіјѕԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧο"
"""Cyrillic and Greek letters that look like Latin ones."""
_MIXED = re.compile(rf"\b(?=\w*[A-Za-z])(?=\w*[{_TWINS}])[A-Za-z{_TWINS}]{{2,}}\b")

_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_ESCAPED = re.compile(
    r"\\u[0-9a-fA-F]{4}|&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,6}|#x[0-9a-fA-F]{1,5});|(?:%[0-9A-F]{2}){3}"
)
"""Characters as JSON, HTML and addresses of pages write them."""
_BYTES = re.compile("[\xc2\xc3][\x80-\xbf]|[\xe2-\xef][\x80-\xbf]{2}|\xf0[\x9f\xa0-\xaa][\x80-\xbf]{2}")
_LIKELY = re.compile(
    "[\x80-\xff\u2010-\u2027\u2030-\u205e\u20ac\u2122\u2190-\u27bf\u3000-\u30ff\u3400-\u9fff\ufe0f\ufeff\uff00-\uffef\ufffd"
    "\U0001f000-\U0001faff\U00020000-\U0002a6df]"
)
_AS_GBK = re.compile("锟斤拷|烫烫烫|屯屯屯|锘[縿緼]|鈥[\u3400-\u9fff\ue000-\uf8ff?]|[锛銆][\u3400-\u9fff\ue000-\uf8ff]")
"""What UTF-8 without a reader, memory that nobody filled, and the signs of UTF-8 (’“，。) look like in GBK."""
_HAN_RUN = re.compile("[\u3040-\u30ff\u3400-\u9fff]{3,}")


def _byte_table(encoding: str) -> dict[int, int]:
    """From each character that a byte above 127 is read as to that byte; other characters beyond ASCII to 0."""
    table = {}
    for byte in range(0x80, 0x100):
        try:
            table[ord(bytes([byte]).decode(encoding))] = byte
        except UnicodeDecodeError:
            table[byte] = byte  # as browsers read it
    return table


_READ_AS = {encoding: _byte_table(encoding) for encoding in ("latin-1", "cp1252", "mac_roman")}
_MAYBE_MISREAD = re.compile(
    "[\xc2\xc3\xe2-\xef\xf0\xac\u221a\u201a\u201e\u2030\xca\xc1\xcb\xc8\xcd\xce\xcf\xcc\xd3\xd4\uf8ff]"
)
"""First bytes of UTF-8 as these encodings read them."""


def find_misread(text: str) -> str | None:
    """A part of a text that is UTF-8 read in another encoding; None where there is none.

    >>> find_misread("I donâ€™t"), find_misread("naïve café, « À »")
    ('â€™', None)
    """
    if found := _AS_GBK.search(text):
        return found[0]
    if _MAYBE_MISREAD.search(text):
        for table in _READ_AS.values():
            seen = "".join(sign if sign.isascii() else chr(table.get(ord(sign), 0)) for sign in text)
            for found in _BYTES.finditer(seen):
                meant = found[0].encode("latin-1").decode("utf-8", "replace")
                if len(meant) == 1 and _LIKELY.match(meant):
                    return text[found.start() : found.end()]
    return next((run[0] for run in _HAN_RUN.finditer(text) if _is_utf8_in_gbk(run[0])), None)


def _is_utf8_in_gbk(run: str) -> bool:
    try:
        raw = run.encode("gb18030")
        meant = raw[: len(raw) - len(raw) % 3].decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return False
    return len(meant) > 1 and all(_HAN.match(sign) or "\u3000" <= sign <= "\u303f" for sign in meant)


def find_unseen(text: str) -> tuple[int, str] | None:
    """Place and nature of the first character that cannot be seen where it stands, or is none; None: all can.

    Joiners belong to emoji and to scripts that join letters, tags to flags, variation selectors to what has variants.

    >>> find_unseen("every\\u200dthing"), find_unseen("👩\\u200d🚒 ❤\\ufe0f می\\u200cخواهم")
    ((5, 'cannot be seen'), None)
    """
    if text.isascii():
        found = _NO_TEXT.search(text)
        return (found.start(), "is no text") if found else None
    places = [(found.start(), "is no text") for found in _NO_TEXT.finditer(text)][:1]
    flags = [flag.span() for flag in _FLAG.finditer(text)]
    for found in _TAGS.finditer(text):
        if not any(start < found.start() < end for start, end in flags):
            places.append((found.start(), "cannot be seen"))
            break
    for found in _JOINER.finditer(text):
        if not (found[0] == "\u200d" and _follows_emoji(text, found.start())):
            places.append((found.start(), "cannot be seen"))
            break
    for found in _SELECTOR.finditer(text):
        before = text[found.start() - 1 : found.start()]
        plain = before.isalpha() and before != "ℹ" and not _HAN.match(before)
        if plain or (found[0] > "\U000e0000" and not _HAN.match(before)):
            places.append((found.start(), "cannot be seen"))
            break
    if heap := _HEAP.search(text):
        places.append((heap.start(), "is one of a heap of accents"))
    elif unicodedata.category(text[0]) == "Mn" and not _SELECTOR.match(text):
        places.append((0, "is an accent without its letter"))
    return min(places, default=None)


def _follows_emoji(text: str, place: int) -> bool:
    """Whether a joiner stands behind an emoji; what it joined may have been cut off."""
    before = text[:place].rstrip("\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")[-1:]
    return before >= "\u2190" and unicodedata.category(before) in ("So", "Sm", "Cn")


def find_bad_characters(text: str, word_for_word: bool = False) -> Iterator[str]:
    """What is wrong with the characters of a text.

    Args:
        text: Of a row.
        word_for_word: What a model emitted, token by token, where half a character may stand; less is asked of it.
    """
    if word_for_word:
        found = _NO_TEXT.search(text)
        if found and found[0] != "\ufffd":
            yield _unseen(text, found.start(), "is no text")
        return
    if unseen := find_unseen(text):
        yield _unseen(text, *unseen)
    if mixed := _MIXED.search(text):
        yield f"holds letters of two scripts in one word at {mixed.start()}; replace those that only look alike"
    if _HALF.search(text):
        yield "holds half of a character, escaped; replace it or leave the row out"
    elif escaped := _ESCAPED.search(text):
        yield f"holds a character that is still escaped at {escaped.start()}; read the file anew"
    if not text.isascii() and (misread := find_misread(text)):
        yield f"holds UTF-8 that was read in another encoding at {text.index(misread)}; read the file anew"


def _unseen(text: str, place: int, what: str) -> str:
    return f"holds the character U+{ord(text[place]):04X} at {place}, which {what}; replace it or leave the row out"
