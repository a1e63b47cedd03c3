"""What repeats of a card say: variances of card, repeat and judge, fragile cards, and what another repeat is worth."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM

from benchmarks.repeat_coverage import CENTRES, coverage_of_parts, coverage_of_seeds, coverage_of_ways
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.ranking import Board, rank_models
from esc_eval.statistics.repeats import (
    LESS_THAN_CHANCE,
    NEVER_DIFFER,
    NO_REPEATS,
    ONE_JUDGE,
    best_repeats,
    find_fragile,
    seed_interval,
    split_variance,
    spread_of_difference,
)

DYESTUFF = np.array(
    [
        [1545, 1440, 1440, 1520, 1580],
        [1540, 1555, 1490, 1560, 1495],
        [1595, 1550, 1605, 1510, 1560],
        [1445, 1440, 1595, 1465, 1545],
        [1595, 1630, 1515, 1635, 1625],
        [1520, 1455, 1450, 1480, 1445.0],
    ]
)


def codes(table):
    card, _ = np.indices(table.shape)
    return card.ravel(), np.arange(table.size)


def test_the_dyestuff_of_davies_is_split_as_published():
    # Davies 1947; Box & Tiao 1973, 5.1.2; lme4's vignette: REML 1764.05 between batches, 2451.25 within
    found = split_variance(DYESTUFF.ravel(), *codes(DYESTUFF))
    assert found.card.value == pytest.approx(1764.05, abs=0.01)
    assert found.repeat.value == pytest.approx(2451.25, abs=0.01)
    assert found.repeat_share == pytest.approx(2451.25 / (1764.05 + 2451.25), abs=1e-4)
    assert found.card.low < 1764 < found.card.high
    assert found.judge.undefined == found.rest.undefined == ONE_JUDGE


def test_judges_and_repeats_are_those_of_a_mixed_model():
    rng = np.random.default_rng(3)
    card, repeat, judge = (code.ravel() for code in np.indices((12, 3, 2)))
    dialogue = card * 3 + repeat
    score = 9 * rng.normal(size=12)[card] + 6 * rng.normal(size=36)[dialogue] + 4.0 * judge + 3 * rng.normal(size=72)
    found = split_variance(score, card, dialogue, judge)
    design = pd.DataFrame({"one": 1.0, "judge": judge.astype(float)})
    nested = {"dialogue": "0 + C(dialogue)"}
    rows = pd.DataFrame({"score": score, "dialogue": dialogue, **design})
    theirs = MixedLM.from_formula("score ~ judge", rows, groups=card, re_formula="1", vc_formula=nested).fit()
    assert found.card.value == pytest.approx(float(theirs.cov_re.iloc[0, 0]), rel=0.01)
    assert found.repeat.value == pytest.approx(float(theirs.vcomp[0]), rel=0.01)
    assert found.rest.value == pytest.approx(float(theirs.scale), rel=0.01)
    assert found.judge.value > 0
    assert found.judge.high > 10 * found.judge.value, "two judges say next to nothing of other judges"


def test_with_missing_repeats_and_ratings_the_variances_are_met_on_average():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(60):
        card, repeat, judge = (code.ravel() for code in np.indices((20, 3, 3)))
        dialogue = card * 3 + repeat
        score = rng.normal(size=20)[card] + 0.8 * rng.normal(size=60)[dialogue] + 0.5 * rng.normal(size=3)[judge]
        score = score + 0.6 * rng.normal(size=len(card))
        kept = rng.random(len(card)) < 0.7
        card, dialogue = (np.unique(code[kept], return_inverse=True)[1] for code in (card, dialogue))
        split = split_variance(score[kept], card, dialogue, judge[kept])
        found.append([split.card.value, split.repeat.value, split.judge.value, split.rest.value])
    assert np.mean(found, axis=0) == pytest.approx([1, 0.64, 0.25, 0.36], abs=0.14)


def test_one_repeat_leaves_card_and_repeat_one():
    found = split_variance(np.array([1.0, 2, 4, 3]), np.arange(4), np.arange(4))
    assert (found.card.value, found.repeat.value, found.card.undefined) == (None, None, NO_REPEATS)
    again = split_variance(np.array([1.0, 2, 4]), np.zeros(3, dtype=int), np.arange(3))
    assert again.card.value is None
    assert "one card alone" in again.card.undefined


def test_what_comes_out_below_zero_is_zero_and_what_never_differs_has_no_interval():
    crossed = np.array([[0.0, 4], [3, 0], [1, 4], [4, 3]])
    found = split_variance(crossed.ravel(), *codes(crossed))
    assert found.card.value == found.card.low == 0
    assert found.card.high > 0
    opposed = np.array([[0.0, 4], [4, 0], [0, 4], [4, 1]])
    assert split_variance(opposed.ravel(), *codes(opposed)).card.undefined == LESS_THAN_CHANCE
    same = np.repeat([[1.0], [3], [2]], 2, axis=1)
    found = split_variance(same.ravel(), *codes(same))
    assert (found.repeat.value, found.repeat.low, found.repeat.undefined) == (0, None, NEVER_DIFFER)
    assert found.card.value == pytest.approx(1)
    assert seed_interval(same, (0, 4)).low is None


def test_fragile_cards_are_those_whose_verdict_is_not_one():
    gaps = np.array([[1, -1, np.nan], [2, 0, 1], [-1, -1, -1], [1, np.nan, np.nan], [0, 0, 0.0]])
    found = find_fragile(gaps)
    assert (found.cards, found.n, found.share.value) == ((0,), 4, 0.25)
    # Clopper & Pearson 1934, one of four
    assert (found.share.low, found.share.high) == pytest.approx((0.0063, 0.8059), abs=1e-4)
    levels = np.array([[0, 1], [0, 2], [4, 1], [3, np.nan]])
    assert find_fragile(levels, steps=2).cards == (1, 2)
    assert find_fragile(levels[3:], steps=2).share.undefined == NO_REPEATS


def test_chance_is_what_cards_that_say_nothing_would_give_and_noise_what_alike_cards_would():
    rng = np.random.default_rng(1)
    nothing = find_fragile(rng.integers(0, 5, (300, 3)).astype(float), steps=2)
    assert nothing.share.value == pytest.approx(nothing.shuffled, abs=0.08)
    steady = find_fragile(np.repeat(rng.integers(0, 5, (300, 1)), 3, axis=1).astype(float), steps=2)
    assert steady.share.value == steady.noise == 0
    assert steady.shuffled > 0.7
    alike = find_fragile(rng.normal(0, 2, (400, 1)) + rng.normal(size=(400, 3)))
    assert alike.share.value == pytest.approx(alike.noise, abs=0.07)
    assert alike.shuffled > alike.noise + 0.2
    few = np.where(np.arange(300)[:, None] < 30, rng.choice([-9.0, 9.0], (300, 3)), 5 + 0.1 * rng.normal(size=(300, 3)))
    found = find_fragile(few)
    assert found.share.value < found.noise, "what a tenth of the cards holds is more than that tenth, if dealt to all"


def test_the_error_is_that_of_the_cards_means_and_more_repeats_do_less_than_more_cards():
    rng = np.random.default_rng(2)
    gaps = rng.normal(size=(15, 1)) + 2 * rng.normal(size=(15, 3))
    spread = spread_of_difference(gaps.ravel(), codes(gaps)[0])
    assert spread.error(15, 3).value == pytest.approx(gaps.mean(1).std(ddof=1) / np.sqrt(15))
    errors = [spread.error(15, k).value for k in (1, 2, 3, 5, 50)]
    assert errors == sorted(errors, reverse=True)
    assert all(spread.error(15 * k, 1).value <= spread.error(15, k).value for k in (2, 3, 5))
    assert spread_of_difference(gaps[:, 0], np.arange(15)) is None


def test_repeats_pay_where_a_card_costs_more_than_its_dialogues():
    def error(k, budget=120.0, card=1.0, repeat=4.0, cost=4.0):
        return (card + repeat / k) / (budget / (cost + k))

    best = best_repeats(4.0, 4.0)
    assert best == 4
    assert all(error(best) < error(k) for k in (1, 2, 3, 5, 8))
    assert best_repeats(4.0, 0.0) == 1
    assert best_repeats(None, 1.0) == float("inf")


def board(rows, **more):
    return Board.build(
        [(f"{m}{c}{k}", m, c, "empathy", "judge", float(x)) for m, c, k, x in rows], ["empathy"], (0, 4), **more
    )


def test_a_card_that_was_played_more_often_counts_no_more():
    rows = [("a", "x", 1, 0), ("a", "x", 2, 0), ("a", "x", 3, 0), ("a", "y", 1, 4), ("b", "x", 1, 1), ("b", "y", 1, 4)]
    even = rank_models(board(rows, even=True), Bootstrap(200))
    assert even.means["a"]["empathy"].value == 50
    assert even.means["a"]["empathy"].n == 4
    assert even.means["a"]["empathy"].clusters == 2
    [pair] = even.differences["empathy"]
    assert pair["difference"].value == pytest.approx(12.5), "(25 + 0) / 2, each card once"
    assert not even.equal
    assert rank_models(board(rows), Bootstrap(200)).means["a"]["empathy"].value == 25, "every dialogue once"


def test_missing_repeats_could_move_a_mean_only_by_their_part_of_the_card():
    rows = [("a", "x", 1, 2), ("a", "x", 2, np.nan), ("a", "y", 1, 2), ("b", "x", 1, 2), ("b", "y", 1, 2)]
    found = rank_models(board(rows, even=True), Bootstrap(200))
    assert found.bounds["a"] == (37.5, 62.5)
    assert found.missing["a"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("centres", CENTRES.values(), ids=CENTRES)
def test_cards_drawn_hold_the_truth_where_repeats_are_missing(centres):
    found = coverage_of_ways(centres, 10, 3, 0.3, 60)[0, :, 0]
    assert (found >= 0.88).all()


@pytest.mark.slow
@pytest.mark.parametrize(("cards", "repeats"), [(5, 2), (20, 3)])
def test_variances_errors_and_other_seeds_are_held(cards, repeats):
    centres = CENTRES["middle"]
    assert (coverage_of_parts(centres, cards, repeats, 0.3, 200) >= 0.9).all()
    assert coverage_of_seeds(centres[0], cards, repeats, 0.3, 300) >= 0.9
