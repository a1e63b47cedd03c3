import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from esc_eval.statistics.bootstrap import Bootstrap, bootstrap_mean, estimate_group_means, percentile_levels


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
