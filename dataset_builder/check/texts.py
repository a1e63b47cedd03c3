"""Rules on texts and ids: marks of prompts and thoughts, what a program wrote for speech, ids that look like others."""

import html
import json
import re
import unicodedata
from collections.abc import Iterator

from esc_eval.languages import known_languages
from esc_eval.reasoning import find_mark

_MARKS = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>"
    r"|</?(?:tool_call|tool_response|tool_calls|function_call)s?>|<function=\w+>|\[/?TOOL_(?:CALLS|RESULTS)\]"
    r"|\[/?INST\]|<</?SYS>>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>"
    r"|^\s*\#{2,}\s*(?:human|user|assistant|instruction|response|system)\b"
    r"|^\s*[*_\[(]*(?:user|human|assistant|ai|ai[- _]?assistant|esc[- _]?role|system|seeker|supporter|help[- ]seeker|"
    r"client|counsell?or|therapist|用户|助手|求助者|支持者|来访者|咨询师|AI助手|系统)[*_\])]*\s*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_WIDE = str.maketrans("＜＞［］｜／", "<>[]|/")
_NO_WORDS = re.compile(
    r"null|nan|NaN|undefined|\[object Object\]|b(['\"]).*\1|\[(['\"]).*\2\]|Traceback \(most recent call last\).*"
    r"|(?:[A-Za-z.]*Error(?: code)?|HTTP(?:/[\d.]+)?(?: error| status)?):? \(?[45]\d\d\b.*|Internal Server Error"
    r"|(?:\w+\.)*\w+(?:Error|Exception): .*|<!DOCTYPE html.*",
    re.DOTALL,
)
_RECORD = {"role", "choices", "error", "finish_reason"}
"""Keys of what servers answer."""
_UNFILLED = re.compile(
    r"\{\{ ?\w{1,20} ?\}\}|\{(?:name|user|char|card|age|gender|occupation|problem|dialogue|history)\}"
)
_BLANK = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad\u3164\u2800]*")
_LATIN = re.compile("[a-z]")
LONGEST_ID = 300
OTHERS = "øæœłđßþðŁØÆŒĐÞÐ·—–，。、（）：《》"
"""Letters that no accent makes, and marks of names of files in Chinese."""


def is_blank(text: str) -> bool:
    """Whether nothing of a text can be seen."""
    return _BLANK.fullmatch(text) is not None


def find_marks(text: str) -> Iterator[str]:
    """Marks of roles, of prompts and of thoughts; what stands there is not quoted, it is the row's text."""
    for read in dict.fromkeys((text, html.unescape(text).translate(_WIDE))):
        found = _MARKS.search(read)
        place = found.start() if found else find_mark(read)
        if place is not None:
            yield f"holds a mark of a prompt, a role or a thought at {place}; take it out or leave the row out"
            return


def find_slips(text: str) -> Iterator[str]:
    """What a program wrote in the place of words: an error, a value that is none, a record, an unfilled place."""
    if _NO_WORDS.fullmatch(text.strip()) or _is_record(text.strip()):
        yield "is no speech but what a program wrote; play the dialogue again or leave it out"
    elif found := _UNFILLED.search(text):
        yield f"holds {found[0]}, a place of a template that nobody filled"


def _is_record(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and not _RECORD.isdisjoint(content)


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
