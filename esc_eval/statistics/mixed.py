"""Groups of models, truncation and language in one mixed model: fixed effects of models, cards as random effect."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from esc_eval.errors import EscEvalError
from esc_eval.statistics.correlations import adjust_holm
from esc_eval.statistics.estimate import Estimate

BOUND = 1e-8
"""Share of the residual variance below which the cards' variance is zero."""


@dataclass(frozen=True)
class MixedFit:
    """A fitted model score ~ model + covariates + (1 | card).

    Attributes:
        effects: Fixed effects: a mean for each model, a slope for each covariate.
        covariance: Of the effects.
        card, residual: Variance of cards, 0 at its bound, and of the rest.
        slopes: Derivatives of ``covariance`` by the variances of cards and of the rest; empty for least squares.
        spread: Shape (2, 2): covariance of the two variances.
        freedom: Residual degrees of freedom of least squares.
        note: Why it is least squares, where it is.
    """

    effects: pd.Series
    covariance: pd.DataFrame
    card: float
    residual: float
    slopes: tuple[np.ndarray, ...]
    spread: np.ndarray
    freedom: float
    note: str | None = None

    def degrees(self, weight: np.ndarray) -> float:
        """Satterthwaite's degrees of freedom of a weighted sum of effects (Giesbrecht & Burns 1985)."""
        if not self.slopes:
            return self.freedom
        variance = float(weight @ self.covariance.to_numpy() @ weight)
        gradient = np.array([weight @ slope @ weight for slope in self.slopes])
        bottom = float(gradient @ self.spread @ gradient)
        return max(1.0, 2 * variance**2 / bottom) if bottom > 0 else self.freedom


def mixed_fit(rows: pd.DataFrame, covariates: list[str]) -> MixedFit:
    """Fit score ~ model + covariates + (1 | card) by REML.

    Where the cards' variance is at its bound of zero, or the effects leave nothing unexplained, ordinary least squares.

    Args:
        rows: One a dialogue: ``score``, ``model``, ``card`` and the covariates (numbers).
        covariates: Names of further columns, centred here.
    """
    models = pd.get_dummies(rows["model"], dtype=float)
    design = models.copy()
    for name in covariates:
        design[f"covariate:{name}"] = rows[name].to_numpy(dtype=float) - rows[name].mean()
    names = list(design.columns)
    k = len(names)
    if len(rows) <= k:
        raise EscEvalError(f"{len(rows)} dialogues are too few for {k} unknowns")
    if np.linalg.matrix_rank(design.to_numpy()) < k:
        raise EscEvalError(f"{', '.join(covariates)}: cannot be told from the models (one value for each model)")
    score = rows["score"].to_numpy(dtype=float)
    plain = OLS(score, design.to_numpy()).fit()
    freedom = float(len(rows) - k)
    fit: Any = None
    note: str | None = "the models explain all there is"
    if not np.isclose(plain.ssr, 0):
        fit, note = _fit_mixed(score, design, rows["card"])
    card = 0.0 if fit is None else float(fit.cov_re[0, 0])
    if fit is None or card <= BOUND * float(fit.scale):
        effects, covariance = pd.Series(plain.params, names), pd.DataFrame(plain.cov_params(), names, names)
        note = f"least squares without cards, as {note or 'cards do not differ beyond chance'}"
        return MixedFit(effects, covariance, 0.0, float(plain.scale), (), np.zeros((2, 2)), freedom, note)
    residual = float(fit.scale)
    matrix, slopes, spread = _precision(design.to_numpy(), rows["card"], card, residual)
    effects = pd.Series(np.asarray(fit.fe_params), names)
    return MixedFit(effects, pd.DataFrame(matrix, names, names), card, residual, slopes, spread, freedom)


def _precision(
    design: np.ndarray, cards: pd.Series, card: float, residual: float
) -> tuple[np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    """Covariance of the effects, its derivatives by the two variances, and the covariance of these by REML.

    The covariance V of the scores has the eigenvalues ``residual`` within cards and ``residual + n card`` for the mean
    of a card of n dialogues, so that every function of V is known without an n x n matrix.
    """
    code, _ = pd.factorize(cards)
    sizes = np.bincount(code).astype(float)
    sums = np.zeros((len(sizes), design.shape[1]))
    np.add.at(sums, code, design)
    values = residual + sizes * card  # of V, for the mean of each card
    parts = ((np.zeros(1), sizes), (np.ones(1), np.ones(len(sizes))))  # of dV by card and by residual: within, means

    def between(within: np.ndarray, means: np.ndarray) -> np.ndarray:
        """X' f(V) X, from the values of f within cards and for their means."""
        form: np.ndarray = within[0] * design.T @ design + (sums.T * ((means - within[0]) / sizes)) @ sums
        return form

    inverse = np.linalg.inv(between(np.array([1 / residual]), 1 / values))
    first = [between(w / residual**2, m / values**2) for w, m in parts]
    information = np.zeros((2, 2))
    for i, (wi, mi) in enumerate(parts):
        for j, (wj, mj) in enumerate(parts):
            trace = (len(design) - len(sizes)) * float((wi * wj)[0]) / residual**2 + (mi * mj / values**2).sum()
            second = between(wi * wj / residual**3, mi * mj / values**3)
            information[i, j] = (
                trace - 2 * np.trace(inverse @ second) + np.trace(inverse @ first[i] @ inverse @ first[j])
            ) / 2
    return inverse, tuple(inverse @ f @ inverse for f in first), np.linalg.pinv(information, hermitian=True)


def _fit_mixed(score: np.ndarray, design: pd.DataFrame, cards: pd.Series) -> tuple[Any, str | None]:
    """The mixed model; None, and why, where it does not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps on the way, where cards or scores hardly differ
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return MixedLM(score, design.to_numpy(), cards.to_numpy()).fit(reml=True), None
        except ConvergenceWarning as found:
            said = str(found)
            bound = "boundary" in said or "singular" in said
            return None, "cards do not differ beyond chance" if bound else f"the fit does not converge ({said})"
        except np.linalg.LinAlgError:
            return None, "cards do not differ beyond chance"


def estimate_contrast(fit: MixedFit, weights: Mapping[str, float], n: int, confidence: float) -> Estimate:
    """A weighted sum of fixed effects with Student's t on Satterthwaite's degrees of freedom."""
    w = pd.Series(0.0, fit.effects.index)
    for name, value in weights.items():
        w[name] = value
    weight = w.to_numpy()
    value = float(weight @ fit.effects.to_numpy())
    error = np.sqrt(weight @ fit.covariance.to_numpy() @ weight)
    half = float(stats.t.ppf((1 + confidence) / 2, fit.degrees(weight)) * error)
    return Estimate(value, value - half, value + half, n)


def group_contrasts(
    fit: MixedFit, groups: Mapping[str, str], n: int, confidence: float
) -> tuple[dict[str, Estimate], list[dict[str, Any]]]:
    """Means of groups of models and their differences.

    Two intervals for each difference: for these very models (cards drawn anew), and for other models of the same kind
    (models drawn anew too: Welch's t on the models' means), which is wider and what a claim on "domain models" needs.

    Returns:
        group -> mean; rows of ``first``, ``second``, ``difference``, ``difference_of_kinds``, ``p``, ``p_holm``.
    """
    members: dict[str, list[str]] = {}
    effects = fit.effects
    for model in effects.index:
        if model in groups:
            members.setdefault(groups[model], []).append(model)
    weights = {g: {m: 1 / len(ms) for m in ms} for g, ms in members.items()}
    averages = {g: estimate_contrast(fit, w, n, confidence) for g, w in weights.items()}
    rows: list[dict[str, Any]] = []
    for a, b in combinations(members, 2):
        gap = estimate_contrast(fit, {**weights[a], **{m: -v for m, v in weights[b].items()}}, n, confidence)
        x, y = effects[members[a]].to_numpy(), effects[members[b]].to_numpy()
        if min(len(x), len(y)) < 2:
            kinds = Estimate(gap.value, n=len(x) + len(y), undefined="a group of one model says nothing about its kind")
            p = float("nan")
        else:
            test = stats.ttest_ind(x, y, equal_var=False)
            low, high = test.confidence_interval(confidence)
            kinds, p = (
                Estimate(float(x.mean() - y.mean()), float(low), float(high), len(x) + len(y)),
                float(test.pvalue),
            )
        rows.append({"first": a, "second": b, "difference": gap, "difference_of_kinds": kinds, "p": p})
    adjusted = adjust_holm([r["p"] for r in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row["p"] = None if np.isnan(row["p"]) else row["p"]
        row["p_holm"] = None if np.isnan(p) else float(p)
    return averages, rows
