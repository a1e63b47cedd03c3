"""One conversation, one judge or one model that fails: what is kept, said and counted, and how a call ends."""

import json
import signal
import threading

import pytest
from fake_models import FakeModel, counting
from typer.testing import CliRunner

from esc_eval import Dialogue, Results, RoleCard, Turn, evaluate, rejudge, score, simulate
from esc_eval.api import door
from esc_eval.chat import Reply
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.schema import Served

CARDS = [RoleCard(id=f"c{n}", language="en", text=f"Problem: exam number {n}.", source="made up") for n in range(4)]
REFUSED = Reply("", "content_filter", problem="the server's filter refused the conversation")


def heard(conversation, word):
    return any(word in message["content"] for message in conversation)


SEEKER = FakeModel("seeker", lambda c: f"My exam: {c[0]['content'].rpartition('exam ')[2][:8]}.")
JUDGE = FakeModel("judge", lambda c: "Score: 3")
SHORT = {"cards": CARDS, "rounds": 2, "seeker": SEEKER}


def filtered(conversation):
    return REFUSED if heard(conversation, "number 1") else "I hear you."


def of(dialogue_id, words, answer="What happened?"):
    turns = (Turn(role="seeker", text=words), Turn(role="supporter", text=answer))
    return Dialogue(id=dialogue_id, language="en", turns=turns)


THREE = [of("d1", "My kiosk closed."), of("d2", "I feel hopeless."), of("d3", "My exam is near.")]


def test_a_refused_conversation_is_exported_counted_and_not_rated(tmp_path):
    judge, told = FakeModel("judge", lambda c: "Score: 3"), []
    found = evaluate(
        FakeModel("m", filtered), scorer=judge, out=tmp_path, progress=lambda p: told.append(str(p)), **SHORT
    )
    ended = [d for d in found.dialogues if d.problem]
    assert [(d.id, d.problem, len(d.turns)) for d in ended] == [("m:c1", f"supporter: {REFUSED.problem}", 2)]
    assert len(judge.asked) == 3 * 7, "no model is asked about a dialogue that ended early"
    own = [r for r in found.ratings if r.dialogue_id == "m:c1"]
    assert {(r.score, r.problem) for r in own} == {(None, f"not rated, the dialogue ended early: {ended[0].problem}")}
    [row] = found.summary.tables[0].rows
    assert (row.dialogues, row.scored, row.unanswered, row.average.n, row.ranked) == (4, 3, 1, 3, False)
    assert any("1 of 4 dialogues ended early: 1 x supporter: the server's filter" in line for line in told)
    report = (tmp_path / "report.md").read_text()
    assert "m is listed and not ranked: 1 of its 4 dialogues are unanswered, more than 10%." in report
    assert "3 of 4" in report
    assert "ended early" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("reply", [Reply("", "stop"), Reply("", "context")])
def test_a_supporter_that_never_answers_is_not_rated_for_the_opening_of_the_protocol(reply):
    with pytest.raises(Incomplete, match="judge scored nothing") as caught:
        evaluate(FakeModel("m", lambda c: reply), scorer=(judge := FakeModel("judge", lambda c: "Score: 3")), **SHORT)
    [row] = caught.value.results.summary.tables[0].rows
    assert judge.asked == []
    assert (row.scored, row.unanswered, row.ranked, row.average) == (0, 4, False, None)
    assert set(row.problems) == {"nothing to rate: the supporter says no word"}


@pytest.mark.slow
def test_a_dialogue_that_grew_too_long_is_rated_and_said_to_have_ended_early(tmp_path):
    def full(conversation):
        return Reply("", "context") if len(conversation) > 3 and heard(conversation, "number 1") else "I hear you."

    told = []
    found = evaluate(FakeModel("m", full), scorer=JUDGE, out=tmp_path, progress=lambda p: told.append(str(p)), **SHORT)
    [row] = found.summary.tables[0].rows
    assert (row.scored, row.unanswered, row.unfinished, row.ranked) == (4, 0, 1, True)
    why = "1 of 4 dialogues ended early: 1 x supporter: the dialogue is longer than the model can read"
    assert any(why in line for line in told)
    assert "; 1 dialogues ended early" in (tmp_path / "report.md").read_text()
    with pytest.raises(Incomplete, match=why):
        evaluate(FakeModel("m", full), out=tmp_path, scorer=JUDGE, strict=True, **SHORT)
    with pytest.raises(Incomplete, match=why):
        score(found.dialogues, scorer=JUDGE, strict=True)


def test_turns_that_will_not_be_played_count_as_done(tmp_path):
    def hindered(conversation):
        if heard(conversation, "number 2"):
            return Reply("", "context")
        return filtered(conversation)

    for more in ({}, {}, {"retry_failed": True}):
        told = []
        simulate(FakeModel("m", hindered), out=tmp_path, progress=told.append, **SHORT, **more)
        turns = [now for now in told if now.what == "turns"]
        assert (turns[-1].done, turns[-1].total) == (16, 16)
        assert [now.done for now in turns] == sorted(now.done for now in turns)


def test_the_others_rank_as_if_one_that_is_not_ranked_were_last():
    models = {"cut": filtered, "warm": lambda c: "Zinnia.", "cold": lambda c: "Quartz."}
    judge = FakeModel(
        "judge", lambda c: "Score: 4" if heard(c, "hear you") else "Score: 3" if heard(c, "Zinnia") else "1"
    )
    found = evaluate({name: FakeModel(name, answer) for name, answer in models.items()}, scorer=judge, **SHORT)
    assert [row.supporter for row in found.summary.tables[0].rows] == ["warm", "cold", "cut"]
    compared = found.compare()
    board = compared.data["boards"]["en"]
    assert board["order"] == ["warm", "cold", "cut"]
    assert board["models"]["cut"]["rank"] is None
    assert board["models"]["warm"]["rank"]["value"] == 1
    assert "not ranked" in compared.to_text()


@pytest.mark.slow
def test_failed_dialogues_are_played_on_and_rated_when_asked_for(tmp_path):
    moods = {"number 1": True}

    def answer(conversation):
        return REFUSED if moods and heard(conversation, "number 1") and len(conversation) > 3 else "I hear you."

    model = FakeModel("m", answer)
    evaluate(model, scorer=JUDGE, out=tmp_path, **SHORT)
    asked = len(model.asked)
    same = evaluate(model, scorer=JUDGE, out=tmp_path, **SHORT)
    assert len(model.asked) == asked, "without --retry-failed nothing is asked again"
    assert sum(d.problem is not None for d in same.dialogues) == 1
    moods.clear()
    simulate(model, out=tmp_path, retry_failed=True, **SHORT)
    assert len(model.asked) == asked + 1, "only the turn that failed is asked for anew"
    assert len(read_ratings(tmp_path)) == 3 * 7, "what was said of the failure is gone"
    whole = evaluate(model, scorer=JUDGE, out=tmp_path, **SHORT)
    assert all(d.problem is None and len(d.turns) == 5 for d in whole.dialogues)
    assert len(whole.ratings) == 4 * 7
    assert all(r.score == 3 for r in whole.ratings)


def test_strict_makes_a_gap_a_failure_that_holds_the_results():
    with pytest.raises(Incomplete, match="1 of 4 dialogues ended early") as caught:
        evaluate(FakeModel("m", filtered), scorer=JUDGE, strict=True, **SHORT)
    assert caught.value.exit_code == 1
    assert len(caught.value.results.ratings) == 4 * 7


@pytest.mark.parametrize("who", ["seeker", "m"])
def test_where_every_dialogue_ends_early_the_call_fails(who):
    models = {"seeker": SEEKER, "m": FakeModel("m", lambda c: "Yes."), who: FakeModel(who, lambda c: REFUSED)}
    with pytest.raises(Incomplete, match=r"every dialogue ended early: 4 x (seeker|supporter): .*filter") as caught:
        evaluate(models["m"], scorer=JUDGE, **{**SHORT, "seeker": models["seeker"]})
    assert caught.value.exit_code == 1
    [row] = caught.value.results.summary.tables[0].rows
    assert (row.scored, row.dialogues, row.average) == (0, 4, None)


@pytest.mark.slow
def test_a_supporter_whose_server_is_gone_does_not_stop_the_others(tmp_path):
    gone = [True]
    dead = FakeModel(
        "dead", lambda c: EscEvalError("dead at host: nobody answers") if gone else "Back.", concurrent=True
    )
    with pytest.raises(Incomplete, match=r"dead could not be asked any more.*nobody answers") as caught:
        evaluate([dead, FakeModel("well", lambda c: "Yes.")], scorer=JUDGE, out=tmp_path, **SHORT)
    assert caught.value.exit_code == 2
    assert [row.supporter for row in caught.value.results.summary.tables[0].rows] == ["well"]
    assert len(dead.asked) == 1
    gone.clear()
    found = evaluate([dead, FakeModel("well", lambda c: "Yes.")], scorer=JUDGE, out=tmp_path, **SHORT)
    assert len(found.dialogues) == 8
    with pytest.raises(EscEvalError, match="dead at host"):
        simulate(FakeModel("dead", lambda c: EscEvalError("dead at host: no")), **SHORT)


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_seeker_whose_server_is_gone_does_not_stop_the_others_and_the_same_call_goes_on_later(tmp_path, concurrent):
    gone = [True]
    dead = FakeModel(
        "dead",
        lambda c: EscEvalError("dead at host: nobody answers") if gone and len(c) > 2 else "I.",
        concurrent=concurrent,
    )
    well, supporter = (FakeModel(name, lambda c: "Yes.", concurrent=concurrent) for name in ("well", "m"))
    asked = {"cards": CARDS, "rounds": 2, "seeker": [dead, well], "scorer": JUDGE, "out": tmp_path}
    told = []
    with pytest.raises(Incomplete, match=r"seeker dead could not be asked any more.*nobody answers") as caught:
        evaluate(supporter, progress=lambda p: told.append(str(p)), **asked)
    assert caught.value.exit_code == 2
    assert any("seeker dead could not be asked any more" in line for line in told)
    assert {d.seeker for d in caught.value.results.dialogues} == {"well"}
    assert len(caught.value.results.ratings) == 4 * 7
    report = " ".join(caught.value.results.render().split())
    assert "The seeker dead failed, and what it had not done by then is not in these numbers: dead at host" in report
    gone.clear()
    before = len(well.asked)
    found = evaluate(supporter, **asked)
    assert len(found.dialogues) == 8
    assert len(well.asked) == before, "what was played is not played again"
    assert "seeker dead failed" not in found.render()
    gone.append(True)
    with pytest.raises(EscEvalError, match="dead at host") as alone:
        simulate(supporter, cards=CARDS, rounds=2, seeker=[dead], out=tmp_path / "alone")
    assert not isinstance(alone.value, Incomplete)


@pytest.mark.slow
def test_a_filtered_conversation_of_a_judge_is_unscored_and_asked_again_when_told_to(tmp_path):
    moods = [REFUSED]
    judge = FakeModel("s", lambda c: moods[0] if moods and heard(c, "hopeless") else "Score: 3")
    found = score(THREE, judge, out=tmp_path)
    by_dialogue = {d.id: {r.score for r in found.ratings if r.dialogue_id == d.id} for d in THREE}
    assert by_dialogue == {"d1": {3}, "d2": {None}, "d3": {3}}
    assert {r.problem for r in found.ratings if r.score is None} == {REFUSED.problem}
    assert "7 of 21 ratings unscored: 7 x the server's filter" in " ".join(found.render().split())
    asked = len(judge.asked)
    moods.clear()
    assert {r.score for r in score(THREE, judge, out=tmp_path).ratings} == {3, None}
    assert len(judge.asked) == asked
    told = []
    again = score(THREE, judge, out=tmp_path, retry_failed=True, progress=told.append)
    assert {r.score for r in again.ratings} == {3}
    assert len(judge.asked) == asked + 7
    counted = [step.done for step in told if step.what == "dialogues rated by s"]
    assert (max(counted), counted[-1], min(counted)) == (3, 3, 2), "what is asked again is not counted twice"


@pytest.mark.slow
def test_a_dialogue_too_long_for_a_judge_is_unscored_and_stays_so(tmp_path):
    judge = FakeModel("s", lambda c: Reply("", "context") if heard(c, "hopeless") else "Score: 3")
    found = score(THREE, judge, out=tmp_path)
    assert {r.problem for r in found.ratings if r.dialogue_id == "d2"} == {"longer than the scorer can read"}
    asked = len(judge.asked)
    score(THREE, judge, out=tmp_path, retry_failed=True)
    assert len(judge.asked) == asked, "it would be as long again"


def test_a_judge_that_scores_nothing_is_a_failure_without_charts(tmp_path):
    with pytest.raises(
        Incomplete, match="mute scored nothing: 21 of 21 ratings are unscored: 21 x the answer"
    ) as caught:
        score(THREE, FakeModel("mute", lambda c: "As you wish."), out=tmp_path)
    assert caught.value.exit_code == 1
    [row] = caught.value.results.summary.tables[0].rows
    assert (row.scored, row.average) == (0, None)
    assert "0 of 3" in caught.value.results.render()
    assert "<svg" not in (tmp_path / "report.html").read_text()


def test_beside_a_judge_that_scores_nothing_the_others_are_reported():
    with pytest.raises(Incomplete, match="mute scored nothing") as caught:
        score(THREE, [FakeModel("mute", lambda c: "Well."), JUDGE])
    tables = {table.rater: table for table in caught.value.results.summary.tables}
    assert tables["judge"].rows[0].average.value == 75


class Mixed(FakeModel):
    """Gives probabilities for some dialogues, and text for the others."""

    may_answer_in_text = True

    def choose(self, groups, lead, options, answer_tokens=64):
        from esc_eval.chat.base import Choice

        for index, group in enumerate(groups):
            sure = Choice(probabilities=(0.025, 0.025, 0.025, 0.9, 0.025), mass=1.0, top="3")
            said = Choice(text="I say: score 1", finish_reason="stop")
            yield index, [said if heard(c, "exam") else sure for c in group]


def test_expected_levels_are_of_those_ratings_that_have_one_and_n_says_so():
    found = score(THREE, Mixed("mixed", lambda c: ""), statistic="expected")
    [table] = found.summary.tables
    cell = table.rows[0].cells["empathy"]
    assert (cell.expected.n, cell.unscored) == (2, 0)
    assert cell.expected.value == pytest.approx(25 * (0.025 * (0 + 1 + 2 + 4) + 2.7))
    assert (table.rows[0].scored, table.rows[0].average.n) == (2, 2)
    shown = " ".join(found.render().split())
    assert "7 of 21 scored ratings have no expected level" in shown
    assert "2 of 3" in shown


def test_every_answer_that_was_paid_for_is_counted_and_a_limit_stops_the_scoring(tmp_path):
    judge = counting("j", lambda c: "Score: 3", parallel=1)
    price = ["j=100000,0"]  # ten tokens read at each request are a dollar
    with pytest.raises(EscEvalError, match=r"stopped at --max-cost: \$\d\.00 of \$9.00 spent"):
        score(THREE, judge, out=tmp_path, price=price, max_cost=9)
    asked = len(judge.asked)
    assert 9 <= asked < 21
    with pytest.raises(EscEvalError, match=r"stopped at --max-cost"):
        score(THREE, judge, out=tmp_path, price=price, max_cost=9)
    assert len(judge.asked) == asked, "what was spent before is known"
    found = score(THREE, judge, out=tmp_path, price=price, max_cost=100)
    assert len(found.ratings) == 21
    assert f"Cost of the tokens: ${len(judge.asked)}.00." in found.render()


def test_a_judge_whose_price_nobody_says_costs_not_nothing(tmp_path):
    (tmp_path / "d.jsonl").write_text("\n".join(d.to_json() for d in THREE))
    table = door.estimate_scoring(tmp_path / "d.jsonl", scorer=["j=openai:judge", "k=openai:other"], price=["k=1,1"])
    lines = {line.partition("  ")[0]: line for line in table.splitlines()}
    assert lines["judge j"].endswith("no price")
    assert lines["judge k"].endswith("0.01")
    assert lines["total"].endswith("0.01 + ?")
    assert " 21 " in lines["judge j"]
    assert "no price of j: give it with --price" in table
    plan = door.estimate(["openai:m", "embedded"], rated=True, scorer=["j=openai:judge"], limit=2, price=["m=1,2"])
    rows = {line.split("  ")[0]: line.split() for line in plan.splitlines()}
    assert rows["embedded"][-1] == "0.00"
    assert rows["judge j"][1:4] == ["j", "4", "28"]
    assert float(rows["m"][-1]) > 0


def test_what_was_sent_and_served_is_in_the_run_folder_and_in_the_signature(tmp_path):
    served = [Served(model="m-1", fingerprint="a", adapted={"seed": "left out"}), Served(model="m-2", fingerprint="a")]

    def answer(conversation):
        return Reply("Yes.", "stop", served=served[heard(conversation, "number 1")])

    model = counting("m", answer, adapted={"seed": "left out"}, seen={"model": ["m-1", "m-2"]})
    found = evaluate(model, scorer=JUDGE, out=tmp_path, **SHORT)
    [told] = json.loads((tmp_path / "run.json").read_text())["simulation"]["served"]
    assert told["how"] == "finished"
    assert told["models"]["supporter m"] == {
        "name": "m",
        "adapted": {"seed": "left out"},
        "seen": {"model": ["m-1", "m-2"]},
        "usage": {"requests": 8, "prompt_tokens": 80, "completion_tokens": 16},
    }
    assert "httpx" in told["libraries"]
    assert {t.seed for d in found.dialogues for t in d.turns[2::2]} != {None}
    assert "|not as asked:supporter m (seed left out)|" in found.summary.tables[0].signature
    assert found.compare().data["boards"]["en"]["signature"] == found.summary.tables[0].signature
    shown = " ".join(found.render().split())
    assert "supporter m was served by 2 models: m-1, m-2." in shown
    assert "fingerprints" not in shown


def test_a_step_that_fails_leaves_what_was_served(tmp_path):
    patience = iter(["Yes."] * 3)
    model = counting("m", lambda c: next(patience, EscEvalError("gone")))
    with pytest.raises(EscEvalError, match="gone"):
        simulate(model, out=tmp_path, **SHORT)
    [told] = json.loads((tmp_path / "run.json").read_text())["simulation"]["served"]
    assert told["how"] == "stopped: EscEvalError"
    assert told["models"]["supporter m"]["usage"]["requests"] == 3


def test_one_model_in_several_roles_is_said(tmp_path):
    told, one = [], FakeModel("one", lambda c: "Score: 2")
    other = FakeModel("other", lambda c: "Yes.")
    found = evaluate([one, other], scorer=one, progress=lambda p: told.append(str(p)), **{**SHORT, "seeker": one})
    sentence = "one is seeker and supporter one and judge one: it rates its own words."
    assert sentence in " ".join(found.render().split())
    assert "one is seeker and supporter one: it talks with itself." in told
    assert sentence in told
    apart = evaluate(other, scorer=JUDGE, **SHORT)
    assert " is seeker and " not in apart.render()


@pytest.mark.slow
def test_a_run_is_judged_again_with_the_drift(tmp_path):
    models = {"warm": lambda c: "Zinnia.", "cold": lambda c: "Quartz."}
    judge = FakeModel("old", lambda c: "Score: 3" if heard(c, "Zinnia") else "Score: 1")
    evaluate({n: FakeModel(n, answer) for n, answer in models.items()}, scorer=judge, out=tmp_path / "run", **SHORT)
    reverse = FakeModel("new", lambda c: "Score: 1" if heard(c, "Zinnia") else "Score: 2")
    [report] = rejudge(tmp_path / "run", reverse)
    found = report.data["languages"]["en"]
    empathy = found["dimensions"]["empathy"]
    assert (empathy["old"].value, empathy["new"].value, empathy["difference"].value) == (50, 37.5, -12.5)
    assert (empathy["difference"].n, empathy["difference"].clusters) == (8, 4)
    assert empathy["kappa"].value == pytest.approx(1 - 2.5 / 1.5)
    assert found["dimensions"]["average"]["difference"].value == -12.5
    ranks = {name: [rank["value"] for rank in row["rank"]] for name, row in found["supporters"].items()}
    assert ranks == {"warm": [1, 2], "cold": [2, 1]}
    assert "-1" in report.to_text()
    assert {r.rater for r in read_ratings(tmp_path / "run")} == {"old", "new"}
    [elsewhere] = rejudge(tmp_path / "run", JUDGE, against="old", out=tmp_path / "other")
    assert elsewhere.data["old"] == "old"
    assert {r.rater for r in read_ratings(tmp_path / "other")} == {"judge"}
    with pytest.raises(EscEvalError, match="no ratings by 'nobody'"):
        rejudge(tmp_path / "run", JUDGE, against="nobody")
    with pytest.raises(EscEvalError, match="is not rated"):
        rejudge(simulate(FakeModel("m", lambda c: "Yes."), **SHORT), JUDGE)


@pytest.mark.slow
def test_the_command_line_judges_again_and_ends_as_the_call_did(script, tmp_path):
    models = {name: script([text], name) for name, text in (("s", "I am sad."), ("m", "Oh."), ("j", "2"), ("k", "3"))}
    models["mute"] = script(["Well."], "mute")
    common = ["evaluate", "--supporter", models["m"], "--seeker", models["s"], "--limit", "2", "--rounds", "1"]
    run = CliRunner().invoke
    assert run(app, [*common, "--scorer", models["j"], "--out", str(tmp_path / "run")]).exit_code == 0
    done = run(app, ["rejudge", str(tmp_path / "run"), "--scorer", models["k"]])
    assert done.exit_code == 0, done.stderr
    assert "English, rated by j, then k" in done.stdout
    assert "25.00" in done.stdout
    done = run(app, ["score", "--dialogues", str(tmp_path / "run"), "--scorer", models["mute"]])
    assert done.exit_code == 1
    assert "0 of 2" in done.stdout, "the report is printed before the end"
    assert "error: mute scored nothing: 14 of 14" in done.stderr
    done = run(app, ["score", "--dialogues", str(tmp_path / "run"), "--scorer", "x=openai:judge", "--dry-run"])
    assert "no price" in done.stdout


def test_an_official_export_holds_a_dialogue_that_ended_early_and_says_so(tmp_path):
    evaluate(FakeModel("m", filtered), scorer=JUDGE, out=tmp_path / "run", **SHORT)
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--out", str(tmp_path / "official")])
    assert done.exit_code == 0, done.stderr
    [result] = (tmp_path / "official" / "result").iterdir()
    assert len(json.loads(result.read_text())) == 4
    assert "1 of 4 dialogues ended early" in done.stderr
    [scores] = (tmp_path / "official" / "score").iterdir()
    assert sorted({level for row in json.loads(scores.read_text()).values() for level in row.values()}) == [-1, 3]


def test_ctrl_c_says_what_is_kept_and_threads_ask_nothing_more(tmp_path):
    here, go, late = threading.Event(), threading.Event(), []

    def answer(conversation):
        if here.is_set():
            late.append(conversation)
        if len(conversation) > 3 and not here.is_set():
            here.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            go.wait(60)
        return "Yes."

    model = FakeModel("m", answer, parallel=2, concurrent=True)
    seeker = FakeModel("s", lambda c: "Sad.", concurrent=True, parallel=2)
    with pytest.raises(KeyboardInterrupt) as caught:
        simulate(model, out=tmp_path, **{**SHORT, "seeker": seeker})
    [note, *_] = caught.value.__notes__
    assert note.startswith(f"Kept in {tmp_path}: ")
    assert "The same command goes on from there." in note
    asked = len(model.asked) + len(seeker.asked)
    go.set()
    found = simulate(
        FakeModel("m", lambda c: "Yes."), out=tmp_path, **{**SHORT, "seeker": FakeModel("s", lambda c: "Sad.")}
    )
    assert len(found.dialogues) == 4
    assert len(model.asked) + len(seeker.asked) <= asked + 1, "a thread that was under way asks nothing more"


def test_results_that_are_saved_keep_why_dialogues_ended(tmp_path):
    found = evaluate(FakeModel("m", filtered), scorer=JUDGE, **SHORT)
    kept = Results.load(found.save(tmp_path / "kept"))
    assert [d.problem for d in kept.dialogues] == [d.problem for d in read_dialogues(found.folder)]
    assert kept.render() == found.render()
