"""Whether an answer says that a dimension does not apply, at a place where a score stands."""

import re
from collections.abc import Callable, Sequence

from esc_eval.schema import NOT_APPLICABLE, Mark
from esc_eval.scoring.answer_words import put_into_known_words
from esc_eval.scoring.json_answers import reduce_object
from esc_eval.scoring.traced_text import Span, TracedText, normalise

Find = Callable[[str, Sequence[int]], tuple[int, Span] | None]

_ABBREVIATED = re.compile(r"n ?/ ?a|n\.a\.?|na|not[ -]applicable|not relevant|不适用", re.I)
"""What says it where it is all that is said."""
_NAMED = re.compile(
    r"(?<![\w/])(?:n ?/ ?a|n\.a\.?|not[ -]applicable|(?:does not|doesn['’]t) apply)(?![\w/])|不适用", re.I
)
_TAG = re.compile(r"<(?:/[a-z_ ]+|(?P<name>[a-z_ ]+))>", re.I)
_MARKUP = re.compile(r"[*_`\"“”「」『』【】{}|\[\]\\$#>•]|(?<!\w)'|'(?!\w)")
_STOP = re.compile(
    r" *(?:$|[\n.,;:!?()。、…]|[-–—](?!\w)|(?:because|as|since|here|for|in|to)\b|[于在因给])",
    re.I,
)
_LABEL = re.compile(
    r"(?:scor(?:e|ed|ing)|rat(?:e|ed|ing)|level|marked|answer|verdict|assessment|evaluation|choice|option|boxed"
    r"|dimension|question|item|criterion|aspect|scale|分数|评分|得分|等级|级别|答案|结论|选项|维度|问题|指标|[这此该本][一]?项)"
    r"[^\w\n]*(?:(?:is|was|be|would|should|as|it|this|here|of|for|to|therefore|thus|so|simply|clearly"
    r"|[是为给判定选评在此对话中该这里])[^\w\n]*){0,5}$",
    re.I,
)
_CONCLUDES = re.compile(
    r"(?:^|[.!?。;\n,])\W*(?:(?:so|thus|therefore|hence|overall|accordingly|i(?:['’]d| would)?|say|choose|select|pick"
    r"|answer|it|this|that|is|it['’]s|因此|所以|故|综上|这|我认为|我选择?|应|为|是|属于|判定?)[\s,:]*){1,5}$",
    re.I,
)
_OTHERWISE = re.compile(
    r"\b(?:not|never|cannot|nor|than|instead|unless|if|whether|neither|either|or)\b|n['’]t\b|[不非未]是|而不|并非|如果|是否|或",
    re.I,
)
_LISTED = r"^\W*(?:{levels})\s?[:.)、=-]"
_NOWHERE = -(1 << 62)
"""A level that no scale has: what stands for N/A while a JSON object is read."""


def find_mark(answer: str, levels: Sequence[int], find: Find) -> tuple[Mark, Span] | None:
    """What an answer says: one level, or that the dimension does not apply, and the characters that say it.

    "N/A", "not applicable", "不适用" and the like count where a score stands: alone, first in the answer or on a line
    of its own, after a label or a word of scoring, as a conclusion, or as the score of a JSON object. An answer that
    gives a level and that beside each other, or lists them, says neither.

    Args:
        answer: What is said aloud.
        levels: Of the rubric, which knows this answer.
        find: The rule that finds a level.

    >>> from esc_eval.scoring.parsers import find_anchored
    >>> [find_mark(said, range(3), find_anchored) for said in ("Score: N/A", "2", "N/A or 2")]
    [('N/A', (7, 10)), (2, (0, 1)), None]
    """

    def read(text: str, scale: Sequence[int]) -> tuple[int, Span] | None:
        if _ABBREVIATED.fullmatch(text.strip(" .。")):
            start = len(text) - len(text.lstrip())
            return _NOWHERE, (start, start + len(text.strip()))
        return find(text, scale)

    whole = normalise(answer)
    reduced = reduce_object(whole, levels, read)
    if reduced is None:
        return None
    said = _find_said(reduced, levels)
    if reduced.text == whole.text:
        level = find(answer, levels)
    else:
        found = find(reduced.text, levels)
        level = (found[0], reduced.span(*found[1])) if found else None
    if said is None:
        return level
    return None if level else (NOT_APPLICABLE, said)


def _find_said(text: TracedText, levels: Sequence[int]) -> Span | None:
    """Where it is said that the dimension does not apply; None where that is not said as an answer."""
    text = (
        put_into_known_words(text)
        .sub(_TAG, lambda tag: f"\n{tag['name']}: " if tag["name"] else "\n")
        .sub(_MARKUP, " ")
    )
    if re.search(_LISTED.format(levels="|".join(map(str, levels))), text.text, re.MULTILINE):
        return None
    whole = text.text.strip()
    if _ABBREVIATED.fullmatch(whole.strip(" .。!！")):
        start = text.text.index(whole)
        return text.span(start, start + len(whole))
    for found in _NAMED.finditer(text.text):
        if _is_answer(text.text, found):
            return text.span(*found.span())
    return None


def _is_answer(text: str, found: re.Match[str]) -> bool:
    before, line = text[: found.start()], text[: found.start()].rpartition("\n")[2]
    if not _STOP.match(text, found.end()):
        return False
    if not re.search(r"\w", line):
        return True
    sentence = re.split(r"[.!?;。！？；\n]", before)[-1]
    if _OTHERWISE.search(sentence):
        return False
    return bool(_LABEL.search(sentence) or _CONCLUDES.search(before))
