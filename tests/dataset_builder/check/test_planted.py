"""``check`` finds defects that were planted in a sound build whose hashes were all made anew."""

from pathlib import Path

import pytest
from made_builds import make_builds
from planted import KINDS, run_suite, table

from dataset_builder.check.build import check_build

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


@pytest.fixture(scope="module")
def builds(tmp_path_factory) -> dict[bool, Path]:
    return make_builds(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("public", [False, True])
def test_the_builds_that_defects_are_planted_in_are_sound(builds, public):
    assert [str(problem) for problem in check_build(builds[public])] == []


def test_the_suite_holds_at_least_150_defects():
    assert sum(map(len, KINDS.values())) >= 150


@pytest.mark.slow
def test_the_share_of_planted_defects_that_is_found_is_printed(builds, capsys):
    outcomes = run_suite(builds)
    with capsys.disabled():
        print(f"\n{table(outcomes)}")
    assert set(outcomes) == set(KINDS)
