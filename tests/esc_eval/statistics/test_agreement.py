"""Agreement where people use it: the sparse overlap that ``plan`` writes, few dialogues, one level nearly always."""

import numpy as np
import pytest
from analysis_support import crossed

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.agreement import FEW_SHARED, Agreement, estimate_agreement, pair_mean
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings, pair_tables, rating_pairs
from esc_eval.statistics.power import annotation_plan

CUTS = [-1.2, -0.4, 0.4, 1.2]
RATERS = 10
SEVERITY = np.random.default_rng(77).normal(0, 0.3, RATERS)


def rate(rng: np.random.Generator, unit: np.ndarray, rater: np.ndarray, card: np.ndarray) -> Ratings:
    quality = rng.normal(0, 0.5, card.max() + 1)[card] + rng.normal(0, 0.7, len(card))
    level = np.searchsorted(CUTS, quality[unit] + SEVERITY[rater] + rng.normal(0, 0.6, len(unit)))
    names = tuple(f"r{i}" for i in range(RATERS))
    return Ratings(unit, rater, level.astype(np.intp), card, np.arange(5.0), names)


def planned(rng: np.random.Generator) -> Ratings:
    cards, models = 40, 3
    names = [[f"{i:02}" for i in range(n)] for n in (cards, models, RATERS)]
    plan = annotation_plan(crossed(*names[:2]), names[2], 2, 0.4, rng)
    unit = plan["card"].astype(int) * models + plan["model"].astype(int)
    return rate(rng, unit.to_numpy(), plan["rater"].astype(int).to_numpy(), np.arange(cards * models) // models)


def everybody(rng: np.random.Generator, units: int) -> Ratings:
    unit, rater = np.nonzero(np.ones((units, RATERS)))
    return rate(rng, unit, rater, np.arange(units) // 3)


def mean_of_kappas(ratings: Ratings) -> float:
    table = pair_tables(ratings, rating_pairs(ratings)).totals()["confusion"]
    return float(pair_mean(co.weighted_kappa(table, co.agreement_weights(ratings.levels)), table.sum((-1, -2))))


@pytest.mark.slow
def test_kappa_is_unbiased_in_the_design_that_plan_writes() -> None:
    rng = np.random.default_rng(0)
    truth = estimate_agreement(everybody(rng, 3000), Bootstrap(draws=100)).measures["quadratic_kappa"].value
    sparse = [planned(rng) for _ in range(40)]
    found = [estimate_agreement(r, Bootstrap(draws=100)).measures["quadratic_kappa"].value for r in sparse]
    assert np.mean(found) == pytest.approx(truth, abs=0.05)
    assert np.mean([mean_of_kappas(r) for r in sparse]) < truth - 0.1, "the figure of before: .399 for .531"


@pytest.mark.slow
def test_intervals_cover_in_the_design_that_plan_writes() -> None:
    rng = np.random.default_rng(1)
    truth = estimate_agreement(everybody(rng, 3000), Bootstrap(draws=100)).measures
    tries = [estimate_agreement(planned(rng), Bootstrap(draws=400)).measures for _ in range(150)]
    names = ("quadratic_kappa", "krippendorff_alpha_ordinal", "gwet_ac2", "icc_2_1")
    for name in (*names, "kappa", "exact", "within_one", "fleiss_kappa"):
        hits = np.mean([t[name].low <= truth[name].value <= t[name].high for t in tries])
        assert hits >= 0.93, name


def test_a_mean_over_pairs_that_share_little_has_no_interval() -> None:
    found = estimate_agreement(planned(np.random.default_rng(2)), Bootstrap(draws=100))
    assert found.shared < FEW_SHARED
    spearman = found.measures["spearman"]
    assert (spearman.low, spearman.high) == (None, None)
    assert "share" in spearman.undefined


def saturated(rng: np.random.Generator, units: int, share: float) -> Ratings:
    true = rng.choice(5, units, p=[(1 - share) / 4] * 4 + [share])[:, None]
    other = np.clip(true + rng.choice([-1, 1], (units, 3)), 0, 4)
    scores = np.where(rng.random((units, 3)) < 1 - (1 - share) / 2, true, other)
    return Ratings.from_matrix(scores, range(5))


@pytest.mark.slow
@pytest.mark.parametrize("units", [5, 20])
def test_agreement_covers_where_nearly_all_ratings_are_on_one_level(units: int) -> None:
    rng = np.random.default_rng(units)
    truth = estimate_agreement(saturated(rng, 50_000, 0.97), Bootstrap(draws=100)).measures
    tries = [estimate_agreement(saturated(rng, units, 0.97), Bootstrap(draws=200)).measures for _ in range(40)]
    for name in ("gwet_ac2", "within_one", "exact", "krippendorff_alpha_ordinal", "quadratic_kappa", "icc_2_1"):
        known = [t[name] for t in tries if t[name].value is not None]
        assert np.mean([e.low <= truth[name].value <= e.high for e in known]) >= 0.9, name
        assert all(-1 <= e.low <= e.value <= e.high <= 1 for e in known), name
    level = Ratings.from_matrix(np.full((units, 3), 4), range(5))
    alike: Agreement = estimate_agreement(level, Bootstrap(draws=200))
    for name in ("gwet_ac2", "within_one", "exact"):
        assert alike.measures[name].value == 1
        assert alike.measures[name].low < 0.9, "agreement in all of them is no certainty"
