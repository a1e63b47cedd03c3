"""From a scorer's answer to a level: two rules, both named, both kept apart.

``anchored`` is ours and refuses what is not said as a score. ``official`` is the rule of score.py in the official
release, for parity with published scores only.
"""

from collections.abc import Callable, Sequence

from esc_eval.errors import EscEvalError
from esc_eval.files.official import strip_thinking
from esc_eval.schema import Rating
from esc_eval.scoring.anchored import parse_anchored

NO_LEVEL = "the answer names no single level"
TOO_LONG = "longer than the scorer can read"

Parser = Callable[[str, Sequence[int]], int | None]


def parse_official(answer: str, levels: Sequence[int]) -> int | None:
    """The lowest level whose digit occurs anywhere: "10" is 0, and so is "4/10". None where the release writes -1.

    >>> official("4/10", range(5)), official("The empathy score is 3.", range(5))
    (0, 3)
    """
    return next((level for level in sorted(levels) if str(level) in answer), None)


PARSERS: dict[str, Parser] = {"anchored": parse_anchored, "official": parse_official}


def get_parser(name: str) -> Parser:
    """A parser by name.

    Raises:
        EscEvalError: No such parser.
    """
    if name not in PARSERS:
        raise EscEvalError(f"no parser called {name!r}. There is: {', '.join(PARSERS)}.")
    return PARSERS[name]


def reparse_ratings(ratings: Sequence[Rating], levels: Sequence[int], parser: str) -> tuple[list[Rating], int]:
    """Ratings with their raw answers read by another rule; the answers stay as they are.

    Ratings that were not read from text (level probabilities, an official score file) are returned unchanged.

    Args:
        ratings: Of any scorer.
        levels: Of the rubric.
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
        level = parse(strip_thinking(rating.raw), levels)
        problem = rating.problem or NO_LEVEL if level is None else None
        read.append(rating.model_copy(update={"score": level, "problem": problem, "parser": parser}))
    return read, count
