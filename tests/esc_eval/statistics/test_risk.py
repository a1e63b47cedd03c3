"""Exact shares, a judge's sensitivity and specificity, and rates without its errors."""

import numpy as np
import pytest
from scipy.stats import binomtest

from esc_eval.statistics.risk import Share, correct_share, count_share, exact_limits, judge_validity


@pytest.mark.parametrize(("hits", "n"), [(0, 24), (3, 24), (24, 24), (1, 1), (7, 90)])
def test_a_share_of_independent_units_has_the_exact_interval(hits, n):
    found = count_share([True] * hits + [False] * (n - hits), range(n)).estimate()
    known = binomtest(hits, n).proportion_ci(method="exact")
    assert (found.value, found.low, found.high, found.n) == (
        pytest.approx(hits / n),
        pytest.approx(known.low),
        pytest.approx(known.high),
        n,
    )


def test_nothing_found_still_has_an_upper_limit():
    assert exact_limits(0, 24)[1] == pytest.approx(1 - 0.025 ** (1 / 24))


def test_units_of_one_cluster_that_say_the_same_count_less():
    alone = count_share([True] * 6 + [False] * 18, range(24))
    together = count_share([True] * 6 + [False] * 18, [n // 3 for n in range(24)])
    assert alone.effective == 24
    assert 1 <= together.effective < 10
    assert together.estimate().high > alone.estimate().high
    none = count_share([False] * 24, [n // 3 for n in range(24)])
    assert none.effective == 8  # each cluster once, as nothing says how much they differ
    assert none.estimate().high == pytest.approx(exact_limits(0, 8)[1])


def test_one_cluster_has_no_interval_and_no_unit_no_value():
    assert count_share([True, False], ["a", "a"]).estimate().undefined.startswith("no interval: one cluster")
    assert count_share([], []).estimate().value is None


def test_sensitivity_is_of_what_is_there_and_specificity_of_the_rest():
    found = judge_validity([1, 1, 1, 0, 0], [1, 1, 0, 0, 1], range(5))
    assert (found.sensitivity.hits, found.sensitivity.n) == (2, 3)
    assert (found.specificity.hits, found.specificity.n) == (1, 2)
    assert found.youden == pytest.approx(2 / 3 + 1 / 2 - 1)


def share(hits, n):
    return Share(hits, n, n, float(n))


class Known:
    """A judge of whom it is known how many of what it finds."""

    def __init__(self, sensitivity, specificity):
        self.sensitivity, self.specificity = sensitivity, specificity


def test_a_rate_is_corrected_as_rogan_and_gladen_do():
    found = correct_share(share(30, 100), Known(share(80, 100), share(90, 100)))
    assert found.value == pytest.approx((0.3 + 0.9 - 1) / (0.8 + 0.9 - 1))
    assert 0 < found.low < found.value < found.high < 1
    exact = correct_share(share(30, 100), Known(share(10**6, 10**6), share(10**6, 10**6)))
    assert exact.value == pytest.approx(0.3)
    assert (exact.low, exact.high) == (pytest.approx(0.219, abs=0.01), pytest.approx(0.396, abs=0.01))


def test_what_would_be_below_nothing_is_nothing_and_its_interval_says_how_much_there_may_be():
    found = correct_share(share(8, 100), Known(share(80, 100), share(90, 100)))
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0 < found.high < 0.2


def test_a_rate_that_contradicts_what_is_known_of_the_judge_has_no_interval():
    found = correct_share(share(2, 100), Known(share(80, 100), share(90, 100)))
    assert (found.value, found.low, found.high) == (0.0, None, None)
    assert "fewer are judged harmful than the judge's known errors could explain" in found.undefined


@pytest.mark.parametrize(
    ("validity", "why"),
    [
        ((share(5, 10), share(5, 10)), "no better than a coin"),
        ((share(1, 10), share(9, 10)), "no better than a coin"),
        ((share(0, 0), share(9, 10)), "no harmful dialogue is known"),
        ((share(9, 10), share(0, 0)), "no harmless dialogue is known"),
    ],
)
def test_a_rate_is_not_corrected_by_a_judge_of_whom_nothing_good_is_known(validity, why):
    found = correct_share(share(3, 10), Known(*validity))
    assert (found.value, found.low, found.high) == (None, None, None)
    assert why in found.undefined


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "n", "ill", "well"),
    [(0.0, 0.8, 0.9, 100, 20, 60), (0.2, 0.8, 0.9, 100, 20, 60), (0.02, 0.95, 0.99, 24, 20, 60), (0.5, 0.9, 0.95, 24, 20, 20)],
)  # fmt: skip
def test_corrected_rates_are_covered(rate, sensitivity, specificity, n, ill, well):
    rng, inside, none, times = np.random.default_rng(0), 0, 0, 1500
    for _ in range(times):
        seen = share(int(rng.binomial(n, rate * sensitivity + (1 - rate) * (1 - specificity))), n)
        known = Known(
            share(int(rng.binomial(ill, sensitivity)), ill), share(int(rng.binomial(well, specificity)), well)
        )
        found = correct_share(seen, known)
        none += found.low is None
        inside += found.low is not None and found.low <= rate <= found.high
    assert none / times < 0.1
    assert inside / (times - none) > 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "likeness", "cards", "each"), [(0.1, 0.0, 24, 1), (0.1, 0.5, 24, 3), (0.3, 0.8, 24, 3), (0.3, 0.3, 10, 5)])  # fmt: skip
def test_shares_of_clustered_units_are_covered(rate, likeness, cards, each):
    rng, inside, times = np.random.default_rng(0), 0, 1500
    for _ in range(times):
        spread = (1 - likeness) / likeness if likeness else 0
        own = rng.beta(rate * spread, (1 - rate) * spread, cards) if likeness else np.full(cards, rate)
        hits = (rng.random((cards, each)) < own[:, None]).ravel()
        found = count_share(hits, np.repeat(np.arange(cards), each)).estimate()
        inside += found.low <= rate <= found.high
    assert inside / times > 0.94
