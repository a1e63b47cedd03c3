"""The crosswalk: which scale of which public set stands for which dimension, and whether its raters agree at all."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.rated import load_set
from analysis.rated.common import RatedPart
from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reading import read_yaml
from esc_eval.schema import Dialogue, Rating
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.estimate import Array, Estimate
from training.open_scorer.outside import FEWEST_CLUSTERS, Outside, measure_outside
from training.rank import data as rank_data

FILE = Path(__file__).with_name("crosswalk.yaml")
LEAST_ALPHA = 0.1
TOP = 4
"""Highest level of the seven dimensions; the lowest is 0."""
MEASURES = ("krippendorff_alpha_ordinal", "quadratic_kappa", "spearman", "icc_2_1", "icc_2_k")


class Set(FrozenYaml):
    """A public set.

    Attributes:
        folders: What its reader makes of it that belongs together: the same talks, on several scales.
        reader: Name of a module of ``analysis.rated``; ``esconv`` for ESConv.
        path: In a folder of public data.
        ships: Whether weights that learnt from it may be passed on under our own licence.
        why: Why or why not.
    """

    name: str
    folders: tuple[str, ...]
    reader: str
    path: str
    licence: str
    ships: bool
    why: str


class Row(FrozenYaml):
    """A scale that stands for a dimension; ``crosswalk.yaml`` says what each word means."""

    dimension: str
    folder: str
    scale: str
    levels: Literal["up", "down"]
    nearness: Literal["same", "neighbour", "proxy"]
    reason: str
    agreement_of: str | None = None

    @property
    def name(self) -> str:
        """Folder and scale."""
        return f"{self.folder} / {self.scale}"


class Beside(Row):
    """A scale that stands for a dimension and from which nothing learns; its agreement is told."""

    why_not: str


class Crosswalk(FrozenYaml):
    """All of it; scorers learn from ``rows`` and are tested on them alone."""

    sets: tuple[Set, ...]
    rows: tuple[Row, ...]
    beside: tuple[Beside, ...] = ()
    outside: tuple[Outside, ...] = ()

    def set_of(self, row: Row) -> Set:
        """The set of a row's folder."""
        return next(one for one in self.sets if row.folder in one.folders)


@cache
def load_crosswalk() -> Crosswalk:
    """The shipped one.

    Raises:
        EscEvalError: A row of no set or no dimension, or one that stands twice.
    """
    found = Crosswalk.model_validate(read_yaml(FILE))
    folders = [folder for one in found.sets for folder in one.folders]
    keys = load_rubric().keys
    every = (*found.rows, *found.beside)
    for row in every:
        if folders.count(row.folder) != 1 or row.dimension not in keys:
            raise EscEvalError(f"{FILE}: {row.name}: no one set has this folder, or {row.dimension} is no dimension")
    if len({(row.dimension, row.name) for row in every}) < len(every):
        raise EscEvalError(f"{FILE}: a row stands twice")
    return found


def read_parts(data: Path, told: Callable[[str], None] = lambda _: None) -> dict[str, RatedPart]:
    """The folders of the crosswalk's sets, from a folder of public data; sets that are not there are left out and told.

    Raises:
        EscEvalError: A file is there and is not the set.
    """
    parts: dict[str, RatedPart] = {}
    for path, reader in dict.fromkeys((one.path, one.reader) for one in load_crosswalk().sets):
        if not (data / path).exists():
            told(f"{path} is not there: its rows are left out")
        elif reader == "esconv":
            for name, ranked in rank_data.esconv_sets(data / path).items():
                parts[name] = _esconv_part(name, ranked)
        else:
            parts |= {part.name: part for part in load_set(reader).read(data / path)}
    return parts


def _esconv_part(name: str, ranked: rank_data.RankSet) -> RatedPart:
    ratings = [
        Rating(
            dialogue_id=dialogue.id,
            dimension=key,
            rater=dialogue.id,
            rater_kind="human",
            rubric=ranked.rubric.id,
            score=ranked.rubric.levels[level],
        )
        for dialogue, levels in zip(ranked.dialogues, ranked.levels, strict=True)
        for key, level in zip(ranked.rubric.keys, levels, strict=True)
        if level >= 0
    ]
    return RatedPart(name, ranked.rubric, ranked.dialogues, tuple(ratings))


@dataclass(frozen=True)
class Labels:
    """People's levels of one row, mapped to 0..4.

    Attributes:
        row: Of the crosswalk.
        part: Whose dialogues ``unit`` counts.
        unit, rater: Index of the dialogue and of the person, shape (ratings,).
        level: Shape (ratings,), 0..4, in even steps of the scale.
        step: Index of the level on its own scale.
        levels: The scale as it is.
        people: How many raters there are.
    """

    row: Row
    part: RatedPart
    unit: np.ndarray
    rater: np.ndarray
    level: Array
    step: np.ndarray
    levels: Array
    people: int

    @property
    def several(self) -> bool:
        """Whether some dialogue has two ratings."""
        return len(np.unique(self.unit)) < len(self.unit)

    @property
    def raters_a_dialogue(self) -> float:
        """Mean over rated dialogues, to two places."""
        return round(len(self.unit) / len(np.unique(self.unit)), 2)

    @property
    def talks(self) -> set[tuple[tuple[str, str], ...]]:
        """What is said in the rated dialogues, which sets name each in their own way."""
        return {tuple((turn.role, turn.text) for turn in self.part.dialogues[i].turns) for i in self.unit}

    def units(self) -> tuple[np.ndarray, Array]:
        """Rated dialogues, and the mean of their levels less what the rater alone accounts for (``rater_effects``)."""
        own = self.level - rater_effects(self.unit, self.rater, self.level)[self.rater]
        chosen, place = np.unique(self.unit, return_inverse=True)
        return chosen, np.bincount(place, own) / np.bincount(place)


def labels_of(row: Row, parts: Mapping[str, RatedPart]) -> Labels | None:
    """The ratings of a row; None where there are none."""
    part = parts.get(row.folder)
    given = [r for r in part.ratings if r.dimension == row.scale and r.score is not None] if part else []
    if part is None or not given:
        return None
    place = {dialogue.id: n for n, dialogue in enumerate(part.dialogues)}
    scale = np.array(sorted(part.rubric.levels), dtype=float)
    score = np.array([r.score for r in given], dtype=float)
    names = {name: n for n, name in enumerate(dict.fromkeys(r.rater for r in given))}
    share = (score - scale[0]) / (scale[-1] - scale[0])
    level = TOP * (share if row.levels == "up" else 1 - share)
    unit = np.array([place[r.dialogue_id] for r in given], dtype=np.intp)
    rater = np.array([names[r.rater] for r in given], dtype=np.intp)
    return Labels(row, part, unit, rater, level, np.searchsorted(scale, score), scale, len(names))


def rater_effects(unit: np.ndarray, rater: np.ndarray, level: Array) -> Array:
    """How much higher each person rates than others, shrunk to 0 as the mixed model does; shape (raters,).

    Where dialogues have several raters, they are compared within dialogues; else with everybody's mean, so that part of
    what a person's own dialogues are like goes with it. The variance between raters is the moment estimate, at least 0.
    """
    people = int(rater.max()) + 1
    n = np.bincount(rater, minlength=people).astype(float)
    several = len(np.unique(unit)) < len(unit)
    own = level - level.mean()
    if several:
        own = level - (np.bincount(unit, level) / np.maximum(np.bincount(unit), 1))[unit]
    mean = np.bincount(rater, own, minlength=people) / np.maximum(n, 1)
    free = len(own) - people
    if free <= 0:  # every rating is by somebody else: nothing tells a person from a dialogue
        return np.zeros(people)
    noise = float(((own - mean[rater]) ** 2).sum()) / free
    between = max(float(np.average(mean**2, weights=n)) - noise * people / n.sum(), 0.0)
    effect: Array = mean * between / (between + noise / np.maximum(n, 1)) if between > 0 else np.zeros(people)
    return effect


def clusters_of(dialogues: Sequence[Dialogue]) -> list[str]:
    """What intervals draw: cards, or dialogues where there are fewer cards than ``FEWEST_CLUSTERS``."""
    cards = [dialogue.card_id or dialogue.id for dialogue in dialogues]
    return cards if len(set(cards)) >= FEWEST_CLUSTERS else [dialogue.id for dialogue in dialogues]


def measure_agreement(labels: Labels, boot: Bootstrap) -> dict[str, Estimate]:
    """Agreement of the raters of a row, on its own scale; intervals draw ``clusters_of``."""
    used, unit = np.unique(labels.unit, return_inverse=True)
    cluster = np.unique(clusters_of([labels.part.dialogues[i] for i in used]), return_inverse=True)[1]
    names = tuple(map(str, range(labels.people)))
    ratings = Ratings(unit, labels.rater, labels.step, cluster, labels.levels, names)
    found = estimate_agreement(ratings, boot)
    return {name: found.measures[name] for name in MEASURES}


def decide_use(row: Row, agreement: Mapping[str, Any] | None) -> tuple[bool, str]:
    """Whether a row is learnt from, and why, in words; one beside never is.

    Args:
        agreement: Of its raters, as JSON; None = each dialogue has one rating and nobody stands in.
    """
    if isinstance(row, Beside):
        own = Row.model_validate(row.model_dump(exclude={"why_not"}))
        agreed, why = decide_use(own, agreement)
        return False, f"not learnt from: {row.why_not}" if agreed else f"{why}; {row.why_not}"
    if agreement is None:
        return True, "one rater a dialogue: how well people agree is not known"
    alpha = agreement["krippendorff_alpha_ordinal"]
    if alpha["value"] is None or alpha["low"] is None:
        return False, f"left out: whether its raters agree cannot be told ({alpha.get('undefined', 'no interval')})"
    figure = f"alpha {alpha['value']:.2f} [{alpha['low']:.2f}, {alpha['high']:.2f}]"
    of = f" of {row.agreement_of}" if row.agreement_of else ""
    if alpha["value"] < LEAST_ALPHA or alpha["low"] <= 0:
        return False, f"left out: raters{of} do not agree, {figure}"
    return True, f"raters{of} agree, {figure}"


def crosswalk_section(data: Path, boot: Bootstrap, command: str, told: Callable[[str], None]) -> dict[str, Any]:
    """Every row with its agreement, and what is outside with its own, for ``docs/results.json``."""
    crosswalk, parts, rows = load_crosswalk(), read_parts(data, told), []
    for row in (*crosswalk.rows, *crosswalk.beside):
        labels = labels_of(row, parts)
        if labels is None:
            continue
        told(row.name)
        judged = labels
        if row.agreement_of:
            judged = labels_of(replace_folder(row), parts) or labels
        agreement = None
        if judged.several:
            agreement = {name: e.to_json() for name, e in measure_agreement(judged, boot).items()}
        used, why = decide_use(row, agreement)
        one = crosswalk.set_of(row)
        rows.append(
            {
                **row.model_dump(exclude_none=True),
                "set": one.name,
                "licence": one.licence,
                "ships": one.ships,
                "dialogues": len(np.unique(labels.unit)),
                "ratings": len(labels.unit),
                "raters_a_dialogue": labels.raters_a_dialogue,
                **({"agreed_on": _agreed_on(labels, judged)} if judged is not labels else {}),
                "agreement": agreement,
                "used": used,
                "why": why,
            }
        )
    return {
        "command": command,
        "seed": boot.seed,
        "draws": boot.draws,
        "rows": rows,
        "unnamed": _measure_unnamed(crosswalk, parts, boot),
        "outside": [measure_outside(one, data, boot) for one in _there(crosswalk.outside, data, told)],
        "sets": [one.model_dump() for one in crosswalk.sets],
    }


def _agreed_on(labels: Labels, judged: Labels) -> dict[str, Any]:
    """How many dialogues the raters who stand in rated, how many each, and how many of them are of the row."""
    return {
        "dialogues": len(np.unique(judged.unit)),
        "raters_a_dialogue": judged.raters_a_dialogue,
        "among_them": len(labels.talks & judged.talks),
    }


def _measure_unnamed(crosswalk: Crosswalk, parts: Mapping[str, RatedPart], boot: Bootstrap) -> list[dict[str, Any]]:
    """Agreement on the scales of the sets' folders that stand for no dimension and that several rated."""
    every = (*crosswalk.rows, *crosswalk.beside)
    named = {(folder, row.scale) for row in every for folder in (row.folder, row.agreement_of)}
    found = []
    for folder in (folder for one in crosswalk.sets for folder in one.folders if folder in parts):
        for scale in parts[folder].rubric.keys:
            row = Row(dimension="", folder=folder, scale=scale, levels="up", nearness="proxy", reason="")
            labels = labels_of(row, parts) if (folder, scale) not in named else None
            if labels is not None and labels.several:
                counts = len(np.unique(labels.unit)), len(labels.unit)
                agreement = {name: e.to_json() for name, e in measure_agreement(labels, boot).items()}
                found.append({"folder": folder, "scale": scale, "dialogues": counts[0], "ratings": counts[1]})
                found[-1]["agreement"] = agreement
    return found


def _there(outside: Sequence[Outside], data: Path, told: Callable[[str], None]) -> list[Outside]:
    for path in dict.fromkeys(one.path for one in outside if not (data / one.path).exists()):
        told(f"{path} is not there: it is left out")
    return [one for one in outside if (data / one.path).exists()]


def replace_folder(row: Row) -> Row:
    """The row of the folder whose raters stand in."""
    return row.model_copy(update={"folder": row.agreement_of})
