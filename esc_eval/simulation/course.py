"""What becomes of a reply: what is said, what stays hidden, and whether the talk ends with it."""

import re
from collections.abc import Sequence
from functools import cache

from esc_eval.chat.base import Reply
from esc_eval.languages import get_language
from esc_eval.prompts.protocol import Protocol
from esc_eval.prompts.state import Ends, take_signal, take_state
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import GOODBYE_LOOP, LAST_ROUND, Role, Turn
from esc_eval.simulation.plan import Failure, Play, failure_from_reply, find_failure, turn_from_reply

ALL_HIDDEN = "the reply was all hidden state, nothing was said"
FILE = "course.yaml"
"""In a language's folder: words of goodbyes, and of faults of a seeker."""
OTHER_WORDS = 0.6
"""A turn says goodbye and little else where at most this share of its tokens is beside what fits a goodbye."""


def read_reply(play: Play, side: Role, reply: Reply, seed: int) -> Turn | Failure:
    """The next turn of a dialogue, or why there is none.

    Args:
        play: The dialogue so far.
        side: Who speaks.
        reply: What the model gave.
        seed: That it was asked with.
    """
    if failure := find_failure(side, reply):
        return failure
    turn = turn_from_reply(side, reply, seed)
    protocol = play.plan.protocol
    if side == "seeker" and reply.finish_reason != "context" and (protocol.state or protocol.ends):
        turn = hide(turn, protocol, play.card.language)
        if not turn.text.strip() and turn.signal is None and strip_thinking(reply.text).strip():
            return failure_from_reply(side, reply, ALL_HIDDEN)
    end = protocol.ends and find_end([*play.turns, turn], protocol, protocol.ends, play.card.language)
    return turn.model_copy(update={"end": end}) if end else turn


def hide(turn: Turn, protocol: Protocol, language: str) -> Turn:
    """A seeker's turn whose text holds what it says, and no more; all of what it wrote stays in ``raw``."""
    words, text = protocol.text(language), turn.text
    found: dict[str, object] = {}
    if protocol.ends and words.ends:
        text, signal = take_signal(text, words.ends)
        found["signal"] = signal
    if protocol.state and words.state:
        text, found["state"] = take_state(text, protocol.state, words.state, language)
    raw = turn.raw or (turn.text if text != turn.text else None)
    return turn.model_copy(update={**found, "text": text, "raw": raw})


def find_end(turns: Sequence[Turn], protocol: Protocol, ends: Ends, language: str) -> str | None:
    """Why a dialogue ends with its last turn; None where it goes on.

    A sign of the seeker's is obeyed once the supporter has answered it; at once where nothing was said with it.
    """
    rounds = len(turns) // 2
    last, seeker = turns[-1], turns[-1] if turns[-1].role == "seeker" else turns[-2]
    if last.role == "seeker":
        silent = last.signal and not last.text.strip()
        return last.signal if silent and rounds >= ends.min_rounds else None
    if rounds >= ends.min_rounds:
        if seeker.signal:
            return seeker.signal
        loop = turns[-2 * ends.goodbyes :] if ends.goodbyes else ()
        if loop and len(turns) > len(loop) and all(is_goodbye(turn.text, language) for turn in loop):
            return GOODBYE_LOOP
    return LAST_ROUND if rounds >= protocol.rounds else None


@cache
def _goodbyes(language: str) -> tuple[re.Pattern[str], re.Pattern[str]] | None:
    """What is a goodbye or thanks, and what may stand beside it."""
    words = (get_language(language).read_data(FILE) or {}).get("goodbye")
    if not words:
        return None
    core, beside = ("|".join(f"(?:{p})" for p in words.get(key, ())) or r"(?!)" for key in ("core", "beside"))
    return re.compile(core, re.IGNORECASE), re.compile(f"{core}|{beside}", re.IGNORECASE)


def knows_goodbyes(language: str) -> bool:
    """Whether a language's folder says what a goodbye is."""
    return _goodbyes(language) is not None


def is_goodbye(text: str, language: str) -> bool:
    """Whether a turn says goodbye or thanks, and little else: it asks nothing, and few of its words are others.

    >>> is_goodbye("Thank you so much, take care!", "en"), is_goodbye("Thanks. But what should I tell my mother?", "en")
    (True, False)
    """
    patterns = _goodbyes(language)
    if patterns is None or not patterns[0].search(text) or re.search(r"[?？]", text):
        return False
    words = get_language(language).words
    total, rest = len(words.findall(text.lower())), len(words.findall(patterns[1].sub(" ", text).lower()))
    return rest <= OTHER_WORDS * total
