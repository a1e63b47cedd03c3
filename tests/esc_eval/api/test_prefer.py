"""Preferences through the door and the command line, and on to every command that takes a run."""

import json

import pytest
from made_pairs import SAID, answer, judge, make_talks, write_talks
from typer.testing import CliRunner

import esc_eval
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.files.preferences import read_preferences
from esc_eval.simulation.run import Run, read_card
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.view.collection import Collection


@pytest.fixture
def folder(tmp_path):
    return write_talks(tmp_path / "run", make_talks(3))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("esc_eval.api.results.Bootstrap", lambda: Bootstrap(draws=100))


def run_cli(*words):
    done = CliRunner().invoke(app, ["prefer", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def verdicts(folder, value=2):
    path = folder.parent / "people.csv"
    rows = [f"card {n},long:card {n},short:card {n},preference,anna,{value},3,a\n" for n in range(3)]
    path.write_text("card_id,dialogue_a,dialogue_b,dimension,rater,preference,steps,left\n" + "".join(rows))
    return path


@pytest.mark.slow
def test_judges_and_people_come_to_the_same_tables_and_report_shows_them(folder):
    found = esc_eval.prefer(folder, [judge(), judge("other", lambda *_: "tie")], preferences=verdicts(folder))
    [report] = found.preference_reports.values()
    assert set(report.data["standings"]) == {"judge", "other", "anna"}
    assert report.data["standings"]["judge"]["order"] == ["long", "middle", "short"]
    assert report.data["agreement_with_people"]["judge"]["decided"].value == 1
    shown = esc_eval.report(folder)
    assert shown.render() == found.render()
    assert "agreement with people" in (folder / "report.html").read_text()
    assert "Preferences by judge" in (folder / "report.md").read_text()
    assert json.loads((folder / "summary.json").read_text())["preferences"]["en, preference"]["standings"]
    assert set(read_card(folder)) >= {"preferring/judge", "preferring/other", "people's preferences"}


def test_one_judge_that_fails_does_not_stop_the_other(folder):
    told = []
    broken = judge("broken", lambda *_: (_ for _ in ()).throw(EscEvalError("no key")))
    with pytest.raises(Incomplete, match="broken could not compare any more") as caught:
        esc_eval.prefer(folder, [broken, judge()], progress=lambda now: told.append(str(now)))
    assert caught.value.exit_code == 2
    [report] = caught.value.results.preference_reports.values()
    assert list(report.data["standings"]) == ["judge"]
    assert any("broken could not compare any more" in line for line in told)
    with pytest.raises(EscEvalError, match="no key"):
        esc_eval.prefer(folder, broken)


def test_a_judge_without_any_preference_is_a_failure(folder, script):
    done = CliRunner().invoke(app, ["prefer", str(folder), "--judge", "j=" + script([answer(3)])])
    assert done.exit_code == 1
    assert "18 of 18 answers by j say no preference: 18 x the answer is not one JSON object" in done.stderr
    assert "judges in both orders" in done.stdout


def test_one_that_misses_some_is_a_failure_if_the_call_is_strict(folder):
    def sometimes(first, second):
        return 1 if len(first) > len(second) else 3

    assert len(esc_eval.prefer(folder, judge("j", sometimes)).preferences) == 18
    with pytest.raises(Incomplete, match="9 of 18 answers by k say no preference"):
        esc_eval.prefer(folder, judge("k", sometimes), strict=True)


def test_preferences_are_rows_with_their_supporters(folder):
    rows = esc_eval.prefer(folder, judge()).rows("preferences")
    assert len(rows) == 18
    assert {(row["model_a"], row["model_b"]) for row in rows} == {
        ("long", "middle"),
        ("long", "short"),
        ("middle", "short"),
    }


def test_a_file_alone_gives_the_tables_of_what_people_prefer(tmp_path):
    path = tmp_path / "arena.csv"
    rows = [f"x{n},y{n},anna,{'model_a' if n else 'tie'},m,n\n" for n in range(4)]
    path.write_text("dialogue_a,dialogue_b,judge,winner,model_a,model_b\n" + "".join(rows))
    found = json.loads(run_cli("--preferences", path, "--format", "json"))
    assert found["preference"]["standings"]["anna"]["order"] == ["m", "n"]


@pytest.mark.slow
def test_people_are_kept_and_shown_without_a_judge(folder):
    assert "anna: standing" in run_cli(folder, "--preferences", verdicts(folder))
    assert "anna: standing" in run_cli(folder)


def test_preferences_of_a_converted_set_are_kept_when_a_judge_is_asked(folder):
    own = [one.preference for one in read_preferences(verdicts(folder))]
    (folder / "preferences.jsonl").write_text("".join(f"{one.to_json()}\n" for one in own))
    esc_eval.prefer(folder, judge())
    raters = {one.preference.rater for one in read_preferences(folder)}
    assert raters == {"anna", "judge"}


def test_the_command_asks_what_it_is_told_to_and_goes_on(folder, script):
    first = "first=" + script([answer(1)])
    words = ("--judge", first, "--inconsistent", "leave-out", "--format", "markdown")
    assert "| judge | pairs |" in run_cli(folder, *words)
    assert "judge first                   18        18" in run_cli(folder, "--judge", first, "--dry-run")
    assert r"\begin{tabular}" in run_cli(folder, "--judge", first, "--format", "latex")
    assert len(read_preferences(folder)) == 18


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "give a run folder"),
        (("--judge", "x"), "give a run folder"),
        (("nowhere", "--judge", "embedded"), "no such run folder"),
    ],
)
def test_a_call_that_can_do_nothing_says_what_to_give(words, why):
    done = CliRunner().invoke(app, ["prefer", *words])
    assert done.exit_code == 2
    assert why in done.stderr


def test_a_run_without_two_supporters_on_a_card_is_refused(tmp_path):
    folder = write_talks(tmp_path / "one", make_talks(2, {"a": "x"}))
    with pytest.raises(EscEvalError, match="no two supporters played one card alike"):
        esc_eval.prefer(folder, judge())
    with pytest.raises(EscEvalError, match="no preferences yet"):
        esc_eval.prefer(folder)


def test_what_a_judge_costs_is_counted_against_the_limit(folder):
    from fake_models import counting

    model = counting("paid", lambda _: answer(1), parallel=1)
    with pytest.raises(EscEvalError, match="--max-cost"):
        esc_eval.prefer(folder, model, price="paid=100000,100000", max_cost=2.0)
    kept = len(read_preferences(folder))
    assert 0 < kept < 18
    with pytest.raises(EscEvalError, match="--max-cost"):
        esc_eval.prefer(folder, model, price="paid=100000,100000", max_cost=2.0)
    assert len(read_preferences(folder)) == kept


def test_a_killed_run_is_read_as_far_as_its_ledger_goes(folder):
    esc_eval.prefer(folder, judge())
    lines = (folder / "preferences.jsonl").read_text()
    (folder / "preferences.jsonl").write_text(lines.partition("\n")[0] + "\n")
    assert len(esc_eval.Results.load(folder).preferences) == 18
    (folder / "preferences.jsonl").unlink()
    assert len(esc_eval.Results.load(folder).preferences) == 18


@pytest.mark.slow
def test_runs_are_merged_and_shown_side_by_side_with_their_preferences(tmp_path, script):
    runs = []
    for number, names in enumerate((("a", "b"), ("a", "c"))):
        words = [f"--supporter={name}={script([SAID[long]], name)}" for name, long in zip(names, SAID, strict=False)]
        words += ["--seeker", script(["I am tired."], "seeker"), "--limit", "2", "--rounds", "1", "--language", "en"]
        runs.append(tmp_path / f"run{number}")
        assert CliRunner().invoke(app, ["simulate", *words, "--out", str(runs[-1])]).exit_code == 0
        esc_eval.prefer(runs[-1], judge("<judge>"))
    whole = esc_eval.merge(runs, tmp_path / "both")
    assert len(whole.preferences) == 8
    assert (tmp_path / "both" / "comparisons" / "esc-eval-1.yaml").is_file()
    again = judge("<judge>")
    assert len(esc_eval.prefer(tmp_path / "both", again).preferences) == 12
    assert len(again.asked) == 4  # b with c, which met in neither
    joined = esc_eval.report(runs)
    assert len(joined.preferences) == 8
    done = CliRunner().invoke(app, ["export", str(tmp_path / "both"), "--out", str(tmp_path / "official")])
    assert done.exit_code == 0
    assert len(read_preferences(tmp_path / "official" / "preferences.csv")) == 12
    page = side_by_side(Collection.open(runs))
    assert "It asks more." in page
    assert "&lt;judge&gt;" in page
    assert "<judge>" not in page
    with Run(tmp_path / "both", reading=True) as run:
        assert sum(run.owners("preferring/<judge>").values()) == 12


def side_by_side(collection):
    from starlette.testclient import TestClient

    from esc_eval.view.app import make_view

    return TestClient(make_view(collection), base_url="http://127.0.0.1").get("/side-by-side").text
