"""The range of a fitted scorer's training: what a dialogue must be like for its numbers to be of something it has seen.

A dialogue lies inside where each of its figures lies between two bounds. The bounds are order statistics of dialogues
that the rest was not fitted to (a supporter and people held out), as wide as it takes to keep a stated share of those:
split conformal prediction (Vovk et al. 2005) with one set of bounds for all figures. Figures of a whole dialogue do not
see one turn in another language among ten, so each turn has to be plain text of the training's language as well
(``find_strange_turn``).
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.schema import Dialogue, Rating, Role, digest

Array = npt.NDArray[np.float64]
Vectors = Callable[[Sequence[str]], Array]

OUTSIDE = "outside what the scorer was fitted to: "
"""How the reason of a dialogue begins that is not like those of the training."""
NO_RANGE = (
    "its file does not say what its training was like, so that nobody knows which dialogues its numbers hold for; "
    "fit it anew"
)
FITTED_KIND = "text scorer"
"""Kind of a fitted scorer's identity."""
AXES = 16
HASHED = 1 << 16
"""Words whose hashes are remembered."""
LEAST_DIALOGUES = 3
"""A word is known if so many dialogues hold it."""
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""A character of a script that sets no space between words (Chinese, Japanese) is a word of its own."""
SIDES: tuple[Role, ...] = ("supporter", "seeker")
UNKNOWN = "share of unknown words"
COUNTED = (
    "turns",
    "words a turn of the supporter",
    "words of the supporter's longest turn",
    "words a turn of the seeker",
    "words of the seeker's longest turn",
    UNKNOWN,
)
DISTANCES = tuple(f"distance of the {side}'s words from those of the training" for side in SIDES)
"""Mahalanobis distances of mean sentence vectors."""
ONE_SIDED = frozenset({UNKNOWN, *DISTANCES})
"""Figures of which a low value is never strange."""
TURNS = 2
"""Version of the rules for one turn, part of a scorer's identity."""
FOREIGN, FEWEST_WORDS = 0.5, 4
"""A larger share of unknown words, where the bound for a whole dialogue is none, and a turn of so many is foreign."""
MOST_FOREIGN_LETTERS = 0.1
"""A larger share of letters in a script of which the dialogue holds no known word: a turn is foreign in part."""
LONGEST_WORD = 40
"""Characters; what is longer is no word, but text without spaces, an address or noise."""
MOST_SIGNS, FEWEST_CHARACTERS = 0.15, 15
"""A larger share of brackets, slashes, operators and the like among so many characters: code or an address."""
_SIGN = re.compile(r"[^\w\s.,;!?'\u2018-\u201d\u2026\u2013\u2014*\U0001f000-\U0001faff-]|_|(?<!\*)\*(?!\*)")
_LETTER = re.compile(r"[^\W\d_]")


class Bounds(FrozenYaml):
    """The least and the largest value of a figure that is inside."""

    low: float
    high: float

    def explain(self, figure: str, value: float) -> str | None:
        """Why a value is outside, the same words for all that are so; None where it is inside."""
        if self.low <= value <= self.high:
            return None
        bound, way = (self.high, "above") if value > self.high else (self.low, "below")
        return f"{figure} {way} {bound:.3g}"


class RangeFile(FrozenYaml):
    """What ``text_scorer.json`` says of the range.

    Attributes:
        bounds: By figure.
        keep: The share of held-out dialogues that the bounds were chosen to keep.
        kept: The share that they keep of dialogues that neither the figures nor the bounds were fitted to, by what was
            held out.
        dialogues: How many they were chosen on.
        held_out: What was held out, in words.
    """

    bounds: dict[str, Bounds]
    keep: float
    kept: dict[str, float]
    dialogues: int
    held_out: str

    def list_strange(self, figures: Mapping[str, float]) -> list[str]:
        """Which figures of a dialogue lie outside, and on which side; none where it is inside."""
        return [why for name, own in self.bounds.items() if (why := own.explain(name, figures[name]))]


def is_outside(rating: Rating) -> bool:
    """Whether a rating is of a dialogue outside its scorer's range, unscored or flagged."""
    return bool(rating.outside) or (rating.problem or "").startswith(OUTSIDE.rstrip())


def words_of(text: str) -> list[str]:
    """The words of a text in small letters."""
    return WORD.findall(text.lower())


def hash_words(words: Iterable[str]) -> npt.NDArray[np.uint32]:
    """32-bit hashes, sorted, each once: a scorer's file holds no word of anybody."""
    return np.array(sorted({_hash(word) for word in words}), dtype=np.uint32)


@lru_cache(HASHED)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=4).digest(), "big")


@dataclass(frozen=True)
class Cloud:
    """Where the vectors of one side lie: a Gaussian along the first axes, alike in all other directions (PPCA).

    Attributes:
        centre: Shape (width,).
        axes: Shape (axes, width), rows of length 1.
        spread: Variance along each axis, then in each other direction; shape (axes + 1,).
    """

    centre: Array
    axes: Array
    spread: Array

    @classmethod
    def fitted(cls, vectors: Array) -> "Cloud":
        """Of vectors of shape (n, width)."""
        centre = vectors.mean(0)
        _, lengths, axes = np.linalg.svd(vectors - centre, full_matrices=False)
        found = lengths**2 / max(len(vectors) - 1, 1)
        used = min(AXES, len(found) - 1)
        rest = max(vectors.shape[1] - used, 1)
        noise = max(float(found[used:].sum()) / rest, 1e-6)
        return cls(centre, axes[:used], np.append(np.maximum(found[:used], noise), noise))

    def distances(self, vectors: Array) -> Array:
        """Mahalanobis distances, shape (n,)."""
        away = vectors - self.centre
        along = away @ self.axes.T
        other = np.maximum((away**2).sum(1) - (along**2).sum(1), 0.0)
        return np.asarray(np.sqrt((along**2 / self.spread[:-1]).sum(1) + other / self.spread[-1]))


@dataclass(frozen=True)
class Seen:
    """What the training dialogues are like: their words, and where their vectors lie.

    Attributes:
        words: ``hash_words`` of those that are known.
        clouds: By side; none where the scorer reads no sentence vectors.
    """

    words: npt.NDArray[np.uint32]
    clouds: tuple[Cloud, ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the columns of ``measure``."""
        return COUNTED + DISTANCES[: len(self.clouds)]

    def measure(self, dialogues: Sequence[Dialogue], vectors: Vectors | None = None) -> Array:
        """The figures, shape (dialogues, figures).

        Args:
            vectors: Sentence vectors of texts, where there are clouds.
        """
        known = set(self.words.tolist())
        counted = np.array([_count(dialogue, known) for dialogue in dialogues]).reshape(len(dialogues), len(COUNTED))
        if not self.clouds or vectors is None:
            return counted
        means = mean_vectors(dialogues, vectors)
        columns = [cloud.distances(means[:, n]) for n, cloud in enumerate(self.clouds)]
        return np.column_stack([counted, *columns])

    def explain(
        self, file: RangeFile, dialogues: Sequence[Dialogue], vectors: Vectors | None = None
    ) -> list[str | None]:
        """Why each dialogue is outside; None where it is inside."""
        every = self.measure(dialogues, vectors)
        known = set(self.words.tolist())
        bound = file.bounds.get(UNKNOWN)
        found = []
        for dialogue, row in zip(dialogues, every, strict=True):
            strange = file.list_strange(dict(zip(self.figures, row.tolist(), strict=True)))
            turn = find_strange_turn(dialogue, known, max(FOREIGN, bound.high)) if bound else None
            strange += [turn] if turn else []
            found.append(OUTSIDE + ", ".join(strange) if strange else None)
        return found

    @property
    def sha256(self) -> str:
        """Of all of it, as far as it decides anything."""
        clouds = [[array.round(5).tolist() for array in vars(cloud).values()] for cloud in self.clouds]
        return digest([self.words.tolist(), clouds, TURNS])

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """As the weights' file keeps them."""
        found: dict[str, npt.NDArray[np.generic]] = {"range_words": self.words.astype(np.int64)}
        for side, cloud in zip(SIDES, self.clouds, strict=False):
            for name, array in vars(cloud).items():
                found[f"range_{side}_{name}"] = np.ascontiguousarray(array, dtype=np.float32)
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, npt.NDArray[np.generic]]) -> "Seen":
        """What ``tensors`` made.

        Raises:
            KeyError: Something is missing.
        """
        sides = [side for side in SIDES if f"range_{side}_centre" in tensors]
        clouds = [
            Cloud(**{name: tensors[f"range_{side}_{name}"].astype(np.float64) for name in ("centre", "axes", "spread")})
            for side in sides
        ]
        return cls(tensors["range_words"].astype(np.uint32), tuple(clouds))


def find_strange_turn(dialogue: Dialogue, known: Collection[int], most_unknown: float) -> str | None:
    """What is no plain text of the training's language in a dialogue, the same words for all that are so.

    Args:
        dialogue: Of which each turn is looked at, and all turns of a side together.
        known: Hashes of the known words.
        most_unknown: The largest share of other words.

    Returns:
        None where all of it is plain text; a seeker's turn may hold no word.
    """

    def is_foreign(words: Sequence[str]) -> bool:
        return len(words) >= FEWEST_WORDS and sum(_hash(w) not in known for w in words) > most_unknown * len(words)

    every = {word for turn in dialogue.turns for word in words_of(turn.text)}
    own = {_script(sign) for word in every if _hash(word) in known for sign in word if sign.isalpha()}
    for side in SIDES:
        texts = [turn.text for turn in dialogue.turns if turn.role == side]
        said = [words_of(text) for text in texts]
        shown = ["".join(text.split()) for text in texts]
        if any(len(_SIGN.findall(t)) > MOST_SIGNS * len(t) for t in shown if len(t) >= FEWEST_CHARACTERS):
            return f"a turn of the {side} that is code, an address or the like"
        if any(len(word) > LONGEST_WORD for words in said for word in words):
            return f"a word of the {side} of more than {LONGEST_WORD} characters"
        if any(is_foreign(words) for words in [*said, [word for words in said for word in words]]):
            return f"turns of the {side} in words that are mostly unknown"
        if own and any(_share_of_other_scripts(text, own) > MOST_FOREIGN_LETTERS for text in texts):
            return f"a turn of the {side} that is partly in another script"
        if side == "supporter" and not all(map(_LETTER.search, texts)):
            return "a reply of the supporter without a word"
    return None


def mean_vectors(dialogues: Sequence[Dialogue], vectors: Vectors) -> Array:
    """Mean sentence vector of each side, shape (dialogues, 2, width); 0 of a side that says nothing."""
    found = vectors([turn.text for dialogue in dialogues for turn in dialogue.turns])
    out = np.zeros((len(dialogues), len(SIDES), found.shape[1]))
    start = 0
    for row, dialogue in zip(out, dialogues, strict=True):
        own = found[start : start + len(dialogue.turns)]
        start += len(dialogue.turns)
        for n, side in enumerate(SIDES):
            chosen = [turn.role == side for turn in dialogue.turns]
            if any(chosen):
                row[n] = own[chosen].mean(0)
    return out


@cache
def _script(letter: str) -> str:
    return "LATIN" if letter.isascii() else unicodedata.name(letter, "?").partition(" ")[0]


def _share_of_other_scripts(text: str, own: Collection[str]) -> float:
    letters = [sign for sign in text if sign.isalpha()]
    return sum(_script(sign) not in own for sign in letters) / len(letters) if letters else 0.0


def _count(dialogue: Dialogue, known: Collection[int]) -> list[float]:
    turns = {side: [words_of(t.text) for t in dialogue.turns if t.role == side] for side in SIDES}
    lengths = {side: [len(words) for words in own] or [0] for side, own in turns.items()}
    said = [word for own in turns.values() for words in own for word in words]
    hashed = {word: _hash(word) in known for word in set(said)}
    return [
        float(len(dialogue.turns)),
        *(f for side in SIDES for f in (float(np.mean(lengths[side])), float(max(lengths[side])))),
        1.0 - sum(hashed[word] for word in said) / len(said) if said else 1.0,
    ]
