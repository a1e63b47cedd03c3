"""Fitting for transfer: a ridge on figures centred within each set, every set with a say of its own.

A set's own level, in figures and in ratings, is taken out before anything is fitted: what is learnt is what tells
dialogues of one set apart, and a set that is not known can be ranked by it. What is chosen (blocks, strength, how far
the other dimensions' ratings help) is chosen by leaving out each set of the training in turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.stats import spearmanr

from analysis.rated.common import RatedPart
from esc_eval.schema import Dialogue
from esc_eval.scoring.text_scorer import BLOCKS
from esc_eval.statistics.estimate import Array
from training.open_scorer.crosswalk import Crosswalk, Row, clusters_of, labels_of

LARGEST = 300
"""Dialogues beyond which a set gets no more say."""
TOTAL = 1000.0
"""What the weights of all training rows sum to."""
BASELINES: dict[str, tuple[str, ...]] = {
    "words": ("words",),
    "length and distinct bigrams": ("words", "distinct"),
}
METHODS: dict[str, tuple[str, ...]] = {
    "figures": ("fixed", "transfer"),
    "figures and likeness": ("fixed", "transfer", "likeness"),
}
STRENGTHS = (30.0, 100.0, 300.0)
SHARES = (0.0, 1.0)
BASE_STRENGTH = 1.0


@dataclass(frozen=True)
class Choice:
    """What is chosen.

    Attributes:
        method: Key of ``METHODS`` or ``BASELINES``.
        alpha: Strength of the penalty.
        others: Weight of the other six dimensions' ratings together, that of the own ones being 1.
    """

    method: str
    alpha: float
    others: float

    @property
    def blocks(self) -> tuple[str, ...]:
        """What it reads."""
        return (METHODS | BASELINES)[self.method]

    def __str__(self) -> str:
        return f"{self.method}, strength {self.alpha:g}, other dimensions {self.others:g}"


CHOICES = tuple(Choice(*one) for one in product(METHODS, STRENGTHS, SHARES))


def shown_part(part: RatedPart) -> list[Dialogue]:
    """What was rated: the dialogues, or the rated reply after the turn that it answers."""
    return [_last_reply(d) for d in part.dialogues] if part.unit == "reply" else list(part.dialogues)


def _last_reply(dialogue: Dialogue) -> Dialogue:
    turns = dialogue.turns
    before = [turn for turn in turns[:-1] if turn.role == "seeker"][-1:]
    return dialogue.model_copy(update={"turns": (*before, turns[-1])})


@dataclass(frozen=True)
class Target:
    """The ratings of one row, ready to be learnt from or to be tested on.

    Attributes:
        set: Name of the set.
        unit: Dialogues of the folder, shape (n,).
        level: Mean level less rater effects, 0..4, shape (n,).
        cluster: What intervals draw, shape (n,).
        supporter: Whose dialogue it is, shape (n,).
        person: Who rated it, or which card it is on where several did, shape (n,).
    """

    row: Row
    set: str
    unit: np.ndarray
    level: Array
    cluster: np.ndarray
    supporter: np.ndarray
    person: np.ndarray

    def part(self, chosen: np.ndarray) -> "Target":
        """Some of its dialogues."""
        names = ("unit", "level", "cluster", "supporter", "person")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    @property
    def centred(self) -> Array:
        """Levels with mean 0 and standard deviation 1."""
        return np.asarray((self.level - self.level.mean()) / (self.level.std() or 1.0))


def make_targets(crosswalk: Crosswalk, parts: Mapping[str, RatedPart], used: Callable[[Row], bool]) -> list[Target]:
    """The rows that are used and there."""
    found = []
    for row in crosswalk.rows:
        labels = labels_of(row, parts) if used(row) else None
        if labels is not None:
            unit, level = labels.units()
            own = [labels.part.dialogues[i] for i in unit]
            supporters = np.array([d.supporter or "" for d in own], dtype=object)
            cluster = np.unique(clusters_of(own), return_inverse=True)[1]
            person = cluster
            if not labels.several and labels.people > 1:
                person = np.empty(len(labels.part.dialogues), dtype=np.intp)
                person[labels.unit] = labels.rater
                person = person[unit]
            found.append(Target(row, crosswalk.set_of(row).name, unit, level, cluster, supporters, person))
    return found


class Columns:
    """Figures of every folder, counted once.

    Args:
        parts: Folders by name.
    """

    def __init__(self, parts: Mapping[str, RatedPart]) -> None:
        self.parts = parts
        self.known: dict[tuple[str, str], Array] = {}
        self.same: dict[tuple[str, ...], str] = {}

    def raw(self, folder: str, blocks: Sequence[str]) -> Array:
        """Shape (dialogues of the folder, figures)."""
        ids = tuple(dialogue.id for dialogue in self.parts[folder].dialogues)
        first = self.same.setdefault((self.parts[folder].unit, *ids), folder)  # scales of the same dialogues
        for block in blocks:
            if (first, block) not in self.known:
                self.known[first, block] = BLOCKS[block].raw(shown_part(self.parts[first]))
        return np.concatenate([self.known[first, block] for block in blocks], axis=1)


@dataclass(frozen=True)
class Model:
    """A fit of one dimension.

    Attributes:
        centre, scale: Of each figure: mean over sets of the sets' means, and spread within sets.
        weights: Of the figures, centred, scaled and divided by the root of their block's size.
    """

    choice: Choice
    centre: Array
    scale: Array
    weights: Array

    def score(self, raw: Array) -> Array:
        """Scores of figures as counted."""
        return np.asarray((raw - self.centre) / self.scale @ self.weights)

    def score_target(self, target: Target, columns: Columns) -> Array:
        """Scores of a row's dialogues, shape (n,)."""
        return self.score(columns.raw(target.row.folder, self.choice.blocks)[target.unit])


def fit_model(dimension: str, targets: Sequence[Target], columns: Columns, choice: Choice) -> Model | None:
    """Fit one dimension to some rows; None where none of them is the dimension's."""
    chosen = [t for t in targets if t.row.dimension == dimension or choice.others > 0]
    if not any(t.row.dimension == dimension for t in chosen):
        return None
    raw = [columns.raw(t.row.folder, choice.blocks)[t.unit] for t in chosen]
    sets = sorted({t.set for t in chosen})
    by_set = [[r for t, r in zip(chosen, raw, strict=True) if t.set == name] for name in sets]
    centre = np.mean([np.mean([r.mean(0) for r in own], axis=0) for own in by_set], axis=0)
    scale = np.sqrt(np.mean([np.mean([r.var(0) for r in own], axis=0) for own in by_set], axis=0))
    scale = np.where(scale > 1e-9, scale, 1.0)
    sizes = [columns.raw(chosen[0].row.folder, [block]).shape[1] for block in choice.blocks]
    scale = scale * np.concatenate([np.full(size, np.sqrt(size)) for size in sizes])
    a, y, w = [], [], []
    for target, own in zip(chosen, raw, strict=True):
        alike = sum(t.set == target.set and t.row.dimension == target.row.dimension for t in chosen)
        share = 1.0 if target.row.dimension == dimension else choice.others / 6
        a.append((own - own.mean(0)) / scale)
        y.append(target.centred)
        w.append(np.full(len(own), share * np.sqrt(min(len(own), LARGEST)) / alike / len(own)))
    x, level, weight = np.concatenate(a), np.concatenate(y), np.concatenate(w)
    weight *= TOTAL / weight.sum()
    normal = (x * weight[:, None]).T @ x + choice.alpha * np.eye(x.shape[1])
    return Model(choice, centre, scale, np.linalg.solve(normal, x.T @ (weight * level)))


def mean_spearman(model: Model, targets: Sequence[Target], columns: Columns) -> float:
    """Spearman with people, mean over rows within sets, then over sets; NaN where nothing can be told."""
    by_set: dict[str, list[float]] = {}
    for target in targets:
        score = model.score_target(target, columns)
        if np.ptp(score) > 0 and np.ptp(target.level) > 0:
            by_set.setdefault(target.set, []).append(float(spearmanr(score, target.level)[0]))
    return float(np.mean([np.mean(own) for own in by_set.values()])) if by_set else float("nan")


def choose(
    dimension: str, targets: Sequence[Target], columns: Columns, choices: Sequence[Choice] = CHOICES
) -> tuple[Choice, dict[Choice, float]]:
    """The choice with the best mean Spearman on sets left out of the training in turn; the first of equals.

    Where the dimension has one set alone there is nothing to choose by, and the last choice, the strongest penalty with
    the most figures and the other dimensions' help, is taken.
    """
    sets = sorted({t.set for t in targets if t.row.dimension == dimension})
    found: dict[Choice, float] = {}
    for choice in choices:
        each = []
        for held in sets:
            model = fit_model(dimension, [t for t in targets if t.set != held], columns, choice)
            if model is not None:
                own = [t for t in targets if t.set == held and t.row.dimension == dimension]
                each.append(mean_spearman(model, own, columns))
        if each and np.isfinite(each).any():
            found[choice] = float(np.nanmean(each))
    return (max(found, key=lambda one: found[one]) if found else choices[-1]), found
