"""Several judges as one: weights fitted to human labels, non-negative and shrunk towards equal ones.

A weighted mean of the judges' expected scores plus an offset, one fit a dimension. How strongly weights are shrunk is
chosen by cross-validation over whole clusters (role cards), and what is reported is measured on clusters held out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile, FrozenYaml
from esc_eval.schema import Rating, digest
from esc_eval.scoring.rating_checks import check_levels
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.estimate import Array, Estimate, StoredTriple
from esc_eval.version import __version__

RATER = "ensemble"
SHRINKAGE = (0.01, 0.1, 1.0, 10.0, 100.0)
FOLDS = 5
LEAST = 10


def fit_weights(x: Array, y: Array, shrinkage: float) -> tuple[Array, float]:
    """Weights and offset of the best weighted mean.

    Minimises ``mean((offset + x w - y)^2) + shrinkage * sum((w - 1 / judges)^2)`` over ``w >= 0``.

    Args:
        x: Judges' scores, shape (n, judges).
        y: Human scores, shape (n,).
        shrinkage: 0 or more.

    Returns:
        Weights of shape (judges,) and the offset.
    """
    from scipy.optimize import nnls

    n, judges = x.shape
    pull = np.sqrt(shrinkage * n)
    left = np.vstack([x - x.mean(axis=0), pull * np.eye(judges)])
    right = np.concatenate([y - y.mean(), np.full(judges, pull / judges)])
    weights = np.asarray(nnls(left, right)[0], dtype=np.float64)
    return weights, float(y.mean() - weights @ x.mean(axis=0))


def held_out(x: Array, y: Array, fold: npt.NDArray[np.intp], shrinkage: float) -> Array:
    """Each row's prediction by weights that did not see its fold, shape (n,)."""
    out = np.empty_like(y)
    for k in np.unique(fold):
        weights, offset = fit_weights(x[fold != k], y[fold != k], shrinkage)
        out[fold == k] = offset + x[fold == k] @ weights
    return out


class FittedWeights(FrozenYaml):
    """One dimension's weights and what they are worth.

    Attributes:
        weights: By judge.
        shrinkage: Chosen by cross-validation.
        n, clusters: Labelled dialogues, and the cards they belong to.
        error: Root mean squared error against the human scores on held-out clusters: the ensemble, equal weights (with
            a fitted offset), each judge (with a fitted offset), and the mean human score for every dialogue; with 95%
            intervals over cards.
    """

    weights: dict[str, float]
    offset: float
    shrinkage: float
    n: int
    clusters: int
    error: dict[str, StoredTriple]


class Ensemble(FittedFile):
    """Weights by dimension, and where they come from."""

    judges: tuple[str, ...]
    rubric: str
    levels: tuple[int, ...]
    dimensions: dict[str, FittedWeights]
    labels: str
    seed: int
    esc_eval: str = __version__

    def apply(self, ratings: Sequence[Rating]) -> list[Rating]:
        """One rating for each dialogue and fitted dimension; unscored where a judge's is missing.

        Raises:
            EscEvalError: A rating under another rubric.
        """
        if others := sorted({rating.rubric for rating in ratings} - {self.rubric}):
            raise EscEvalError(f"the weights were fitted to ratings under {self.rubric}, not {', '.join(others)}")
        check_levels(ratings, self.levels)
        given = _by_item(ratings)
        result = []
        for (dialogue_id, dimension), scores in given.items():
            fitted = self.dimensions.get(dimension)
            if fitted is None:
                continue
            missing = [judge for judge in self.judges if judge not in scores]
            value = None
            if not missing:
                value = fitted.offset + sum(fitted.weights[judge] * scores[judge] for judge in self.judges)
                value = min(max(value, self.levels[0]), self.levels[-1])
            result.append(
                Rating(
                    dialogue_id=dialogue_id,
                    dimension=dimension,
                    rater=RATER,
                    rater_kind="model",
                    rubric=self.rubric,
                    score=None if value is None else min(self.levels, key=lambda level: abs(level - value)),
                    expected=value,
                    problem=f"no score by {', '.join(missing)}" if missing else None,
                    parser=f"ensemble {self.sha256[:8]}",
                )
            )
        return result


def _by_item(ratings: Sequence[Rating]) -> dict[tuple[str, str], dict[str, float]]:
    """Expected score, else level, by dialogue and dimension and rater; items that nobody scored are kept, empty."""
    items: dict[tuple[str, str], dict[str, float]] = {}
    for rating in ratings:
        scores = items.setdefault((rating.dialogue_id, rating.dimension), {})
        if rating.score is not None:
            scores[rating.rater] = float(rating.score if rating.expected is None else rating.expected)
    return items


def fit_ensemble(
    ratings: Sequence[Rating],
    labels: Sequence[Rating],
    levels: Sequence[int],
    cards: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Ensemble:
    """Fit weights of every rater in ``ratings`` to human labels.

    Args:
        ratings: Of two or more judges with one rubric.
        labels: Human ratings; several of one dialogue are averaged.
        levels: Of the rubric, lowest first.
        cards: Role card of each dialogue, held out together; None = every dialogue its own.
        seed: Of the folds.

    Raises:
        EscEvalError: One judge only, several rubrics, a rating or label of other levels, or no dimension with 10
            dialogues that all rated.
    """
    judges = sorted({rating.rater for rating in ratings})
    rubrics = sorted({rating.rubric for rating in ratings})
    if len(judges) < 2 or len(rubrics) != 1:
        raise EscEvalError(f"an ensemble needs two or more judges and one rubric, found {judges} with {rubrics}")
    check_levels([*ratings, *labels], levels)
    human: dict[tuple[str, str], list[int]] = {}
    for label in labels:
        if label.score is not None:
            human.setdefault((label.dialogue_id, label.dimension), []).append(label.score)
    rows: dict[str, list[tuple[str, list[float], float]]] = {}
    for (dialogue_id, dimension), scores in _by_item(ratings).items():
        marks = human.get((dialogue_id, dimension))
        if marks and all(judge in scores for judge in judges):
            values = [scores[judge] for judge in judges]
            rows.setdefault(dimension, []).append((dialogue_id, values, sum(marks) / len(marks)))
    dimensions = {}
    for dimension, known in rows.items():
        clusters = [(cards or {}).get(dialogue_id, dialogue_id) for dialogue_id, _, _ in known]
        if len(known) >= LEAST and len(set(clusters)) >= FOLDS:
            x, y = np.array([values for _, values, _ in known]), np.array([mark for _, _, mark in known])
            dimensions[dimension] = _fitted(x, y, clusters, judges, np.random.default_rng(seed))
    if not dimensions:
        raise EscEvalError(
            f"no dimension has {LEAST} dialogues of {FOLDS} cards that all of {judges} and a human have rated"
        )
    return Ensemble(
        judges=tuple(judges),
        rubric=rubrics[0],
        levels=tuple(levels),
        dimensions=dimensions,
        labels=digest([label for label in labels if label.score is not None]),
        seed=seed,
    )


def _fitted(
    x: Array, y: Array, clusters: Sequence[str], judges: Sequence[str], rng: np.random.Generator
) -> FittedWeights:
    names = list(dict.fromkeys(clusters))
    fold_of = dict(zip(names, rng.permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([fold_of[cluster] for cluster in clusters], dtype=np.intp)

    def error(prediction: Array) -> Estimate:
        e = bootstrap_mean(((prediction - y) ** 2).tolist(), clusters)
        root = [None if part is None else float(np.sqrt(max(part, 0.0))) for part in (e.value, e.low, e.high)]
        return Estimate(root[0], root[1], root[2])

    chosen = _choose(x, y, fold)
    nested = np.empty_like(y)
    for k in np.unique(fold):
        inside = fold != k
        weights, offset = fit_weights(x[inside], y[inside], _choose(x[inside], y[inside], fold[inside]))
        nested[~inside] = offset + x[~inside] @ weights
    huge = 1e9
    errors = {RATER: error(nested), "equal weights": error(held_out(x, y, fold, huge))}
    for position, judge in enumerate(judges):
        errors[judge] = error(held_out(x[:, [position]], y, fold, huge))
    errors["mean of the labels"] = error(held_out(np.zeros_like(x), y, fold, huge))
    weights, offset = fit_weights(x, y, chosen)
    return FittedWeights(
        weights=dict(zip(judges, weights.tolist(), strict=True)),
        offset=offset,
        shrinkage=chosen,
        n=len(y),
        clusters=len(names),
        error=errors,
    )


def _choose(x: Array, y: Array, fold: npt.NDArray[np.intp]) -> float:
    losses = {s: float(np.mean((held_out(x, y, fold, s) - y) ** 2)) for s in SHRINKAGE}
    return min(losses, key=lambda s: (losses[s], -s))
