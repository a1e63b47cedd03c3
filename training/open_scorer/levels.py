"""What the scorer's levels are worth as points: its mean level beside people's, on sets that it has not seen."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from esc_eval.scoring.levels import level_probabilities
from esc_eval.scoring.text_scorer import Scale
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.scale import points_per_level
from training.open_scorer.crosswalk import TOP
from training.open_scorer.fit import Choice, Columns, Target, choose, fit_model
from training.rank.ordinal import fit_ordered, spread_cuts

MOST = 300
"""Dialogues of one scale that thresholds are fitted to."""
POINTS = points_per_level(0, TOP)


def fit_scale(
    dimension: str, own: Sequence[Target], columns: Columns, choice: Choice, centre: float, seed: int
) -> Scale:
    """Thresholds from scores of sets that a fit has not seen, as they are: a set that comes is not known either."""
    rng, scores, levels = np.random.default_rng(seed), [], []
    mine = [t for t in own if t.row.dimension == dimension]
    for target in mine:
        model = fit_model(dimension, [t for t in own if t.set != target.set], columns, choice)
        model = model or fit_model(dimension, own, columns, choice)
        if model is not None:
            score = model.score_target(target, columns)
            chosen = rng.permutation(len(score))[:MOST]
            scores.append(score[chosen])
            levels.append(np.rint(target.level[chosen]).clip(0, TOP).astype(np.intp))
    score, level = np.concatenate(scores), np.concatenate(levels)
    slope, thresholds = fit_ordered(score, level, TOP + 1)
    return Scale(
        centre=centre,
        slope=slope,
        thresholds=tuple(map(float, thresholds)),
        cuts=tuple(map(float, spread_cuts(score, level, TOP + 1))),
    )


def measure_levels(
    dimension: str,
    targets: Sequence[Target],
    columns: Columns,
    may_teach: Callable[[str], bool],
    draws: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Means in points (0 to 100) of each set of a dimension, by a scorer fitted without it as the shipped one is.

    Args:
        may_teach: Whether a set may be learnt from.
        draws, seed: Of the bootstrap; the seed is of the rows that thresholds are fitted to, too.

    Returns:
        By set: ``ratings`` (n), the means ``people``, ``level`` and ``expected``, and how far the last two lie above
        people's, with intervals over cards: ``level_less_people``, ``expected_less_people``.
    """
    found: dict[str, dict[str, Any]] = {}
    for held in sorted({t.set for t in targets if t.row.dimension == dimension}):
        learn = [t for t in targets if t.set != held and may_teach(t.set)]
        if not any(t.row.dimension == dimension for t in learn):
            continue
        best, _ = choose(dimension, learn, columns)
        model = fit_model(dimension, learn, columns, best)
        if model is None:
            continue
        scale = fit_scale(dimension, learn, columns, best, 0.0, seed)
        people, level, expected, cards = [], [], [], []
        for target in (t for t in targets if t.set == held and t.row.dimension == dimension):
            score = model.score_target(target, columns)
            likely = level_probabilities(score, scale.slope, np.asarray(scale.thresholds))
            people.append(POINTS * target.level)
            level.append(POINTS * np.searchsorted(np.asarray(scale.cuts), score, side="right"))
            expected.append(POINTS * likely @ np.arange(TOP + 1))
            cards += [f"{target.row.folder}/{card}" for card in target.cluster]
        given, rows = np.concatenate(people), {"level": np.concatenate(level), "expected": np.concatenate(expected)}
        found[held] = {"ratings": len(given), "people": float(given.mean())}
        for name, values in rows.items():
            gap = bootstrap_mean((values - given).tolist(), cards, draws=draws, seed=seed)
            found[held][name] = float(values.mean())
            found[held][f"{name}_less_people"] = {"value": gap.value, "low": gap.low, "high": gap.high}
    return found
