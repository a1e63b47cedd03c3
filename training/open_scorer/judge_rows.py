"""The crosswalk's dialogues as a judge reads them: a sample of each set to rate, and people's levels to learn from.

What a set's people give on the whole, and what a rater gives whatever the dialogue, is no part of what is learnt: a
rater's severity is taken out as a mixed model does, a scale's mean and spread are made those of the dimension.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from analysis.rated.common import RatedPart
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Array
from model_cards.checkpoint import Source
from training.open_scorer.crosswalk import (
    TOP,
    Crosswalk,
    crosswalk_section,
    labels_of,
    load_crosswalk,
    rater_effects,
    read_parts,
)
from training.open_scorer.fit import LARGEST, Target, make_targets, shown_part
from training.rank.data import RankSet

PEOPLE = "people"
"""Rater of the labels: the mean of a dialogue's people on the scales of a dimension."""


@dataclass(frozen=True)
class Rated:
    """The public sets that are there, and the rows of the crosswalk that are used of them."""

    crosswalk: Crosswalk
    parts: Mapping[str, RatedPart]
    targets: tuple[Target, ...]

    def texts(self) -> Iterator[str]:
        """The turns of everything that was rated, for ``vectors.warm_encoder``."""
        for folder in sorted({target.row.folder for target in self.targets}):
            for dialogue in shown_part(self.parts[folder]):
                yield from (turn.text for turn in dialogue.turns)


def read_rated(data: Path, seed: int = 0, told: Callable[[str], None] = lambda _: None) -> Rated:
    """Read a folder of public data and leave out the scales whose raters do not agree.

    Args:
        seed: Of the bootstrap of their agreement.

    Raises:
        EscEvalError: None of the sets is there.
    """
    crosswalk, parts = load_crosswalk(), read_parts(data, told)
    agreed = crosswalk_section(data, Bootstrap(1000, seed), "", lambda _: None)
    used = {(row["dimension"], row["folder"], row["scale"]) for row in agreed["rows"] if row["used"]}
    targets = make_targets(crosswalk, parts, lambda row: (row.dimension, row.folder, row.scale) in used)
    if not targets:
        raise EscEvalError(f"{data}: none of the crosswalk's sets is there")
    return Rated(crosswalk, parts, tuple(targets))


@dataclass(frozen=True)
class Sample:
    """Rated dialogues of all sets.

    Attributes:
        dialogues: Named with their set first, on cards named alike.
        set_of: Whose each is, by its name.
        left_out: Dimensions that none of its scales stands for, which a judge need not be asked, by its name.
        labels: People's level, 0..4, of each dialogue and dimension.
    """

    dialogues: tuple[Dialogue, ...]
    set_of: Mapping[str, str]
    left_out: Mapping[str, frozenset[str]]
    labels: tuple[Rating, ...]

    def part(self, sets: Collection[str]) -> "Sample":
        """What is of some sets."""
        set_of = {name: one for name, one in self.set_of.items() if one in sets}
        return Sample(
            tuple(dialogue for dialogue in self.dialogues if dialogue.id in set_of),
            set_of,
            {name: self.left_out[name] for name in set_of},
            tuple(label for label in self.labels if label.dialogue_id in set_of),
        )


def names_of(target: Target, parts: Mapping[str, RatedPart]) -> list[str]:
    """Names of a row's dialogues, the set first: the same for every scale of the same dialogue."""
    return [f"{target.set}/{parts[target.row.folder].dialogues[i].id}" for i in target.unit]


def sample_dialogues(
    targets: Sequence[Target], parts: Mapping[str, RatedPart], size: int, seed: int, longest: int | None = None
) -> Sample:
    """So many rated dialogues of each set, and as many rated replies: the first in the order of a seeded hash.

    Args:
        longest: Words of a dialogue beyond which it is passed over; None = none is.
    """
    rated: dict[tuple[str, str], dict[str, Dialogue]] = {}
    levels: dict[tuple[str, str], list[float]] = {}
    for target in targets:
        part = parts[target.row.folder]
        shown, own = shown_part(part), rated.setdefault((target.set, part.unit), {})
        for name, i, level in zip(names_of(target, parts), target.unit, target.level, strict=True):
            card = f"{target.set}/{shown[i].card_id or shown[i].id}"
            own.setdefault(name, shown[i].model_copy(update={"id": name, "card_id": card}))
            levels.setdefault((name, target.row.dimension), []).append(float(level))
    chosen: dict[str, str] = {}
    for (name_of_set, _), own in rated.items():
        kept = [name for name in own if longest is None or _words(own[name]) <= longest]
        order = sorted(kept, key=lambda name: sha256(f"crosswalk\n{seed}\n{name}".encode()).hexdigest())
        chosen |= dict.fromkeys(order[:size], name_of_set)
    rubric = load_rubric()
    asked: dict[str, set[str]] = {}
    labels = []
    for (name, dimension), given in levels.items():
        if name in chosen:
            asked.setdefault(name, set()).add(dimension)
            level = round(min(max(sum(given) / len(given), 0), TOP))
            common = {"dialogue_id": name, "dimension": dimension, "rater_kind": "human", "rubric": rubric.id}
            labels.append(Rating(**common, rater=PEOPLE, score=rubric.levels[level]))
    dialogues = {name: dialogue for own in rated.values() for name, dialogue in own.items()}
    return Sample(
        tuple(dialogues[name] for name in chosen),
        chosen,
        {name: frozenset(rubric.keys) - asked[name] for name in chosen},
        tuple(labels),
    )


def _words(dialogue: Dialogue) -> int:
    return sum(len(turn.text.split()) for turn in dialogue.turns)


def level_shares(levels: Array) -> Array:
    """Levels between two as shares of both, shape (n, 5); what lies outside 0..4 is the nearest of these.

    >>> level_shares(np.array([1.25, 5.0])).tolist()
    [[0.0, 0.75, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    shares: Array = np.maximum(1 - np.abs(np.clip(levels, 0, TOP)[:, None] - np.arange(TOP + 1.0)), 0.0)
    return shares


def crosswalk_set(rated: Rated, sets: Collection[str] = ()) -> RankSet:
    """All that a judge may learn from: people's levels on the seven dimensions, set and rater effects taken out.

    Args:
        sets: Which sets; none = those that may ship.

    Raises:
        EscEvalError: A set that there is not, or none of them is there.
    """
    known = {one.name: one for one in rated.crosswalk.sets}
    if unknown := sorted(set(sets) - set(known)):
        raise EscEvalError(f"data.sets: the crosswalk has no set {unknown[0]!r}; it has: {', '.join(known)}")
    wanted = set(sets) or {name for name, one in known.items() if one.ships}
    own = [target for target in rated.targets if target.set in wanted]
    if not own:
        raise EscEvalError(f"none of these sets is there: {', '.join(sorted(wanted))}")
    rubric = load_rubric()
    dialogues: dict[str, Dialogue] = {}
    shares: dict[tuple[str, str], list[Array]] = {}
    for dimension in rubric.keys:
        mine = [target for target in own if target.row.dimension == dimension]
        middle = _mean_of_sets(mine, lambda target: float(target.level.mean()))
        spread = _mean_of_sets(mine, lambda target: float(target.level.var())) ** 0.5
        for target in mine:
            labels = labels_of(target.row, rated.parts)
            assert labels is not None  # noqa: S101 - it is a target
            level = labels.level - rater_effects(labels.unit, labels.rater, labels.level)[labels.rater]
            level = middle + (level - target.level.mean()) * spread / (target.level.std() or 1.0)
            name_of = dict(zip(target.unit.tolist(), names_of(target, rated.parts), strict=True))
            shown = shown_part(rated.parts[target.row.folder])
            for unit, row in zip(labels.unit.tolist(), level_shares(level), strict=True):
                card = f"{target.set}/{shown[unit].card_id or shown[unit].id}"
                dialogues[name_of[unit]] = shown[unit].model_copy(update={"id": name_of[unit], "card_id": card})
                shares.setdefault((name_of[unit], dimension), []).append(row)
    names = list(dialogues)
    found = np.full((len(names), len(rubric.keys), TOP + 1), np.nan)
    for n, name in enumerate(names):
        for k, dimension in enumerate(rubric.keys):
            if given := shares.get((name, dimension)):
                found[n, k] = np.mean(given, axis=0)
    whose = [next(one for one in wanted if name.startswith(f"{one}/")) for name in names]
    sizes = {one: whose.count(one) for one in dict.fromkeys(whose)}
    say = np.array([min(sizes[one], LARGEST) ** 0.5 / sizes[one] for one in whose])
    return RankSet(
        source="crosswalk of public ratings",
        license="that of each set",
        about="public ratings on neighbouring scales (training/open_scorer/crosswalk.yaml)",
        rubric=rubric,
        dialogues=tuple(dialogues.values()),
        labels=found,
        people=tuple(names),
        cards={
            dialogues[n].card_id or n: {"source": s, "near_duplicates": []} for n, s in zip(names, whose, strict=True)
        },
        sets=tuple(Source(name=name, license=known[name].licence, about=_scales(own, name)) for name in sizes),
        say=say / say.mean(),
    )


def _mean_of_sets(targets: Sequence[Target], figure: Callable[[Target], float]) -> float:
    by_set: dict[str, list[float]] = {}
    for target in targets:
        by_set.setdefault(target.set, []).append(figure(target))
    return float(np.mean([np.mean(own) for own in by_set.values()])) if by_set else 0.0


def _scales(targets: Sequence[Target], name: str) -> str:
    return ", ".join(sorted({f"{t.row.scale} for {t.row.dimension}" for t in targets if t.set == name}))
