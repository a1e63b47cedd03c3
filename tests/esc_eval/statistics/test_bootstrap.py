import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from esc_eval.statistics.bootstrap import (
    Bootstrap,
    bootstrap_mean,
    estimate_gaps,
    estimate_group_means,
    estimate_share,
    percentile_levels,
)


def test_it_agrees_with_scipys_bootstrap_without_clusters():
    values = np.random.default_rng(1).normal(50, 10, 200)
    ours = bootstrap_mean(values, draws=20_000, seed=0)
    low, high = percentile_levels(200, 0.95)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", confidence_level=high - low, rng=2
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.15)


def test_for_a_mean_of_normal_values_it_agrees_with_students_t():
    values = np.random.default_rng(3).normal(0, 1, 12)
    ours = bootstrap_mean(values, draws=40_000)
    theirs = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("clusters", [12, 60])
def test_it_covers_what_it_claims_when_dialogues_share_cards(clusters):
    rng = np.random.default_rng(5)
    hits, trials, size = 0, 500, 4
    for _ in range(trials):
        card = np.repeat(rng.normal(0, 1, clusters), size)
        estimate = bootstrap_mean(
            card + rng.normal(0, 1, card.size), np.repeat(np.arange(clusters), size).tolist(), draws=600, seed=1
        )
        hits += estimate.low <= 0 <= estimate.high
    assert 0.92 <= hits / trials <= 0.975


def test_ignoring_the_clusters_would_be_too_narrow():
    rng = np.random.default_rng(7)
    cards = np.repeat(np.arange(30), 5)
    values = rng.normal(0, 1, 30)[cards] + rng.normal(0, 0.2, 150)
    clustered, single = bootstrap_mean(values, cards.tolist()), bootstrap_mean(values)
    assert clustered.high - clustered.low > 1.7 * (single.high - single.low)
    assert (clustered.n, clustered.clusters) == (150, 30)


values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(values, st.integers(0, 3))
def test_an_interval_lies_among_the_values_and_repeats(data, seed):
    one, two = (bootstrap_mean(data, draws=200, seed=seed) for _ in range(2))
    assert one == two
    assert min(data) - 1e-6 <= one.low <= one.high <= max(data) + 1e-6


def test_seed_zero_is_a_seed():
    data = np.arange(10.0)
    assert bootstrap_mean(data, seed=0) == bootstrap_mean(data, seed=0)
    assert bootstrap_mean(data, seed=0) != bootstrap_mean(data, seed=1)


def test_missing_values_are_left_out_of_their_column_only():
    nan, boot = np.nan, Bootstrap()
    means = estimate_group_means([[1, 2, nan], [3, nan, nan], [2, 4, nan]], ["a", "b", "c"], [0, 0, 0], boot)
    assert [(e.value, e.n, e.clusters) for e in means.each[0]] == [(2.0, 3, 3), (3.0, 2, 2), (None, 0, 0)]
    assert means.each[0][2].undefined == "no score"
    assert means.average[0].value is None
    means = estimate_group_means([[1, 2], [3, nan], [2, 4]], ["a", "b", "c"], [0, 0, 0], boot)
    assert means.average[0].value == pytest.approx(2.5)


def test_groups_share_their_draws_and_a_turned_column_enters_the_average_the_other_way():
    rng = np.random.default_rng(2)
    table = rng.integers(0, 5, (24, 2)) * 25.0
    cards, groups = [f"c{i % 12}" for i in range(24)], [i // 12 for i in range(24)]
    both = estimate_group_means(table, cards, groups, Bootstrap(seed=3), turned={1: 100.0})
    for group in (0, 1):
        own = slice(12 * group, 12 * group + 12)
        alone = estimate_group_means(table[own], cards[own], [0] * 12, Bootstrap(seed=3), turned={1: 100.0})
        assert both.each[group] == alone.each[0]
        assert both.average[group] == alone.average[0]
        first, second = table[own].mean(0)
        assert both.average[group].value == pytest.approx((first + 100 - second) / 2)


def test_one_cluster_has_no_interval():
    estimate = bootstrap_mean([1, 2, 3], ["a", "a", "a"])
    assert (estimate.value, estimate.low, estimate.high) == (2, None, None)


@pytest.mark.parametrize(
    ("data", "clusters", "complaint"),
    [
        ([], None, "at least one"),
        ([1, np.nan], None, "finite"),
        ([1, np.inf], None, "finite"),
        ([1, 2], ["a"], "labels"),
    ],
)
def test_what_has_no_mean_is_refused(data, clusters, complaint):
    with pytest.raises(ValueError, match=complaint):
        bootstrap_mean(data, clusters)


def saturated(rng: np.random.Generator, cards: int, share: float, tables: int) -> np.ndarray:
    """Points on five levels, ``share`` of them on the top one, the rest evenly on the others: (cards, tables)."""
    return rng.choice(np.arange(5) * 25.0, (cards, tables), p=[(1 - share) / 4] * 4 + [share])


def coverage(found: list, truth: float) -> float:
    return float(np.mean([e.low <= truth <= e.high for e in found]))


@pytest.mark.slow
@pytest.mark.parametrize(("cards", "before"), [(5, 0.14), (20, 0.46)])
def test_a_mean_covers_where_nearly_all_scores_are_on_one_level(cards: int, before: float) -> None:
    truth = 97 + 3 * 37.5 / 100
    table = saturated(np.random.default_rng(0), cards, 0.97, 400)
    found = estimate_group_means(table, range(cards), [0] * cards, Bootstrap(draws=1000)).each[0]
    assert coverage(found, truth) >= 0.93
    percentiles = [bootstrap_mean(column, draws=200) for column in table.T]
    assert coverage(percentiles, truth) == pytest.approx(before, abs=0.08), "the figure of before"
    assert all(0 <= e.low <= e.value <= e.high <= 100 for e in found)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [(0, 4), (0, 2), (1, 5), (0, 100)])
@pytest.mark.parametrize("cards", [5, 10, 20, 50, 100])
def test_a_mean_covers_on_every_scale(scale: tuple[int, int], cards: int) -> None:
    rng = np.random.default_rng(cards)
    levels = np.arange(scale[0], scale[1] + 1)
    for share in (0.5, 0.8, 0.9, 0.97, 1.0):
        for mode in (len(levels) - 1, len(levels) // 2):
            p = np.full(len(levels), (1 - share) / (len(levels) - 1))
            p[mode] = share
            several = rng.choice(levels, (cards, 3, 500), p=p).astype(float)
            several[rng.random(several.shape) < 0.3] = np.nan  # three ratings a card, a third of them missing
            codes = np.repeat(np.arange(cards), 3)
            for table, clusters in ((several[:, 0], range(cards)), (several.reshape(-1, 500), codes.tolist())):
                known = np.where(np.isnan(table), rng.choice(levels, table.shape, p=p), table)
                boot = Bootstrap(draws=1000)
                found = estimate_group_means(known, clusters, [0] * len(known), boot, scale=scale).each[0]
                assert coverage(found, float(p @ levels)) >= 0.92, (share, mode)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 9), (20, 20), (57, 60)])
def test_of_shares_the_limits_are_beta_quantiles_with_half_an_unseen_case(hits: int, n: int) -> None:
    found = bootstrap_mean([1.0] * hits + [0.0] * (n - hits), scale=(0, 1), draws=40_000)
    low = stats.beta.ppf(0.025, hits, n - hits + 0.5) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 0.5, n - hits) if hits < n else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.008)


def test_where_scores_vary_the_interval_is_about_as_wide_as_students_t() -> None:
    table = np.random.default_rng(0).choice(np.arange(5) * 25.0, (20, 300), p=[0.1, 0.2, 0.4, 0.2, 0.1])
    found = estimate_group_means(table, range(20), [0] * 20, Bootstrap(draws=500)).each[0]
    t = 2 * stats.t.ppf(0.975, 19) * table.std(0, ddof=1).mean() / np.sqrt(20)
    assert 0.9 < np.mean([e.high - e.low for e in found]) / t < 1.15
    gaps = np.random.default_rng(1).normal(0, 12, (20, 300))
    found = estimate_gaps(gaps, range(20), Bootstrap(draws=500))
    t = 2 * stats.t.ppf(0.975, 19) * gaps.std(0, ddof=1).mean() / np.sqrt(20)
    assert 0.9 < np.mean([e.high - e.low for e in found]) / t < 1.2
    assert coverage(found, 0.0) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("cards", [5, 20])
def test_a_difference_covers_where_nearly_all_are_zero(cards: int) -> None:
    rng = np.random.default_rng(0)
    gaps = saturated(rng, cards, 0.97, 400) - saturated(rng, cards, 0.9, 400)
    found = estimate_gaps(gaps, range(cards), Bootstrap(draws=1000))
    assert coverage(found, (0.97 - 0.9) * 62.5) >= 0.93
    assert coverage([bootstrap_mean(column, draws=200) for column in gaps.T], 0.07 * 62.5) < 0.9, "as before"
    nothing = estimate_gaps(np.zeros((cards, 1)), range(cards), Bootstrap(draws=1000))[0]
    assert nothing.low < 0 < nothing.high


def test_values_off_the_scale_are_refused():
    with pytest.raises(ValueError, match="from 0 to 4"):
        bootstrap_mean([1, 5], scale=(0, 4))


def test_a_share_that_nobody_showed_is_not_certain_to_be_nought():
    found = estimate_share(np.zeros(10), np.full(10, 5.0), Bootstrap(), 50, "nothing")
    assert (found.value, found.low, found.clusters) == (0, 0, 10)
    assert 0.1 < found.high < 0.35
    every = estimate_share(np.full(10, 5.0), np.full(10, 5.0), Bootstrap(), 50, "nothing")
    assert (every.value, every.high) == (1, 1)
    assert every.low == pytest.approx(1 - found.high)
    assert estimate_share(np.zeros(3), np.zeros(3), Bootstrap(), 0, "nothing").undefined == "nothing"
