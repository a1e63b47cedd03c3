"""The verbs: exit codes, messages, diff and push."""

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dataset_builder.__main__ import app
from dataset_builder.build import Inputs, build_dataset
from dataset_builder.describe import manifest
from dataset_builder.push import plan_push
from dataset_builder.rows.parquet import read_rows
from esc_eval.errors import EscEvalError

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "local"
    build_dataset(Inputs(), out)
    return out


@pytest.fixture(scope="module")
def public(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "public"
    build_dataset(Inputs(public=True), out)
    return out


def test_build_says_what_it_made_on_stdout_as_json(tmp_path):
    result = run("build", "--out", tmp_path / "b")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] == {"role_cards": 24, "dialogues": 4, "annotations": 56}
    assert "24 role cards" in result.stderr


@pytest.mark.parametrize("option", ["--official", "--sources", "--runs", "--annotations", "--cards", "--tiers"])
def test_an_input_that_is_missing_is_named_and_exits_with_2(tmp_path, option):
    result = run("build", option, tmp_path / "nowhere.csv", "--out", tmp_path / "b")
    assert result.exit_code == 2
    assert "nowhere.csv" in result.stderr
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_check_exits_with_0_for_a_sound_folder_and_1_with_problems(local, tmp_path):
    assert run("check", local).exit_code == 0
    copy = Path(shutil.copytree(local, tmp_path / "copy"))
    (copy / "README.md").unlink()
    result = run("check", copy)
    assert result.exit_code == 1
    assert "README.md" in result.stdout
    assert run("check", tmp_path / "no").exit_code == 2


def test_diff_names_rows_and_columns_and_shows_no_values(local, tmp_path):
    from esc_eval.files.records import load_cards
    from esc_eval.files.writing import write_jsonl

    cards = load_cards()
    changed = cards[0].model_copy(update={"text": cards[0].text + " She told nobody."})
    write_jsonl(tmp_path / "cards.jsonl", [*cards[:1], *cards[2:], cards[1]])
    build_dataset(Inputs(cards=(tmp_path / "cards.jsonl",)), tmp_path / "old")
    write_jsonl(tmp_path / "cards.jsonl", [changed, *cards[2:]])
    build_dataset(Inputs(cards=(tmp_path / "cards.jsonl",)), tmp_path / "new")
    result = run("diff", tmp_path / "old", tmp_path / "new")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert any(line.split() == ["removed", "role_cards", "sample-en-02"] for line in lines)
    [line] = [line for line in lines if line.startswith("changed")]
    assert "sample-en-01" in line
    assert "problem" in line
    assert "text_sha256" in line
    assert "nobody" not in result.stdout
    assert run("diff", local, local).exit_code == 0
    assert run("diff", local, tmp_path / "no").exit_code == 2


def test_splits_prints_a_manifest(local):
    result = run("splits", local, "model-disjoint", "--seed", 3, "--held-out", "written-b")
    split = json.loads(result.stdout)
    assert (split["scheme"], split["seed"], split["sizes"]["test"]) == ("model-disjoint", 3, 2)
    assert "leaks: 1 of 2 values of card" in result.stderr
    assert run("splits", local, "nonsense").exit_code == 2


def test_a_local_build_is_never_pushed(local):
    result = run("push", local, "--repo", "me/esc-eval", "--push")
    assert result.exit_code == 2
    assert "--public" in result.stderr


def test_without_push_nothing_is_uploaded(public, hub):
    result = run("push", public, "--repo", "me/esc-eval", "--tag", "v1")
    assert result.exit_code == 0
    assert "dry run" in result.stderr
    added = {line.split()[2] for line in result.stdout.splitlines() if line.split()[0] == "added"}
    assert {"README.md", "manifest.json", "role_cards/test-00000-of-00001.parquet"} <= added
    assert not [request for request in hub.requests if not request.startswith("GET")]


@pytest.mark.slow
def test_a_folder_with_anything_beside_the_build_is_not_pushed(public, tmp_path, hub):
    copy = Path(shutil.copytree(public, tmp_path / "copy"))
    assert {name.partition("/")[0] for name in plan_push(copy, "me/x", None).files} == {
        "README.md", "LICENSE.md", "manifest.json", "croissant.json", "role_cards", "dialogues", "annotations",
        "splits",
    }  # fmt: skip
    for name in ("local/conversations.parquet", "notes.txt"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("private")
        with pytest.raises(EscEvalError, match=rf"first: {name}: is no file of a build; take it away"):
            plan_push(copy, "me/x", None)
        shutil.rmtree(copy / name.partition("/")[0]) if "/" in name else (copy / name).unlink()


def test_a_folder_with_problems_is_not_pushed(public, tmp_path):
    copy = Path(shutil.copytree(public, tmp_path / "copy"))
    content = manifest.read_manifest(copy)
    content["rows"]["dialogues"] = 5
    manifest.write_manifest(copy, content)
    result = run("push", copy, "--repo", "me/x")
    assert result.exit_code == 2
    assert "1 problems" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("repo", ["", "a/b/c", "me/x y", "-x"])
def test_an_impossible_repo_id_is_refused(public, repo):
    assert run("push", public, "--repo", repo).exit_code == 2


def test_the_seven_sources_are_listed_with_licences():
    result = run("sources")
    assert result.exit_code == 0
    assert all(key in result.stdout for key in ("esconv", "extes", "epitome", "psych8k", "mhp", "psyqa", "smile"))


@pytest.mark.parametrize("verb", ["build", "check", "diff", "splits", "push", "sources"])
def test_every_help_has_an_example(verb):
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert f"python -m dataset_builder {verb}" in result.stdout


def test_a_pipe_in_place_of_a_table_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(EscEvalError, match=r"pipe\.parquet: is no regular file but a pipe"):
        list(read_rows(tmp_path / "pipe.parquet"))
