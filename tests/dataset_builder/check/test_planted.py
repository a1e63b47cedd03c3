"""``check`` finds defects that were planted in a sound build whose hashes were all made anew."""

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
from made_builds import make_builds
from planted import CRASHED, FOUND, HELD_OUT, KINDS, UNSEEN, count, run_suite, table, try_defect

from dataset_builder.check import rows
from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant, manifest

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
BEFORE = Path(__file__).with_name("planted_before.json")


@pytest.fixture(scope="module")
def builds(tmp_path_factory) -> dict[bool, Path]:
    return make_builds(tmp_path_factory.mktemp("made"))


@pytest.mark.slow
@pytest.mark.parametrize("public", [False, True])
def test_the_builds_that_defects_are_planted_in_are_sound(builds, public):
    assert [str(problem) for problem in check_build(builds[public])] == []


def test_the_suite_holds_at_least_150_defects_those_that_were_tried_before():
    before = json.loads(BEFORE.read_text(encoding="utf-8"))["kinds"]
    assert {kind: len(defects) for kind, defects in KINDS.items()} == {k: n["defects"] for k, n in before.items()}
    assert sum(map(len, KINDS.values())) >= 150


@pytest.mark.parametrize(
    "kind",
    [
        "marks in texts",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("licences and terms", "rows twice, cut or moved", "splits")
        ),
    ],
)
def test_the_first_defect_of_a_kind_is_found(builds, kind, monkeypatch):
    monkeypatch.setattr(croissant, "has_mlcroissant", lambda: False)  # it takes most of the time
    assert try_defect(builds, next(iter(KINDS[kind].values()))) == FOUND


def test_a_build_of_an_earlier_version_is_told_to_be_built_again(builds, tmp_path):
    folder = Path(shutil.copytree(builds[False], tmp_path / "old"))
    content = manifest.read_manifest(folder) | {"schema": 1, "esc_eval": "0.1.0"}
    content["files"] = {name: entry for name, entry in content["files"].items() if name.endswith("parquet")}
    manifest.write_manifest(folder, content)
    [problem] = check_build(folder)
    assert "by esc-eval '0.1.0'): build it again with this version" in str(problem)


@pytest.fixture
def remembered(monkeypatch):
    """What depends on one manifest or one text alone is not worked out again for each of hundreds of defects."""
    render, find = croissant.render_croissant, cache(rows.find_personal_data)
    rendered = cache(lambda manifest: render(json.loads(manifest)))
    monkeypatch.setattr(croissant, "render_croissant", lambda manifest: rendered(json.dumps(manifest)))
    monkeypatch.setattr(rows, "find_personal_data", lambda text: list(find(text)))


@pytest.mark.slow
@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(
    ("kinds", "least"), [(KINDS, 0.95), (HELD_OUT, 0.94), (UNSEEN, 0.89)], ids=["suite", "held out", "unseen"]
)
def test_95_of_100_planted_defects_are_found_and_none_stops_the_checker(builds, capsys, kinds, least):
    outcomes = run_suite(builds, kinds)
    with capsys.disabled():
        print(f"\n{table(outcomes)}")
    for kind, found in outcomes.items():
        share = count(found.values())
        assert share[CRASHED] == 0, (kind, found)
        assert share[FOUND] >= least * share["defects"], (kind, found)
