"""Model means on the same cards: intervals, ranks, paired differences, and who cannot be told from whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from esc_eval.statistics.bootstrap import Bootstrap, estimate_gaps, estimate_group_means
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.correlations import adjust_holm
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scale import FULL, to_points

AVERAGE = "average"


@dataclass(frozen=True)
class Board:
    """Dialogues of models, scored in points on several dimensions.

    Attributes:
        models, dimensions: Names; models in order of first appearance.
        scores: Shape (dialogues, dimensions): points, averaged over raters; NaN where there is none.
        model: Shape (dialogues,), index into ``models``; the dialogues of a model stand together.
        cluster: Of each dialogue: its card, or itself.
        turned: Dimensions of which a low score is good: they enter the average turned round.
        whole: Whether the dimensions are all that the rubric has, so that their average may be shown.
    """

    models: tuple[str, ...]
    dimensions: tuple[str, ...]
    scores: Array
    model: npt.NDArray[np.intp]
    cluster: tuple[str, ...]
    turned: tuple[str, ...] = ()
    whole: bool = True

    @classmethod
    def from_rows(
        cls,
        human: pd.DataFrame,
        rated: pd.DataFrame,
        cluster: str,
        dimensions: Sequence[str],
        scale: tuple[int, int],
        turned: Sequence[str] = (),
    ) -> "Board":
        """From scores and the rows that they come from.

        Args:
            human: One row a dialogue and dimension (``scores.human_scores``).
            rated: All rows of these dialogues, those without a score too; in the order of the file.
            cluster: Column to cluster by.
            dimensions: All there may be, in order; those without a row are left out.
            scale: Lowest and highest level.
            turned: Dimensions of which a low level is good.
        """
        present = tuple(d for d in dimensions if d in set(rated["dimension"]))
        each = rated.drop_duplicates("dialogue_id")
        models = tuple(dict.fromkeys(each["model"]))
        code = each["model"].map({name: i for i, name in enumerate(models)}).to_numpy(dtype=np.intp)
        order = np.argsort(code, kind="stable")
        wide = human.pivot(index="dialogue_id", columns="dimension", values="score")
        scores = wide.reindex(index=each["dialogue_id"].to_numpy()[order], columns=list(present)).to_numpy(dtype=float)
        return cls(
            models,
            present,
            to_points(scores, *scale),
            code[order],
            tuple(each[cluster].astype(str).to_numpy()[order]),
            tuple(d for d in turned if d in present),
            len(present) == len(dimensions),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Dimensions, then the average where there are several and none is missing."""
        return (*self.dimensions, AVERAGE) if len(self.dimensions) > 1 and self.whole else self.dimensions

    @property
    def cards(self) -> tuple[str, ...]:
        """Names of the clusters."""
        return tuple(dict.fromkeys(self.cluster))

    def card_cells(self) -> Array:
        """Mean score of each card, column and model, shape (cards, columns, models).

        The average of a card is over dimensions, where none is missing.
        """
        index = {name: i for i, name in enumerate(self.cards)}
        place = np.array([index[c] for c in self.cluster], dtype=np.intp) * len(self.models) + self.model
        sums, counts = np.zeros((2, len(index) * len(self.models), len(self.dimensions)))
        np.add.at(sums, place, np.nan_to_num(self.scores))
        np.add.at(counts, place, np.isfinite(self.scores))
        cells = ratio(sums, counts).reshape(len(index), len(self.models), -1).transpose(0, 2, 1)
        if AVERAGE not in self.columns:
            return cells
        sign = np.array([-1.0 if d in self.turned else 1.0 for d in self.dimensions])[:, None]
        turned = np.where(sign < 0, FULL, 0.0) + sign * cells
        return np.concatenate([cells, turned.mean(axis=1, keepdims=True)], axis=1)


def estimate_means(board: Board, boot: Bootstrap) -> tuple[dict[str, dict[str, Estimate]], str, Array, Array]:
    """Mean of each model in each column, and by what models are ranked.

    Returns:
        model -> column -> mean; the column that ranks: the last in which a model has a mean; shape (models,) and
        (draws, models): its means and their draws, turned round where a low score is good, minus infinity where there
        is none.
    """
    turned = {i: float(FULL) for i, d in enumerate(board.dimensions) if d in board.turned}
    means = estimate_group_means(board.scores, board.cluster, board.model.tolist(), boot, turned)
    out = {
        model: dict(zip((*board.dimensions, AVERAGE), [*means.each[i], means.average[i]], strict=True))
        for i, model in enumerate(board.models)
    }
    known = [c for c in board.columns if any(out[m][c].value is not None for m in board.models)]
    column = known[-1] if known else board.columns[-1]
    values = [out[m][column].value for m in board.models]
    value = np.array([-np.inf if v is None else FULL - v if column in board.turned else v for v in values])
    drawn = means.draws[..., (*board.dimensions, AVERAGE).index(column)]
    scores = {m: {c: out[m][c] for c in board.columns} for m in board.models}
    return scores, column, value, np.nan_to_num(drawn, nan=-np.inf)


def rank_intervals(value: Array, draws: Array, boot: Bootstrap, cards: int) -> list[tuple[int, int | None, int | None]]:
    """Rank (1 = best) of each model with the interval of its rank over draws; no interval from a single card."""

    def ranks(v: Array) -> Array:
        rank: Array = 1 + (v[..., None, :] > v[..., :, None]).sum(-1)
        return rank

    if cards < 2:
        return [(int(r), None, None) for r in ranks(value)]
    tail = (1 - boot.confidence) / 2
    drawn = ranks(draws)
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="closest_observation")
    return [(int(r), int(a), int(b)) for r, a, b in zip(ranks(value), low, high, strict=True)]


def paired_differences(board: Board, boot: Bootstrap, flips: int = 9999) -> dict[str, list[dict[str, Any]]]:
    """Differences of every two models on the cards that both played, by column.

    p-values are two-sided, from a sign-flip permutation test over cards, Holm-adjusted within the column.

    Returns:
        column -> list of ``first``, ``second``, ``difference`` (Estimate), ``p``, ``p_holm``.
    """
    cells = board.card_cells()
    pairs = list(combinations(range(len(board.models)), 2))
    first, second = (np.array([p[i] for p in pairs], dtype=int) for i in (0, 1))
    out = {}
    for i, column in enumerate(board.columns):
        gap = cells[:, i, first] - cells[:, i, second]
        there = np.isfinite(gap)
        filled = np.where(there, gap, 0.0)
        p_values = _sign_flip(filled, flips, np.random.default_rng([boot.seed, i]))
        adjusted = adjust_holm(np.where(there.any(0), p_values, np.nan))
        found = estimate_gaps(gap, board.cards, boot, float(FULL), "the two models share no card")
        rows = []
        for j, (a, b) in enumerate(pairs):
            n = int(there[:, j].sum())
            rows.append(
                {
                    "first": board.models[a],
                    "second": board.models[b],
                    "difference": found[j],
                    "p": float(p_values[j]) if n else None,
                    "p_holm": float(adjusted[j]) if n else None,
                }
            )
        out[column] = rows
    return out


def _sign_flip(gap: Array, flips: int, rng: np.random.Generator) -> Array:
    observed = np.abs(gap.sum(0)) * (1 - 1e-12)
    extreme = np.zeros(gap.shape[1])
    step = max(1, 4_000_000 // max(len(gap), 1))
    for start in range(0, flips, step):
        signs = rng.integers(0, 2, (min(step, flips - start), len(gap))) * 2.0 - 1
        extreme += (np.abs(signs @ gap) >= observed).sum(0)
    return (1 + extreme) / (1 + flips)


def group_indistinguishable(order: list[str], rows: list[dict[str, Any]], alpha: float = 0.05) -> list[list[str]]:
    """Maximal runs of models, best first, of which no two differ significantly.

    A model may be in several runs: "cannot be told apart" is not transitive.
    """
    apart = {frozenset((r["first"], r["second"])) for r in rows if r["p_holm"] is not None and r["p_holm"] < alpha}
    runs: list[list[str]] = []
    for i in range(len(order)):
        run = [order[i]]
        for other in order[i + 1 :]:
            if any(frozenset((m, other)) in apart for m in run):
                break
            run.append(other)
        if not runs or run[-1] != runs[-1][-1]:
            runs.append(run)
    return runs
