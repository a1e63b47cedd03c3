"""What changes with the seeker: by hand on a few numbers, what is missing, and what the intervals cover."""

import numpy as np
import pytest

from esc_eval.statistics.bootstrap import Bootstrap, estimate_group_means
from esc_eval.statistics.seekers import ALIKE, NO_CARD, NO_SHARED, compare_seekers

BOOT = Bootstrap(draws=300)


def table(cube):
    """Values, cards, supporters and seekers of a cube of shape (cards, supporters, seekers)."""
    cards, supporters, seekers = (index.ravel() for index in np.indices(cube.shape))
    return cube.ravel(), [f"c{i}" for i in cards], supporters, seekers


def test_means_gaps_and_changes_by_hand():
    cube = np.array([[[50, 40], [30, 30]], [[60, 40], [40, 30]], [[70, 40], [20, 30]]], dtype=float)
    found = compare_seekers(*table(cube), BOOT, 199)
    assert {cell: mean.value for cell, mean in found.means.items()} == {(0, 0): 60, (0, 1): 40, (1, 0): 30, (1, 1): 30}
    assert [(g.supporters, g.difference.value, g.difference.n) for g in found.gaps] == [((0,), 20, 3), ((1,), 0, 3)]
    assert [(g.supporters, g.difference.value) for g in found.together] == [((0, 1), 10)]
    assert [(g.supporters, g.difference.value) for g in found.order] == [((0, 1), 20)]
    assert found.spread[0].value == pytest.approx(np.std([60, 40], ddof=1))
    assert (found.spread[1].value, found.spread[1].low, found.spread[1].undefined) == (0, None, ALIKE)


def test_two_seekers_say_next_to_nothing_of_seekers_at_large():
    rng = np.random.default_rng(0)
    spread = {}
    for seekers in (2, 3, 8):
        shift = np.resize([0, 10], seekers)
        [spread[seekers]] = compare_seekers(*table(40 + shift + rng.normal(0, 1, (12, 1, seekers))), BOOT, 99).spread
    width = {k: one.high / one.low for k, one in spread.items()}
    assert width[2] > width[3] > width[8]
    assert spread[2].high == 50, "half the scale: no bound at all"


def test_cards_that_one_seeker_did_not_play_are_left_out_of_pairs_and_of_nothing_else():
    cube = np.array([[[50, 40]], [[60, np.nan]], [[70, 40]]])
    found = compare_seekers(*table(cube), BOOT, 99)
    assert found.means[0, 0].value == 60
    assert (found.gaps[0].difference.value, found.gaps[0].difference.n) == (20, 2)
    assert found.spread[0].clusters == 2
    assert found.order == found.together == []


def test_seekers_without_a_shared_card_have_no_difference_and_it_says_why():
    cube = np.array([[[50, np.nan]], [[np.nan, 40]], [[70, np.nan]]])
    found = compare_seekers(*table(cube), BOOT, 99)
    assert (found.gaps[0].difference.value, found.gaps[0].difference.undefined) == (None, NO_CARD)
    assert found.gaps[0].p_holm is None
    assert found.spread[0].undefined == NO_SHARED
    assert compare_seekers(*table(cube * np.nan), BOOT, 99).means == {}


def test_several_dialogues_of_a_card_are_its_mean():
    found = compare_seekers(
        [50, 60, 40, 55, 40], ["a", "a", "a", "b", "b"], np.zeros(5, int), np.array([0, 0, 1, 0, 1]), BOOT, 99
    )
    assert found.gaps[0].difference.value == pytest.approx((15 + 15) / 2)


def count_covered(trials, cards=24, seekers=2, seed=7):
    """Shares of simulated runs whose interval holds the mean of these seekers, and that of seekers at large.

    Levels 0..4 in points: seekers, cards and dialogues each add their luck.
    """
    rng, boot = np.random.default_rng(seed), Bootstrap(draws=400)
    covered = {"these": 0, "at large": 0, "these, dialogues drawn": 0}

    def levels(shift, card):
        latent = 2.2 + shift + card + rng.normal(0, 0.7, (len(card), len(shift)))
        return 25 * np.clip(np.round(latent), 0, 4)

    at_large = levels(rng.normal(0, 0.5, 4000), rng.normal(0, 0.6, (2000, 1))).mean()
    for _ in range(trials):
        shift = rng.normal(0, 0.5, seekers)
        truth = levels(shift, rng.normal(0, 0.6, (20_000, 1))).mean()
        values, card, *_ = table(levels(shift, rng.normal(0, 0.6, (cards, 1)))[:, None, :])
        pooled = estimate_group_means(values[:, None], card, [0] * len(card), boot).each[0][0]
        naive = estimate_group_means(values[:, None], range(len(card)), [0] * len(card), boot).each[0][0]
        covered["these"] += pooled.low <= truth <= pooled.high
        covered["at large"] += pooled.low <= at_large <= pooled.high
        covered["these, dialogues drawn"] += naive.low <= truth <= naive.high
    return {what: n / trials for what, n in covered.items()}


@pytest.mark.slow
def test_the_pooled_interval_covers_the_mean_of_these_seekers_and_not_that_of_seekers_at_large():
    shares = count_covered(400)
    assert shares["these"] >= 0.94, shares
    assert shares["these, dialogues drawn"] < shares["these"] - 0.03, shares
    assert shares["at large"] < 0.8, shares
