"""The words that a scorer puts before its level, so that they can be put into its mouth."""

import re
from collections.abc import Sequence

from esc_eval.scoring.anchored import parse_anchored


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
    level = parse_anchored(answer, levels)
    places = [] if level is None else list(re.finditer(rf"(?<!\d){level}(?!\d)", answer))
    return answer[: places[0].start()] if len(places) == 1 else None
