"""Shares with a classifier's errors taken out, repetition, and many intervals at once."""

import numpy as np
import pytest

from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.confusion import estimate_confusion, judge_confusion, tabulate_confusion
from esc_eval.statistics.mixes import (
    Drawn,
    Replies,
    bound_together,
    correct_shares,
    draw_shares,
    estimate_columns,
    estimate_repetition,
    subtract,
)

BOOT = Bootstrap(draws=300)
READING = np.array([[0.7, 0.2, 0.1], [0.2, 0.6, 0.2], [0.25, 0.25, 0.5]])


def replies(mains, clusters=None, classes=3):
    """One dialogue a row of ``mains``; None = unknown."""
    places = [(talk, n + 1) for talk, own in enumerate(mains) for n in range(len(own))]
    mixes = np.array(
        [np.full(classes, np.nan) if m is None else np.eye(classes)[m] for own in mains for m in own]
    ).reshape(-1, classes)
    names = clusters or [str(talk) for talk in range(len(mains))]
    return Replies(
        [names[talk] for talk, _ in places],
        np.array([talk for talk, _ in places], dtype=np.intp),
        np.array([number for _, number in places], dtype=np.intp),
        mixes,
        np.nan_to_num(mixes) > 0,
    )


@pytest.mark.parametrize("true", [[0.2, 0.3, 0.5], [1, 0, 0], [1 / 3] * 3, [0, 0.9, 0.1]])
def test_true_shares_come_back_from_what_a_classifier_would_say_of_them(true):
    assert correct_shares(np.array(true) @ READING, READING) == pytest.approx(true, abs=1e-6)


def test_shares_stay_shares_where_no_mix_gives_what_was_said():
    found = correct_shares(np.array([0.0, 0.0, 1.0]), READING)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert np.isnan(correct_shares(np.full(3, np.nan), READING)).all()


def test_every_reply_weighs_the_same_and_unknown_ones_are_left_out():
    own = replies([[0, 0, None], [1]])
    assert draw_shares(own, BOOT).value.tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert [one.n for one in estimate_columns(own, own.mixes, BOOT)] == [3, 3, 3]
    assert estimate_columns(own, own.mixes, BOOT)[0].value == pytest.approx(2 / 3)


def test_uncertain_readings_widen_the_interval():
    own = replies([[0, 1, 2], [0, 0, 1], [2, 1, 0], [0, 2, 2]] * 5)
    shaken = [READING, *(0.5 * READING + 0.5 * np.roll(READING, n, axis=1) for n in range(3))]
    sure, unsure = (draw_shares(own, BOOT, np.array(r)).estimates(BOOT)[0] for r in ([READING] * 4, shaken))
    assert unsure.high - unsure.low > sure.high - sure.low


def test_nobody_has_no_shares():
    drawn = draw_shares(replies([[None, None]]), BOOT, np.array([READING] * 2))
    assert [one.value for one in drawn.estimates(BOOT)] == [None] * 3


def test_differences_at_once_are_wider_than_alone_and_hold_where_there_is_one():
    rng = np.random.default_rng(0)
    one, other = (replies(rng.integers(0, 3, (30, 5)).tolist()) for _ in range(2))
    asks = replies([[0] * 5] * 29 + [[0, 0, 0, 0, 1]])
    apart = subtract(draw_shares(asks, BOOT), draw_shares(other, Bootstrap(300, 1)))
    same = subtract(draw_shares(one, BOOT), draw_shares(other, Bootstrap(300, 1)))
    found, alone = bound_together([apart, same], BOOT), same.estimates(BOOT)
    assert found[0][0].low > 0
    assert all(each.low < 0 < each.high for each in found[1])
    assert all(a.high - a.low > b.high - b.low for a, b in zip(found[1], alone, strict=True))


def test_a_difference_that_no_draw_moves_has_no_interval():
    apart = Drawn(np.array([0.0, 0.5, 0.5]), np.array([[0.0, 0.4, 0.6], [0.0, 0.6, 0.4]]), 9, 9)
    assert [one.low is None for one in bound_together([apart], BOOT)[0]] == [True, False, False]


def test_clusters_that_are_all_alike_do_not_claim_that_every_other_is():
    [alike, *_] = draw_shares(replies([[0]] * 12), BOOT).estimates(BOOT)
    assert alike.low < 0.97


def test_repetition_is_of_replies_in_a_row_of_one_dialogue():
    found = estimate_repetition(replies([[0, 0, 1], [1, 1], [2, None, 2]]), BOOT)
    assert (found.repeated.value, found.repeated.n) == (pytest.approx(2 / 3), 3)  # 0-0, 0-1, 1-1; none over the unknown
    assert found.by_chance.value == pytest.approx((4 + 9 + 4) / 49)
    assert found.beyond.value == pytest.approx(2 / 3 - 17 / 49)


@pytest.mark.parametrize(
    ("mains", "bits"), [([[0, 0], [0]], 0.0), ([[0, 1], [1, 0]], 1.0), ([[0, 1, 2]] * 2, np.log2(3))]
)
def test_entropy_is_in_bits(mains, bits):
    assert estimate_repetition(replies(mains), BOOT).entropy.value == pytest.approx(bits)


def test_what_cannot_be_said_is_undefined_with_a_reason():
    found = estimate_repetition(replies([[0], [1]]), BOOT)
    assert "two replies in a row" in found.repeated.undefined
    assert estimate_repetition(replies([[None]]), BOOT).entropy.value is None


def test_a_card_played_by_two_dialogues_is_one_cluster():
    assert draw_shares(replies([[0], [1]], ["card", "card"]), BOOT).estimates(BOOT)[0].clusters == 1


def test_confusion_gives_figures_by_hand():
    truth, told = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, -1])
    table = tabulate_confusion(truth, told, np.array([0, 0, 1, 1, 1]), 3)
    assert table.sum(0).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    found = judge_confusion(table.sum(0))
    assert (found["accuracy"], found["kappa"]) == (0.75, pytest.approx(0.5))
    assert found["precision"][:2].tolist() == pytest.approx([1, 2 / 3])
    assert np.isnan(found["recall"][2])
    estimated = estimate_confusion(table, BOOT)
    assert estimated["f1"][2].value is None
    assert (estimated["accuracy"][0].n, estimated["accuracy"][0].clusters) == (4, 2)
