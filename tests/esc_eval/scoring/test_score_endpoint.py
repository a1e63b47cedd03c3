"""Judges behind a server: the best way that it heeds, the level where the answer states it, and text at last."""

import pytest
from judge_server import SAID, Judge, JudgeServer, completion, level_at, mixed, refusal, say, tokens_of

from esc_eval.api.served import keep_served
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.budget import Budget, Meter
from esc_eval.simulation.cost import Price
from esc_eval.simulation.run import Run

RUBRIC = load_rubric()
DISTRIBUTION = pytest.approx([0.02 / 0.98] * 3 + [0.9 / 0.98] + [0.02 / 0.98])


def judge(server):
    return EndpointModel("judge", server.url, concurrency=4, longest_wait=0.01)


def dialogue(number):
    return Dialogue(id=f"d{number}", language="en", turns=(Turn(role="supporter", text=f"Hello {number}"),))


def rate(answer, folder, dialogues=1, rubric=RUBRIC, **options):
    """Ratings of a server's judge, the scoring, and the requests that were sent."""
    with JudgeServer(answer) as server, Run(folder) as run:
        scoring = Scoring(judge(server), rubric, **options)
        ratings = score_dialogues([dialogue(number) for number in range(dialogues)], scoring, run)
    return ratings, scoring, server.bodies


@pytest.mark.slow
@pytest.mark.parametrize("field", ["continue_final_message", "prefix", "assistant"])
def test_a_server_that_goes_on_from_the_lead_gives_the_next_token_whatever_follows(field, tmp_path):
    refuses = ("continue_final_message", "prefix") if field == "assistant" else ()
    ratings, scoring, bodies = rate(Judge(field, "logprobs", refuses=refuses), tmp_path, dialogues=2)
    assert scoring.settled.fact == {"way": "prefix", "field": field, "proven": True}
    assert {(r.score, r.way, r.raw) for r in ratings} == {(3, "prefix", "3")}
    assert all(r.probabilities == DISTRIBUTION for r in ratings)
    asked = bodies[-14:]
    assert {body["messages"][-1]["content"] for body in asked} == {"Score: "}
    assert all(body["max_tokens"] <= 4 and body["temperature"] == 0 and "seed" not in body for body in asked)
    assert scoring.identity["by"] == "prefix"


@pytest.mark.slow
@pytest.mark.parametrize("field", ["structured_outputs", "guided_choice", "regex"])
def test_a_server_that_holds_answers_to_the_levels_leaves_none_unscored(field, tmp_path):
    ratings, scoring, _ = rate(Judge(field, "logprobs"), tmp_path)
    assert scoring.settled.fact == {"way": "choice", "field": field, "proven": True}
    assert {(r.score, r.way, r.raw) for r in ratings} == {(3, "choice", "3")}
    assert all(r.probabilities == DISTRIBUTION for r in ratings)


def test_a_server_that_knows_json_schemas_is_read_at_the_value(tmp_path):
    ratings, scoring, bodies = rate(Judge("response_format", "logprobs"), tmp_path)
    assert scoring.settled.fact == {"way": "schema", "field": "response_format", "proven": True}
    assert {(r.score, r.way, r.raw) for r in ratings} == {(3, "schema", '{"score": 3}')}
    assert all(r.served.seconds is not None for r in ratings)
    assert all(r.probabilities == DISTRIBUTION for r in ratings)
    assert bodies[-1]["response_format"]["json_schema"]["schema"]["properties"]["score"]["enum"] == [0, 1, 2, 3, 4]


def test_a_server_that_refuses_what_it_does_not_know_is_asked_in_the_next_way(tmp_path):
    refuses = ("continue_final_message", "prefix", "structured_outputs", "guided_choice", "regex", "logprobs", "seed")
    ratings, scoring, bodies = rate(Judge("response_format", refuses=refuses), tmp_path)
    assert scoring.settled.way == "schema"
    assert {(r.score, r.way, r.probabilities) for r in ratings} == {(3, "schema", None)}
    assert not {"seed", "logprobs"} & {key for body in bodies[-7:] for key in body}


def test_log_probabilities_of_a_free_answer_are_better_than_a_held_answer_without(tmp_path):
    def answer(body):
        return say("list marker", body) if "response_format" not in body else Judge("response_format")(body)

    ratings, scoring, _ = rate(answer, tmp_path)
    assert scoring.settled.way == "logprobs"
    assert ratings[0].expected == pytest.approx(2.9, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("free", ["3", "Score: 3", "1. The empathy score is 3."])
def test_a_server_that_heeds_nothing_is_not_believed_because_its_answer_looks_right(free, tmp_path):
    ratings, scoring, _ = rate(Judge("logprobs", free=free), tmp_path)
    assert scoring.settled.way == "logprobs"
    assert {r.score for r in ratings} == {3}


def test_a_new_answer_after_the_lead_is_no_continuation(tmp_path):
    """Its first token is no level of the answer that was begun: "1." is the marker of a list."""

    def answer(body):
        return say("list marker", body)

    ratings, _, _ = rate(answer, tmp_path)
    assert {(r.score, r.way) for r in ratings} == {(3, "logprobs")}


def test_a_server_that_cannot_finish_a_word_is_presumed_to_go_on_and_read_only_where_it_did(tmp_path):
    def answer(body):
        if "continue_final_message" not in body or "capital" in body["messages"][0]["content"]:
            return completion("I would rather talk about it.", tokens_of("I", " would"))
        if "Hello 1" in body["messages"][1]["content"]:
            return say("list marker", body)
        return completion("3", tokens_of(("3", level_at(3))))

    ratings, scoring, _ = rate(answer, tmp_path, dialogues=2)
    assert (scoring.settled.way, scoring.settled.proven) == ("prefix", False)
    assert [(r.score, r.way) for r in ratings] == [(3, "prefix")] * 7 + [(3, "logprobs")] * 7


def test_the_space_before_a_level_is_left_to_a_tokenizer_that_joins_them(tmp_path):
    def answer(body):
        begun = body["messages"][-1]["content"]
        if begun == "Score:":
            return completion(" 3", tokens_of((" 3", {f" {level}": p for level, p in level_at(3).items()})))
        if begun == "Score: ":
            return completion("3", tokens_of(("3", {"3": 0.4, "4": 0.3, "\n": 0.3})))
        return Judge("continue_final_message", "logprobs")(body)

    ratings, scoring, _ = rate(answer, tmp_path)
    assert scoring.settled.spaced is True
    assert all(r.probabilities == DISTRIBUTION for r in ratings)


def test_a_template_that_cuts_the_last_space_of_the_lead_is_read_after_it(tmp_path):
    def answer(body):
        if body["messages"][-1]["content"].startswith("Score:"):
            return completion(" 3", tokens_of((" ", {" ": 0.97}), ("3", level_at(3))))
        return Judge("continue_final_message", "logprobs")(body)

    ratings, _, _ = rate(answer, tmp_path)
    assert {(r.score, r.way) for r in ratings} == {(3, "prefix")}
    assert all(r.probabilities == DISTRIBUTION for r in ratings)


def test_what_a_weak_judge_says_after_its_level_does_not_change_it(tmp_path):
    def answer(body):
        if body["messages"][-1]["content"] == "Score: ":
            return completion("100%", tokens_of(("1", level_at(3)), ("0", {"0": 0.9}), ("0", {"0": 0.9}), "%"))
        return Judge("continue_final_message", "logprobs")(body)

    ratings, _, _ = rate(answer, tmp_path)
    assert {(r.score, r.way) for r in ratings} == {(3, "prefix")}


def test_thoughts_are_no_answer(tmp_path):
    ratings, _, _ = rate(
        lambda body: completion(
            "<think>0 or 1?</think>2", tokens_of("<think>", ("0", level_at(0)), "</think>", ("2", level_at(2)))
        ),
        tmp_path,
    )
    assert {(r.score, r.way) for r in ratings} == {(2, "logprobs")}
    assert ratings[0].probabilities[2] == pytest.approx(0.9 / 0.98)


def test_an_answer_without_a_level_is_asked_for_again(tmp_path):
    """Empty, broken and wordy answers, each once for every conversation."""
    seen = {}

    def answer(body):
        text = body["messages"][1]["content"]
        seen[text] = seen.get(text, 0) + 1
        if "Hello" in text and seen[text] < 3:
            return completion(["", '{"score": ', "Well."][len(text) % 3])
        return completion("Score: 2")

    ratings, _, _ = rate(answer, tmp_path)
    assert {(r.score, r.raw) for r in ratings} == {(2, "Score: 2")}


def test_a_held_answer_that_broke_off_falls_to_a_free_one(tmp_path):
    def answer(body):
        if "Hello" in body["messages"][1]["content"] and "response_format" in body:
            return completion('{"score": ', finish="length")
        return Judge("response_format", free="Score: 2")(body)

    ratings, scoring, _ = rate(answer, tmp_path)
    assert scoring.settled.way == "schema"
    assert {(r.score, r.way) for r in ratings} == {(2, "text")}


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["4/10", "10", "good", "", "3 or 4"])
def test_what_never_states_a_level_is_unscored_with_the_last_answer(answer, tmp_path):
    ratings, _, bodies = rate(lambda body: completion(answer, tokens_of(("4", level_at(4)), "/", "10")), tmp_path)
    assert {(r.score, r.raw, r.probabilities) for r in ratings} == {(None, answer, None)}
    assert all(r.problem for r in ratings)
    assert sum("Hello" in body["messages"][1]["content"] for body in bodies) == 3 * 7


def test_a_function_as_a_judge_is_asked_again_too():
    from esc_eval import score

    said = iter(["", "hm", *["Score: 1"] * 20])
    results = score([dialogue(0)], lambda messages: next(said))
    assert {r.score for r in results.ratings} == {1}


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_quirks_mixed_in_leave_the_ratings_right(share, tmp_path):
    others = [lambda body, name=name: say(name, body) for name in SAID]
    others += [lambda body: completion(""), lambda body: refusal("logprobs"), lambda body: completion("3")]
    for seed, first in enumerate(
        [Judge("continue_final_message", "logprobs"), Judge("response_format", free="Score: 3")]
    ):
        ratings, _, _ = rate(mixed(first, others, share, seed), tmp_path / str(seed), dialogues=4)
        assert [r.score for r in ratings] == [3] * 28
        assert all(r.expected == pytest.approx(2.9, abs=0.03) for r in ratings if r.expected is not None)


def test_the_way_is_found_once_for_a_scoring_and_taken_again(tmp_path):
    with JudgeServer(Judge("continue_final_message", "logprobs")) as server, Run(tmp_path) as run:
        score_dialogues([dialogue(0)], Scoring(judge(server), RUBRIC), run)
        before = len(server.bodies)
        server.answer = Judge("structured_outputs", "continue_final_message", "logprobs")
        score_dialogues([dialogue(0), dialogue(1)], Scoring(judge(server), RUBRIC), run)
        assert len(server.bodies) == before + 7
        assert run.card["scoring/judge"]["identity"]["asked"]["way"] == "prefix"
        with pytest.raises(EscEvalError, match=r"by: .*prefix.* -> .*choice"):
            score_dialogues([dialogue(0), dialogue(2)], Scoring(judge(server), RUBRIC, by="choice"), run)


def test_ratings_of_a_version_that_read_another_token_are_not_mixed_with_ours(tmp_path):
    with JudgeServer(Judge("continue_final_message", "logprobs")) as server, Run(tmp_path) as run:
        scoring = Scoring(judge(server), RUBRIC)
        score_dialogues([dialogue(0)], scoring, run)
        old = {**run.card["scoring/judge"]["identity"], "by": "logits, else text, anchored parser"}
        del old["asked"], old["parser"]
        run.record("scoring/judge", old)
        with pytest.raises(EscEvalError, match=r"by: .*logits, else text.* -> .*prefix"):
            score_dialogues([dialogue(0), dialogue(1)], Scoring(judge(server), RUBRIC), run)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["prefix", "choice", "schema", "logits", "logprobs"])
def test_a_way_that_the_server_has_not_is_refused_before_anything_is_rated(by, tmp_path):
    with pytest.raises(EscEvalError, match="doctor --server"):
        rate(Judge(free="Score: 3"), tmp_path, by=by)


@pytest.mark.slow
def test_one_way_alone_can_be_asked_for(tmp_path):
    all_of_them = Judge("continue_final_message", "structured_outputs", "response_format", "logprobs", free="Score: 1")
    for by in ("prefix", "choice", "schema"):
        ratings, _, _ = rate(all_of_them, tmp_path / by, by=by)
        assert {(r.score, r.way) for r in ratings} == {(3, by)}
    ratings, _, bodies = rate(all_of_them, tmp_path / "text", by="text")
    assert {(r.score, r.way, r.parser) for r in ratings} == {(1, "text", "anchored")}
    assert len(bodies) == 7
    assert not any("logprobs" in body for body in bodies)


def test_ways_of_servers_are_not_those_of_a_function():
    from esc_eval.chat.backends.python import as_model

    with pytest.raises(EscEvalError, match="behind no server"):
        Scoring(as_model(lambda messages: "3", "f", None), RUBRIC, by="prefix")


def test_the_parser_belongs_to_a_scoring_that_may_have_to_read_text(tmp_path):
    with JudgeServer(lambda body: completion("3")) as server, Run(tmp_path) as run:
        by_default, other = (Scoring(judge(server), RUBRIC, parser=name) for name in ("anchored", "official"))
        score_dialogues([dialogue(0)], by_default, run)
        with pytest.raises(EscEvalError, match=r"by: .*anchored parser.* -> .*official parser"):
            score_dialogues([dialogue(0)], other, run)


def test_a_cap_on_answers_reaches_the_server_and_a_cut_answer_says_so(tmp_path):
    ratings, _, bodies = rate(lambda body: completion("I wonder", finish="length"), tmp_path, answer_tokens=900)
    assert {body["max_tokens"] for body in bodies[-7:]} == {900}
    assert {(r.score, r.raw) for r in ratings} == {(None, "I wonder")}
    assert "cut at 900 tokens" in ratings[0].problem


def test_a_server_that_knows_no_log_probabilities_is_read_by_text(tmp_path):
    ratings, scoring, _ = rate(Judge(refuses=("logprobs", "top_logprobs"), free="Score: 3"), tmp_path)
    assert {(r.score, r.raw, r.parser, r.way) for r in ratings} == {(3, "Score: 3", "anchored", "text")}
    assert scoring.identity["by"] == "text, anchored parser"


def test_probabilities_now_and_then_count_where_they_are(tmp_path):
    """`--statistic expected` is the mean of those that have one, and says of how many."""
    from esc_eval.reporting import as_text, summarise_ratings

    def answer(body):
        if "Hello 1" in body["messages"][1]["content"]:
            return completion("I say: score 1")
        given = tokens_of(("3", level_at(3))) if "Hello" in body["messages"][1]["content"] else None
        return completion("3", given)

    ratings, _, _ = rate(answer, tmp_path, dialogues=3)
    assert [r.expected is None for r in ratings] == [False] * 7 + [True] * 7 + [False] * 7
    [board] = summarise_ratings([dialogue(n) for n in range(3)], ratings, RUBRIC, statistic="expected").tables
    [row] = board.rows
    cell = row.cells["empathy"]
    assert (cell.n("expected"), cell.n("level"), row.scored) == (2, 3, 2)
    assert cell.of("expected").value == pytest.approx(25 * ratings[0].expected)
    text = " ".join(
        as_text(summarise_ratings([dialogue(n) for n in range(3)], ratings, RUBRIC, statistic="expected")).split()
    )
    assert "7 of 21 scored ratings have no expected level" in text
    assert "14 by logprobs, 7 by text" in text


def test_a_report_says_where_a_judge_wanted_to_say_something_else(tmp_path):
    from esc_eval.reporting import as_text, summarise_ratings

    tokens = tokens_of(("3", {"3": 0.3, "2": 0.1, "good": 0.6}))
    ratings, _, _ = rate(lambda body: completion("3", tokens), tmp_path)
    assert [r.mass for r in ratings] == pytest.approx([0.4] * 7)
    text = " ".join(as_text(summarise_ratings([dialogue(0)], ratings, RUBRIC)).split())
    assert "In 7 of 7 scored ratings judge gave all levels together less than 50%" in text


def test_a_judge_whose_server_counts_no_tokens_is_paid_for_by_estimates(tmp_path):
    def uncounted(body):
        status, content = completion("Score: 3")
        return status, {name: value for name, value in content.items() if name != "usage"}

    budget = Budget(1e9)
    with JudgeServer(uncounted) as server, Run(tmp_path) as run:
        model = judge(server)
        with keep_served(run, "scoring/judge", {"judge": model}, budget, {"judge": Price(1, 1)}):
            meter = Meter("scoring/judge", model, Price(1, 1), budget, run)
            score_dialogues([dialogue(0)], Scoring(model, RUBRIC, by="text"), run, meter=meter)
        told = run.card["scoring/judge"]["served"][-1]["cost"]
    words = sum(len(message["content"]) for body in server.bodies for message in body["messages"])
    assert words / 5e6 < budget.spent < words / 3e6
    assert told["estimated"] == ["judge"]
    assert "prompt_tokens" not in model.usage


@pytest.mark.slow
@pytest.mark.parametrize(("parser", "level"), [("anchored", 3), ("official", 0)])
def test_reasoning_that_came_apart_is_read_by_the_official_rule_alone(parser, level, tmp_path):
    ratings, _, _ = rate(
        lambda body: say("reasoning in the log probabilities", body), tmp_path, parser=parser, by="text"
    )
    assert {(r.score, r.way) for r in ratings} == {(level, "text")}
    assert all(r.raw == "<think>\nLevels from 0 to 4.\n</think>\n\nScore: 3" for r in ratings)


def test_a_server_is_asked_for_a_quote_in_words_and_again_where_it_gave_none(tmp_path):
    tried = []

    def answer(body):
        tried.append(body)
        first = sum(other["messages"] == body["messages"] for other in tried) == 1
        return completion("Score: 3" if first else '{"quote": "Hello 0", "score": 2}')

    ratings, scoring, bodies = rate(answer, tmp_path, evidence="quote", answer_tokens=256)
    assert {(r.score, r.evidence.turn, r.way) for r in ratings} == {(2, 0, "text")}
    assert len(bodies) == 14
    assert all(body["max_tokens"] == 256 and "logprobs" not in body for body in bodies)
    assert scoring.identity["by"] == "text, quote in JSON"
    assert scoring.identity["evidence"]["asks"] == "quote"
