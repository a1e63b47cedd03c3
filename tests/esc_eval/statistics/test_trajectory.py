"""Trajectories: means by round, area and change, by hand on six numbers, and where there is none."""

import numpy as np
import pytest

from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.trajectory import TOO_FEW, estimate_trajectories, measure_areas, measure_changes

BOOT = Bootstrap(draws=300)
NAN = np.nan


def trajectory(table, clusters=None, asked=None, scale=(0, 10)):
    clusters = clusters or list(range(len(table)))
    asked = asked or [len(row) for row in table]
    return estimate_trajectories(table, asked, clusters, [0] * len(table), scale, BOOT)[0]


def test_six_numbers_by_hand():
    found = trajectory([[8, 6, 4], [6, 6, 0]])
    assert [e.value for e in found.rounds] == [7, 6, 2]
    assert found.change.value == pytest.approx(-5)
    assert found.area.value == pytest.approx((6 + 4.5) / 2)
    assert (found.readable, found.asked, found.change.n) == (6, 6, 2)


def test_what_was_not_read_is_bridged_in_the_area_and_left_out_of_its_round():
    table = [[8, NAN, 4], [NAN, 6, 2]]
    assert measure_areas(table).tolist() == [6, 4]
    assert measure_changes(table).tolist() == [-4, -4]
    found = trajectory(table)
    assert [e.n for e in found.rounds] == [1, 1, 2]
    assert (found.readable, found.asked) == (4, 6)


def test_without_two_values_there_is_no_number_but_a_reason():
    found = trajectory([[8, NAN], [NAN, NAN]])
    assert (found.area.value, found.area.undefined) == (None, TOO_FEW)
    assert (found.change.value, found.change.undefined) == (None, TOO_FEW)
    assert found.rounds[0].value == 8
    assert found.rounds[1].value is None


def test_intervals_draw_cards_and_keep_to_the_scale():
    table = [[9, 1]] * 8
    few, many = trajectory(table, [0, 0, 0, 0, 1, 1, 1, 1]), trajectory(table)
    assert few.change.clusters == 2
    assert few.change.high - few.change.low > many.change.high - many.change.low
    for one in (*few.rounds, few.area):
        assert 0 <= one.low <= one.value <= one.high <= 10
    assert few.change.low >= -10
    assert trajectory(table, [0] * 8).change.low is None


def test_values_off_the_scale_are_refused():
    with pytest.raises(ValueError, match="on the scale"):
        trajectory([[11, 1]])


def test_the_interval_of_a_change_covers_it():
    """Of 60 samples of 30 talks with a known mean change, nearly all intervals hold it."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        first = rng.integers(5, 11, 30)
        table = np.column_stack([first, first - rng.integers(0, 5, 30)])
        change = trajectory(table).change
        hits += change.low <= -2 <= change.high
    assert hits >= 54
