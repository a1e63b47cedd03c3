"""Figures of a supporter's turns that mean the same in a chat of three replies and in one of thirty: rates, no totals.

English. Nothing here is fitted; a figure of nothing is 0.
"""

import math
import re
from collections.abc import Hashable, Sequence
from itertools import pairwise

from esc_eval.schema import Dialogue
from esc_eval.scoring.text_features import distinct_share, mean_of, overlap_of, tokens_of

PHRASES = "en"
"""The language that the phrases below are of."""
WINDOW, LONG_WINDOW = 25, 100
"""Words at a time in which different ones are counted."""
ADVICE = re.compile(
    r"\b(?:you (?:should|could|can|might|may|need to|have to)|try (?:to|and|\w+ing)"
    r"|have you (?:tried|thought|considered)|how about|why don't you|why not|i(?:'d| would) (?:suggest|recommend)"
    r"|it (?:might|may|could) (?:be helpful|help)|consider|make sure|reach out)\b"
)
ASSISTANT = re.compile(
    r"\b(?:as an ai|language model|i'm here (?:to|for)|i am here (?:to|for)|feel free to|it's important to"
    r"|it is important to|it's (?:completely |totally |perfectly )?(?:understandable|okay|normal)|remember(?:,| that)"
    r"|take care of yourself|i'm sorry to hear|i am sorry to hear|would you like (?:me )?to|let me know if"
    r"|don't hesitate)\b"
)
SYMPATHY = re.compile(
    r"\b(?:sorry|sounds (?:like|really|so|very)?|must (?:be|have been|feel)|i (?:can )?(?:understand|imagine|see|hear)"
    r"|that's (?:hard|tough|awful|terrible|great|awesome|wonderful|horrible)|oh no|glad|happy for you|congrat\w*)\b"
)
FEELING = re.compile(
    r"\b(?:feel\w*|felt|sad\w*|hurt\w*|lonely|afraid|scared|anxious|angry|upset|worr\w+|stress\w*|overwhelm\w*)\b"
)
LIST = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s|\*\*", re.MULTILINE)
THANKS = re.compile(r"\b(?:thank\w*|thanks|appreciate\w*|helpful|good idea|i will try|i'll try)\b")
DOUBT = re.compile(
    r"^(?:no\b|what\b|huh\b|um\b|i (?:just|already) (?:said|told)|that's not|that makes no)|\?\?|\bweird\b|\bconfus\w+"
)
CONTRACTION = re.compile(r"\b\w+'(?:m|s|re|ve|ll|d|t)\b")
COMMON = frozenset(
    [
        "the",
        "a",
        "an",
        "and",
        "or",
        "but",
        "if",
        "of",
        "to",
        "in",
        "on",
        "at",
        "for",
        "with",
        "from",
        "by",
        "as",
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "am",
        "it",
        "its",
        "this",
        "that",
        "these",
        "those",
        "i",
        "you",
        "he",
        "she",
        "we",
        "they",
        "me",
        "my",
        "your",
        "his",
        "her",
        "our",
        "their",
        "not",
        "do",
        "does",
        "did",
        "have",
        "has",
        "had",
        "so",
        "very",
        "just",
        "what",
        "who",
        "how",
        "when",
    ]
)

TRANSFER = (
    "log words a turn",
    "log words of the longest turn",
    "spread of the words a turn",
    "turns that ask",
    "questions a sentence",
    "turns that exclaim",
    "distinct words in 25",
    "distinct pairs in 25",
    "turns said before",
    "likeness of successive turns",
    "openings said before",
    "words taken up from the seeker",
    "words that are I",
    "words that are you",
    "advice a sentence",
    "turns that advise",
    "advice before any question",
    "assistant's phrases a sentence",
    "sympathy a sentence",
    "feelings named, a word",
    "turns with a list",
    "contractions a word",
    "letters a word",
    "common words",
    "words a sentence",
    "last turn asks",
    "log words of the last turn",
    "last turn said before",
    "seeker thanks",
    "seeker doubts",
    "seeker's words taken up from the supporter",
    "log ratio of words, supporter to seeker",
)
"""Names of the figures, in their order."""


def transfer_figures(dialogue: Dialogue) -> list[float]:
    """The figures of ``TRANSFER``."""
    replies = [turn.text.lower().replace("\u2019", "'") for turn in dialogue.turns if turn.role == "supporter"]
    asked = [turn.text.lower().replace("\u2019", "'") for turn in dialogue.turns if turn.role == "seeker"]
    own = [[w for w in tokens_of(text) if w.isalnum()] for text in replies]
    other = [[w for w in tokens_of(text) if w.isalnum()] for text in asked]
    said = "\n".join(replies)
    words = [word for turn in own for word in turn]
    sentences = max(sum(len([s for s in re.split(r"[.!?\n]+", text) if s.strip()]) for text in replies), 1)
    lengths = [len(turn) for turn in own]
    openings = [tuple(turn[:3]) for turn in own if turn]
    advises = [bool(ADVICE.search(text)) for text in replies]
    asks = ["?" in text for text in replies]
    first_advice = advises.index(True) if any(advises) else None
    count = max(len(words), 1)
    mean = sum(lengths) / max(len(lengths), 1)
    return [
        math.log1p(mean),
        math.log1p(max(lengths, default=0)),
        math.sqrt(mean_of([(n - mean) ** 2 for n in lengths])) / (1 + mean),
        mean_of(asks),
        min(said.count("?") / sentences, 2.0),
        mean_of(["!" in text for text in replies]),
        distinct_share(words, WINDOW, 1),
        distinct_share(words, WINDOW, 2),
        _again([tuple(turn) for turn in own]),
        mean_of([overlap_of(set(a), set(b)) for a, b in pairwise(own)]),
        _again(openings),
        _taken_up(dialogue, "seeker", "supporter"),
        mean_of([w == "i" for w in words]),
        mean_of([w == "you" for w in words]),
        min(len(ADVICE.findall(said)) / sentences, 2.0),
        mean_of(advises),
        float(first_advice is not None and not any(asks[:first_advice])),
        min(len(ASSISTANT.findall(said)) / sentences, 2.0),
        min(len(SYMPATHY.findall(said)) / sentences, 2.0),
        len(FEELING.findall(said)) / count,
        mean_of([bool(LIST.search(text)) for text in replies]),
        len(CONTRACTION.findall(said)) / count,
        mean_of([len(w) for w in words]),
        mean_of([w in COMMON for w in words]),
        math.log1p(count / sentences),
        float(asks[-1]) if asks else 0.0,
        math.log1p(lengths[-1]) if lengths else 0.0,
        float(own[-1] in own[:-1]) if own else 0.0,
        mean_of([bool(THANKS.search(text)) for text in asked]),
        mean_of([bool(DOUBT.search(text)) for text in asked[1:]]),
        _taken_up(dialogue, "supporter", "seeker"),
        math.log1p(mean) - math.log1p(mean_of([len(turn) for turn in other])),
    ]


def fixed_figures(dialogue: Dialogue) -> list[float]:
    """Log of the supporter's words a turn, and its different pairs of words as a share, in windows of 100 words."""
    own = [[w for w in tokens_of(turn.text) if w.isalnum()] for turn in dialogue.turns if turn.role == "supporter"]
    words = [word for turn in own for word in turn]
    return [math.log1p(len(words) / max(len(own), 1)), distinct_share(words, LONG_WINDOW, 2)]


def _again(items: Sequence[Hashable]) -> float:
    """Share of the items after the first that stand before themselves."""
    seen: set[Hashable] = set()
    found = []
    for item in items:
        found.append(item in seen)
        seen.add(item)
    return mean_of(found[1:])


def _taken_up(dialogue: Dialogue, before: str, after: str) -> float:
    """Share of the rarer words of a turn that the turn before holds too, mean over turns."""
    found = []
    for a, b in pairwise(dialogue.turns):
        if (a.role, b.role) == (before, after):
            words = {w for w in tokens_of(b.text.lower()) if len(w) > 2 and w not in COMMON}
            found.append(len(words & set(tokens_of(a.text.lower()))) / max(len(words), 1))
    return mean_of(found)
