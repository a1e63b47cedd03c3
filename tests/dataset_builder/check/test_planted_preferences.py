"""``check`` finds defects of preferences that were planted in a sound build whose hashes were all made anew."""

import pytest
from made_preferred import make_preferred
from planted import FOUND, try_defect
from planted.preferences import KINDS

from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")]
EVERY = {f"{kind}: {name}": defect for kind, defects in KINDS.items() for name, defect in defects.items()}


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(croissant, "has_mlcroissant", lambda: False)  # it takes most of the time
        yield make_preferred(tmp_path_factory.mktemp("preferred"))


@pytest.mark.parametrize("public", [False, True])
def test_the_builds_that_defects_are_planted_in_are_sound(builds, public):
    assert [str(problem) for problem in check_build(builds[public])] == []


@pytest.mark.parametrize("name", EVERY)
def test_a_planted_defect_is_found(builds, name):
    assert try_defect(builds, EVERY[name]) == FOUND
