"""Model means on the same cards: intervals, ranks, paired differences, and who cannot be told from whom."""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from esc_eval.files.official_dimensions import official_levels
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.correlations import adjust_holm
from esc_eval.statistics.estimate import Array, Estimate

POINTS = 25.0
"""Points of the published tables for one level (the author's answer in issue 4 of the official release)."""
AVERAGE = "average"


@dataclass(frozen=True)
class Board:
    """Scores of models on cards, averaged over raters.

    Attributes:
        models, dimensions, cards: Names.
        cells: Shape (cards, dimensions, models): score in points, NaN where there is none.
    """

    models: tuple[str, ...]
    dimensions: tuple[str, ...]
    cards: tuple[str, ...]
    cells: Array

    @classmethod
    def from_rows(cls, human: pd.DataFrame, cluster: str, dimensions: tuple[str, ...], points: float) -> "Board":
        """From one row a dialogue and dimension (``scores.human_scores``), with a ``model``."""
        models = tuple(dict.fromkeys(human["model"]))
        present = tuple(d for d in dimensions if d in set(human["dimension"]))
        table = human.pivot_table(
            index=cluster, columns=["dimension", "model"], values="score", aggfunc="mean", sort=False
        )
        full = table.reindex(columns=pd.MultiIndex.from_product([present, models]))
        cells = full.to_numpy(dtype=float).reshape(len(full), len(present), len(models)) * points
        return cls(models, present, tuple(map(str, full.index)), cells)

    @property
    def columns(self) -> tuple[str, ...]:
        """Dimensions, then the average where there are several."""
        return (*self.dimensions, AVERAGE) if len(self.dimensions) > 1 else self.dimensions

    def with_average(self) -> Array:
        """Shape (cards, columns, models): the average of a card is over dimensions, where none is missing."""
        if len(self.dimensions) < 2:
            return self.cells
        return np.concatenate([self.cells, self.cells.mean(axis=1, keepdims=True)], axis=1)


def estimate_means(
    board: Board, boot: Bootstrap
) -> tuple[dict[str, dict[str, Estimate]], dict[str, tuple[Array, Array]]]:
    """Mean and rank of each model in each column.

    Returns:
        model -> column -> mean; column -> (means (models,), draws (draws, models)), all from the same draws of cards.
    """
    cells = board.with_average()
    shape = cells.shape[1:]
    flat = cells.reshape(len(cells), -1)
    there = np.isfinite(flat)
    tables = ClusterTables.build({"sum": (np.where(there, flat, 0.0), shape), "n": (there.astype(float), shape)})

    def statistic(t: Totals) -> dict[str, Array]:
        return {"mean": ratio(t["sum"], t["n"])}

    one, many = tables.draw(statistic, boot)
    counts = there.sum(0).reshape(shape)
    out: dict[str, dict[str, Estimate]] = {m: {} for m in board.models}
    for j, model in enumerate(board.models):
        for i, column in enumerate(board.columns):
            n = int(counts[i, j])
            out[model][column] = boot.estimate(
                float(one["mean"][i, j]), many["mean"][:, i, j], n, n, "no dialogue of this model has a score here"
            )
    return out, {c: (one["mean"][i], many["mean"][:, i]) for i, c in enumerate(board.columns)}


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
    cells = board.with_average()
    pairs = list(combinations(range(len(board.models)), 2))
    first, second = (np.array([p[i] for p in pairs], dtype=int) for i in (0, 1))
    out = {}
    for i, column in enumerate(board.columns):
        gap = cells[:, i, first] - cells[:, i, second]
        there = np.isfinite(gap)
        filled = np.where(there, gap, 0.0)
        p_values = _sign_flip(filled, flips, np.random.default_rng([boot.seed, i]))
        adjusted = adjust_holm(np.where(there.any(0), p_values, np.nan))
        width = (len(pairs),)
        _, many = ClusterTables.build({"sum": (filled, width), "n": (there.astype(float), width)}).draw(
            lambda t: {"d": ratio(t["sum"], t["n"])}, boot
        )
        rows = []
        for j, (a, b) in enumerate(pairs):
            n = int(there[:, j].sum())
            value = float(gap[there[:, j], j].mean()) if n else float("nan")
            rows.append(
                {
                    "first": board.models[a],
                    "second": board.models[b],
                    "difference": boot.estimate(value, many["d"][:, j], n, n, "the two models share no card"),
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


def points_of(low: int, high: int) -> float:
    """Points for one level: 25 on the official scale, so that its top is 100; any other scale stays as it is."""
    levels = official_levels()
    return POINTS if (low, high) == (levels[0], levels[-1]) else 1.0
