"""An answer that holds a JSON object: which of the object's values is the score, and where it stands."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from esc_eval.scoring.traced_text import Span, TracedText

_TOKEN = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[{}\[\],:])|(?P<bare>[^\s{}\[\],:"]+)', re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)
_SCORE = re.compile(
    r"(?:[^\W\d]+[ _-]){0,3}(?:scores?|ratings?|levels?)|[^\W\d]*(?:评分|得分|分数|等级)", re.IGNORECASE
)
_TOP = re.compile(r"max|out_?of|full|满分|总分", re.IGNORECASE)
_SCALE = re.compile(r"scale|range|量表|范围|分制", re.IGNORECASE)
_ASIDE = re.compile(
    r"confiden|certain|probab|likelihood|weight|min|turn|round|step|index|\bid\b|numb|count|total|version|token"
    r"|question|suggestion|time|length|置信|概率|轮|次|数量|建议|问题|最低",
    re.IGNORECASE,
)
"""In the name of a number that is no score."""


@dataclass(frozen=True)
class Value:
    """A value of an object that holds no others.

    Attributes:
        keys: Under which it stands, outermost first; lists have none.
        value: A text, a number, a truth value or None.
        span: Its characters, of a text those within the marks.
    """

    keys: tuple[str, ...]
    value: Any
    span: Span

    @property
    def is_number(self) -> bool:
        """Whether it is a number, also one that is written as a text."""
        if isinstance(self.value, str):
            return self.value.strip().isdecimal()
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)

    def is_named(self, names: re.Pattern[str], *, whole: bool = False) -> bool:
        """Whether the key that it stands under is such a name, or (not whole) holds one."""
        key = self.keys[-1] if self.keys else ""
        return bool(names.fullmatch(key) if whole else names.search(key))

    @property
    def is_aside(self) -> bool:
        """Whether it says something else than a score: a scale, a confidence, a place."""
        return any(map(self.is_named, (_TOP, _SCALE, _ASIDE)))

    @property
    def is_score(self) -> bool:
        """Whether it is called a score, or stands in what is called so."""
        return not self.is_aside and (
            self.is_named(_SCORE, whole=True) or (self.is_number and any(map(_SCORE.fullmatch, self.keys)))
        )


def _values(text: str, start: int, end: int) -> Iterator[Value]:
    """The values of an object that is known to be one."""
    keys: list[str | None] = []
    key_follows = False
    for token in _TOKEN.finditer(text, start, end):
        if mark := token["mark"]:
            if mark in "{[":
                keys.append("" if mark == "{" else None)
            elif mark in "}]":
                keys.pop()
            key_follows = mark in "{," and bool(keys) and keys[-1] is not None
        elif key_follows:
            keys[-1] = _DECODER.decode(token[0])
        else:
            within = 1 if token["text"] else 0
            span = token.start() + within, token.end() - within
            yield Value(tuple(key for key in keys if key), _DECODER.decode(token[0]), span)


def _objects(text: str) -> Iterator[list[Value]]:
    """The values of each object in a text that stands in no other."""
    end = 0
    for brace in re.finditer(r"\{", text):
        if brace.start() < end:
            continue
        try:
            _, end = _DECODER.raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        yield [Value((), None, (brace.start(), end)), *_values(text, brace.start(), end)]


def read_objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text that stand in no other.

    >>> read_objects('So: {"quote": "a {b}", "score": 3}')
    [{'quote': 'a {b}', 'score': 3}]
    """
    return [_DECODER.decode(text[start:end]) for (whole, *_) in _objects(text) for start, end in [whole.span]]


def _is_other_scale(value: Value, levels: Sequence[int]) -> bool:
    """Whether a value says that the score is on another scale than the rubric's."""
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", str(value.value))]
    if not numbers or value.value is None or not (value.is_named(_TOP) or value.is_named(_SCALE)):
        return False
    return numbers[-1] != max(levels) or (len(numbers) > 1 and numbers[0] != min(levels))


def reduce_object(
    text: TracedText, levels: Sequence[int], find: Callable[[str, Sequence[int]], tuple[int, Span] | None]
) -> TracedText | None:
    """An answer whose one JSON object gives a score, only that score left of it; None: it contradicts itself.

    The score is the one value that is called so, or else the one number that is not called something else (a
    confidence, a turn, the top of the scale). An object with none or several stays as it is.

    Args:
        text: The answer.
        levels: Of the rubric.
        find: Reads a text in the object, as the answer itself is read.
    """
    found: list[tuple[Value, Value, list[Value]]] = []
    for whole, *values in _objects(text.text):
        scores = [value for value in values if value.is_score]
        scores = scores or [value for value in values if value.is_number and not value.is_aside]
        if scores:
            found += [(whole, score, values) for score in scores]
    if len(found) != 1:
        return text
    [(whole, score, values)] = found
    start, end = score.span
    if isinstance(score.value, str) and (read := find(text.text[start:end], levels)):
        start, end = start + read[1][0], start + read[1][1]
    stated = find(text.text[start:end], levels)
    if stated is None:
        return text
    if any(_is_other_scale(value, levels) for value in values):
        return None
    words = (find(v.value, levels) for v in values if isinstance(v.value, str) and v is not score and not v.is_aside)
    if any(other and other[0] != stated[0] for other in words):
        return None
    lead, last = "\nscore: ", "\n"
    before, after = whole.span
    return TracedText(
        text.text[:before] + lead + text.text[start:end] + last + text.text[after:],
        (
            *text.spans[:before],
            *[text.span(before, start)] * len(lead),
            *text.spans[start:end],
            text.span(end, after),
            *text.spans[after:],
        ),
    )
