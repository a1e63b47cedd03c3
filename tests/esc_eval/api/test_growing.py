"""Runs that grow, are stopped, are joined and are merged: nothing is played twice, and nothing is mixed."""

import json
import shutil
import sqlite3
from collections import Counter
from itertools import count, islice
from pathlib import Path

import pytest
from kills import DONE, exit_code, files_of, run_child
from typer.testing import CliRunner

from esc_eval import Results, compare, evaluate, merge, report, score, simulate
from esc_eval.api import results
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.reporting.comparison import leaderboard_report
from esc_eval.reporting.gates import find_failures
from esc_eval.simulation.run import LEDGER, Run
from esc_eval.statistics.bootstrap import Bootstrap

CALLS = Counter()


def seeker(messages):
    CALLS["seeker"] += 1
    return "I cannot sleep."


def warm(messages):
    CALLS["warm"] += 1
    return "That sounds hard. What keeps you awake?"


def cold(messages):
    CALLS["cold"] += 1
    return "Go to bed."


def brief(messages):
    CALLS["brief"] += 1
    return "I see."


def long(messages):
    CALLS["long"] += 1
    return "I see. Many people lie awake, and most of them find a way back to sleep."


def odd(messages):
    CALLS["odd"] += 1
    return "Have you tried a hammock?"


def judge(messages):
    CALLS["judge"] += 1
    return "3" if "hard" in messages[-1]["content"] else "1"


def second(messages):
    CALLS["second"] += 1
    return "2" if "Many" in messages[-1]["content"] else "3"


SHORT = {"language": "en", "rounds": 1, "seeker": seeker, "rubric": "ieval-overall"}


def run(folder, supporters, limit=3, scorer=judge, **more):
    return evaluate(supporters, limit=limit, scorer=scorer, out=folder, **SHORT | more)


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """Reports whose pages are empty: nobody looks at them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "as_page", lambda *_, **__: "<title>ESC-Eval report</title>")
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one protocol: warm on three cards, cold on two of them."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder / "one", warm)
    run(folder / "two", cold, limit=2)
    return folder


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_a_study_grows_from_two_models_on_12_cards_to_five_on_50_with_two_judges_and_people_in_one_folder(tmp_path):
    study, five = tmp_path / "study", {f.__name__: f for f in (warm, cold, brief, long, odd)}
    CALLS.clear()
    cards = 50
    first = run(study, {"first": warm, "cold": cold}, limit=12, cards="open")
    run(study, {"warm": warm, "cold": cold}, limit=12, cards="open")  # it is called otherwise from now on
    run(study, five, limit=12, cards="open")
    run(study, five, limit=cards, cards="open")
    score(study, {"second": second}, rubric="ieval-overall", out=study)
    rated = [d.id for d in read_dialogues(study)][::13][:20]
    rows = [f"{name},ana,overall,{n % 3 + 1},ieval-overall/1" for n, name in enumerate(rated)]
    (tmp_path / "people.csv").write_text("\n".join(["dialogue_id,rater,dimension,score,rubric", *rows]) + "\n")
    for _ in range(2):
        found = score(study, people=tmp_path / "people.csv", out=study)
    dialogues = len(five) * cards
    each = dict.fromkeys(five, cards) | {"seeker": dialogues, "judge": dialogues, "second": dialogues}
    assert each == CALLS, "nothing is played or rated twice"
    assert Counter(rating.rater for rating in found.ratings) == {"judge": dialogues, "second": dialogues, "ana": 20}
    kept = {d.id: d.turns for d in found.dialogues}
    assert all(kept[d.id] == d.turns for d in first.dialogues)
    boards = {board.rater: {row.supporter: row.scored for row in board.rows} for board in found.summary.tables}
    assert boards["judge"] == boards["second"] == dict.fromkeys(five, cards)
    assert sum(boards["ana"].values()) == 20
    assert invoke("compare", study, "--draws", "100").exit_code == 0


def test_a_run_that_was_killed_is_reported_exported_and_counted_as_it_is(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    run(folder, [warm, cold])
    with sqlite3.connect(folder / LEDGER) as ledger:  # as a kill leaves it: two replies and two ratings were not given
        for table, ids in (
            ("turn", ("cold:sample-en-02", "cold:sample-en-03")),
            ("scoring/judge", ("warm:sample-en-03",)),
        ):
            for name in ids:
                ledger.execute("delete from records where kind = ? and owner = ? and position > 0", (table, name))
        ledger.execute(
            "delete from records where kind = 'scoring/judge' and owner >= 'cold:sample-en-02' and owner < 'd'"
        )
        ledger.execute("delete from records where kind = 'scoring/judge' and owner = 'warm:sample-en-03'")
    ledger.close()
    for name in ("dialogues.jsonl", "ratings.jsonl", "report.html", "report.md", "summary.json"):
        (folder / name).unlink()
    told = invoke("report", folder)
    assert told.exit_code == 0, told.stderr
    assert "warm 2 of 3, cold 1 of 3 (1 are over)" in " ".join(told.stdout.split())
    [board] = Results.load(folder).summary.tables
    assert {row.supporter: (row.scored, row.asked, row.dialogues) for row in board.rows} == {
        "warm": (2, 3, 2),
        "cold": (1, 3, 1),
    }
    assert " 2 of 3 " in told.stdout
    done = invoke("export", folder, "--out", tmp_path / "official")
    assert "warm 3 of 3, cold 1 of 3" in done.stderr
    CALLS.clear()
    run(folder, [warm, cold])
    assert CALLS == {"seeker": 2, "cold": 2, "judge": 3}
    assert "are rated by" not in invoke("report", folder).stdout


def test_a_run_of_which_no_dialogue_is_over_says_so(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    (folder / "dialogues.jsonl").unlink()
    with sqlite3.connect(folder / LEDGER) as ledger:
        ledger.execute("delete from records where kind <> 'turn' or position > 0")
    ledger.close()
    told = invoke("report", folder)
    assert told.exit_code == 2
    assert "none of its 3 dialogues is over yet" in told.stderr


def test_a_run_that_goes_on_in_another_process_is_read_meanwhile(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    (folder / "dialogues.jsonl").unlink()
    with Run(folder):
        assert [d.supporter for d in Results.load(folder).dialogues] == ["warm"] * 3


def test_runs_are_joined_with_their_making_in_the_signature(runs):
    both = report([runs / "one", runs / "two"])
    [board] = both.summary.tables
    assert {row.supporter: row.scored for row in board.rows} == {"warm": 3, "cold": 2}
    assert "protocol:esc-eval/1" in board.signature
    assert "foreign" not in board.signature
    files = {kind: [runs / name / f"{kind}.jsonl" for name in ("one", "two")] for kind in ("dialogues", "ratings")}
    assert report(**files).summary.tables[0].signature == board.signature
    found = compare([runs / "one", runs / "two"]).data["boards"]["en"]
    [pair] = found["differences"]["overall"]
    assert (pair["first"], pair["second"], pair["difference"].n) == ("warm", "cold", 2)


def test_merged_runs_are_one_run_that_says_of_each_dialogue_what_made_it_and_may_grow(runs, tmp_path):
    told = invoke("merge", runs / "one", runs / "two", "--out", tmp_path / "both")
    assert told.exit_code == 0, told.stderr
    both = Results.load(tmp_path / "both")
    parts = [Results.load(runs / name) for name in ("one", "two")]
    assert {d.id: d for d in both.dialogues} == {d.id: d for part in parts for d in part.dialogues}
    assert len(both.ratings) == 5
    card = json.loads((tmp_path / "both" / "run.json").read_text())
    assert set(card["simulation"]["identity"]["supporters"]) == {"warm", "cold"}
    for part, said in zip(parts, card["merged"], strict=True):
        assert said["dialogues"] == [d.id for d in part.dialogues]
        assert said["run"] == json.loads((part.folder / "run.json").read_text())
    CALLS.clear()
    run(tmp_path / "both", [warm, cold])
    assert CALLS == {"seeker": 1, "cold": 1, "judge": 1}, "only what neither run had"


@pytest.mark.slow
def test_what_both_runs_have_counts_once(runs, tmp_path):
    shutil.copytree(runs / "one", tmp_path / "copy")
    both = merge([runs / "one", tmp_path / "copy"], tmp_path / "both")
    assert (len(both.dialogues), len(both.ratings)) == (3, 3)


@pytest.mark.slow
def test_runs_of_two_seeds_are_merged_and_keep_both_but_cannot_be_played_on(runs, tmp_path):
    run(tmp_path / "other", {"colder": cold}, seed=5)
    both = merge([runs / "one", tmp_path / "other"], tmp_path / "both")
    assert "seed:0 + 5" in both.summary.tables[0].signature
    with pytest.raises(EscEvalError, match="merged from runs of several seeds"):
        run(tmp_path / "both", warm, limit=4)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"rounds": 2}, "protocol.rounds: 1 -> 2"),
        pytest.param({"seeker": odd}, "seeker.model", marks=pytest.mark.slow),
        pytest.param({"supporters": {"warm": cold}}, "supporters.warm.model", marks=pytest.mark.slow),
        ({"scorer": {"judge": second}}, "judge rates otherwise: scorer.model"),
    ],
)
def test_what_was_made_otherwise_is_refused_with_the_difference(runs, tmp_path, changed, why):
    asked = {"supporters": {"cold": cold}, **changed}
    run(tmp_path / "other", limit=1, **asked)
    for words in (["report"], ["compare"], ["merge", "--out", tmp_path / "both"]):
        told = invoke(words[0], runs / "one", tmp_path / "other", *words[1:])
        assert told.exit_code == 2
        assert why in told.stderr
    assert not (tmp_path / "both").exists()


@pytest.mark.slow
def test_kill_9_at_any_moment_of_a_merge_leaves_the_whole_folder_or_none(runs, tmp_path):
    def work(folder: Path) -> None:
        merge([runs / "one", runs / "two"], folder / "both")

    (tmp_path / "whole").mkdir()
    assert exit_code(run_child(work, tmp_path / "whole", report=tmp_path / "seen")) == DONE
    accesses = json.loads((tmp_path / "seen").read_text())[0]
    expected = names_of(tmp_path / "whole")
    for at in sorted({1, 2, *range(3, accesses, max(1, accesses // 12)), accesses}):
        folder = tmp_path / f"at{at}"
        folder.mkdir()
        assert exit_code(run_child(work, folder, at=at)) < 0
        assert names_of(folder) in ([], expected)
        if not (folder / "both").exists():
            assert exit_code(run_child(work, folder)) == DONE
        found = Results.load(folder / "both")
        assert (len(found.dialogues), len(found.ratings)) == (5, 5)
        assert not [*folder.glob(".esc-eval-*")]


def names_of(folder):
    return sorted(name for name in files_of(folder) if name.startswith("both/"))


def test_a_gate_is_decided_by_the_interval(tmp_path):
    rows = ["dialogue_id,model,card,rater,dimension,score"]
    for card, name in islice(((card, name) for card in count() for name in ("old", "new", "same")), 36):
        level = {"old": 3, "new": 1, "same": 3}[name] + (card % 2)
        rows.append(f"{name}{card},{name},{card},r,empathy,{level}")
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(rows) + "\n")
    worse = invoke("compare", path, "--fail-if-worse", "old", "--draws", "300")
    assert worse.exit_code == 1
    assert [line.split(": ")[2].split()[:4] for line in worse.stderr.splitlines()] == [["new", "is", "worse", "than"]]
    found = leaderboard_report(read_table([path]), Bootstrap(draws=300), flips=99)
    assert find_failures(found, worse_than="new") == find_failures(found, under=20) == []
    [under] = find_failures(found, under=60)
    assert "new is under 60" in under
    with pytest.raises(EscEvalError, match="no model is called so; there are new, old, same"):
        find_failures(found, worse_than="nobody")
    alone = read_table([path])
    alone = leaderboard_report(
        alone.replaced(alone.frame[alone.frame["model"] == "old"]), Bootstrap(draws=100), flips=99
    )
    with pytest.raises(EscEvalError, match="old: it is the only model"):
        find_failures(alone, worse_than="old")


def test_what_has_no_interval_does_not_pass(tmp_path):
    rows = ["dialogue_id,model,card,rater,dimension,score", "a1,a,c1,r,empathy,4", "b2,b,c2,r,empathy,4"]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(rows) + "\n")
    found = leaderboard_report(read_table([path]), Bootstrap(draws=100), flips=99)
    assert ["b cannot be compared with a" in line for line in find_failures(found, worse_than="a")] == [True]
    assert len(find_failures(found, under=1)) == 2


def test_differences_are_shown_by_dimension_and_by_category(tmp_path):
    rows = ["dialogue_id,model,card,category,rater,dimension,score"]
    for card, name in ((card, name) for card in range(12) for name in ("one", "two")):
        kind = ("family_and_life", "work_and_study")[card % 2]
        good = (name == "one") == (kind == "family_and_life")
        rows += [f"{name}{card},{name},{card},{kind},r,{d},{3 if good else 1}" for d in ("empathy", "fluency")]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(rows) + "\n")
    found = leaderboard_report(read_table([path]), Bootstrap(draws=100), flips=99)
    each = found.data["boards"]["all"]["differences_by_category"]
    sign = 1 if found.data["boards"]["all"]["order"][0] == "one" else -1
    assert [each[kind][0]["difference"].value * sign for kind in sorted(each)] == [50, -50]
    titles = [table.title.partition(". ")[0] for table in found.tables]
    assert titles[1:4] == ["Differences of Average", "Differences by dimension", "Differences of Average by category"]


def test_people_are_kept_beside_scorers_and_a_contradiction_is_refused(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    path = tmp_path / "people.csv"
    head, row = "dialogue_id,rater,dimension,score,rubric\n", "warm:sample-en-01,ana,overall,{},ieval-overall/1\n"
    path.write_text(head + row.format(3))
    CALLS.clear()
    for _ in range(2):
        assert invoke("score", "--dialogues", folder, "--people", path).exit_code == 0
    score(folder, {"second": second}, rubric="ieval-overall", out=folder)
    assert CALLS == {"second": 3}
    assert Counter(r.rater for r in read_ratings(folder)) == {"ana": 1, "judge": 3, "second": 3}
    path.write_text(head + row.format(2))
    told = invoke("score", "--dialogues", folder, "--people", path)
    assert told.exit_code == 2
    assert "ana gave overall of 'warm:sample-en-01' 2, and 3 before" in " ".join(told.stderr.split())
    path.write_text(head + row.format(2).replace("sample-en-01", "elsewhere"))
    assert "dialogues that the run has not" in invoke("score", "--dialogues", folder, "--people", path).stderr


@pytest.mark.slow
def test_a_judge_that_fails_stops_neither_the_others_nor_the_report(runs, tmp_path):
    def broken(messages):
        raise RuntimeError("out of order")

    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    with pytest.raises(Incomplete, match=r"broken could not rate any more; the others did\..*out of order") as error:
        run(folder, warm, scorer={"broken": broken, "second": second})
    assert error.value.exit_code == 2
    assert {rating.rater for rating in error.value.results.ratings} == {"judge", "second"}
    assert "The rater broken failed" in (folder / "report.md").read_text()
    run(folder, warm, scorer={"broken": second, "second": second})
    assert "failed" not in (folder / "report.md").read_text()


@pytest.mark.slow
def test_another_label_of_a_judge_is_a_rename_and_one_beside_it_a_second_judge(runs, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(runs / "one", folder)
    CALLS.clear()
    told = []
    renamed = run(folder, warm, scorer={"strict": judge}, progress=told.append)
    assert (CALLS, {r.rater for r in renamed.ratings}) == ({}, {"strict"})
    assert any("judge judge is called strict now" in str(one) for one in told)
    assert {kind for kind in json.loads((folder / "run.json").read_text()) if "/" in kind} == {"scoring/strict"}
    both = run(folder, warm, scorer={"strict": judge, "again": judge})
    assert (CALLS, {r.rater for r in both.ratings}) == ({"judge": 3}, {"strict", "again"})


def test_a_card_may_be_played_several_times_and_n_counts_each(tmp_path):
    CALLS.clear()
    found = simulate(
        [warm], limit=2, repeats=3, out=tmp_path / "run", **{k: v for k, v in SHORT.items() if k != "rubric"}
    )
    assert (len(found.dialogues), CALLS["warm"]) == (6, 6)
    assert invoke("export", tmp_path / "run", "--out", tmp_path / "official").exit_code == 0
    files = sorted((tmp_path / "official" / "result").iterdir())
    assert {path.name for path in files} == {f"warm{n}_en.json" for n in ("", "-2", "-3")}
    assert all(len(json.loads(path.read_text())) == 2 for path in files)
    assert {(row["dialogue_id"], row["repeat"]) for row in found.rows("turns") if row["position"] == 0} >= {
        (f"warm:{found.dialogues[0].card_id}", None),
        (f"warm:{found.dialogues[0].card_id}#3", 3),
    }
    assert (
        invoke("evaluate", "--supporter", "embedded", "--limit", "2", "--repeats", "3", "--dry-run", "--out", "x")
        .stdout.split("embedded")[1]
        .split()[0]
        == "6"
    )
