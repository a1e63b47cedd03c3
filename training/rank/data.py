"""Ratings by people as what a scorer learns from: labels by rubric, and the splits of ``dataset_builder``.

A label is a distribution over levels: the share of raters who gave each. One rater's is all on one level.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.rated.esconv import CHANGE, SURVEY, survey_of, talk_of
from analysis.studies import ieval
from analysis.studies.ieval import BOTS, Rated, read_ieval
from dataset_builder.rows import splits
from dataset_builder.sources import esconv
from dataset_builder.sources.common import Reject
from esc_eval.errors import EscEvalError
from esc_eval.files.records import check_unique, read_dialogues, read_ratings
from esc_eval.prompts.rubric import Rubric, load_rubric
from esc_eval.schema import Dialogue, Rating, digest
from model_cards.checkpoint import Source

Array = npt.NDArray[np.float64]

TRAIN, VALIDATION, TEST, NOWHERE = 0, 1, 2, -1
PEOPLE = 5
"""Parts that iEval's people are cut into, each held out with each bot in turn."""
ESCONV_FILES = ("train.txt", "valid.txt")


@dataclass(frozen=True)
class RankSet:
    """Rated dialogues under one rubric.

    Attributes:
        source, license, about, bibtex: Where they come from.
        labels: Shape (dialogues, dimensions, levels), shares of raters; NaN where nobody rated.
        people: Who rated each dialogue; intervals draw whole people. The dialogue's id where it is not known.
        cards: Rows for ``splits.items_of``: the two scenarios that one person played count as near-duplicates, so that
            what is disjoint by card is disjoint by person too.
        sha256: Of dialogues and labels.
        sets: Of a set of several sets: each with its licence; a dialogue's id begins with its set's name and a slash.
        say: Shape (dialogues,), how much each weighs in training, mean 1; None = all alike.
    """

    source: str
    license: str
    about: str
    rubric: Rubric
    dialogues: tuple[Dialogue, ...]
    labels: Array
    people: tuple[str, ...]
    cards: Mapping[str, Mapping[str, Any]]
    rater: str = "person"
    bibtex: str = ""
    sets: tuple[Source, ...] = ()
    say: Array | None = None

    @property
    def levels(self) -> npt.NDArray[np.intp]:
        """Index of the lowest of the most given levels, shape (dialogues, dimensions); -1 where nobody rated."""
        filled = np.nan_to_num(self.labels)
        return np.where(filled.sum(-1) > 0, filled.argmax(-1), -1)

    @property
    def sha256(self) -> str:
        """Hash of dialogues and labels."""
        labels = sha256(np.nan_to_num(self.labels, nan=-1.0).astype("<f8").tobytes()).hexdigest()
        return digest([self.rubric.id, list(self.dialogues), labels])

    def part(self, chosen: Sequence[int]) -> "RankSet":
        """Some of its dialogues."""
        keep = list(chosen)
        dialogues, people = tuple(self.dialogues[i] for i in keep), tuple(self.people[i] for i in keep)
        say = None if self.say is None else self.say[keep]
        return replace(self, dialogues=dialogues, labels=self.labels[keep], people=people, say=say)

    def used(self, learnt: Sequence[str]) -> tuple[Source, ...]:
        """How much of it was learnt from, for a checkpoint's record.

        Args:
            learnt: The dialogue of each row.
        """
        whole = Source(name=self.source, license=self.license, about=self.about, bibtex=self.bibtex)
        found = []
        for one in self.sets or (whole,):
            own = [name for name in learnt if one is whole or name.startswith(f"{one.name}/")]
            if own:
                found.append(one.model_copy(update={"conversations": len(set(own)), "rows": len(own)}))
        return tuple(found)


def label_distributions(
    dialogues: Sequence[Dialogue], ratings: Iterable[Rating], dimensions: Sequence[str], levels: Sequence[int]
) -> Array:
    """Shares of raters on each level, shape (dialogues, dimensions, levels); NaN where nobody rated.

    Unscored ratings, and ratings of other dialogues or dimensions, are left out.

    Raises:
        EscEvalError: A score is not a level.
    """
    row = {dialogue.id: n for n, dialogue in enumerate(dialogues)}
    column = {key: n for n, key in enumerate(dimensions)}
    position = {level: n for n, level in enumerate(levels)}
    counts = np.zeros((len(row), len(column), len(position)))
    for rating in ratings:
        if rating.score is None or rating.dialogue_id not in row or rating.dimension not in column:
            continue
        if rating.score not in position:
            raise EscEvalError(
                f"dialogue {rating.dialogue_id}, {rating.dimension}: {rating.score} is no level of {list(levels)}"
            )
        counts[row[rating.dialogue_id], column[rating.dimension], position[rating.score]] += 1
    total = counts.sum(-1, keepdims=True)
    shares: Array = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    return shares


def ieval_sets(path: Path) -> dict[str, RankSet]:
    """iEval as two sets by rubric: ``ieval`` (nine scales) and ``ieval-overall``.

    Raises:
        EscEvalError: Missing or in another layout.
    """
    rated = read_ieval(path)
    twin = {f"ieval/{p}-{a}": f"ieval/{p}-{b}" for p in _parts(rated) for a, b in (ieval.SIDES, ieval.SIDES[::-1])}
    cards = {card: {"source": "ieval", "near_duplicates": [other]} for card, other in twin.items()}
    about = "chats of people with four chatbots about a positive and a negative scenario, rated by the same person"
    return {
        name: replace(_set(ieval.NAME, ieval.LICENSE, about, load_rubric(name), rated, cards), bibtex=ieval.BIBTEX)
        for name in (ieval.RUBRIC, ieval.OVERALL_RUBRIC)
    }


def _parts(rated: Rated) -> list[str]:
    return list(dict.fromkeys((d.card_id or "").split("/")[1].rpartition("-")[0] for d in rated.dialogues))


def _set(
    source: str, license: str, about: str, rubric: Rubric, rated: Rated, cards: Mapping[str, Mapping[str, Any]]
) -> RankSet:
    labels = label_distributions(rated.dialogues, rated.ratings, rubric.keys, rubric.levels)
    some = np.flatnonzero(~np.isnan(labels[..., 0]).all(axis=1))
    people = tuple(rated.people.get(d.id, d.id) for d in rated.dialogues)
    return RankSet(source, license, about, rubric, rated.dialogues, labels, people, cards).part(list(some))


def esconv_sets(folder: Path) -> dict[str, RankSet]:
    """ESConv's survey as two sets by rubric: ``esconv-survey`` (empathy, relevance) and ``esconv-change`` (relief).

    Relief is the intensity of the emotion before the conversation less that after it.

    Raises:
        EscEvalError: The folder holds neither train.txt nor valid.txt.
    """
    found = [folder / name for name in ESCONV_FILES if (folder / name).is_file()]
    if not found:
        raise EscEvalError(f"{folder}: holds none of {', '.join(ESCONV_FILES)}; they are ESConv's files from the Hub")
    dialogues, ratings = [], []
    for path in found:
        for outcome in esconv.parse(path):
            if not isinstance(outcome, Reject):
                dialogues.append(talk_of(outcome))
                ratings += survey_of(outcome)
    rated = Rated(tuple(dialogues), tuple(ratings), {})
    about = "support conversations of crowd workers, rated by the seeker after the conversation"
    return {
        name: replace(_set(esconv.TITLE, esconv.LICENSE, about, load_rubric(name), rated, {}), bibtex=esconv.BIBTEX)
        for name in (SURVEY, CHANGE)
    }


def own_set(rubric: str, dialogues: Sequence[Path], ratings: Sequence[Path]) -> RankSet:
    """A set from files of dialogues and ratings in any format that ``esc_eval.files`` knows.

    Raises:
        EscEvalError: A file is broken, or no rating fits a dialogue and the rubric.
    """
    chosen = load_rubric(rubric)
    talks = tuple(dialogue for path in dialogues for dialogue in read_dialogues(path))
    check_unique((d.id for d in talks), "dialogue", ", ".join(map(str, dialogues)))
    marks = [rating for path in ratings for rating in read_ratings(path) if rating.rater_kind == "human"]
    people: dict[str, set[str]] = {}
    for mark in marks:
        people.setdefault(mark.dialogue_id, set()).add(mark.rater)
    alone = {dialogue_id: raters.pop() for dialogue_id, raters in people.items() if len(raters) == 1}
    ranked = _set(
        "own ratings",
        "not stated",
        "rated dialogues given on the command line",
        chosen,
        Rated(talks, tuple(marks), alone),
        {},
    )
    if not ranked.dialogues:
        raise EscEvalError(f"no person's rating of a dimension of {chosen.id} is of one of these dialogues")
    return ranked


@dataclass(frozen=True)
class Placed:
    """A split of a set.

    Attributes:
        manifests: As ``dataset_builder.rows.splits`` made them.
        folds: For each manifest the part of every dialogue x dimension, shape (dialogues, dimensions): 0 train,
            1 validation, 2 test, -1 nowhere.
        held_out: Of each fold: what is the test, in words; None = drawn by the scheme.
    """

    name: str
    manifests: tuple[Mapping[str, Any], ...]
    folds: tuple[npt.NDArray[np.intp], ...]
    held_out: tuple[str | None, ...]

    def leaks(self) -> list[str]:
        """What of the tests was seen in train, in words; the worst fold of each facet."""
        worst: dict[str, Mapping[str, Any]] = {}
        for manifest in self.manifests:
            for leak in manifest["leaks"]:
                if leak["rows"] >= worst.get(leak["facet"], leak)["rows"]:
                    worst[leak["facet"]] = {**leak, "total": manifest["sizes"]["test"]}
        return [f"{facet}: {leak['rows']} of {leak['total']} test rows" for facet, leak in worst.items()]


def split_items(ranked: RankSet, unit: str) -> list[splits.Item]:
    """The rows of a set, as ``dataset_builder.rows.splits`` places them."""
    talks = [
        {
            "id": d.id,
            "card_id": d.card_id,
            "supporter": d.supporter,
            "category": d.category,
            "language": d.language,
        }
        for d in ranked.dialogues
    ]
    rows = [
        {"dialogue_id": d.id, "dimension": key, "rater": ranked.rater}
        for d, marks in zip(ranked.dialogues, ranked.labels, strict=True)
        for key, mark in zip(ranked.rubric.keys, marks, strict=True)
        if not np.isnan(mark).any()
    ]
    people = dict(zip((d.id for d in ranked.dialogues), ranked.people, strict=True))
    found = splits.items_of(unit, talks, rows, ranked.cards)
    return [
        replace(item, facets={**item.facets, "rater": people[next(iter(item.values("dialogue")))]}) for item in found
    ]


def place_items(
    ranked: RankSet,
    name: str,
    scheme: str,
    seed: int = 0,
    held_out: Sequence[str | Mapping[str, Sequence[str]] | None] = (None,),
) -> Placed:
    """A split by a scheme of ``dataset_builder.rows.splits``.

    Args:
        ranked: The set.
        name: What the split is called here.
        scheme: Key of ``splits.SCHEMES``.
        seed: Of the scheme.
        held_out: One fold for each: the value of the scheme's facet that is the test, or several under a name for them;
            None = drawn by the scheme.

    Raises:
        EscEvalError: The scheme cannot split this set.
    """
    rows = split_items(ranked, splits.SCHEMES[scheme].unit)
    named: list[tuple[str | None, Sequence[str] | None]] = []
    for one in held_out:
        named += one.items() if isinstance(one, Mapping) else [(one, None if one is None else [one])]
    manifests = tuple(splits.make_split(scheme, rows, seed, values) for _, values in named)
    folds = tuple(_parts_of(ranked, manifest) for manifest in manifests)
    return Placed(name, manifests, folds, tuple(title for title, _ in named))


def _parts_of(ranked: RankSet, manifest: Mapping[str, Any]) -> npt.NDArray[np.intp]:
    at = {dialogue_id: n for n, part in enumerate(splits.NAMES) for dialogue_id in manifest["splits"][part]}
    found = np.full(ranked.labels.shape[:2], NOWHERE, dtype=np.intp)
    for i, dialogue in enumerate(ranked.dialogues):
        whole = at.get(dialogue.id)
        for j, key in enumerate(ranked.rubric.keys):
            where = at.get(f"{dialogue.id}|{key}|{ranked.rater}") if whole is None else whole
            if where is not None and not np.isnan(ranked.labels[i, j]).any():
                found[i, j] = where
    return found


def ieval_splits(ranked: RankSet, seed: int = 0) -> list[Placed]:
    """Each bot held out in turn, with a fifth of the people and alone; scenarios (and people) held out; random rows."""
    bots = [f"{ieval.NAME} {bot}" for bot in BOTS]
    people = sorted(set(ranked.people), key=lambda one: sha256(f"people\n{seed}\n{one}".encode()).hexdigest())
    both = [{f"{bot}, people {k + 1} of {PEOPLE}": [bot, *people[k::PEOPLE]]} for bot in bots for k in range(PEOPLE)]
    return [
        place_items(ranked, "bot_and_people_held_out", "bot-and-rater-disjoint", seed, both),
        place_items(ranked, "bot_held_out", "model-disjoint", seed, bots),
        place_items(ranked, "scenario_held_out", "card-disjoint", seed),
        place_items(ranked, "random_rows", "random-rows", seed),
    ]


def esconv_splits(ranked: RankSet, seed: int = 0) -> list[Placed]:
    """Conversations held out."""
    return [place_items(ranked, "conversation_held_out", "card-disjoint", seed)]


SETS: dict[str, tuple[Callable[[Path], dict[str, RankSet]], str, Callable[..., list[Placed]]]] = {
    ieval.RUBRIC: (ieval_sets, "ratings/ieval/ieval_data.json", ieval_splits),
    ieval.OVERALL_RUBRIC: (ieval_sets, "ratings/ieval/ieval_data.json", ieval_splits),
    SURVEY: (esconv_sets, "sources/esconv", esconv_splits),
    CHANGE: (esconv_sets, "sources/esconv", esconv_splits),
}
"""Rubric -> reader, where its data lies in a folder of public data, and its splits."""


def load_set(rubric: str, data: Path) -> RankSet:
    """The rated set of a rubric from a folder of public data.

    Raises:
        EscEvalError: No set for this rubric, or its file is missing.
    """
    if rubric not in SETS:
        raise EscEvalError(
            f"no public rated set for rubric {rubric!r}, only for {', '.join(SETS)}; give your own --dialogues and "
            "--ratings instead of --data"
        )
    read, where, _ = SETS[rubric]
    return read(data / where)[rubric]


def balance_rows(levels: npt.NDArray[np.intp], size: int, cap: float = 3.0) -> Array:
    """Weights of rows against class imbalance: inverse to their level's frequency, at most ``cap`` times the smallest.

    Args:
        levels: Shape (n,), level indices.
        size: Number of levels.
        cap: Largest ratio of two weights; 1 = all alike.

    Returns:
        Shape (n,), mean 1.

    >>> balance_rows(np.array([0, 0, 0, 1]), 2, cap=2.0).round(2).tolist()
    [0.8, 0.8, 0.8, 1.6]
    """
    counts = np.bincount(levels, minlength=size).astype(float)
    weight = np.where(counts > 0, counts.max() / np.maximum(counts, 1), 0.0)
    chosen = np.minimum(weight, cap)[levels]
    balanced: Array = chosen / chosen.mean()
    return balanced
