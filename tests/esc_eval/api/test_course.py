"""A run with states goes through all verbs, and nobody but its reader is shown a state."""

import json

import pytest
from fake_models import FakeModel
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dataset_builder import build as builder
from dataset_builder.rows.parquet import read_rows, table_path
from esc_eval.api import door
from esc_eval.cli.app import app as esc_eval
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection

SECRET = "the ticking clock"


def seeker_says(conversation):
    n = sum(message["role"] == "assistant" for message in conversation)
    said = "As an AI language model I cannot play this role." if n == 2 else f"I feel bad, {n} times."
    return f"<state>Distress: {9 - n}; Openness: {n}; Noticed: {SECRET}</state>\n{said}"


@pytest.fixture(scope="module")
def judge():
    return FakeModel("judge", lambda _: "3")


@pytest.fixture(scope="module")
def run(tmp_path_factory, judge):
    folder = tmp_path_factory.mktemp("course") / "run"
    seeker, supporter = FakeModel("s", seeker_says), FakeModel("p", lambda _: "I see.")
    settings = {"rounds": 4, "limit": 2, "replay_faults": 1, "protocol": "course"}
    door.evaluate(supporter, seeker=seeker, scorer=judge, out=folder, **settings)
    return folder


@pytest.mark.slow
def test_judges_raters_and_exports_are_shown_no_state(run, judge, tmp_path):
    assert judge.asked
    assert SECRET not in json.dumps(judge.asked)
    assert "istress:" not in json.dumps(judge.asked)
    sheets = CliRunner().invoke(esc_eval, ["sheet", str(run), "--rater", "a", "--out", str(tmp_path / "sheets")])
    official = CliRunner().invoke(esc_eval, ["export", str(run), "--out", str(tmp_path / "official")])
    assert (sheets.exit_code, official.exit_code) == (0, 0), (sheets.output, official.output)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("I feel bad" in path.read_text(encoding="utf-8", errors="replace") for path in files)
    assert not [path for path in files if SECRET in path.read_text(encoding="utf-8", errors="replace")]


@pytest.mark.slow
def test_the_report_tells_of_states_ends_and_faults(run):
    shown = CliRunner().invoke(esc_eval, ["report", str(run)]).stdout
    assert "Hidden states of the seeker" in shown
    assert "8 of 8" in shown
    assert "Faults of the seeker" in shown
    content = json.loads((run / "summary.json").read_text(encoding="utf-8"))["course"]["course"]
    assert content["states"][0]["supporters"]["p"]["change"]["value"] == -3
    assert content["faults"][0]["shares"]["refusal"]["value"] == 1
    assert content["ends"][0]["counts"] == {"last_round": 2}
    assert "Hidden states" in (run / "report.html").read_text(encoding="utf-8")


def test_a_run_that_nobody_rated_shows_its_course(tmp_path):
    seeker, supporter = FakeModel("s", seeker_says), FakeModel("p", lambda _: "I see.")
    door.simulate(supporter, seeker=seeker, protocol="course", limit=1, rounds=2, out=tmp_path)
    shown = CliRunner().invoke(esc_eval, ["report", str(tmp_path)]).stdout
    assert "not rated yet" in shown
    assert "Hidden states" in shown


@pytest.mark.slow
def test_the_view_draws_the_state_and_marks_it_as_hidden(run):
    site = TestClient(make_view(Collection.open([run])), base_url="http://127.0.0.1:8600")
    listed, rounds = site.get("/dialogues").text, site.get("/rounds").text
    assert "<polyline" in listed
    assert "state-distress" in rounds
    assert "Faults of the seeker" in rounds
    key = Collection.open([run]).entries[0].key
    page = site.get(f"/dialogues/{key}").text
    assert page.count("hidden from the supporter") >= 4
    assert SECRET in page
    assert "refuses to play" in page
    assert "Attempt 1, set aside" in page
    assert "last round" in page
    assert site.get("/pictures/en-rounds-state-distress.svg").status_code == 200


def test_a_build_carries_states_ends_and_attempts(run, tmp_path):
    out = tmp_path / "built"
    builder.build_dataset(builder.Inputs(runs=(run,), cards=("sample",), license="CC0-1.0"), out)
    rows = list(read_rows(table_path(out, "dialogues")))
    states = [json.loads(row["states"]) for row in rows]
    assert [[one["levels"][0]["value"] for one in each] for each in states] == [[9, 8, 7, 6]] * 2
    assert [one["turn"] for one in states[0]] == [1, 3, 5, 7]
    assert [(row["end"], row["attempts"]) for row in rows] == [("last_round", 1)] * 2
    assert SECRET not in json.dumps([turn["text"] for row in rows for turn in row["turns"]])


def test_runs_are_merged_with_their_states_and_attempts(run, tmp_path):
    seeker, supporter = FakeModel("s", seeker_says), FakeModel("q", lambda _: "Oh.")
    door.simulate(
        supporter, seeker=seeker, protocol="course", rounds=4, limit=2, replay_faults=1, out=tmp_path / "other"
    )
    done = CliRunner().invoke(esc_eval, ["merge", str(run), str(tmp_path / "other"), "--out", str(tmp_path / "both")])
    assert done.exit_code == 0, done.output
    both = {dialogue.id: dialogue for dialogue in read_dialogues(tmp_path / "both")}
    assert len(both) == 4
    for dialogue in read_dialogues(run):
        assert both[dialogue.id] == dialogue


@pytest.mark.slow
def test_a_replay_drops_the_ratings_of_what_was_played_before(tmp_path):
    bad = [True]

    def says(conversation):
        n = sum(message["role"] == "assistant" for message in conversation)
        return "As an AI language model I cannot." if bad[0] and n == 1 else f"I feel bad, {n} times."

    def go(**more):
        seeker, supporter = FakeModel("s", says), FakeModel("p", lambda _: "I see.")
        rater = FakeModel("judge", lambda _: "3")
        cards = load_cards(limit=2)
        return door.evaluate(supporter, cards, seeker=seeker, scorer=rater, rounds=2, out=tmp_path, **more), rater

    go()
    bad[0] = False
    results, rater = go(replay_faults=1)
    assert all(dialogue.attempts for dialogue in results.dialogues)
    assert len(rater.asked) == 14
    assert len(results.ratings) == 14
