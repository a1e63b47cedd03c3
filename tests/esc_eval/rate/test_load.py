"""Ten raters click at once while the server is killed: nothing acknowledged is lost, nothing is doubled."""

import asyncio
import random

import pytest

from benchmarks.rating import Rater, compare, is_sound, run

pytestmark = pytest.mark.slow


def test_ten_raters_lose_no_click_when_the_server_is_killed(tmp_path):
    found = asyncio.run(run(raters=10, seconds=10, kills=1, pace=0.2, folder=tmp_path))
    assert is_sound(found), found
    assert found["acknowledged"] >= 10
    assert found["sent_again"] >= 1  # the kill was felt
    everybody = [Rater(f"rater{n:02d}", "", 0, random.Random(0)) for n in range(10)]
    everybody[0].acknowledged.append(("never-stored", "empathy", 1))
    assert compare(tmp_path / "people", everybody, [0.1, 0.2])["lost"] == 1  # the comparison can tell
