"""Calls side by side: all are made, few at a time, and neither a failure nor Ctrl-C is lost or waited for."""

from functools import partial
from threading import Barrier, Event, Lock

import pytest

from esc_eval.chat.side_by_side import call_side_by_side


def test_every_call_is_made_so_many_at_a_time():
    both, running, guard, most = Barrier(2), [0], Lock(), []

    def call(number):
        with guard:
            running[0] += 1
            most.append(running[0])
        both.wait(timeout=10)
        with guard:
            running[0] -= 1
        return number

    assert sorted(call_side_by_side((partial(call, n) for n in range(6)), 2)) == list(range(6))
    assert max(most) == 2
    assert list(call_side_by_side([], 3)) == []


def test_after_a_failure_no_call_begins_and_those_under_way_are_finished():
    begun, failed = [], Event()

    def call(number):
        begun.append(number)
        if number == 0:
            failed.set()
            raise OSError("no")
        failed.wait(timeout=10)
        return number

    found = []
    with pytest.raises(OSError, match="no"):
        found.extend(call_side_by_side((partial(call, n) for n in range(50)), 2))
    assert set(found) == set(begun) - {0}
    assert len(begun) < 50


def test_a_caller_that_stops_waits_for_nobody():
    never = Event()
    answers = call_side_by_side(iter([lambda: 1, never.wait, never.wait]), 2)
    assert next(answers) == 1
    with pytest.raises(KeyboardInterrupt):
        answers.throw(KeyboardInterrupt)
    never.set()
