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


def partly_scored(rng: np.random.Generator, rated: int, each: int = 1, gap: float = 1.5) -> tuple[np.ndarray, ...]:
    """Levels and predictions where the scorer leaves half unscored, which people rate lower by ``gap``."""
    card = np.repeat(np.arange(rated // each + 100), each)
    hidden = rng.normal(0, 0.7, card.max() + 1)[card] + rng.normal(0, 0.7, len(card))
    without = rng.random(len(card)) < 0.5
    human = np.clip(np.round(2.4 + hidden - gap * without), 0, 4)
    guess = np.where(without, np.nan, 0.7 * hidden + rng.normal(0, 0.7, len(card)))
    seen = card < rated // each
    return human[seen], guess[seen], guess[~seen], card[seen], card[~seen]


@pytest.mark.slow
@pytest.mark.parametrize(("rated", "each"), [(6, 1), (12, 1), (30, 1), (100, 1), (60, 3)])
def test_intervals_hold_the_mean_of_all_where_the_unscored_are_rated_lower(rated: int, each: int) -> None:
    rng = np.random.default_rng(5)
    truth = partly_scored(rng, 200_000)[0].mean()
    held, dropped, gained = [], [], []
    for _ in range(300):
        human, guess, others, card, other_card = partly_scored(rng, rated, each)
        found = ppi_mean(human, guess, others, cluster_labelled=card, cluster_unlabelled=other_card, bounds=(0, 4))
        held.append(found.low <= truth <= found.high)
        gained.append(found.width / found.classical_width)
        scored = ~np.isnan(guess)
        if len(np.unique(card[scored])) >= 3:
            left = ppi_mean(
                human[scored],
                guess[scored],
                others[~np.isnan(others)],
                cluster_labelled=card[scored],
                cluster_unlabelled=other_card[~np.isnan(others)],
                bounds=(0, 4),
            )
            dropped.append(left.low <= truth <= left.high)
    assert np.mean(held) >= 0.93
    assert np.mean(dropped) < 0.5 or rated < 30
    assert np.mean(gained) < 0.95 or rated < 30


def test_every_human_score_counts_though_the_scorer_left_its_dialogue_unscored() -> None:
    human, guess, others, *_ = partly_scored(np.random.default_rng(6), 60)
    found = ppi_mean(human, guess, others)
    assert (found.labelled, found.unlabelled) == (60, 100)
    assert found.labelled_unscored == np.isnan(guess).sum() > 0
    assert found.unlabelled_unscored == np.isnan(others).sum() > 0
    assert found.shares_used


def test_a_scorer_that_scores_nothing_leaves_the_mean_of_people() -> None:
    rng = np.random.default_rng(7)
    human = rng.choice(5, 20).astype(float)
    found = ppi_mean(human, np.full(20, np.nan), np.full(50, np.nan))
    assert (found.value, found.power, found.saved) == (human.mean(), 0, 0)
    assert found.width == found.classical_width
    assert found.width == pytest.approx(2 * stats.t.ppf(0.975, 19) * human.std(ddof=1) / np.sqrt(20))


def test_with_useless_predictions_it_is_the_mean_of_both_parts_weighted_by_their_shares() -> None:
    rng = np.random.default_rng(8)
    human, guess, others, *_ = partly_scored(rng, 60)
    plain = [np.where(np.isnan(v), np.nan, 1.0) for v in (guess, others)]
    found = ppi_mean(human, *plain)
    without, among = np.isnan(guess), np.isnan(others)
    weighted = np.mean(among) * human[without].mean() + np.mean(~among) * human[~without].mean()
    spread = human[without].mean() - human[~without].mean()
    toward = (found.value - human.mean()) / (np.mean(among) - without.mean()) / spread
    assert 0.5 < toward <= 1  # the others' share is a sample too, so the correction is not the whole of it
    assert abs(found.value - weighted) < abs(human.mean() - weighted)


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (1.0, np.inf)])
def test_a_human_score_that_is_no_number_and_an_infinite_prediction_are_refused(bad: tuple[float, float]) -> None:
    human, guess = (np.array([value, 1.0, 2.0, 3.0]) for value in bad)
    with pytest.raises(ValueError, match="must be finite"):
        ppi_mean(human, guess, np.ones(3))


@pytest.mark.slow
def test_a_difference_holds_where_one_model_is_mostly_unscored() -> None:
    rng = np.random.default_rng(9)
    hits = []
    for _ in range(300):
        ease = rng.normal(0, 1, 140)
        models = []
        for quality, share in ((1.0, 0.8), (0.4, 0.1)):
            without = rng.random(140) < share
            truth = quality + ease - without + rng.normal(0, 0.5, 140)
            guess = np.where(without, np.nan, truth + rng.normal(0, 0.5, 140))
            card = np.arange(140)
            models.append(Scores.check(truth[:40], guess[:40], guess[40:], card[:40], card[40:]))
        found = ppi_difference(*models)
        hits.append(found.low <= 0.6 - 0.7 <= found.high)
    assert np.mean(hits) >= 0.91
