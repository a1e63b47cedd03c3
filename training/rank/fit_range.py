"""The range of a scorer's training, fitted: what is seen, and the bounds that keep a share of what is held out."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue
from esc_eval.scoring.training_range import (
    AXES,
    LEAST_DIALOGUES,
    ONE_SIDED,
    Bounds,
    Cloud,
    RangeFile,
    Seen,
    Vectors,
    hash_words,
    mean_vectors,
    words_of,
)
from training.rank.data import PEOPLE

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
FEWEST = 10
"""Dialogues from which a range can be told."""


def see(dialogues: Sequence[Dialogue], means: Array | None) -> Seen:
    """What dialogues are like.

    Args:
        means: Their ``mean_vectors``; None where the scorer reads no vectors.
    """
    held: Counter[str] = Counter()
    for dialogue in dialogues:
        held.update({word for turn in dialogue.turns for word in words_of(turn.text)})
    least = min(LEAST_DIALOGUES, max(len(dialogues) // FEWEST, 1))
    words = hash_words(word for word, count in held.items() if count >= least)
    return Seen(words, () if means is None else tuple(Cloud.fitted(means[:, n]) for n in range(means.shape[1])))


def fit_range(
    dialogues: Sequence[Dialogue], people: Sequence[str], keep: float, vectors: Vectors | None = None
) -> tuple[RangeFile, Seen]:
    """The range of training dialogues.

    Args:
        dialogues: At least 10.
        people: Who rated each.
        keep: Share of held-out dialogues that the bounds keep.
        vectors: Of texts, where the scorer reads them.

    Raises:
        EscEvalError: Too few dialogues.
    """
    if len(dialogues) < FEWEST:
        raise EscEvalError(f"a range is told from {FEWEST} dialogues or more, not from {len(dialogues)}")
    means = None if vectors is None else mean_vectors(dialogues, vectors)
    whole = see(dialogues, means)
    names = whole.figures
    values, groups = np.full((len(dialogues), len(names)), np.nan), np.empty(len(dialogues), dtype=object)
    folds, held_out = _folds(dialogues, people)
    for name, test, learn in folds:
        seen = see([dialogues[i] for i in learn], None if means is None else means[learn])
        values[test] = seen.measure([dialogues[i] for i in test], vectors)
        groups[test] = name
    kept = {}
    for name in dict.fromkeys(groups.tolist()):
        others, own = values[groups != name], values[groups == name]
        kept[str(name)] = float(_inside(own, choose_bounds(others, names, keep), names).mean())
    bounds = choose_bounds(values, names, keep)
    found = RangeFile(bounds=bounds, keep=keep, kept=kept, dialogues=len(dialogues), held_out=held_out)
    return found, whole


def choose_bounds(values: Array, names: Sequence[str], keep: float) -> dict[str, Bounds]:
    """The narrowest bounds, at the same rank of every figure, within which a share of rows lies whole.

    Args:
        values: Shape (dialogues, figures), of dialogues that nothing was fitted to.
        names: Of the figures.
        keep: The share.
    """
    ordered = np.sort(values, axis=0)
    one_sided = [name in ONE_SIDED for name in names]

    def at(rank: int) -> dict[str, Bounds]:
        low, high = np.where(one_sided, 0.0, ordered[rank]), ordered[len(ordered) - 1 - rank]
        return {name: Bounds(low=float(a), high=float(b)) for name, a, b in zip(names, low, high, strict=True)}

    low, high = 0, (len(values) - 1) // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _inside(values, at(middle), names).mean() >= keep else (low, middle - 1)
    return at(low)


def _inside(values: Array, bounds: dict[str, Bounds], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    low, high = (np.array([getattr(bounds[name], end) for name in names]) for end in ("low", "high"))
    return np.asarray(((values >= low) & (values <= high)).all(axis=1))


def _folds(dialogues: Sequence[Dialogue], people: Sequence[str]) -> tuple[list[tuple[str, Rows, Rows]], str]:
    """Group, test and training rows of each fold, and what they hold out: a supporter and people, or people alone."""
    parts = {person: n % PEOPLE for n, person in enumerate(sorted(set(people)))}
    part = np.array([parts[person] for person in people])
    bots = np.array([dialogue.supporter or "" for dialogue in dialogues], dtype=object)
    several = len(set(bots.tolist())) > 1
    folds = []
    for bot in sorted(set(bots.tolist())):
        for k in range(PEOPLE):
            test = np.flatnonzero((bots == bot) & (part == k))
            learn = np.flatnonzero(((bots != bot) | (not several)) & (part != k))
            if len(test) and len(learn) > AXES:
                folds.append((bot if several else f"people {k + 1} of {PEOPLE}", test, learn))
    if sum(len(test) for _, test, _ in folds) == len(bots):
        return folds, "a supporter and people" if several else "people"
    every = np.arange(len(bots))  # one person rated all of a supporter's
    alone = [every[k::PEOPLE] for k in range(PEOPLE)]
    return [
        (f"dialogues {k + 1} of {PEOPLE}", one, np.setdiff1d(every, one)) for k, one in enumerate(alone)
    ], "dialogues"
