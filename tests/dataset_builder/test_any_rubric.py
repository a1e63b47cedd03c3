"""A rubric of one's own is one file, and works everywhere: evaluate, report, export, build, agreement."""

import json
import shutil

import pytest
import yaml

from dataset_builder import build as builder
from dataset_builder.check.build import check_build
from dataset_builder.describe import manifest
from dataset_builder.rows.parquet import read_rows, table_path
from dataset_builder.rows.tables import decode_row, read_labels
from esc_eval.api import door
from esc_eval.api.workflow import export_official
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import load_rubric

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


def write_eight(path):
    """A copy of our rubric as one file, with one dimension more."""
    keep_wording(load_rubric(), path)
    content = yaml.safe_load(path.read_text(encoding="utf-8")) | {"name": "eight"}
    content["dimensions"].append({"key": "patience", "paper": "Patience"})
    for text in content["texts"].values():
        text["dimensions"]["patience"] = {"name": "P", "question": "?", "levels": list("abcde")}
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture
def eight(tmp_path):
    return write_eight(tmp_path / "eight.yaml")


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A run that was rated under it, and survives it."""
    folder = tmp_path_factory.mktemp("rated")
    for name, reply in (("warm", "I hear you."), ("judge", "3")):
        (folder / f"{name}.json").write_text(json.dumps({"replies": [reply]}))
    talker, judge = (f"scripted:{folder / name}.json" for name in ("warm", "judge"))
    rubric = write_eight(folder / "eight.yaml")
    results = door.evaluate(talker, limit=2, rounds=1, seeker=talker, scorer=judge, rubric=rubric, out=folder / "run")
    assert [list(board.names)[-1] for board in results.summary.tables] == ["patience"]
    rubric.unlink()
    return folder / "run"


@pytest.fixture
def run_folder(rated, tmp_path):
    return shutil.copytree(rated, tmp_path / "run")


def test_the_two_forms_of_a_rubric_are_the_same(eight, tmp_path):
    content = yaml.safe_load(eight.read_text(encoding="utf-8"))
    for language, text in content.pop("texts").items():
        (tmp_path / f"apart.{language}.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
    (tmp_path / "apart.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert load_rubric(tmp_path / "apart.yaml").sha256 == load_rubric(eight).sha256
    twice = eight.rename(tmp_path / "twice.yaml")
    (tmp_path / "twice.en.yaml").write_text("{}")
    with pytest.raises(EscEvalError, match=r"'en' is worded in it and in twice\.en\.yaml; keep one"):
        load_rubric(twice)


def test_a_report_finds_the_runs_own_rubric_where_its_file_is_gone(run_folder):
    assert "Patience" in door.report(run_folder).render()
    shutil.rmtree(run_folder / "rubrics")
    with pytest.raises(EscEvalError, match=r"under eight/1, which is no shipped rubric; give yours: --rubric"):
        door.report(run_folder).render()


def test_a_run_under_it_has_no_official_form(run_folder, tmp_path):
    with pytest.raises(EscEvalError, match="under rubric eight/1 have no official form"):
        export_official(run_folder, tmp_path / "official")
    assert not (tmp_path / "official").exists()


def test_agreement_reads_a_run_under_it(run_folder):
    from typer.testing import CliRunner

    from analysis.__main__ import app

    ratings = read_ratings(run_folder)
    write_jsonl(run_folder / "ratings.jsonl", [*ratings, *(r.model_copy(update={"rater": "b"}) for r in ratings)])
    done = CliRunner().invoke(app, ["agreement", str(run_folder), "--draws", "100"])
    assert done.exit_code == 0, done.output
    assert "patience" in done.output


def rows_of(folder, table):
    labels = read_labels(manifest.read_manifest(folder))
    return [decode_row(table, row, labels) for row in read_rows(table_path(folder, table))]


def test_a_dataset_is_built_from_ratings_under_any_rubric(run_folder, script, tmp_path):
    door.score(run_folder, scorer=script(["1"], "other"), rubric="esconv-survey")
    content = builder.build_dataset(builder.Inputs(runs=[run_folder], cards=["sample"]), tmp_path / "build")
    assert [rubric["id"] for rubric in content["rubrics"]] == ["eight/1", "esconv-survey/1"]
    assert content["rubrics"][1]["levels"] == [1, 2, 3, 4, 5]
    assert content["rubrics"][0]["dimensions"]["patience"] == "Patience"
    assert read_labels(content).dimensions[7:] == ("patience", "relevance")
    rows = rows_of(tmp_path / "build", "annotations")
    assert {(row["rubric"], row["dimension"]) for row in rows} >= {
        ("eight/1", "patience"),
        ("esconv-survey/1", "empathy"),
    }
    assert len({row["id"] for row in rows}) == len(rows) == 2 * (8 + 2)
    assert check_build(tmp_path / "build") == []


@pytest.mark.slow
def test_check_holds_each_rating_to_the_levels_of_its_own_rubric(run_folder, script, tmp_path):
    door.score(run_folder, scorer=script(["5"], "other"), rubric="esconv-survey")
    folder = tmp_path / "build"
    builder.build_dataset(builder.Inputs(runs=[run_folder], cards=["sample"]), folder)
    path = folder / manifest.FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    content["rubrics"][1]["levels"] = [1, 2, 3, 4]
    path.write_text(json.dumps(content), encoding="utf-8")
    found = [problem.what for problem in check_build(folder) if problem.rule == "score"]
    assert found == ["score 5 is outside 1..4"] * 4


def test_ratings_in_a_file_need_the_rubric_that_they_name(run_folder, eight, tmp_path):
    ratings = read_ratings(run_folder)
    (run_folder / "ratings.jsonl").unlink()
    shutil.rmtree(run_folder / "rubrics")
    path = tmp_path / "people.csv"
    lines = [f"{r.dialogue_id},{r.dimension},p1,{r.score},eight/1" for r in ratings]
    path.write_text("\n".join(["dialogue_id,dimension,rater,score,rubric", *lines]), encoding="utf-8")
    inputs = {"runs": [run_folder], "cards": ["sample"], "annotations": [path]}
    with pytest.raises(EscEvalError, match=r"people\.csv, line 2: .*eight/1, which is no shipped rubric"):
        builder.build_dataset(builder.Inputs(**inputs), tmp_path / "build")
    content = builder.build_dataset(builder.Inputs(**inputs, rubrics=[eight]), tmp_path / "build")
    assert [rubric["sha256"] for rubric in content["rubrics"]] == [load_rubric(eight).sha256]
