"""What a judge gives beside its level, if it is asked to: a quote of the dialogue, checked by code, or a reason."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language, known_languages
from esc_eval.prompts.wording import fill_template
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import NOT_APPLICABLE, Dialogue, Evidence, Mark, digest
from esc_eval.scoring.json_answers import read_objects
from esc_eval.scoring.traced_text import normalise

Wanted = Literal["none", "quote", "reason"]
"""What a judge is asked for before its level."""
ANSWER_TOKENS = 256
"""Cap on an answer that holds it, where no higher one is given."""
FILE = "evidence.yaml"
_INSIDE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])|(?<=\d)[.,](?=\d)")
"""What stands inside a word or a number."""
_MARKS = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"'})


def ask_for_evidence(wanted: Wanted, language: str, marks: Sequence[Mark]) -> str:
    """What is asked beside the rubric's own question; empty where nothing is.

    Args:
        marks: What can be answered: the levels, and N/A last where the rubric knows it.

    Raises:
        EscEvalError: The language has no wording for it.
    """
    if wanted == "none":
        return ""
    words = get_language(language).read_data(FILE) or {}
    if wanted not in words:
        raise EscEvalError(
            f"--evidence {wanted}: language {language!r} has no wording for it: add {FILE} to its folder"
        )
    levels = [mark for mark in marks if mark != NOT_APPLICABLE]
    high = f'{levels[-1]} / "{NOT_APPLICABLE}"' if NOT_APPLICABLE in marks else levels[-1]
    return "\n\n" + fill_template(words[wanted], low=levels[0], high=high)


def evidence_identity(wanted: Wanted) -> dict[str, Any]:
    """What a resumed scoring must share: what is asked for, and its wording; nothing where nothing is.

    One hash covers the languages of the official release; each language has its own beside it.
    """
    if wanted == "none":
        return {}
    own = {code: words for code, row in known_languages().items() if (words := row.read_data(FILE))}
    official = {code: own.get(code) for code, row in known_languages().items() if row.in_release}
    languages = {code: digest(words) for code, words in own.items()}
    return {"evidence": {"asks": wanted, "sha256": digest(official), "languages": languages}}


def read_evidence(
    answer: str,
    wanted: Wanted,
    marks: Sequence[Mark],
    dialogue: Dialogue,
    parse: Callable[[str, Sequence[Mark]], Mark | None],
) -> tuple[Mark, Evidence] | None:
    """The level of an answer, or that the dimension does not apply, and what was given beside it; None where it is not
    one object that holds both.

    Args:
        answer: All that the judge wrote; what it thought aloud is passed over.
        parse: Reads a level that is written as a text, such as "3/4".
    """
    given = [one for one in read_objects(strip_thinking(answer)) if wanted in one and "score" in one]
    if len(given) != 1:
        return None
    text, score = given[0][wanted], given[0]["score"]
    if isinstance(score, bool) or not isinstance(score, int | float | str) or not isinstance(text, str):
        return None
    said = parse(score, marks) if isinstance(score, str) else score
    mark = next((one for one in marks if one == said), None)
    if mark is None or not text.strip():
        return None
    turn = find_quote(text, dialogue) if wanted == "quote" else None
    return mark, Evidence(kind="quote" if wanted == "quote" else "reason", text=text, turn=turn)


def find_quote(quote: str, dialogue: Dialogue) -> int | None:
    """The first turn, from 0, that holds a quote word for word; None: none does.

    White space counts alike, whatever and however much of it, and so do straight and curved quotation marks, and marks
    around the whole quote do not count; a quote without a word stands nowhere. "art" is not in "heart", nor "can" in
    "can't" or "5" in "3.5"; in scripts without capitals a part of a word counts, as words take beginnings and ends.

    >>> from esc_eval.schema import Turn
    >>> talk = Dialogue(id="d", language="en", turns=(Turn(role="seeker", text="I feel  so\\nalone."),))
    >>> find_quote('"so alone"', talk), find_quote("so lonely", talk)
    (0, None)
    """
    wanted = _plain(quote)
    bare = wanted.strip("\"' ")
    if not re.search(r"\w", bare):
        return None
    for number, turn in enumerate(dialogue.turns):
        said = _plain(turn.text)
        if _stands_in(wanted, said) or _stands_in(bare, said):
            return number
    return None


def _stands_in(quote: str, said: str) -> bool:
    """Whether a text holds a quote that neither begins nor ends inside a word."""
    inside = {at for found in _INSIDE.finditer(said) for at in (found.start(), found.end())}
    start = said.find(quote)
    while start >= 0:
        if not any(at in inside or _is_in_word(said, at) for at in (start, start + len(quote))):
            return True
        start = said.find(quote, start + 1)
    return False


def _is_in_word(said: str, at: int) -> bool:
    around = said[at - 1 : at + 1] if at else ""
    return len(around) == 2 and all(each.isdecimal() or each.lower() != each.upper() for each in around)


def _plain(text: str) -> str:
    return " ".join(normalise(text).text.translate(_MARKS).split())
