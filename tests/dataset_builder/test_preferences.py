"""Preferences as the fourth table of a build: what it holds, that it loads, and that it is read back."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from made_builds import RUN
from made_preferred import MAIL, QUOTED, make_preferred, write_preferred
from planted import FOUND, try_defect
from planted.preferences import JUDGED, KINDS

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from dataset_builder.describe import croissant, manifest
from dataset_builder.diff import diff_builds, read_table
from dataset_builder.fill import fill_build
from dataset_builder.rows.tables import TABLES
from esc_eval.api import door
from esc_eval.errors import EscEvalError
from esc_eval.files.built import read_built
from esc_eval.files.preferences import decide, read_preferences

pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess"),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Inputs:
    return write_preferred(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "build"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(croissant, "has_mlcroissant", lambda: False)  # it takes most of the time
        build_dataset(inputs, out)
    return out


@pytest.fixture(autouse=True)
def _without_croissant(request, monkeypatch):
    if "slow" not in request.keywords:
        monkeypatch.setattr(croissant, "has_mlcroissant", lambda: False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_verdict_of_a_run_and_of_peoples_tables_is_a_row_that_names_its_dialogues(built, inputs):
    rows = read_table(built, "preferences")
    given = read_preferences(inputs.runs[0])
    assert len(rows) == len(given) + 6
    assert manifest.read_manifest(built)["rows"]["preferences"] == len(rows)
    talks, cards = read_table(built, "dialogues"), read_table(built, "role_cards")
    for row in rows.values():
        assert {talks[row[name]]["card_id"] for name in ("dialogue_a", "dialogue_b")} == {row["card_id"]}
        assert row["card_id"] in cards
    one = rows[JUDGED]
    assert (one["preference"], one["steps"], one["left"], one["rater_kind"]) == (-1, 1, "a", "model")
    assert (one["origin"], one["license"], one["rehostable"]) == (f"{RUN}/preferences.jsonl", "CC-BY-4.0", True)
    assert json.loads(one["raw"])["reason"] == one["reason"]
    assert {row["origin"] for row in rows.values() if row["rater"] == "rater-2"} == {"people.csv"}
    assert not any(row["rehostable"] for row in rows.values() if row["card_id"] == "own-2")
    text = json.dumps(list(rows.values()))
    assert MAIL not in text
    assert text.count("[EMAIL]") == 2 * 2 + 2 * 6  # a judge's answers and reasons, a person's notes


@pytest.mark.slow
def test_the_build_is_sound_and_a_planted_defect_in_it_is_found(built, monkeypatch):
    monkeypatch.setattr(croissant, "has_mlcroissant", lambda: False)  # as it was built
    assert [str(problem) for problem in check_build(built)] == []
    assert try_defect({False: built}, KINDS["pairs"]["a pair turned round"]) == FOUND


def test_the_table_loads_with_the_names_of_its_classes(built, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    data = load_dataset(str(built), "preferences", split="test", cache_dir=str(tmp_path))
    assert len(data) == len(read_table(built, "preferences"))
    assert data.features["left"].names == ["a", "b"]
    assert data.features["dimension"].names == ["preference", "empathy"]
    assert {data.features["rater_kind"].int2str(kind) for kind in data["rater_kind"]} == {"human", "model"}


def test_a_build_is_read_back_as_the_preferences_that_it_was_made_of(built, inputs):
    def decided(given, name):
        return {
            (name(one.first), name(one.second), one.rater, one.dimension): (one.side, one.steps, one.problem)
            for one in decide(each.preference for each in given)
        }

    own = [one for one in read_preferences(built) if one.preference.rater != "rater-2"]
    assert decided(own, lambda name: name.partition("/")[2]) == decided(read_preferences(inputs.runs[0]), str)
    assert {one.model_a for one in own} == {"warm", "terse"}
    [quoted] = [rating for rating in read_built(built).ratings if rating.rater == QUOTED.rater]
    assert quoted.evidence == QUOTED.evidence


@pytest.mark.slow
def test_prefer_says_of_a_build_what_it_says_of_its_run(built, inputs):
    def standing(results):
        return results.preference_reports["en, empathy"].data["standings"]["rater-1"]

    assert standing(door.prefer(preferences=built)) == standing(door.prefer(inputs.runs[0]))


def test_prefer_takes_a_build_with_its_dialogues_and_refuses_it_beside_a_run(built, inputs):
    results = door.prefer(preferences=built)
    assert len(results.preferences) == len(read_table(built, "preferences"))
    assert {talk.id for talk in results.dialogues} == set(read_table(built, "dialogues"))
    with pytest.raises(EscEvalError, match="is a build"):
        door.prefer(inputs.runs[0], preferences=built)


def test_a_run_without_preferences_builds_to_the_same_files_but_the_fourth_table(built, inputs, tmp_path):
    run = Path(shutil.copytree(inputs.runs[0], tmp_path / RUN))
    (run / "preferences.jsonl").unlink()
    build_dataset(Inputs(runs=(run,), seed=inputs.seed), tmp_path / "out")
    without, whole = contents(tmp_path / "out"), contents(built)
    told = {"README.md", "LICENSE.md", "manifest.json"}
    assert whole.keys() - without.keys() == {"preferences/test-00000-of-00001.parquet"}
    assert {name for name in without if without[name] != whole[name]} == told
    assert not any(b"preferences" in without[name] for name in told)
    assert {change.table for change in diff_builds(tmp_path / "out", built)} == {"preferences"}


def test_the_documentation_says_how_many_columns_each_table_has():
    said = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    found = {name: int(count) for name, count in re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|$", said, re.MULTILINE)}
    assert found == {table: len(columns) for table, columns in TABLES.items()}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("warm:own-0,terse:own-9,anna,1", "dialogue 'terse:own-9' is in no run of this build"),
        ("warm:own-0,terse:own-1,anna,1", "a pair is of one card, found 'own-0' and 'own-1'"),
        ("warm:own-0,mine/warm:own-0,anna,1", "which are one dialogue"),
        ("warm:own-0,terse:own-0,anna,1\nmine/warm:own-0,terse:own-0,anna,-1", "more than once by the same rater"),
        ("warm:own-0,terse:own-0,anna,better", "line 2"),
        ("warm:own-0,terse:own-0,anna,2", "line 2: .*no column steps"),
    ],
)
def test_a_preference_that_no_row_can_be_made_of_stops_the_build(inputs, tmp_path, rows, why):
    path = tmp_path / "people.csv"
    path.write_text(f"dialogue_a,dialogue_b,rater,preference\n{rows}\n", encoding="utf-8")
    with pytest.raises(EscEvalError, match=why):
        build_dataset(replace(inputs, annotations=(path,)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_public_build_withholds_what_was_said_of_closed_pairs_and_croissant_gives_every_record(tmp_path):
    import mlcroissant

    builds = make_preferred(tmp_path)
    assert all(check_build(folder) == [] for folder in builds.values())
    closed = [row for row in read_table(builds[True], "preferences").values() if not row["rehostable"]]
    assert len(closed) == 5
    assert all(row[name] is None for row in closed for name in ("raw", "reason", "note", "problem"))
    assert all(isinstance(row["steps"], int) for row in closed)
    assert {one.preference.rater for one in read_preferences(builds[True])} == {"judge", "rater-1", "rater-2"}
    for folder in builds.values():
        described = mlcroissant.Dataset(jsonld=str(folder / croissant.FILE))
        rows = list(described.records(record_set="preferences_rows"))
        assert [row["preferences_rows/id"].decode() for row in rows] == list(read_table(folder, "preferences"))


@pytest.mark.slow
def test_a_public_build_of_open_cards_fills_to_itself(inputs, tmp_path):
    runs = Path(shutil.copytree(inputs.runs[0], tmp_path / RUN))
    for name in ("cards", "dialogues", "ratings", "preferences"):
        path = runs / f"{name}.jsonl"
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if "own-2" not in line]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    open_inputs = Inputs(runs=(runs,), seed=3)
    build_dataset(replace(open_inputs, public=True), tmp_path / "public")
    build_dataset(open_inputs, tmp_path / "full")
    fill_build(tmp_path / "public", tmp_path / "filled")
    assert contents(tmp_path / "filled") == contents(tmp_path / "full")
