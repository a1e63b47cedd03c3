"""The door from Python: whatever can answer is evaluated, nothing is printed, and what was finished is kept."""

import builtins
import gc
import importlib
import json
import signal
import subprocess
import sys
import threading
from inspect import signature
from pathlib import Path

import pytest
from typer.testing import CliRunner

from esc_eval import Results, RoleCard, compare, evaluate, report, score, simulate
from esc_eval.api.progress import Progress
from esc_eval.api.settings import PlayingAndRating, Settings, make_settings
from esc_eval.chat import open_model
from esc_eval.cli.app import app
from esc_eval.cli.options import (
    GoingOptions,
    OpeningOptions,
    PlayingOptions,
    RatingOptions,
    WordingOptions,
    settings_of,
)
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_cards, read_dialogues, read_ratings

ROOT = Path(__file__).resolve().parents[3]
CARDS = [
    RoleCard(id=f"c{n}", language="en", text=f"Problem: exam {n}", source="made up", category="work_and_study")
    for n in range(4)
]


def seeker(messages):
    return f"I am afraid, {sum(m['role'] == 'assistant' for m in messages)}."


def warm(messages):
    return "I hear you."


async def cold(messages):
    return "Whatever."


def judge(messages):
    return "3" if "I hear you" in messages[-1]["content"] else "1"


SHORT = {"cards": CARDS, "rounds": 2, "seeker": seeker}


@pytest.fixture(scope="module")
def results():
    return evaluate([warm, cold], scorer=judge, **SHORT)


def test_functions_are_evaluated(results):
    assert {d.supporter for d in results.dialogues} == {"warm", "cold"}
    assert results.dialogues[0].turns[1].text == "I am afraid, 0."
    assert len(results.ratings) == 2 * 4 * 7
    assert {(r.dialogue_id.partition(":")[0], r.score) for r in results.ratings} == {("warm", 3), ("cold", 1)}
    [table] = results.summary.tables
    assert [(row.supporter, row.average.value) for row in table.rows] == [("warm", 75), ("cold", 25)]


def parts_of(results):
    [table] = results.summary.tables
    return dict(part.split(":", 1) for part in table.signature.split("|"))


@pytest.mark.slow
def test_a_scoring_in_another_folder_keeps_the_protocol_in_its_signature(tmp_path):
    made = evaluate(warm, scorer=judge, out=tmp_path / "run", **SHORT)
    known = parts_of(made)
    assert {"protocol", "rounds", "cards", "seeker", "tokens", "temperature", "seed"} <= known.keys()
    again = {
        "folder": score(tmp_path / "run", scorer=judge, out=tmp_path / "a"),
        "file": score(tmp_path / "run" / "dialogues.jsonl", scorer=judge, out=tmp_path / "b"),
        "results": score(made, scorer=judge, out=tmp_path / "c"),
        "the other folder": score(tmp_path / "a", scorer=judge, out=tmp_path / "d"),
        "again": score(tmp_path / "run", scorer=judge, out=tmp_path / "a"),
        "reported": report(tmp_path / "d"),
    }
    for name, results in again.items():
        assert parts_of(results) == known, name


@pytest.mark.slow
def test_dialogues_of_several_runs_say_what_differs_and_those_from_nowhere_are_foreign(tmp_path, script):
    first = simulate(warm, out=tmp_path / "one", **SHORT)
    simulate({"cold": cold}, out=tmp_path / "two", **SHORT | {"rounds": 1, "seed": 7})
    both = parts_of(score([tmp_path / "one", tmp_path / "two"], scorer=judge, out=tmp_path / "both"))
    assert (both["rounds"], both["seed"]) == ("2 + 1", "0 + 7")
    assert "dialogues" not in both
    lines = [d.model_copy(update={"id": f"x:{n}"}).to_json() for n, d in enumerate(first.dialogues)]
    (tmp_path / "file.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mixed = parts_of(score([tmp_path / "one", tmp_path / "file.jsonl"], scorer=judge, out=tmp_path / "mixed"))
    assert (mixed["rounds"], mixed["dialogues"]) == ("2", "some foreign")
    alone = parts_of(score(tmp_path / "file.jsonl", scorer=judge, out=tmp_path / "alone"))
    assert alone["dialogues"] == "foreign"
    assert "protocol" not in alone
    later = parts_of(score([tmp_path / "one"], scorer=judge, out=tmp_path / "alone"))
    assert later["dialogues"] == "some foreign"


def test_names_objects_methods_and_labels_are_supporters(script):
    class Bot:
        def answer(self, messages):
            return "Tell me more."

    named = {
        "a": script(["A"], "one"),
        "b": open_model(script(["B"], "two")),
        "c": Bot().answer,
        "d": lambda m: "D",
        5: lambda m: "E",
    }
    found = simulate(named, **SHORT)
    said = {d.supporter: d.turns[2].text for d in found.dialogues}
    assert said == {"a": "A", "b": "B", "c": "Tell me more.", "d": "D", "5": "E"}
    assert not found.ratings
    assert simulate(script(["A"], "one"), limit=1, **SHORT).dialogues[0].supporter == "one"


def test_two_supporters_of_one_name_are_refused_with_the_remedy():
    with pytest.raises(EscEvalError, match=r"two supporters are called 'lambda'; give one a label: .*dict"):
        simulate([lambda m: "a", lambda m: "b"], **SHORT)


def test_the_signature_gives_a_function_no_temperature_and_no_token_cap(results, script):
    signature = results.summary.tables[0].signature
    assert "|tokens:own/own|temperature:own/own|" in signature
    mixed = evaluate({"f": warm, "m": script(["Yes."], "m")}, scorer=judge, limit=1, **SHORT)
    assert "|tokens:own/512|temperature:own/0.0|" in mixed.summary.tables[0].signature


def test_half_a_character_becomes_a_replacement_that_files_can_hold():
    made = evaluate(lambda m: "so sad \ud83d", scorer=lambda m: "Score: 3. \ud83d", limit=1, **SHORT)
    assert {turn.text for turn in made.dialogues[0].turns[2::2]} == {"so sad \ufffd"}
    assert {rating.raw for rating in read_ratings(made.folder)} == {"Score: 3. \ufffd"}


def test_several_scorers_rate_each_under_its_own_name(results):
    rated = score(simulate(warm, **SHORT), {"kind": judge, "harsh": lambda m: "0"})
    assert {(r.rater, r.score) for r in rated.ratings} == {("kind", 3), ("harsh", 0)}
    assert len(rated.compare().data["boards"]) == 2
    assert list(rated.compare("kind").data["boards"]) == ["en"]
    with pytest.raises(EscEvalError, match=r"no ratings by 'none'; .*'harsh', 'kind'"):
        rated.compare("none")


def test_score_takes_results_folders_files_and_dialogues(results, tmp_path):
    made = simulate([warm, cold], out=tmp_path / "run", **SHORT)
    expected = results.ratings
    assert score(list(made.dialogues), judge).ratings == expected
    assert score(tmp_path / "run" / "dialogues.jsonl", judge).ratings == expected
    assert not (tmp_path / "run" / "ratings.jsonl").exists()
    assert score(tmp_path / "run", judge).folder == tmp_path / "run"
    assert tuple(read_ratings(tmp_path / "run")) == expected


@pytest.mark.slow
def test_cards_come_along_when_a_run_is_rated_in_another_folder(results, tmp_path):
    results.save(tmp_path / "run")
    score(tmp_path / "run", scorer=judge, out=tmp_path / "rated")
    assert read_cards(tmp_path / "rated") == CARDS
    (tmp_path / "run" / "cards.jsonl").write_text(CARDS[0].model_copy(update={"text": "other"}).to_json())
    with pytest.raises(EscEvalError, match=r"'c0' has another text"):
        score(tmp_path / "run", scorer=judge, out=tmp_path / "rated")


def test_a_stopped_call_goes_on_with_the_same_out(tmp_path):
    asked, patience = [], 5

    def tired(messages):
        asked.append(1)
        if len(asked) > patience:
            raise TimeoutError("no more")
        return "Yes."

    with pytest.raises(EscEvalError, match=r"tired: .*tired raised TimeoutError: no more"):
        evaluate(tired, scorer=judge, out=tmp_path / "run", **SHORT)
    patience = 100
    done = evaluate(tired, scorer=judge, out=tmp_path / "run", **SHORT)
    assert len(done.dialogues) == 4
    assert len(asked) < 5 + 2 + 8, "what was answered is not asked again"
    assert {"summary.json", "report.md", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.slow
def test_a_temporary_run_folder_lives_as_long_as_its_results_or_the_failure(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = simulate(warm, limit=1, **SHORT)
    folder = found.folder
    assert folder.parent == tmp_path
    rated = score(found, judge)
    del found
    gc.collect()
    assert len(read_dialogues(folder)) == len(rated.dialogues) == 1
    del rated
    gc.collect()
    assert not folder.exists()

    fails = [True]

    def flaky(messages):
        return 1 / 0 if fails else "Better."

    with pytest.raises(EscEvalError, match="ZeroDivisionError") as caught:
        simulate([warm, flaky], limit=1, **SHORT)
    [note] = caught.value.__notes__
    kept = note.partition("out='")[2].partition("'")[0]
    fails.clear()
    told = []
    assert len(simulate([warm, flaky], limit=1, out=kept, progress=told.append, **SHORT).dialogues) == 2
    assert str(told[0]) == "going on after 5 of 8 turns"


def test_ctrl_c_waits_for_no_function_and_the_run_goes_on(tmp_path):
    never, asked = threading.Event(), []

    def stuck(messages):
        asked.append(messages)
        if len(asked) == 2:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if not patient:
            never.wait(60)
        return "Yes."

    patient = []
    with pytest.raises(KeyboardInterrupt):
        simulate(stuck, out=tmp_path, concurrency=2, **SHORT)
    patient.append(True)
    assert len(simulate(stuck, out=tmp_path, concurrency=2, **SHORT).dialogues) == 4
    never.set()


def test_settings_are_checked_in_a_sentence():
    with pytest.raises(EscEvalError, match=r"evaluate: there is no setting 'warmth'; Known: .*timeout"):
        evaluate(warm, warmth=1)
    with pytest.raises(EscEvalError, match=r"simulate: there is no setting 'price_'; did you mean price"):
        simulate(warm, price_="1,2")
    with pytest.raises(EscEvalError, match=r"simulate: there is no setting 'by'"):
        simulate(warm, by="text")
    with pytest.raises(EscEvalError, match=r"evaluate: limit: Input should be greater"):
        evaluate(warm, limit=0)
    with pytest.raises(EscEvalError, match=r"3 is no model: give a name"):
        evaluate(3)
    with pytest.raises(EscEvalError, match="nobody to test"):
        evaluate([])
    with pytest.raises(EscEvalError, match="no such run folder"):
        report("nowhere")
    with pytest.raises(EscEvalError, match="give a run folder, or both"):
        report(dialogues="x.jsonl")
    with pytest.raises(EscEvalError, match="no dialogues to rate"):
        score([], judge)
    with pytest.raises(EscEvalError, match="3: expected results, a path"):
        score(3, judge)
    with pytest.raises(EscEvalError, match="no run to compare"):
        compare([])


def test_a_view_that_there_is_not_is_refused(results):
    with pytest.raises(EscEvalError, match="by 'card': expected one of supporter, dimension"):
        results.table(by="card")
    with pytest.raises(EscEvalError, match="format 'html': expected one of text, json, markdown, latex"):
        results.render("html")
    with pytest.raises(EscEvalError, match="statistic 'mean': expected one of level, expected"):
        report(results, statistic="mean")
    with pytest.raises(EscEvalError, match="no ratings yet"):
        Results(results.dialogues).compare()


def test_the_settings_of_each_call_are_in_the_run_folder_without_secrets(script, tmp_path):
    server = "http://me:secret@127.0.0.1:9/v1"
    model = open_model(script(["Yes."], "one"))
    simulate({"m": model}, out=tmp_path / "run", base_url=server, limit=1, **SHORT)
    score(tmp_path / "run", {"j": judge, "k": f"{script(['2'], 'k')}"}, by="text", calibration=None)
    played, rated = json.loads((tmp_path / "run" / "run.json").read_text())["calls"]
    assert played["settings"]["base_url"] == ["http://127.0.0.1:9/v1"]
    expected = {"limit": 1, "rounds": 2, "seed": 0, "cards": ["4 role cards from Python"], "concurrency": None}
    assert expected.items() <= played["settings"].items()
    assert played["settings"]["supporter"] == ["m=one"]
    assert "by" not in played["settings"]
    assert rated["settings"]["by"] == "text"
    assert rated["settings"]["scorer"][1].startswith("k=scripted:")
    assert "secret" not in (tmp_path / "run" / "run.json").read_text()


def test_the_command_line_has_every_setting_with_the_same_default():
    options = settings_of(PlayingOptions(), RatingOptions(), WordingOptions(), GoingOptions(), OpeningOptions())
    assert options.keys() == Settings.model_fields.keys()
    assert make_settings("evaluate", **options) == Settings()
    said = {*signature(evaluate).parameters, *PlayingAndRating.__optional_keys__}
    assert said - {"supporters", "out", "progress", "settings"} == Settings.model_fields.keys() - {"supporter"}


@pytest.mark.filterwarnings("error::UserWarning")
def test_nothing_is_printed_and_progress_is_told(capfd, tmp_path):
    told = []
    evaluate({"热心": warm}, scorer=judge, limit=2, progress=told.append, out=tmp_path, **SHORT)
    assert capfd.readouterr() == ("", "")
    turns = [each for each in told if each.what == "turns"]
    assert [each.done for each in turns] == list(range(9))
    assert turns[-1] == Progress("turns", 8, 8)
    assert str(told[-1]) == "2 of 2 dialogues rated by judge"


def test_the_table_is_a_frame_with_pandas_and_rows_without(results, monkeypatch):
    pd = pytest.importorskip("pandas")
    frame = results.table()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["supporter"]) == ["warm", "cold"]
    assert list(frame["empathy"]) == [75, 25]
    long = results.table(by="dimension")
    assert len(long) == 14
    real = builtins.__import__

    def without_pandas(name, *rest, **more):
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    rows = results.table()
    assert rows == frame.to_dict("records")
    assert rows[0]["average"] == 75


def test_what_a_model_says_is_escaped_in_a_notebook():
    evil = {"<script>alert(1)</script>": lambda m: "<b>hi</b>"}
    shown = evaluate(evil, scorer={"<i>judge</i>": judge}, limit=1, **SHORT)._repr_html_()
    assert "<script" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert shown.count("<tr>") == 2
    assert "<td>25.0" in shown


def test_results_say_what_they_are(results):
    assert repr(results) == f"<Results: 8 dialogues, 56 ratings in {results.folder}>"
    assert "Empathy" in str(results)
    assert str(simulate(warm, limit=1, **SHORT)).startswith("<Results: 1 dialogues, 0 ratings")
    assert json.loads(results.render("json"))["tables"]


@pytest.mark.slow
def test_saved_results_are_a_run_folder_that_is_read_again(results, tmp_path):
    folder = results.save(tmp_path / "kept")
    again = Results.load(folder)
    assert (again.dialogues, again.ratings) == (results.dialogues, results.ratings)
    assert again.render("json") == results.render("json")
    assert report(folder).render() == results.render()
    assert (folder / "report.html").exists()
    with pytest.raises(EscEvalError, match="not empty"):
        results.save(folder)
    loose = report(dialogues=results, ratings=list(results.ratings)).save(tmp_path / "loose")
    assert Results.load(loose).ratings == results.ratings
    assert len(evaluate([warm, cold], scorer=judge, out=folder, **SHORT).ratings) == 56, "a saved run may go on"


@pytest.mark.slow
def test_runs_are_compared_on_the_cards_that_they_share(results, tmp_path):
    one = evaluate(warm, scorer=judge, **SHORT)
    evaluate(cold, scorer=judge, out=tmp_path / "two", **SHORT)
    found = compare([one, tmp_path / "two"]).data["boards"]["en"]
    [pair] = found["differences"][found["ranked_by"]]
    assert (pair["first"], pair["second"], pair["difference"].value) == ("warm", "cold", 50)
    assert found["order"] == results.compare().data["boards"]["en"]["order"] == ["warm", "cold"]
    with pytest.raises(EscEvalError, match="named twice"):
        compare([one, one])


@pytest.mark.slow
def test_the_command_line_and_python_make_the_same_files_and_comparison(script, tmp_path):
    models = {name: script([text, "Go on."], name) for name, text in (("s", "I am sad."), ("m", "Oh."), ("j", "2"))}
    common = ["--supporter", models["m"], "--seeker", models["s"], "--scorer", models["j"]]
    done = CliRunner().invoke(app, ["evaluate", *common, "--limit", "3", "--out", str(tmp_path / "shell")])
    assert done.exit_code == 0, done.stderr
    found = evaluate(
        models["m"], seeker=models["s"], scorer=models["j"], limit=3, out=str(tmp_path / "python"), by="auto"
    )
    for name in ("dialogues.jsonl", "ratings.jsonl", "summary.json", "report.html"):
        assert (tmp_path / "shell" / name).read_bytes() == (found.folder / name).read_bytes(), name
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "shell")])
    assert done.stdout.strip() == found.compare().to_text().strip()


def test_the_door_opens_without_heavy_libraries():
    heavy = ("torch", "transformers", "datasets", "pandas", "scipy", "matplotlib")
    loaded = f"print([name for name in {heavy} if name in sys.modules])"
    code = f"import sys, esc_eval; dir(esc_eval); {loaded}; from esc_eval import evaluate; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
    assert {"evaluate", "simulate", "score", "report", "compare", "Results"} <= set(dir(__import__("esc_eval")))
    with pytest.raises(AttributeError, match="no attribute 'evalaute'"):
        importlib.import_module("esc_eval").evalaute  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("name", ["summary.json", "report.md", "report.html"])
def test_a_report_replaces_reports_and_leaves_files_of_others_alone(results, tmp_path, name):
    report(results, out=tmp_path)
    report(results, out=tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / name).write_text("# What we found in spring\n")
    with pytest.raises(EscEvalError, match=rf"{name}: is there and is no report of esc-eval; move it away"):
        report(results, out=tmp_path)
    assert (tmp_path / name).read_text() == "# What we found in spring\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()}.keys() == written.keys()
