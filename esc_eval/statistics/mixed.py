"""Groups of models, truncation and language in one mixed model: fixed effects of models, cards as random effect."""

import warnings
from collections.abc import Mapping
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


def mixed_fit(rows: pd.DataFrame, covariates: list[str]) -> tuple[pd.Series, pd.DataFrame, float, float]:
    """Fit score ~ model + covariates + (1 | card) by REML.

    Args:
        rows: One a dialogue: ``score``, ``model``, ``card`` and the covariates (numbers).
        covariates: Names of further columns, centred here.

    Returns:
        Fixed effects (a mean for each model, a slope for each covariate), their covariance, the cards' variance and the
        residual variance. Where the cards' variance is at its bound of zero, or the effects leave nothing unexplained,
        ordinary least squares.
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
    fit = None if np.isclose(plain.ssr, 0) else _fit_mixed(score, design, rows["card"])
    if fit is None:
        return pd.Series(plain.params, names), pd.DataFrame(plain.cov_params(), names, names), 0.0, float(plain.scale)
    covariance = pd.DataFrame(np.asarray(fit.cov_params())[:k, :k], names, names)
    return pd.Series(np.asarray(fit.fe_params), names), covariance, float(fit.cov_re[0, 0]), float(fit.scale)


def _fit_mixed(score: np.ndarray, design: pd.DataFrame, cards: pd.Series) -> Any:
    """The mixed model; None where it does not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # steps on the way, where cards or scores hardly differ
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return MixedLM(score, design.to_numpy(), cards.to_numpy()).fit(reml=True)
        except (ConvergenceWarning, np.linalg.LinAlgError):
            return None


def estimate_contrast(
    effects: pd.Series, covariance: pd.DataFrame, weights: Mapping[str, float], n: int, confidence: float
) -> Estimate:
    """A weighted sum of fixed effects with its Wald interval."""
    w = pd.Series(0.0, effects.index)
    for name, value in weights.items():
        w[name] = value
    weight, spread = w.to_numpy(), covariance.to_numpy()
    value = float(weight @ effects.to_numpy())
    half = float(stats.norm.ppf((1 + confidence) / 2) * np.sqrt(weight @ spread @ weight))
    return Estimate(value, value - half, value + half, n)


def group_contrasts(
    effects: pd.Series, covariance: pd.DataFrame, groups: Mapping[str, str], n: int, confidence: float
) -> tuple[dict[str, Estimate], list[dict[str, Any]]]:
    """Means of groups of models and their differences.

    Two intervals for each difference: for these very models (cards drawn anew), and for other models of the same kind
    (models drawn anew too: Welch's t on the models' means), which is wider and what a claim on "domain models" needs.

    Returns:
        group -> mean; rows of ``first``, ``second``, ``difference``, ``difference_of_kinds``, ``p``, ``p_holm``.
    """
    members: dict[str, list[str]] = {}
    for model in effects.index:
        if model in groups:
            members.setdefault(groups[model], []).append(model)
    weights = {g: {m: 1 / len(ms) for m in ms} for g, ms in members.items()}
    averages = {g: estimate_contrast(effects, covariance, w, n, confidence) for g, w in weights.items()}
    rows: list[dict[str, Any]] = []
    for a, b in combinations(members, 2):
        gap = estimate_contrast(
            effects, covariance, {**weights[a], **{m: -v for m, v in weights[b].items()}}, n, confidence
        )
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
