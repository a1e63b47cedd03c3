"""A reply cut into sentences, and what is counted of each: words and what they take up of the seeker's turn before.

English. Features are hashed, so that a fitted file holds nobody's words (Weinberger et al. 2009).
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from math import log2
from zlib import crc32

import numpy as np
import numpy.typing as npt

from esc_eval.scoring.text_features import tokens_of
from esc_eval.scoring.transfer_features import COMMON

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

_END = re.compile(r"(?<=[.!?\u2026])(?P<closing>[\"')\]*\u2019\u201d]*)\s+|(?P<line>)\s*\n+\s*")
_LETTER = re.compile(r"[^\W\d_]")
STEM = 5
"""Letters of a longer word by which its forms count as one."""


def split_segments(text: str) -> list[tuple[int, int]]:
    """Where each sentence of a reply begins and ends; what holds no letter (a list's number) goes with the next one.

    >>> [text[a:b] for text in ["Oh no. 1. Call her! Or... do you?"] for a, b in split_segments(text)]
    ['Oh no.', '1. Call her!', 'Or...', 'do you?']
    >>> split_segments("...")
    []
    """
    found: list[tuple[int, int]] = []
    start = 0
    for end, behind in [*((m.end(m.lastgroup or 0), m.end()) for m in _END.finditer(text)), (len(text), len(text))]:
        if _LETTER.search(text[start:end]):
            found.append((start, end))
            start = behind
    found = [(a + len(text[a:b]) - len(text[a:b].lstrip()), b) for a, b in found]
    if found and start < len(text):  # marks after the last sentence are part of it
        found[-1] = (found[-1][0], len(text.rstrip()))
    return [(a, a + len(text[a:b].rstrip())) for a, b in found]


def name_features(text: str, before: str) -> set[str]:
    """What is there in a segment.

    Args:
        text: Of the segment.
        before: What the seeker said last.
    """
    words, asked = tokens_of(text.replace("\u2019", "'")), tokens_of(before.replace("\u2019", "'"))
    framed = ["<", *words, ">"]
    own = {word for word in words if len(word) > 2 and word not in COMMON}
    shared = len(own & set(asked)) / max(len(own), 1)
    return {
        *(f"w {word}" for word in words),
        *(f"b {a} {b}" for a, b in pairwise(framed)),
        *(f"s {word[:STEM]}" for word in words if len(word) > STEM),
        f"length {min(int(2 * log2(1 + len(words))), 12)}",
        f"asks {min(text.count('?'), 2)}",
        f"shared {int(4.99 * shared)}",
        f"own {min(len(own), 4)}",
        f"shared of {int(3.99 * shared)} {min(len(own), 3)}",
        f"asked {'?' in before}",
        f"asked length {min(int(log2(1 + len(asked))), 6)}",
        *(["asked you"] if {"you", "your"} & set(asked) else []),
    }


def hash_features(text: str, before: str, bits: int) -> Places:
    """Columns of the features, each once, sorted, of 2 ** bits columns."""
    mask = (1 << bits) - 1
    return np.array(sorted({crc32(name.encode("utf-8", "replace")) & mask for name in name_features(text, before)}))


def add_columns(columns: Sequence[Places], weights: Array) -> Array:
    """Sums of the weights of each row's columns, by the root of how many these are; shape (rows, classes).

    Args:
        columns: As ``hash_features`` gives them.
        weights: Shape (classes, 2 ** bits).
    """
    rows = [weights[:, own].sum(1) / np.sqrt(len(own)) for own in columns]
    return np.array(rows).reshape(len(rows), len(weights))
