"""A dimension that does not apply: read where it is said as an answer, offered by every way, and never a level."""

import json

import pytest
from judge_server import JudgeServer, completion, level_at, tokens_of

from esc_eval.chat.base import Choice
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import check_rubric, load_rubric
from esc_eval.schema import Dialogue, Rating, Turn, mark_fields
from esc_eval.scoring.parsers import parse_anchored, reparse_ratings
from esc_eval.scoring.rating_checks import rubric_of
from esc_eval.scoring.score import Scoring, judge_prompts, score_dialogues
from esc_eval.simulation.run import Run

SAFETY = load_rubric("safety")
NA = "N/A"
SAID = [
    *("N/A", "n/a", "**N/A**", "N/A.", "NA", "Not applicable", "Score: N/A", "Rating: not applicable", "Score:\nN/A"),
    *("The score is N/A.", "My answer is N/A because nobody is at risk.", "N/A - there is no risk in it.", "Ｎ／Ａ"),
    *("N/A: nothing in the conversation calls for it.", "N/A (no sign of risk in turns 1 to 4)", "\\boxed{N/A}"),
    *("This dimension is not applicable.", "This dimension does not apply here.", "I would rate this as N/A."),
    *(
        "不适用",
        "评分：不适用",
        "分数：N/A",
        "该维度不适用。",
        "该维度在此对话中不适用",
        "对话中没有风险，因此不适用。",
    ),
    *(
        "該当しない",
        "評価：該当しない。",
        "評価：N/A",
        "Nicht anwendbar.",
        "Punktzahl: nicht anwendbar",
        "Punktzahl: N/A",
    ),
    *('{"score": "N/A"}', '{"reason": "no risk shown", "score": "N/A"}', '{"score": "N/A", "confidence": 2}'),
    *("There is no risk in what the seeker says, so N/A.", "<think>maybe 2, or 1?</think>N/A", "<score>N/A</score>"),
    *("Score: NA", "Detection: N/A", "n. a.", "Inapplicable", '{"score": "NA"}', '{"detection": "N/A"}'),
    *('{"not_applicable": true}', '{"score": null, "not_applicable": true}', '{"applicable": false}'),
    *("不適用", "无法适用", "該当なし", "該当しません。", "スコア：該当なし", "この項目は適用外です。"),
    *("危険の兆候がないため、該当なし。", '{"score": "該当なし"}', "スコア：N/A", "Punktzahl: N/A"),
    *("Nicht zutreffend", "Trifft nicht zu.", "Bewertung: nicht anwendbar", "Die Dimension ist nicht anwendbar."),
    *("Es gibt keine Gefahr, daher nicht zutreffend.", '{"score": "nicht zutreffend"}', "entfällt"),
    *("The seeker shows no risk in all 3 turns.\n\nScore: N/A", "Final rating: **Not Applicable**"),
]
LEVELS = {
    "2": 2,
    "Score: 1\nGuidance is not applicable in the first turn, but later it is.": 1,
    "2 - the supporter asks about risk, so N/A does not fit.": 2,
    "It is not N/A. Score: 1": 1,
    '{"reason": "N/A would be wrong here", "score": 1}': 1,
    '{"not_applicable": false, "score": 2}': 2,
    '{"applicable": true, "score": "2"}': 2,
    "2 (N/A for the first turn)": 2,
    "Ich gebe 2 Punkte; nicht zutreffend wäre falsch.": 2,
    "I considered whether this is not applicable, but the seeker hints at risk. Score: 0": 0,
}
NEITHER = [
    *("N/A or 2", "2 or N/A", "Score: 2\nScore: N/A", "0: harm\n1: so so\n2: best\nN/A: nothing", "", "NAture", "null"),
    *("If it were not applicable I would say so.", "cannot say whether it is N/A", "not N/A", '{"score": null}'),
    *('{"not_applicable": false}', '{"not_applicable": true, "score": 2}', '{"applicable": true, "score": "N/A"}'),
    *("2, N/A", "2; N/A", "Score: 2 / N/A", "2 (N/A)", "N/A, or 2", "該当なし、または2", "Nicht zutreffend oder 2"),
    *(
        "該当しないか2点",
        "2点か該当なし",
        "不适用或2分",
        "2分或者不适用",
        "2 Punkte oder nicht zutreffend",
        "**N/A** or **2**",
    ),
    "The supporter's advice is not applicable to the seeker.",
]


@pytest.mark.parametrize("answer", SAID)
def test_an_answer_that_says_so_is_not_applicable_where_the_rubric_knows_it(answer):
    assert parse_anchored(answer, SAFETY.marks) == NA
    assert parse_anchored(answer, SAFETY.levels) != NA


@pytest.mark.parametrize("answer", LEVELS)
def test_what_is_said_beside_a_level_is_the_level(answer):
    assert parse_anchored(answer, SAFETY.marks) == LEVELS[answer]


@pytest.mark.parametrize("answer", NEITHER)
def test_an_answer_that_says_both_or_neither_is_unscored(answer):
    assert parse_anchored(answer, SAFETY.marks) is None


@pytest.mark.parametrize(("code", "said"), [("en", "N/A: Not applicable."), ("zh", "N/A: 不适用。")])
def test_a_judge_is_offered_it_in_both_languages(code, said):
    dialogue = Dialogue(id="d", language=code, turns=(Turn(role="supporter", text="Hello"),))
    for conversation in judge_prompts(dialogue, SAFETY):
        assert said in conversation[-1]["content"]
    assert all("N/A:" not in c[-1]["content"] for c in judge_prompts(dialogue, load_rubric()))
    assert '"N/A"' in judge_prompts(dialogue, SAFETY, "reason")[0][-1]["content"]


def rate(answer, folder, language="en", **options):
    with JudgeServer(answer) as server, Run(folder) as run:
        scoring = Scoring(EndpointModel("judge", server.url, concurrency=4, longest_wait=0.01), SAFETY, **options)
        talk = Dialogue(id="d", language=language, turns=(Turn(role="supporter", text="Hello"),))
        return score_dialogues([talk], scoring, run), scoring, server.bodies


def held(body, field):
    if field == "structured_outputs":
        return (body.get(field) or {}).get("choice")
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    return schema and schema["properties"]["score"]["enum"]


@pytest.mark.slow
@pytest.mark.parametrize("field", ["structured_outputs", "response_format"])
def test_a_server_that_holds_answers_may_answer_it(field, tmp_path):
    def answer(body):
        options = held(body, field)
        said = options[-1] if options else "I cannot say."
        return completion(json.dumps({"score": said}) if options and field == "response_format" else said)

    ratings, scoring, bodies = rate(answer, tmp_path)
    assert scoring.settled.way == ("choice" if field == "structured_outputs" else "schema")
    assert held(bodies[-1], field) == ["0", "1", "2", "N/A"]
    assert {(r.mark, r.score, r.problem, r.way) for r in ratings} == {(NA, None, None, scoring.settled.way)}


@pytest.mark.slow
def test_its_probability_stands_beside_that_of_the_levels(tmp_path):
    def weighed(first):
        share = {"0": 0.1, "1": 0.1, "2": 0.2, "N": 0.6} if first == "N" else {"0": 0.1, "1": 0.1, "2": 0.7, "N": 0.1}
        rest = ["/A"] if first == "N" else []
        return completion("N/A" if first == "N" else "2", tokens_of((first, share), *rest))

    for first in ("N", "2"):
        ratings, _, _ = rate(lambda _, first=first: weighed(first), tmp_path / first, by="logprobs")
        if first == "N":
            assert {(r.mark, r.probabilities) for r in ratings} == {(NA, None)}
            assert all(r.inapplicable == pytest.approx(0.6) for r in ratings)
        else:
            assert {r.score for r in ratings} == {2}
            assert all(r.inapplicable == pytest.approx(0.1) for r in ratings)
            assert all(r.probabilities == pytest.approx((0.1 / 0.9, 0.1 / 0.9, 0.7 / 0.9)) for r in ratings)


def test_in_process_it_is_one_of_the_options_and_the_levels_keep_their_own_distribution(tmp_path):
    class Chooser:
        name, identity, parallel, concurrent = "m", {"backend": "made up"}, 4, False
        given = (0.1, 0.2, 0.1, 0.6)

        def reply(self, *_):
            raise AssertionError("nothing is asked in words")

        def choose(self, groups, lead, options, answer_tokens=8):
            assert tuple(options) == ("0", "1", "2", "N/A")
            for index, group in enumerate(groups):
                yield index, [Choice(probabilities=self.given, mass=0.9, top="N")] * len(group)

    talk = Dialogue(id="d", language="en", turns=(Turn(role="supporter", text="Hello"),))
    with Run(tmp_path) as run:
        ratings = score_dialogues([talk], Scoring(Chooser(), SAFETY), run)
    assert {(r.mark, r.inapplicable, r.mass, r.probabilities) for r in ratings} == {(NA, 0.6, 0.9, None)}


def test_evidence_may_stand_beside_it(tmp_path):
    said = '{"reason": "Nobody is in danger.", "score": "N/A"}'
    ratings, _, _ = rate(lambda _: completion(said), tmp_path, evidence="reason")
    assert {(r.mark, r.evidence.text) for r in ratings} == {(NA, "Nobody is in danger.")}


def test_answers_are_read_again_with_it_and_by_no_rule_that_does_not_know_it():
    rating = Rating(dialogue_id="d", dimension="support", rater="m", rater_kind="model", rubric="safety/1", score=1)
    rating = rating.model_copy(update={"raw": "Score: N/A", "parser": "anchored"})
    [again], count = reparse_ratings([rating], SAFETY.marks, "anchored")
    assert (again.mark, again.score, count) == (NA, None, 1)
    with pytest.raises(EscEvalError, match="knows no 'not applicable'"):
        reparse_ratings([rating], SAFETY.marks, "official")


def test_it_is_neither_unscored_nor_a_level_nor_both():
    common = {"dialogue_id": "d", "dimension": "support", "rater": "m", "rater_kind": "model", "rubric": "safety/1"}
    rating = Rating(**common, **mark_fields(NA))
    assert (rating.mark, rating.unscored, rating.unsupported) == (NA, False, False)
    assert json.loads(rating.to_json())["not_applicable"] is True
    for wrong in ({"score": 1}, {"problem": "none"}):
        with pytest.raises(ValueError, match="cannot have"):
            Rating(**common, not_applicable=True, **wrong)


def test_a_rubric_without_it_refuses_it():
    common = {"dialogue_id": "d", "dimension": "empathy", "rater": "a", "rater_kind": "human", "rubric": "esc-eval/1"}
    with pytest.raises(EscEvalError, match="is not applicable, which esc-eval/1 does not know"):
        rubric_of([Rating(**common, not_applicable=True)])


def content(**changes):
    worded = {"name": "N", "question": "?", "levels": ["a", "b"]}
    text = dict.fromkeys(("system", "dialogue", "ask", "lead", "seeker", "supporter"), "x")
    texts = {"en": {**text, "dimensions": {"n": worded}}}
    dimensions = [{"key": "n", "paper": "N"}]
    return {"name": "mine", "version": "1", "levels": [0, 1], "dimensions": dimensions, "texts": texts, **changes}


def test_a_rubric_says_that_it_knows_it_and_every_language_says_when():
    with pytest.raises(EscEvalError, match="if and only if"):
        check_rubric(content(not_applicable=True), "mine.yaml")
    whole = content(not_applicable=True)
    whole["texts"]["en"]["not_applicable"] = "Nothing of it."
    assert check_rubric(whole, "mine.yaml").marks == (0, 1, NA)
    del whole["not_applicable"]
    with pytest.raises(EscEvalError, match="if and only if"):
        check_rubric(whole, "mine.yaml")
    with pytest.raises(EscEvalError, match="harmful: 7 is none of the levels"):
        check_rubric(content(harmful=7), "mine.yaml")


def test_a_language_without_its_wording_is_refused_with_what_to_add():
    with pytest.raises(EscEvalError, match=r"safety/1 has no wording for language 'xx'.*Add rubric\.safety\.yaml"):
        SAFETY.text("xx")


def test_levels_keep_their_hash_where_a_rubric_knows_neither():
    assert "not_applicable" not in load_rubric().to_yaml()
    assert load_rubric().marks == load_rubric().levels


def test_a_level_is_still_read_at_its_token(tmp_path):
    ratings, _, _ = rate(lambda _: completion("1", tokens_of(("1", level_at(1)))), tmp_path, by="logprobs")
    assert {r.score for r in ratings} == {1}
