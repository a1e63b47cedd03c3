"""Variance components and what is built on them: ICC with random raters, power, and the degrees of freedom of t."""

import numpy as np
import pandas as pd
import pytest
from analysis_support import crossed
from statsmodels.regression.linear_model import OLS
from statsmodels.regression.mixed_linear_model import MixedLM

from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.mixed import estimate_contrast, mixed_fit
from esc_eval.statistics.power import annotation_plan, cards_needed, estimate_components
from esc_eval.statistics.variance import icc_interval, mean_squares

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7.0]])


def test_shrout_and_fleiss_1979_mean_squares_and_interval() -> None:
    # their table 4: 11.24, 32.49, 1.02; interval of ICC(2,1) as R's psych::ICC and pingouin give it: .019 to .761
    unit, rater = np.indices(SHROUT_FLEISS.shape)
    table = mean_squares(SHROUT_FLEISS.ravel(), unit.ravel(), rater.ravel())
    assert (table.unit, table.rater, table.error) == pytest.approx((11.24, 32.49, 1.02), abs=5e-3)
    assert icc_interval(table, 0.95) == pytest.approx((0.019, 0.761), abs=5e-4)
    found = estimate_agreement(Ratings.from_matrix(SHROUT_FLEISS, range(1, 11)), Bootstrap(draws=500)).measures
    assert found["icc_2_1"].low <= 0.019
    assert found["icc_2_1"].high >= 0.761


@pytest.mark.parametrize("seed", range(4))
def test_with_gaps_mean_squares_are_differences_of_least_squares_fits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    unit, rater = np.nonzero(rng.random((30, 6)) < 0.4)
    unit = np.unique(unit, return_inverse=True)[1]
    y = rng.normal(size=len(unit)) + rng.normal(size=30)[unit] + rng.normal(size=6)[rater]
    units, raters = (np.eye(code.max() + 1)[code] for code in (unit, rater))
    full = OLS(y, np.concatenate([units, raters[:, 1:]], axis=1)).fit()
    units, raters = OLS(y, units).fit(), OLS(y, raters).fit()
    table = mean_squares(y, unit, rater)
    assert table.error == pytest.approx(full.ssr / full.df_resid)
    assert table.rater == pytest.approx((units.ssr - full.ssr) / (units.df_resid - full.df_resid))
    assert table.unit == pytest.approx((raters.ssr - full.ssr) / (raters.df_resid - full.df_resid))


def study(
    rng: np.random.Generator,
    cards: int,
    models: int,
    raters: int,
    each: int,
    overlap: float,
    severity: float = 100.0,
    repeated: int = 1,
) -> pd.DataFrame:
    """A planned study: model x card 36, severity as given, single rating 64; 25 more between repetitions."""
    names = [[f"{kind}{i}" for i in range(n)] for kind, n in (("c", cards), ("m", models), ("r", raters))]
    plan = pd.concat(
        [annotation_plan(crossed(*names[:2]), names[2], each, overlap, rng).assign(again=k) for k in range(repeated)]
    )
    cell = plan["card"] + plan["model"]
    plan["dialogue_id"] = cell + plan["again"].astype(str)
    score = np.zeros(len(plan))
    sizes = ((plan["card"], 10), (cell, 6), (plan["rater"], severity**0.5), (plan["dialogue_id"], 5 * (repeated > 1)))
    for labels, sd in sizes:
        code, levels = pd.factorize(labels)
        score = score + rng.normal(0, sd, len(levels))[code]
    return plan.assign(score=score + rng.normal(0, 8, len(plan)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "interaction"),
    [
        ((20, 3, 2, 2, 1.0, 84.0), 36),  # two raters on everything: severity was 169 for 84
        ((60, 3, 8, 2, 0.3), 36),  # sparse: severity was about 61 for 100
        ((30, 3, 5, 2, 0.5, 100.0, 2), 61),  # a model plays each card twice: both variances count
    ],
)
def test_components_are_unbiased_in_planned_studies(design: tuple, interaction: float) -> None:
    severity = design[5] if len(design) > 5 else 100.0
    tries = [estimate_components(study(np.random.default_rng(seed), *design)) for seed in range(80)]
    error = severity * np.sqrt(2 / (design[2] - 1) / len(tries))
    assert np.mean([t.severity for t in tries]) == pytest.approx(severity, abs=3 * error + 5)
    assert np.mean([t.error for t in tries]) == pytest.approx(64, rel=0.04)
    assert np.mean([t.interaction for t in tries]) == pytest.approx(interaction, rel=0.08)


@pytest.mark.slow
def test_cards_needed_are_those_of_the_true_components() -> None:
    # before, 172 cards were asked for where 133 were needed
    truth = 2 * (36 + 64 / 2)
    needed = (1.96 + 0.8416) ** 2 * truth / 4**2 + 1
    tries = [estimate_components(study(np.random.default_rng(seed), 60, 3, 8, 2, 0.3)) for seed in range(40)]
    assert np.mean([cards_needed(t, 4.0, 2) for t in tries]) == pytest.approx(needed, rel=0.06)


def played(rng: np.random.Generator, cards: int, models: int, missing: float = 0.0) -> pd.DataFrame:
    rows = [
        {"card": card, "model": f"m{m}", "score": 50 + 5 * m + ease + rng.normal(0, 8)}
        for card in range(cards)
        for ease in [rng.normal(0, 8)]
        for m in range(models)
        if m == 0 or card < 2 or rng.random() >= missing
    ]
    return pd.DataFrame(rows)


def test_degrees_of_freedom_and_covariance_of_the_mixed_model() -> None:
    rows = played(np.random.default_rng(0), 6, 3)
    fit = mixed_fit(rows, [])
    assert fit.card > 0
    assert fit.degrees(np.array([1.0, -1.0, 0.0])) == pytest.approx(5 * 2), "(cards - 1)(models - 1) without gaps"
    assert 5 <= fit.degrees(np.array([1.0, 0.0, 0.0])) <= 15
    theirs = MixedLM(rows["score"], pd.get_dummies(rows["model"], dtype=float), rows["card"]).fit(reml=True)
    assert fit.covariance.to_numpy() == pytest.approx(np.asarray(theirs.cov_params())[:3, :3], rel=1e-6)


def test_least_squares_in_place_of_the_mixed_model_is_said() -> None:
    rows = played(np.random.default_rng(0), 6, 2)
    rows["score"] = [75.0, 50.0] * 6
    assert "least squares without cards" in mixed_fit(rows, []).note


@pytest.mark.slow
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_contrasts_of_the_mixed_model_cover_at_five_cards(missing: float) -> None:
    rng = np.random.default_rng(1)
    hits, tries = np.zeros(2), 400
    for _ in range(tries):
        fit = mixed_fit(played(rng, 5, 4, missing), [])
        gap = estimate_contrast(fit, {"m1": 1, "m0": -1}, 1, 0.95)
        half = 1.96 * np.sqrt(fit.covariance.loc["m1", "m1"] + fit.covariance.loc["m0", "m0"]
                              - 2 * fit.covariance.loc["m1", "m0"])  # fmt: skip
        hits += [gap.low <= 5 <= gap.high, abs(gap.value - 5) <= half]
    covered, before = hits / tries
    assert covered >= 0.93
    assert before < covered - 0.01, "the normal interval of before: .897"
