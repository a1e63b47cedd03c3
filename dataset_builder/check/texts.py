"""Rules on texts and ids: characters that are none, marks of prompts and thoughts, ids that look like others."""

import re
import unicodedata
from collections.abc import Iterator

from esc_eval.languages import known_languages

_NO_TEXT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060-\u2069\ud800-\udfff"
    "\ue000-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\uffff]|[\U000f0000-\U0010ffff]"
)
"""Controls, zero-width spaces, turned writing, private and lone characters, and what stands for an unreadable one."""
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
_MISREAD = re.compile("[\u00c2-\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\u00ef\u00bf\u00bd|\u00f0\u0178")
"""UTF-8 that was read as Latin-1 or Windows-1252."""
_MARKS = re.compile(
    r"</?\s*think(?:ing)?\s*>"
    r"|<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>"
    r"|\[/?INST\]|<</?SYS>>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>"
    r"|^\s*\#{2,}\s*(?:human|user|assistant|instruction|response|system)\b"
    r"|^\s*[*_\[(]*(?:user|human|assistant|ai|ai[- _]?assistant|esc[- _]?role|system|seeker|supporter|help[- ]seeker|"
    r"client|counsell?or|therapist|用户|助手|求助者|支持者|来访者|咨询师|AI助手|系统)[*_\])]*\s*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_BLANK = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad\u3164\u2800]*")
_LATIN = re.compile("[a-z]")
LONGEST_ID = 300
OTHERS = "øæœłđßþðŁØÆŒĐÞÐ·—–，。、（）：《》"
"""Letters that no accent makes, and marks of names of files in Chinese."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return _BLANK.fullmatch(text) is not None


def find_bad_characters(text: str, word_for_word: bool = False) -> Iterator[str]:
    """Characters that a text may not hold.

    Args:
        text: Of a row.
        word_for_word: What a model emitted, token by token, where half a character may stand.
    """
    found = _NO_TEXT.search(text)
    if found and not (word_for_word and found[0] == "\ufffd"):
        yield f"holds the character U+{ord(found[0]):04X} at {found.start()}; replace it or leave the row out"
    if word_for_word:
        return
    if _HALF.search(text):
        yield "holds half of a character, escaped; replace it or leave the row out"
    if _MISREAD.search(text):
        yield "holds UTF-8 that was read in another encoding; read the file anew"


def find_marks(text: str) -> Iterator[str]:
    """Marks of roles, of prompts and of thoughts; what stands there is not quoted, it is the row's text."""
    if found := _MARKS.search(text):
        yield f"holds a mark of a prompt, a role or a thought at {found.start()}; take it out or leave the row out"


def find_id_faults(written: str) -> Iterator[str]:
    """What is wrong with a name or id: characters that cannot be seen or told from others."""
    if not written or is_blank(written):
        yield "is empty"
        return
    if written != written.strip() or "  " in written:
        yield "has spaces at an end, or two in a row"
    if len(written) > LONGEST_ID:
        yield f"has {len(written)} characters, more than {LONGEST_ID}: it is no id"
    letters = (character for character in written if character.isalnum())
    if any(unicodedata.normalize("NFKC", letter) != letter for letter in letters):
        yield "holds a character that is another's double (NFKC changes it)"
    for character in written:
        if (not character.isascii() and not _is_plain(character)) or character in "\r\n\t" or ord(character) < 32:
            name = unicodedata.name(character, "a control character")
            yield f"holds U+{ord(character):04X} ({name}), which cannot be seen or looks like another; rename it"
            return


def _is_plain(character: str) -> bool:
    """Whether a character beyond ASCII is accented Latin, or of a script that a known language is written in."""
    if any(row.script and row.script.fullmatch(character) for row in known_languages().values()):
        return True
    if unicodedata.name(character, "").startswith(("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL SYLLABLE")):
        return True
    return bool(_LATIN.match(unicodedata.normalize("NFD", character).lower())) or character in OTHERS
