"""What can be counted in a dialogue without a model: weighted words and character strings, and surface figures.

Plain numpy: a scorer that was fitted with scikit-learn reads dialogues here as scikit-learn did (``Terms`` gives the
same numbers as its TfidfVectorizer with ``sublinear_tf``).
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.schema import Dialogue, Role

Array = npt.NDArray[np.float64]
Unit = Literal["word", "char"]

WORD = re.compile(r"(?u)\b\w\w+\b")
TOKEN = re.compile(r"\w+|[?!]")
TEXTS = 4096
"""Turns whose tokens are remembered: several figures read each."""
SURFACE = (
    "log characters of the supporter",
    "log characters of the seeker",
    "words a turn of the supporter",
    "supporter's turns that ask",
    "supporter's turns that exclaim",
    "largest likeness of two of the supporter's turns",
    "mean likeness of the supporter's successive turns",
    "supporter's turns said before",
    "supporter's words taken up from the seeker",
    "seeker's words taken up from the supporter",
    "log ratio of the seeker's last and first turn",
    "seeker's turns that ask",
    "seeker's turns that exclaim",
    "distinct words of the supporter",
    "supporter's words that are I",
    "supporter's words that are you",
)
"""Names of the surface figures, in their order."""


ENDINGS = (
    "log characters of the supporter's last turn",
    "the supporter's last turn asks",
    "it exclaims",
    "its likeness to the supporter's turn before",
    "it was said before",
    "its words taken up from the seeker's last turn",
    "its words that are I",
    "its words that are you",
    "log characters of the seeker's last turn",
    "the seeker's last turn asks",
    "it exclaims",
    "its likeness to the seeker's turn before",
    "its words taken up from the supporter's turn before it",
    "its words that are I",
    "its words that are you",
    "log ratio of it and the seeker's first turn",
)
"""Names of the figures of the last turns, in their order."""


def utterances_of(dialogue: Dialogue, role: Role) -> list[str]:
    """A side's utterances; the seeker's first is left out where there are others, as it only states the matter."""
    texts = [turn.text for turn in dialogue.turns if turn.role == role]
    return texts[1:] if role == "seeker" and len(texts) > 1 else texts


def surface_figures(dialogue: Dialogue) -> list[float]:
    """The figures of ``SURFACE``; 0 where there is nothing to count."""
    supporter, seeker = utterances_of(dialogue, "supporter"), utterances_of(dialogue, "seeker")
    own, other = [tokens_of(t) for t in supporter], [tokens_of(t) for t in seeker]
    different = [set(words) for words in own]
    likeness = [overlap_of(a, b) for a, b in combinations(different, 2)]
    following = [overlap_of(a, b) for a, b in pairwise(different)]
    repeated = len(own) - len({tuple(words) for words in own})
    words = [w for turn in own for w in turn if w.isalnum()]
    lengths = [len(t) for t in seeker]
    return [
        math.log1p(sum(map(len, supporter))),
        math.log1p(sum(lengths)),
        len(words) / max(len(own), 1),
        _share("?", own),
        _share("!", own),
        max(likeness, default=0.0),
        mean_of(following),
        repeated / max(len(own), 1),
        _taken_up(dialogue, "seeker", "supporter"),
        _taken_up(dialogue, "supporter", "seeker"),
        math.log((1 + lengths[-1]) / (1 + lengths[0])) if lengths else 0.0,
        _share("?", other),
        _share("!", other),
        len(set(words)) / max(len(words), 1),
        mean_of([w == "i" for w in words]),
        mean_of([w == "you" for w in words]),
    ]


def ending_figures(dialogue: Dialogue) -> list[float]:
    """The figures of ``ENDINGS``; 0 where there is nothing to count."""
    supporter, seeker = ([t.text for t in dialogue.turns if t.role == role] for role in ("supporter", "seeker"))
    own, other = [tokens_of(t) for t in supporter] or [[]], [tokens_of(t) for t in seeker] or [[]]
    last, answered = own[-1], other[-1]
    before = own[-2] if len(own) > 1 else []
    first = len(seeker[0]) if seeker else 0
    return [
        math.log1p(len(supporter[-1]) if supporter else 0),
        "?" in last,
        "!" in last,
        overlap_of(set(last), set(before)),
        last in own[:-1],
        _shared(last, answered),
        *_persons(last),
        math.log1p(len(seeker[-1]) if seeker else 0),
        "?" in answered,
        "!" in answered,
        overlap_of(set(answered), set(other[-2] if len(other) > 1 else [])),
        _shared(answered, before),
        *_persons(answered),
        math.log((1 + len(seeker[-1])) / (1 + first)) if seeker else 0.0,
    ]


def distinct_bigrams(dialogue: Dialogue) -> float:
    """Different pairs of successive words of the supporter, as a share of all; 0 where there is none."""
    words = tokens_of("\n".join(utterances_of(dialogue, "supporter")))
    pairs = list(pairwise(words))
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def distinct_share(words: Sequence[str], window: int, size: int) -> float:
    """Different runs of ``size`` words, as a share of all, in windows of a fixed number of words; mean over windows.

    A text shorter than a window counts as one; a rest shorter than half a window is left out.
    """
    starts = range(0, max(len(words) - window // 2, 1), window)
    found = []
    for start in starts:
        part = words[start : start + window]
        runs = [tuple(part[n : n + size]) for n in range(len(part) - size + 1)]
        if runs:
            found.append(len(set(runs)) / len(runs))
    return mean_of(found)


def _shared(words: Sequence[str], others: Sequence[str]) -> float:
    """Share of the different words that the others hold too."""
    own = {w for w in words if w.isalnum()}
    return len(own & set(others)) / max(len(own), 1)


def _persons(tokens: Sequence[str]) -> tuple[float, float]:
    words = [w for w in tokens if w.isalnum()]
    return mean_of([w == "i" for w in words]), mean_of([w == "you" for w in words])


def tokens_of(text: str) -> list[str]:
    """Words, and the marks ? and !, in small letters."""
    return list(_find_tokens(text))


@lru_cache(TEXTS)
def _find_tokens(text: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(text.lower()))


def mean_of(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return float(sum(values)) / len(values) if values else 0.0


def _share(mark: str, turns: Sequence[Sequence[str]]) -> float:
    return mean_of([mark in turn for turn in turns])


def overlap_of(a: set[str], b: set[str]) -> float:
    """Jaccard likeness; 0 of nothing."""
    return len(a & b) / len(a | b) if a | b else 0.0


def _taken_up(dialogue: Dialogue, before: Role, after: Role) -> float:
    """Mean share of the words of three letters or more that the turn before holds too."""
    found = []
    for a, b in pairwise(dialogue.turns):
        if (a.role, b.role) == (before, after):
            words = {w for w in tokens_of(b.text) if len(w) > 2}
            found.append(len(words & set(tokens_of(a.text))) / max(len(words), 1))
    return mean_of(found)


class Terms(FrozenYaml):
    """Words or character strings of one side and what each weighs.

    Attributes:
        role: Whose text.
        unit: ``word``: words of two letters or more and runs of them; ``char``: strings within words, with a space at
            each end.
        shortest, longest: Of the runs or strings.
        vocabulary: The terms, in the order of the columns.
        idf: Weight of each.
    """

    role: Role
    unit: Unit
    shortest: int
    longest: int
    vocabulary: tuple[str, ...]
    idf: tuple[float, ...]

    def matrix(self, dialogues: Sequence[Dialogue]) -> Array:
        """Weights of the terms in each dialogue, rows of length 1 (or 0): shape (dialogues, terms)."""
        column = {term: n for n, term in enumerate(self.vocabulary)}
        idf = np.asarray(self.idf)
        out = np.zeros((len(dialogues), len(column)))
        for row, dialogue in zip(out, dialogues, strict=True):
            counts = Counter(t for t in self.terms("\n".join(utterances_of(dialogue, self.role))) if t in column)
            for term, count in counts.items():
                row[column[term]] = 1 + math.log(count)
            row *= idf
            row /= np.linalg.norm(row) or 1.0
        return out

    def terms(self, text: str) -> Iterator[str]:
        """Every term of a text, once for each time that it occurs."""
        text = text.lower()
        sizes = range(self.shortest, self.longest + 1)
        if self.unit == "word":
            words = WORD.findall(text)
            for size in sizes:
                for start in range(len(words) - size + 1):
                    yield " ".join(words[start : start + size])
            return
        for word in text.split():
            padded = f" {word} "
            for size in sizes:
                if size >= len(padded):
                    yield padded
                    break  # a short word counts once, as in scikit-learn
                for start in range(len(padded) - size + 1):
                    yield padded[start : start + size]
