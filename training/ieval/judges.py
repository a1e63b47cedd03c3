"""Language models as judges of a rated set: the levels that they gave, and levels cut from their expected ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from esc_eval.files.records import read_ratings
from training.rank.data import NOWHERE, TEST, TRAIN, VALIDATION, RankSet
from training.rank.ordinal import spread_cuts

Array = npt.NDArray[np.float64]
Levels = npt.NDArray[np.intp]

CUT, CUT_WITHIN = "expected level", "expected level, cut within the part"


@dataclass(frozen=True)
class Judge:
    """One rater's levels of a set.

    Attributes:
        levels: Shape (dialogues, dimensions); -1 where it gave none.
        expected: Expected levels, shaped alike, in the rubric's own numbers; NaN where there is none.
    """

    name: str
    levels: Levels
    expected: Array

    def covers(self, folds: Sequence[Levels]) -> bool:
        """Whether it rated every test row of a split."""
        return all((self.levels[fold == TEST] >= 0).all() for fold in folds)

    def rows(self, ranked: RankSet, folds: Sequence[Levels]) -> dict[str, Levels]:
        """Its test levels by name: as it gave them (the most probable) and, where it gave probabilities, as expected.

        An expected level becomes a level by cuts that spread levels as people's are in the fold's train and validation
        rows, as a text scorer's do: quantiles of what the judge expected of these rows or, where it rated none of them,
        of the test rows that it rated. No label of the test is read.
        """
        found = {self.name: np.where(np.any([fold == TEST for fold in folds], axis=0), self.levels, NOWHERE)}
        out, within = np.full(self.levels.shape, NOWHERE), False
        for fold in folds:
            for column, (own, label) in enumerate(zip(self.expected.T, ranked.levels.T, strict=True)):
                test = ~np.isnan(own) & (fold[:, column] == TEST)
                learn = np.isin(fold[:, column], (TRAIN, VALIDATION))
                if test.any():
                    rated = learn & ~np.isnan(own)
                    within |= not rated.any()
                    score, known = (own[rated], label[rated]) if rated.any() else (own[test], label[learn])
                    cuts = spread_cuts(score, known, len(ranked.rubric.levels))
                    out[test, column] = np.searchsorted(cuts, own[test], side="right")
        return found | ({f"{self.name}, {CUT_WITHIN if within else CUT}": out} if (out >= 0).any() else {})


def read_judges(ranked: RankSet, paths: Iterable[Path]) -> list[Judge]:
    """The raters in files of ratings, of a set's dialogues under its rubric; of a rating that occurs twice the last."""
    row = {d.id: n for n, d in enumerate(ranked.dialogues)}
    column = {key: n for n, key in enumerate(ranked.rubric.keys)}
    position = {level: n for n, level in enumerate(ranked.rubric.levels)}
    found: dict[str, Judge] = {}
    shape = ranked.labels.shape[:2]
    for path in paths:
        for rating in read_ratings(path):
            if rating.rubric == ranked.rubric.id and rating.dialogue_id in row and rating.score in position:
                empty = Judge(rating.rater, np.full(shape, NOWHERE), np.full(shape, np.nan))
                judge = found.setdefault(rating.rater, empty)
                at = row[rating.dialogue_id], column[rating.dimension]
                judge.levels[at] = position[rating.score]
                judge.expected[at] = np.nan if rating.expected is None else rating.expected
    return list(found.values())
