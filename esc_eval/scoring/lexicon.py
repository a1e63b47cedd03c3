"""Words of distress and relief, counted: how a seeker seems to feel, without a model or a claim to validity."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from esc_eval.languages import get_language

ASKS = ("?", "？", "؟")


@dataclass(frozen=True)
class Lexicon:
    """What is counted in a language.

    Attributes:
        distress, relief: Words.
        courtesy: Thanks and goodbyes, which are neither.
        advice: Of replies that advise; None where the language has no patterns of its own.
        questions, lists: Of replies that ask without a mark, or list with marks of the language alone.
    """

    distress: frozenset[str]
    relief: frozenset[str]
    courtesy: re.Pattern[str]
    advice: re.Pattern[str] | None = None
    questions: re.Pattern[str] | None = None
    lists: re.Pattern[str] | None = None


@cache
def read_lexicon(language: str) -> Lexicon | None:
    """The words of a language, from its folder's lexicon.yaml (where patterns may be left out); or None."""
    words = get_language(language).read_data("lexicon.yaml")
    if not words:
        return None
    found = {key: _join(words[key]) for key in ("courtesy", "advice", "questions", "lists") if words.get(key)}
    return Lexicon(
        frozenset(words["distress"]), frozenset(words["relief"]), **{"courtesy": re.compile(r"(?!)"), **found}
    )


def _join(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE | re.MULTILINE)


def asks(text: str, language: str) -> bool:
    """Whether a text asks something: by a question mark of any script, or as its language asks without one.

    >>> asks("Since when?", "en"), asks("どうされましたか。", "ja"), asks("そうですか、つらいですね。", "ja")
    (True, True, False)
    """
    words = read_lexicon(language)
    return any(mark in text for mark in ASKS) or bool(words and words.questions and words.questions.search(text))


def find_words(text: str, language: str) -> list[str]:
    """Tokens of a text, by the pattern of its language.

    >>> find_words("I can't sleep.", "en")
    ['i', "can't", 'sleep']
    """
    return get_language(language).words.findall(text.lower())


def count_distress(text: str, language: str) -> tuple[int, int]:
    """Words of distress less words of relief, thanks and goodbyes aside, and number of tokens.

    >>> count_distress("I feel so lonely and sad. Thanks, have a nice day", "en")
    (2, 11)
    """
    tokens = len(find_words(text, language))
    words = read_lexicon(language)
    if words is None:
        return 0, tokens
    rest = words.courtesy.sub(" ", text)
    if get_language(language).unit == "character":
        found = [sum(rest.count(word) for word in entries) for entries in (words.distress, words.relief)]
    else:
        said = find_words(rest, language)
        found = [sum(token in entries for token in said) for entries in (words.distress, words.relief)]
    return found[0] - found[1], tokens


def count_courtesies(text: str, language: str) -> tuple[int, int]:
    """Thanks and goodbyes, and number of tokens.

    >>> count_courtesies("Thank you so much, goodbye!", "en")
    (2, 5)
    """
    words = read_lexicon(language)
    return sum(1 for _ in words.courtesy.finditer(text)) if words else 0, len(find_words(text, language))
