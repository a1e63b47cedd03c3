"""From a scorer's answer to a level: two rules, both named, both kept apart.

``anchored`` is ours: a number counts only where the answer says that it is the score. A wrong number is worse than
none, so what may be something else (a list marker, a count, a position in the conversation) is not taken for a score,
and an answer with two different numbers is unscored. ``official`` is the rule of score.py in the official release, for
parity with published scores only; it reads all that the scorer wrote, its thinking included.

Both say where in the answer the level stands: its probability is read at that place, see ``chat.endpoint.logprobs``.
"""

import re
from collections.abc import Callable, Sequence

from esc_eval.errors import EscEvalError
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import NOT_APPLICABLE, Mark, Rating, mark_fields
from esc_eval.scoring.answer_words import put_into_known_words
from esc_eval.scoring.json_answers import reduce_object
from esc_eval.scoring.not_applicable import find_mark
from esc_eval.scoring.traced_text import Span, normalise

NO_LEVEL = "the answer names no single level"
TOO_LONG = "longer than the scorer can read"

Finder = Callable[[str, Sequence[Mark]], tuple[Mark, Span] | None]
"""From an answer and what it can say (levels, and N/A of rubrics that know it) to what it states and the characters that
name it; None: it states none."""
Parser = Callable[[str, Sequence[Mark]], Mark | None]


def _words(text: str) -> str:
    return rf"\b(?:{'|'.join(text.split())})\b"


_HAN = "\u3400-\u9fff"
_HAN_DIGITS = "零〇一二两三四五六七八九"
_HAN_VALUES = dict(zip(_HAN_DIGITS, (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_DIGIT = rf"[\d{_HAN_DIGITS}]"
_LETTER = rf"[^\W\d_{_HAN}]"
_POINTS = rf"分(?:(?![{_HAN}])|(?=[的吧了呢因满共总]))"  # not 分钟, 分之, 分析, 四分五裂

_TAG = re.compile(r"<(?:/[a-z_ ]+|(?P<name>[a-z_ ]+))>", re.I)
_MARKUP = re.compile(r"[*_`\"“”「」『』【】{}|\[\]\\$]|(?<!\w)'|'(?!\w)")
_MARKER = re.compile(rf"^[ #>•-]*\(?\d+(?:[.)](?: (?!{_DIGIT})(?=\S)|(?=[^\W\d]))|、(?!{_DIGIT}))", re.M)
_SCALE = re.compile(
    r"(?<=\d)\s*+分?\s*+[(,]?\s*+(?:/|out\s+of(?:\s+a)?(?:\s+(?:possible|maximum|total))?|(?:满分|总分|总?共)[为是:]?)"
    r"\s*(?P<top>\d+(?:\.\d+)?) ?分?(?: ?\))?|"
    r"(?:满分[为是:]?\s*|\(\s*(?:out of|max(?:imum)?:?)\s*(?=\d+(?:\.\d+)?\s*\))|"
    r"\A\W*out of (?:a (?:possible |maximum )?)?(?=\d+,))(?P<first>\d+(?:\.\d+)?)(?: ?分)?(?: ?\))?|"
    r"(?P<of>\d+)分制[下中里]?",
    re.I,
)
_ATTACHED = re.compile(rf"(?<={_LETTER})-?\d+(?:\.\d+)*|(?<!\d)\d++(?:\.\d++)*+(?=-?{_LETTER}|\s*%)")

_NUMBER = re.compile(rf"(?<![\d.])-?\d+(?:\.\d+)?|(?<![{_HAN_DIGITS}十百几])[{_HAN_DIGITS}](?={_POINTS})")
_FROM_TO = r"(?P<low{0}>\d+)\s*分?\s*(?:[-–—~至到]|to)\s*(?P<high{0}>\d+)"
_SCALE_NAMED = re.compile(
    r"[(\[]\s*(?:on a scale |scale |range |from |of )*" + _FROM_TO.format(1) + r"\s*分?\s*[)\]]"
    r"|(?:\b(?:on|in|within|using) (?:an? |the |this |our )?)?\b(?:rating |scoring )?(?:scale|range)"
    r"(?: (?:of|from|ranging from|between))?:? " + _FROM_TO.format(2) + r",?"
    r"|(?:\b(?:on|in|within|using) )?(?:\b(?:an?|the|this|our) )?"
    + _FROM_TO.format(3)
    + r"[ -](?:point |rating )?(?:scale|range)\b,?"
    r"|(?:[在按用]照?)?" + _FROM_TO.format(4) + r"\s*分?的?(?:评分|打分|量表|范围|标准|区间|分制)+[中内里上下]?",
    re.I,
)
_COUNT = re.compile(
    rf"\bof (?:the|all|these|those) \d+ (?={_LETTER})"
    rf"|\b\d+ (?:out )?of (?:(?:all|the|these|his|her|their|its) ){{1,2}}\d+ (?={_LETTER})"
    rf"|\b(?:all|both|these|those|every|first|last|other) \d+ (?={_LETTER})",
    re.I,
)
_RANGE = rf"\d\s*(?:[-–—~到至]|to)\s*\d|{_DIGIT}\s*[-–—~到至或、和]\s*[{_HAN_DIGITS}]分"
_FRACTION = rf"\d点{_DIGIT}|{_DIGIT}点{_DIGIT}+分|\d半|{_DIGIT}[分个]半|and a half"
_BOUND = r"\d\s*[+±]|(?<![-=])[<>]\s*\d|[≤≥≈~±]\s*\d"
_UNCLEAR = re.compile(f"{_RANGE}|{_FRACTION}|{_BOUND}", re.I)

_SCORING = re.compile(
    _words(
        "scor(?:es?|ed|ing) rat(?:es?|ed|ings?) graded? levels? marks? answer boxed verdict assessment evaluation "
        "giv(?:es?|en|ing) gave assign(?:s|ed)? award(?:s|ed)? deserv(?:es?|ed) earn(?:s|ed)? merit(?:s|ed)? gets? got"
    )
    + "|分数|答案|等级|级别|[给打评判得]",
    re.I,
)
_LEADS = re.compile(
    rf"(?:\bi(?:['’](?:d|ll)| would| will)? (?:give|assign|award)\b"
    rf"|{_words('is was be as of at an? it this to scores? scored rate rated rating level answer boxed')}"
    r"|[:=→–—-]|[是为给打评判得到数级分]) ?$",
    re.I,
)
_OTHERWISE = re.compile(
    _words(
        "not never cannot nor than below above under over least most between because due if unless near nearly "
        "clos(?:e|er|est) almost about around approximately number count total times turns? rounds? questions? "
        "suggestions?"
    )
    + r"|n['’]t\b|[不没未低高超轮条次]|数量|建议|问题|至少|至多|接近|(?:[扣减差加少多降约]|[多少]于)[了掉去个得]?\s*$",
    re.I,
)
_LABEL = re.compile(r"(?:[^\W\d]{1,20}[ /-]*){1,3}[:=→]\s*")
_BULLET = re.compile(r"^[ #>•+-]+(?=[^\W\d])", re.M)

_UNIT = rf" ?(?:points?\b|pts?\b|级(?![{_HAN}])|{_POINTS})?"
_STOP = rf" ?(?:$|[\n.,;:!?()。、…]|[-–—](?!\w)|(?<=分)[{_HAN}]|(?<=分 )[{_HAN}])"
_STOPS = re.compile(_UNIT + _STOP, re.I)
_ALLOWED = re.compile(rf"{_UNIT}(?:{_STOP}| {_words('for to on in as because since overall based given')})", re.I)
_LINE_ENDS = re.compile(rf"{_UNIT}[^\w\n]*(?:\n|$)", re.I)

_CONCLUSION = re.compile(
    r"(?:^|[.!?。;\n]) ?(?:(?:so|thus|therefore|overall),? )?(?:(?:my|the|final|overall) ){0,2}"
    r"(?:(?:score|rating) ?(?:is|:|=)|(?:评分|得分)[:是为]) ?(?P<level>\d+) ?(?:points?|分)?[.!。]?$",
    re.I,
)
_OPENING = re.compile(
    r" ?(?P<label>(?:(?:my|the|final|overall) ){0,2}(?:[^\W\d]{1,20} ){0,2}[^\W\d]{0,6}"
    r"(?:score|rating|level|评分|得分|分数) ?(?:is|[:=是为])? ?)?(?P<level>\d+) ?(?:points?|分)?"
    r"(?:[^\w\n]*\n|(?(label)[.。;；] ?|\n))",
    re.I,
)
_REVISED = re.compile(
    _words("actually wait instead correction correct reconsider reconsidering rather hmm sorry revise revised mistake")
    + "|second thought|should be|更正|其实|不对|改为|应为|抱歉",
    re.I,
)


def find_anchored_mark(answer: str, marks: Sequence[Mark]) -> tuple[Mark, Span] | None:
    """What is said aloud: the one level as ``find_anchored`` reads it, or N/A where that is among what can be said; see
    ``not_applicable.find_mark``."""
    levels = [mark for mark in marks if isinstance(mark, int)]
    return find_mark(answer, levels, find_anchored) if NOT_APPLICABLE in marks else find_anchored(answer, levels)


def find_anchored(answer: str, levels: Sequence[int]) -> tuple[int, Span] | None:
    """The one level that what is said aloud gives as its score, and the characters that name it; None if none.

    List markers, digits that touch letters or %, counts ("2 of the 5 replies") and the scale (3/4, (0-4), 满分4分) do
    not count, nor do the words of a JSON object beside its score. All other numbers must be the same level, and one of
    them must stand where a score stands: first in the answer, alone on a line, after a label, before 分, or after a
    word of scoring; the last that does is the place. Where the answer begins or ends with its score, in a
    line or sentence of its own ("My score is 3."), other levels count only where a score stands; a number off the
    scale leaves it unscored.
    "3", "**3**", "3/4", "Score: 3 (out of 4)", "The empathy score is 3." and "我认为共情分数是3分。" are read; "10",
    "4/10", "3.5", "3 or 4" and "in turn 3" are not.

    >>> find_anchored("All 3 replies are fluent. Score: 3", range(5))
    (3, (33, 34))
    """
    reduced = reduce_object(normalise(answer), levels, find_anchored)
    if reduced is None:
        return None
    text = reduced
    text = text.sub(_TAG, lambda tag: f"\n{tag['name']}: " if tag["name"] else "\n")
    text = put_into_known_words(text)
    low, high = str(min(levels)), str(max(levels))
    text = text.sub(_SCALE_NAMED, lambda scale: " " if [*filter(None, scale.groups())] == [low, high] else scale[0])
    text = text.sub(_MARKUP, " ")
    listed = _MARKER.search(text.text) is not None
    text = text.sub(_MARKER, " ").sub(_BULLET, "")
    if any(float(scale["top"] or scale["first"] or scale["of"]) != max(levels) for scale in _SCALE.finditer(text.text)):
        return None
    text = text.sub(_SCALE, lambda scale: "分 " if scale["top"] else " ").sub(_COUNT, "x ").sub(_ATTACHED, "x").strip()
    found = list(_NUMBER.finditer(text.text))
    if _UNCLEAR.search(text.text):
        return None
    stated = [number for number in found if _is_score(text.text, number, listed=listed)]
    end = _CONCLUSION.search(text.text)
    said = bool(stated) and (
        bool(end and stated[-1].span() == end.span("level"))
        or (not listed and _begins_with_score(text.text, found, stated[0]))
    )
    if said and _values(found) <= set(levels):
        found = stated
    numbers = _values(found)
    if len(numbers) != 1:
        return None
    level = numbers.pop()
    return (int(level), text.span(*stated[-1].span())) if stated and level in levels else None


def parse_anchored(answer: str, levels: Sequence[Mark]) -> Mark | None:
    """The one level that an answer gives as its score, N/A where it may say that, or None; see ``find_anchored_mark``.

    >>> parse_anchored("The empathy score is 3.", range(5)), parse_anchored("4/10", range(5))
    (3, None)
    """
    return _mark(find_anchored_mark(strip_thinking(answer), levels))


def _mark(found: tuple[Mark, Span] | None) -> Mark | None:
    return found[0] if found else None


def _values(numbers: Sequence[re.Match[str]]) -> set[float]:
    return {float(_HAN_VALUES.get(number[0], number[0])) for number in numbers}


def _begins_with_score(text: str, numbers: Sequence[re.Match[str]], first: re.Match[str]) -> bool:
    """Whether an answer begins with its score, in a line or sentence of its own, and nothing after it takes it back."""
    begin = _OPENING.match(text)
    if begin is None or begin.span("level") != first.span() or _REVISED.search(text, begin.end()):
        return False
    others = (number for number in numbers if number.start() >= begin.end() and number[0] != first[0])
    return not any(_SCORING.search(re.split(r"[.!?;。\n]", text[: number.start()])[-1]) for number in others)


def _is_score(text: str, number: re.Match[str], *, listed: bool) -> bool:
    """Whether a number stands where a score does; in a list, a number alone may be the marker of an item cut off."""
    before, end = text[: number.start()], number.end()
    if not re.search(r"\w", before):
        return bool(_STOPS.match(text, end))
    points = text.startswith(("分", " 分"), end)
    if not re.search(r"\w", before.rpartition("\n")[2]):
        return (points or not listed) and bool(_LINE_ENDS.match(text, end))
    if not _ALLOWED.match(text, end):
        return False
    sentence = re.split(r"[.!?;。\n]", before)[-1]
    said = _SCORING.search(sentence)
    clause = sentence[sentence.rfind(",", 0, said.start() if said else None) + 1 :]
    if _OTHERWISE.search(clause):
        return False
    if _LABEL.fullmatch(before):
        return bool(_STOPS.match(text, end))
    return (points and number[0] not in _HAN_VALUES) or bool(said and _LEADS.search(sentence))


def find_official(answer: str, levels: Sequence[Mark]) -> tuple[Mark, Span] | None:
    """The lowest level whose digit occurs anywhere, and where it first does.

    Raises:
        EscEvalError: The rubric knows N/A, which the release's rule does not.
    """
    if NOT_APPLICABLE in levels:
        raise EscEvalError(
            "the official rule knows no 'not applicable', which this rubric has; read its answers by the anchored rule"
        )
    for level in sorted(level for level in levels if isinstance(level, int)):
        if (start := answer.find(str(level))) >= 0:
            return level, (start, start + len(str(level)))
    return None


def parse_official(answer: str, levels: Sequence[Mark]) -> Mark | None:
    """The lowest level whose digit occurs anywhere: "10" is 0, and so is "4/10". None where the release writes -1.

    What a model thinks is no exception: the release's script knows no thinking.

    >>> parse_official("4/10", range(5)), parse_official("<think>1 or 3?</think>The score is 3.", range(5))
    (0, 1)
    """
    return _mark(find_official(answer, levels))


FINDERS: dict[str, Finder] = {"anchored": find_anchored_mark, "official": find_official}
PARSERS: dict[str, Parser] = {"anchored": parse_anchored, "official": parse_official}
"""From an answer, word for word, to its level."""
WHOLE = frozenset({"official"})
"""Rules that read all of an answer; the others read what is said aloud."""


def get_finder(name: str) -> Finder:
    """The rule of a name, which says where the level stands too.

    Raises:
        EscEvalError: No such rule.
    """
    if name not in FINDERS:
        raise EscEvalError(f"no parser called {name!r}. There is: {', '.join(FINDERS)}.")
    return FINDERS[name]


def get_parser(name: str) -> Parser:
    """A parser by name.

    Raises:
        EscEvalError: No such parser.
    """
    get_finder(name)
    return PARSERS[name]


def reparse_ratings(ratings: Sequence[Rating], levels: Sequence[Mark], parser: str) -> tuple[list[Rating], int]:
    """Ratings with their raw answers read by another rule; the answers stay as they are.

    Ratings that were not read from text (level probabilities, an official score file) are returned unchanged.

    Args:
        ratings: Of any scorer.
        levels: Of the rubric, and N/A where it knows that.
        parser: Name of the rule.

    Returns:
        The ratings, and how many of them had an answer to read.
    """
    parse, read, count = get_parser(parser), [], 0
    for rating in ratings:
        if rating.raw is None or rating.parser not in PARSERS or rating.problem == TOO_LONG:
            read.append(rating)
            continue
        count += 1
        mark = parse(rating.raw, levels)
        problem = rating.problem or NO_LEVEL if mark is None else None
        said = {"score": None, "not_applicable": None, **mark_fields(mark)}
        read.append(rating.model_copy(update={**said, "problem": problem, "parser": parser}))
    return read, count


def find_lead(answers: Sequence[str], levels: Sequence[int]) -> str | None:
    """What all answers say before their level; None if they differ, or one names no single level at a single place.

    >>> find_lead(["The empathy score is 3.", "The empathy score is 2."], range(5))
    'The empathy score is '
    >>> find_lead(["3", "Four"], range(5)) is None
    True
    """
    found = {_before(answer, levels) for answer in answers}
    return found.pop() if len(found) == 1 else None


def _before(answer: str, levels: Sequence[int]) -> str | None:
    level = parse_anchored(answer, list(levels))
    positions = [] if level is None else list(re.finditer(rf"(?<!\d){level}(?!\d)", answer))
    return answer[: positions[0].start()] if len(positions) == 1 else None
