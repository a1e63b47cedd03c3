"""A scorer fitted to people: one temperature a dimension for how sure it is, one rising map for what it gives.

Dividing log probabilities by a temperature (Guo et al. 2017, 1706.04599) changes how sure a scorer is, never which
level it finds most probable. The map (``scoring.monotone``) bends what it gives, with or without probabilities, to
people's.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FittedFile, FrozenYaml
from esc_eval.schema import Rating, digest
from esc_eval.scoring.monotone import FEWEST_CARDS, Bent, fit_monotone
from esc_eval.scoring.rating_checks import check_levels
from esc_eval.statistics.bootstrap import bootstrap_mean
from esc_eval.statistics.calibration import FLOOR, calibration_error, log_loss
from esc_eval.statistics.estimate import Array, Estimate, StoredTriple
from esc_eval.version import __version__

RANGE = (0.05, 20.0)
LEAST = 10
AS_GIVEN = ", as given"
"""How the parser of ratings ends that a calibration leaves as the judge gave them."""


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
    """Temperatures and maps by dimension, and where they come from.

    Attributes:
        rater, rubric: Whose ratings and by which wording; they fit no others.
        dimensions: Temperatures, of a scorer with probabilities.
        maps: From what the scorer gives to what people would; None in files of esc-eval 0.1.
        labels: Sha256 of the labels.
        seed: Of the folds.
    """

    rater: str
    rubric: str
    levels: tuple[int, ...]
    dimensions: dict[str, Fitted]
    maps: dict[str, Bent] | None = None
    labels: str
    seed: int
    esc_eval: str = __version__

    def apply(self, dimension: str, probabilities: Sequence[float]) -> tuple[float, ...]:
        """Calibrated probabilities; those of a dimension that was not fitted stay as they are."""
        fitted = self.dimensions.get(dimension)
        return (
            tuple(temper_probabilities(probabilities, fitted.temperature).tolist()) if fitted else tuple(probabilities)
        )

    def bend(self, ratings: Sequence[Rating]) -> list[Rating]:
        """The ratings as people would give them: ``expected`` by the map, the level nearest to it, no probabilities.

        Those of a dimension whose map gained nothing stay as they are, and their parser ends in ``AS_GIVEN``; those of
        a dimension that was not fitted are left out; what is unscored stays so.

        Raises:
            EscEvalError: Ratings of another rater or under another rubric, or no map.
        """
        if not self.maps:
            raise EscEvalError(
                "this file holds temperatures alone; fit it anew: esc-eval calibrate --labels FILE --out FILE"
            )
        bent = []
        for rating in ratings:
            self.check(rating.rater, rating.rubric, self.levels)
            if rating.dimension not in self.maps:
                continue
            given, update, mark = _given(rating), {}, f"calibration {self.sha256[:8]}"
            if self.maps[rating.dimension].left:
                mark += AS_GIVEN
            else:
                value = None if given is None else self.maps[rating.dimension].apply(given)
                nearest = None if value is None else min(self.levels, key=lambda level: abs(level - value))
                update = {"score": nearest, "expected": value, "probabilities": None, "mass": None}
            bent.append(rating.model_copy(update={**update, "rater": f"{rating.rater}-calibrated", "parser": mark}))
        return bent

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


def _means(labels: Iterable[Rating]) -> dict[tuple[str, str], float]:
    """Mean of people's levels by dialogue and dimension."""
    human: dict[tuple[str, str], list[int]] = {}
    for label in labels:
        if label.score is not None:
            human.setdefault((label.dialogue_id, label.dimension), []).append(label.score)
    return {key: sum(given) / len(given) for key, given in human.items()}


def pair_with_labels(
    ratings: Iterable[Rating], labels: Iterable[Rating], levels: Sequence[int]
) -> dict[str, list[tuple[Rating, int]]]:
    """Each rating with the human level for it, by dimension.

    Several humans' labels of one dialogue are averaged and rounded to the nearest level, halves to the lower.

    Raises:
        EscEvalError: No rating has a label.
    """
    people = _means(labels)
    pairs: dict[str, list[tuple[Rating, int]]] = {}
    for rating in ratings:
        mean = people.get((rating.dialogue_id, rating.dimension))
        if mean is not None:
            nearest = min(levels, key=lambda level: (abs(level - mean), level))
            pairs.setdefault(rating.dimension, []).append((rating, nearest))
    if not pairs:
        raise EscEvalError("no rating has a label with the same dialogue_id and dimension")
    return pairs


def _given(rating: Rating) -> float | None:
    """What a rating says: its expected level, else its level; None where it is unscored."""
    if rating.score is None:
        return None
    return float(rating.score) if rating.expected is None else rating.expected


def fit_calibration(
    ratings: Sequence[Rating],
    labels: Sequence[Rating],
    levels: Sequence[int],
    seed: int = 0,
    cards: Mapping[str, str] | None = None,
) -> Calibration:
    """Fit a map a dimension, where it gains anything, and a temperature where there are probabilities.

    Args:
        ratings: Of one rater with one rubric, with uncalibrated probabilities or none.
        labels: Human ratings of the same dialogues.
        levels: Of the rubric, lowest first.
        seed: Of the folds of the held-out check.
        cards: Card of each dialogue by its id; those without are cards of their own.

    Raises:
        EscEvalError: Several raters, calibrated ratings, a rating or label of other levels, or fewer than
            ``FEWEST_CARDS`` cards with labels in every dimension.
    """
    raters = {(rating.rater, rating.rubric) for rating in ratings}
    if len(raters) != 1:
        raise EscEvalError(f"a calibration is for one rater and rubric, found {sorted(raters)}")
    if any("calibration" in (rating.parser or "") for rating in ratings):
        raise EscEvalError("these ratings are calibrated already; fit on those scored without --calibration")
    check_levels([*ratings, *labels], levels)
    dimensions, maps = {}, {}
    people, most = _means(labels), 0
    for dimension, pairs in pair_with_labels(ratings, labels, levels).items():
        scored = [(value, r.dialogue_id) for r, _ in pairs if (value := _given(r)) is not None]
        clusters = [(cards or {}).get(dialogue_id, dialogue_id) for _, dialogue_id in scored]
        most = max(most, len(set(clusters)))
        if len(set(clusters)) < FEWEST_CARDS:
            continue
        levels_of = [people[dialogue_id, dimension] for _, dialogue_id in scored]
        maps[dimension] = fit_monotone([value for value, _ in scored], levels_of, clusters, seed)
        usable = [(r.probabilities, levels.index(label)) for r, label in pairs if r.probabilities is not None]
        if len(usable) >= LEAST:
            p = np.array([q for q, _ in usable], dtype=np.float64)
            y = np.array([label for _, label in usable], dtype=np.intp)
            dimensions[dimension] = _fitted(p, y, np.random.default_rng(seed))
    if not maps:
        raise EscEvalError(
            f"no dimension has {FEWEST_CARDS} role cards with both a score and people's level, but {most} at most (a "
            f"dialogue without a card counts as one): have people rate dialogues on {FEWEST_CARDS - most} more of the "
            "cards that the judge scored, e.g. by esc-eval sheet DIR, or use the judge as it is"
        )
    [(rater, rubric)] = raters
    return Calibration(
        rater=rater,
        rubric=rubric,
        levels=tuple(levels),
        dimensions=dimensions,
        maps=maps,
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
