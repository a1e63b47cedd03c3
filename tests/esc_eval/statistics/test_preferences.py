"""Bradley-Terry against other software and by hand; ranks; intervals that cover what they should."""

import numpy as np
import pytest

from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.preferences import (
    Comparisons,
    estimate_rate,
    fit_bradley_terry,
    mean_chance,
    stand_by_preferences,
)

BOOT = Bootstrap(draws=200)


def rows_of(wins, cards=None):
    """Rows from counts {(first, second): (wins, ties, losses)}, each on a card of its own."""
    return [
        (first, second, outcome, f"c{n % (cards or 1000)}")
        for (first, second), counts in wins.items()
        for n, outcome in enumerate(
            outcome for outcome, times in zip((1.0, 0.5, 0.0), counts, strict=True) for _ in range(times)
        )
    ]


def stand(wins, cards=None, boot=BOOT):
    return stand_by_preferences(Comparisons.build(rows_of(wins, cards)), boot, flips=999)


@pytest.mark.slow  # statsmodels takes seconds to load
def test_strengths_are_those_of_logistic_regression():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    wins = rng.integers(1, 12, (5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    design, shares, weights = [], [], []
    for i in range(5):
        for j in range(i + 1, 5):
            row = np.zeros(5)
            row[i], row[j] = 1, -1
            design.append(row[:-1])
            shares.append(wins[i, j] / (wins[i, j] + wins[j, i]))
            weights.append(wins[i, j] + wins[j, i])
    fit = sm.GLM(shares, np.array(design), family=sm.families.Binomial(), var_weights=weights).fit()
    other = np.append(fit.params, 0)
    assert fit_bradley_terry(wins) == pytest.approx(other - other.mean(), abs=1e-6)


def test_two_supporters_have_the_odds_of_their_wins():
    for won, lost in ((3, 1), (1, 1), (1, 500)):
        strength = fit_bradley_terry([[0, won], [lost, 0]])
        assert strength[0] - strength[1] == pytest.approx(np.log(won / lost))


def test_many_tables_at_once_are_each_as_alone():
    wins = np.random.default_rng(1).random((7, 3, 3)) ** 4 + 1e-3
    for one, all_at_once in zip(wins, fit_bradley_terry(wins), strict=True):
        one = one - np.diag(np.diag(one))
        assert fit_bradley_terry(one) == pytest.approx(all_at_once, abs=1e-6)


def test_where_all_met_as_often_the_chance_is_the_share_of_wins():
    found = stand({("a", "b"): (12, 4, 4), ("a", "c"): (10, 0, 10), ("b", "c"): (3, 10, 7)})
    assert found.share["a"].value == pytest.approx((14 + 10) / 40, abs=1e-4)
    assert found.share["b"].value == pytest.approx((6 + 8) / 40, abs=1e-4)
    assert sum(one.value for one in found.share.values()) == pytest.approx(1.5)


def test_whom_one_has_met_counts():
    """a met only the strong c, b only the weak d, with equal shares: a is the better."""
    found = stand({("c", "d"): (16, 0, 4), ("a", "c"): (10, 0, 10), ("b", "d"): (10, 0, 10)})
    assert found.share["a"].value > found.share["b"].value


def test_a_supporter_that_wins_everything_has_a_finite_answer_and_says_why_no_strength():
    found = stand({("a", "b"): (20, 0, 0), ("a", "c"): (20, 0, 0), ("b", "c"): (10, 0, 10)})
    best = found.share["a"]
    assert best.value == pytest.approx(1, abs=1e-4)
    assert 0.8 < best.low < 0.95
    assert best.high == pytest.approx(1, abs=1e-4)
    assert found.strength["a"].value is None
    assert "a won every comparison" in found.strength["b"].undefined
    assert found.order[0] == "a"
    assert (found.ranks["a"].low, found.ranks["a"].high) == (1, 1)


def test_twenty_of_twenty_claim_no_certainty_between_two():
    [pair] = stand({("a", "b"): (20, 0, 0)}).pairs
    assert (pair.wins, pair.ties, pair.losses) == (20, 0, 0)
    assert pair.won.value == 1
    assert pair.won.low < 0.95
    assert pair.p < 0.01


def test_ties_alone_tell_nobody_apart():
    found = stand({("a", "b"): (0, 20, 0), ("b", "c"): (0, 20, 0)})
    assert found.groups == [["a", "b", "c"]]
    assert {rank.value for rank in found.ranks.values()} == {1}
    assert found.strength["a"].value == pytest.approx(0, abs=1e-9)
    assert all(pair.p_holm == 1 for pair in found.pairs)


def test_supporters_that_no_chain_joins_have_no_common_scale():
    found = stand({("a", "b"): (5, 0, 5), ("c", "d"): (5, 0, 5)})
    assert all(one.value is None and "chain" in one.undefined for one in found.share.values())
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("c", "d")]


def test_intervals_draw_cards_not_comparisons():
    alone = stand({("a", "b"): (30, 0, 10)}).share["a"]
    on_few = stand({("a", "b"): (30, 0, 10)}, cards=4).share["a"]
    assert (alone.n, alone.clusters) == (40, 40)
    assert (on_few.n, on_few.clusters) == (40, 4)


def test_one_card_gives_no_interval():
    found = stand({("a", "b"): (3, 0, 1)}, cards=1).share["a"]
    assert (found.low, found.high) == (None, None)
    assert "one cluster" in found.undefined


def test_the_order_of_rows_and_of_a_pair_makes_no_difference():
    wins = rows_of({("a", "b"): (5, 2, 3), ("b", "c"): (6, 1, 3)})
    turned = [(second, first, 1 - won, card) for first, second, won, card in wins]
    one, other = (stand_by_preferences(Comparisons.build(rows), BOOT, 99) for rows in (wins, turned))
    assert one.share == other.share
    assert one.order == other.order


def test_a_rate_of_nothing_says_why():
    assert estimate_rate([], [], BOOT, "no pair").undefined == "no pair"
    found = estimate_rate([1, 0.5, 0, 1], ["x", "x", "y", "z"], BOOT, "")
    assert (found.value, found.n, found.clusters) == (0.625, 4, 3)


def play(rng, supporters, cards, spread, ties):
    """Comparisons in which each card suits each supporter differently, so that those of a card go together."""
    level = np.linspace(-1, 1, supporters) * spread + rng.normal(0, 1, (cards, supporters))
    rows = []
    for card in range(cards):
        for i in range(supporters):
            for j in range(i):
                chance = 1 / (1 + np.exp(level[card, j] - level[card, i]))
                won = 0.5 if rng.random() < ties else float(rng.random() < chance)
                rows.append((f"s{i}", f"s{j}", won, f"c{card}"))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("supporters", "cards", "spread", "ties"), [(3, 20, 0.5, 0.3), (4, 24, 1.5, 0.2), (6, 60, 0.5, 0.3)]
)
def test_intervals_cover_in_the_situation_of_use(supporters, cards, spread, ties):
    """95% intervals of chance and strength; about 240 intervals, of which those of one run go together."""
    many = play(np.random.default_rng(99), supporters, 20000, spread, ties)
    strength = fit_bradley_terry(Comparisons.build(many).wins.sum(0))
    chance = mean_chance(strength)
    hits = []
    for number in range(120 // supporters):
        given = Comparisons.build(play(np.random.default_rng([number, supporters]), supporters, cards, spread, ties))
        found = stand_by_preferences(given, BOOT, flips=99)
        for i in range(supporters):
            for one, true in ((found.share[f"s{i}"], chance[i]), (found.strength[f"s{i}"], strength[i])):
                if one.value is not None:
                    hits.append(one.low <= true <= one.high)
    assert np.mean(hits) >= 0.9
