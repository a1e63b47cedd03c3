"""The crosswalk's dialogues as a judge reads them: a sample of each set to rate, and people's levels to learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from analysis.rated.common import RatedPart
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating
from training.open_scorer.crosswalk import TOP
from training.open_scorer.fit import Target, shown_part

PEOPLE = "people"
"""Rater of the labels: the mean of a dialogue's people on the scales of a dimension."""


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


def names_of(target: Target, parts: Mapping[str, RatedPart]) -> list[str]:
    """Names of a row's dialogues, the set first: the same for every scale of the same dialogue."""
    return [f"{target.set}/{parts[target.row.folder].dialogues[i].id}" for i in target.unit]


def sample_dialogues(targets: Sequence[Target], parts: Mapping[str, RatedPart], size: int, seed: int) -> Sample:
    """So many rated dialogues of each set, and as many rated replies: the first in the order of a seeded hash."""
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
        order = sorted(own, key=lambda name: sha256(f"crosswalk\n{seed}\n{name}".encode()).hexdigest())
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
