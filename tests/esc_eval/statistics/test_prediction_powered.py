"""Prediction-powered means on a scale with ends, differences of models, and how many more ratings tell them apart."""

import numpy as np
import pytest
from scipy import stats

from esc_eval.statistics.prediction_powered import Scores, ppi_difference, ppi_mean

SHARES = {4.0: 0.9, 1.0: 0.1}
TRUTH = sum(level * share for level, share in SHARES.items())


def saturated(rng: np.random.Generator, n: int, extra: int = 200) -> tuple[np.ndarray, ...]:
    """Human scores of which nine in ten are the highest, and predictions that know a little of them."""
    truth = rng.choice(list(SHARES), n + extra, p=list(SHARES.values()))
    guess = 0.5 * truth + rng.normal(0, 1, n + extra)
    return truth[:n], guess[:n], guess[n:]


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10, 20])
def test_intervals_of_saturated_scores_hold_the_mean_where_those_without_ends_miss_it(n: int) -> None:
    rng = np.random.default_rng(0)
    studies = [saturated(rng, n) for _ in range(300)]
    plain, ended = ([ppi_mean(*study, bounds=b) for study in studies] for b in (None, (0.0, 4.0)))
    hits = [np.mean([r.low <= TRUTH <= r.high for r in found]) for found in (plain, ended)]
    assert hits[0] < 0.9
    assert hits[1] >= 0.95
    assert all(0 <= r.low <= r.value <= r.high <= 4 for r in ended)
    assert all(r.saturated == (np.mean(study[0] == 4) >= 0.8) for r, study in zip(ended, studies, strict=True))


def test_scores_that_are_all_alike_have_an_interval_that_is_no_point() -> None:
    rng = np.random.default_rng(0)
    found = ppi_mean(np.full(10, 4.0), rng.normal(3, 1, 10), rng.normal(3, 1, 100), bounds=(0, 4))
    assert found.high == 4
    assert found.low < 3.5
    assert not ppi_mean(np.full(10, 4.0), rng.normal(3, 1, 10), rng.normal(3, 1, 100)).saturated


def test_the_ends_of_the_scale_widen_little_where_scores_spread() -> None:
    rng = np.random.default_rng(0)
    y, f, g = rng.choice(5, 100).astype(float), rng.normal(size=100), rng.normal(size=300)
    plain, ended = (ppi_mean(y, f, g, bounds=b, power=0.0) for b in (None, (0.0, 4.0)))
    assert 1 < ended.width / plain.width < 1.05


def test_predictions_that_spread_less_than_people_are_stretched() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(2, 1, 600)
    guess = 0.2 * truth + rng.normal(0, 0.05, 600)
    found = ppi_mean(truth[:100], guess[:100], guess[100:])
    assert found.power > 3
    assert found.width < 0.6 * found.classical_width


def model(rng: np.random.Generator, ease: np.ndarray, quality: float, rated: int) -> Scores:
    truth = quality + ease + rng.normal(0, 0.5, len(ease))
    guess = truth + rng.normal(0, 0.5, len(ease))
    card = np.arange(len(ease))
    return Scores.check(truth[:rated], guess[:rated], guess[rated:], card[:rated], card[rated:])


def test_a_difference_pairs_the_cards_and_covers() -> None:
    rng = np.random.default_rng(1)
    hits, widths, apart = [], [], []
    for _ in range(200):
        ease = rng.normal(0, 1, 200)
        first, second = model(rng, ease, 1.0, 40), model(rng, ease, 0.4, 40)
        found = ppi_difference(first, second)
        hits.append(found.low <= 0.6 <= found.high)
        widths.append(found.width)
        single = ppi_mean(first.human, first.predicted, first.others)
        apart.append(np.sqrt(2) * single.width)
    assert np.mean(hits) >= 0.91
    assert np.mean(widths) < 0.75 * np.mean(apart)


@pytest.mark.slow
def test_labels_needed_give_the_power_that_they_promise() -> None:
    rng = np.random.default_rng(2)
    pilot = ppi_difference(*(model(rng, rng.normal(0, 1, 2000), 0.0, 400) for _ in range(2)))
    needed = pilot.labels_needed(0.4, 0.8)
    without = pilot.labels_needed(0.4, 0.8, predictions=False)
    assert needed < 0.7 * without
    found = []
    for _ in range(150):
        pair = [model(rng, rng.normal(0, 1, 2000), quality, needed // 2) for quality in (0.4, 0.0)]
        result = ppi_difference(*pair)
        found.append(result.low > 0)
    assert 0.7 <= np.mean(found) <= 0.92


def test_too_few_predicted_dialogues_save_no_rating_and_cost_none() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(0, 1, 310)
    few = [Scores.check(truth[i : i + 100], truth[i : i + 100], truth[300 : 305 + i // 50]) for i in (0, 100)]
    found = ppi_difference(*few)
    assert found.power > 0
    for difference in (0.05, 0.2, 0.5, 2.0):
        assert found.labels_needed(difference, 0.8) <= found.labels_needed(difference, 0.8, predictions=False)
    assert found.labels_needed(0.05, 0.8) == found.labels_needed(0.05, 0.8, predictions=False)


def test_of_the_variance_the_parts_are_the_whole() -> None:
    rng = np.random.default_rng(4)
    found = ppi_mean(*saturated(rng, 30), bounds=(0, 4))
    half = float(stats.t.ppf(0.975, 30 - 1 - (found.power > 0))) * np.sqrt(found.of_labelled + found.of_unlabelled)
    assert found.width == pytest.approx(2 * half)
