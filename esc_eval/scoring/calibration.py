"""Level probabilities made honest: one temperature a dimension, fitted on labelled data (Guo et al. 2017, 1706.04599).

Dividing log probabilities by a temperature changes how sure a scorer is, never which level it finds most probable.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile, FrozenYaml
from esc_eval.schema import Rating, digest
from esc_eval.scoring.rating_checks import check_levels
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.calibration import FLOOR, calibration_error, log_loss
from esc_eval.statistics.estimate import Array, Estimate, StoredTriple
from esc_eval.version import __version__

RANGE = (0.05, 20.0)
LEAST = 10


def temper_probabilities(probabilities: npt.ArrayLike, temperature: float) -> Array:
    """Probabilities to the power 1 / temperature, made to sum to 1 again.

    Args:
        probabilities: Shape (..., levels), each row sums to 1. Zeros count as 1e-12.
        temperature: Above 1 less sure, below 1 surer.

    >>> temper_probabilities([0.8, 0.2], 1.0).round(3).tolist()
    [0.8, 0.2]
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), FLOOR)) / temperature
    powers = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def fit_temperature(probabilities: Array, labels: npt.NDArray[np.intp]) -> float:
    """The temperature in 0.05 .. 20 with the smallest log loss; shapes (n, levels) and (n,)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(temper_probabilities(probabilities, float(np.exp(log_temperature))), labels)

    low, high = np.log(RANGE)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x))


class Fitted(FrozenYaml):
    """A dimension's temperature and what it did to the data it was fitted on.

    Attributes:
        n: Labelled dialogues.
        log_loss, calibration_error: Before and after, on the fitting data.
        held_out_log_loss: Before and after in five-fold cross-fitting, each dialogue by a temperature that did not see
            it; None for fewer than 20.
        held_out_gain: Before minus after, with its 95% interval over dialogues.
    """

    temperature: float = Field(gt=0)
    n: int
    log_loss: tuple[float, float]
    calibration_error: tuple[float, float]
    held_out_log_loss: tuple[float, float] | None = None
    held_out_gain: StoredTriple | None = None


class Calibration(FittedFile):
    """Temperatures by dimension, and where they come from.

    Attributes:
        rater, rubric: Whose probabilities and by which wording; they fit no others.
        labels: Sha256 of the labels.
        seed: Of the folds.
    """

    rater: str
    rubric: str
    levels: tuple[int, ...]
    dimensions: dict[str, Fitted]
    labels: str
    seed: int
    esc_eval: str = __version__

    def apply(self, dimension: str, probabilities: Sequence[float]) -> tuple[float, ...]:
        """Calibrated probabilities; those of a dimension that was not fitted stay as they are."""
        fitted = self.dimensions.get(dimension)
        return (
            tuple(temper_probabilities(probabilities, fitted.temperature).tolist()) if fitted else tuple(probabilities)
        )

    def check(self, rater: str, rubric: str, levels: Sequence[int]) -> None:
        """Refuse probabilities of another rater, rubric or levels.

        Raises:
            EscEvalError: They differ.
        """
        if tuple(levels) != self.levels:
            raise EscEvalError(
                f"the calibration was fitted on levels {list(self.levels)}, but {rubric} has {list(levels)}; "
                "fit it anew"
            )
        if (rater, rubric) != (self.rater, self.rubric):
            raise EscEvalError(
                f"the calibration was fitted for {self.rater} with {self.rubric}, not {rater} with {rubric}"
            )


def pair_with_labels(
    ratings: Iterable[Rating], labels: Iterable[Rating], levels: Sequence[int]
) -> dict[str, list[tuple[Rating, int]]]:
    """Each rating with the human level for it, by dimension.

    Several humans' labels of one dialogue are averaged and rounded to the nearest level, halves to the lower.

    Raises:
        EscEvalError: No rating has a label.
    """
    human: dict[tuple[str, str], list[int]] = {}
    for label in labels:
        if label.score is not None:
            human.setdefault((label.dialogue_id, label.dimension), []).append(label.score)
    pairs: dict[str, list[tuple[Rating, int]]] = {}
    for rating in ratings:
        if given := human.get((rating.dialogue_id, rating.dimension)):
            mean = sum(given) / len(given)
            nearest = min(levels, key=lambda level: (abs(level - mean), level))
            pairs.setdefault(rating.dimension, []).append((rating, nearest))
    if not pairs:
        raise EscEvalError("no rating has a label with the same dialogue_id and dimension")
    return pairs


def fit_calibration(
    ratings: Sequence[Rating], labels: Sequence[Rating], levels: Sequence[int], seed: int = 0
) -> Calibration:
    """Fit one temperature a dimension.

    Args:
        ratings: Of one rater with one rubric, with uncalibrated probabilities.
        labels: Human ratings of the same dialogues.
        levels: Of the rubric, lowest first.
        seed: Of the folds of the held-out check.

    Raises:
        EscEvalError: Several raters, calibrated probabilities, none at all, a rating or label of other levels, or fewer
            than 10 labels of every dimension.
    """
    raters = {(rating.rater, rating.rubric) for rating in ratings}
    if len(raters) != 1:
        raise EscEvalError(f"a calibration is for one rater and rubric, found {sorted(raters)}")
    if any("calibration" in (rating.parser or "") for rating in ratings):
        raise EscEvalError("these probabilities are calibrated already; fit on those scored without --calibration")
    check_levels([*ratings, *labels], levels)
    dimensions = {}
    for dimension, pairs in pair_with_labels(ratings, labels, levels).items():
        usable = [(r.probabilities, levels.index(label)) for r, label in pairs if r.probabilities is not None]
        if len(usable) >= LEAST:
            p = np.array([q for q, _ in usable], dtype=np.float64)
            y = np.array([label for _, label in usable], dtype=np.intp)
            dimensions[dimension] = _fitted(p, y, np.random.default_rng(seed))
    if not dimensions:
        raise EscEvalError(f"no dimension has {LEAST} dialogues with both level probabilities and a label")
    [(rater, rubric)] = raters
    return Calibration(
        rater=rater,
        rubric=rubric,
        levels=tuple(levels),
        dimensions=dimensions,
        labels=digest([label for label in labels if label.score is not None]),
        seed=seed,
    )


def _fitted(p: Array, y: npt.NDArray[np.intp], rng: np.random.Generator, folds: int = 5) -> Fitted:
    temperature = fit_temperature(p, y)
    held_out = gain = None
    if len(y) >= 4 * folds:
        fold = rng.permutation(len(y)) % folds
        after = np.empty_like(p)
        for k in range(folds):
            after[fold == k] = temper_probabilities(p[fold == k], fit_temperature(p[fold != k], y[fold != k]))
        held_out = (log_loss(p, y), log_loss(after, y))
        rows = np.arange(len(y))
        gains = np.log(np.maximum(after[rows, y], FLOOR)) - np.log(np.maximum(p[rows, y], FLOOR))
        e = bootstrap_mean(gains.tolist())
        gain = Estimate(e.value, e.low, e.high)
    after = temper_probabilities(p, temperature)
    return Fitted(
        temperature=temperature,
        n=len(y),
        log_loss=(log_loss(p, y), log_loss(after, y)),
        calibration_error=(calibration_error(p, y), calibration_error(after, y)),
        held_out_log_loss=held_out,
        held_out_gain=gain,
    )
