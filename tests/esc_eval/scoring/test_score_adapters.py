"""Scoring by adapters, with the official wording, by levels or by text; kept dialogue by dialogue and dimension."""

import json

import pytest

from esc_eval.chat.base import AdapterModel, Choice, Reply
from esc_eval.errors import EscEvalError
from esc_eval.prompts.official_wording import load_wording
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring.calibration import Calibration, Fitted, temper_probabilities
from esc_eval.scoring.parsers import find_lead, reparse_ratings
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.run import Run
from tests.esc_eval.prompts.test_official_wording import CHINESE, ENGLISH, KEYS, SCORE

RUBRIC = load_rubric()


@pytest.fixture
def wording(tmp_path):
    (tmp_path / "score.py").write_text(SCORE.format(english=ENGLISH, chinese=CHINESE, keys=KEYS), encoding="utf-8")
    return load_wording(tmp_path, allow_unknown=True)


def dialogue(number, language="en", text="Hello"):
    turns = (Turn(role="seeker", text="I am tired"), Turn(role="supporter", text=f"{text} {number}"))
    return Dialogue(id=f"{language}{number}", language=language, turns=turns)


class Adapted:
    """A scorer of adapters: answers in a sentence that names the adapter in use, and counts what it is asked."""

    name, parallel, concurrent, system = "adapted", 4, False, "meta"

    def __init__(self, levels=None, fail_after=None):
        self.identity = {"kind": "test"}
        self.levels, self.fail_after = levels or {}, fail_after
        self.adapter, self.swaps, self.asked, self.leads = None, 0, [], []

    def use(self, dimension, language):
        self.swaps += self.adapter != (dimension, language)
        self.adapter = (dimension, language)

    def _level(self):
        return self.levels.get(self.adapter[0], 3)

    def _ask(self, conversation):
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise EscEvalError("the machine went away")
        self.asked.append((*self.adapter, conversation))

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            self._ask(conversation)
            yield index, Reply(f"The {self.adapter[0]} score is {self._level()}.", "stop")

    def choose(self, groups, lead, options, answer_tokens=64):
        for index, group in enumerate(groups):
            assert len(group) == 1
            self._ask(group[0])
            self.leads.append(lead)
            p = [0.1] * 5
            p[self._level()] = 0.6
            yield index, [Choice(tuple(p), 0.9, str(self._level()))]


def scores(ratings):
    return [(r.dialogue_id, r.dimension, r.score) for r in ratings]


def test_each_dimension_is_asked_of_its_adapter_with_the_official_prompt(tmp_path, wording):
    scorer = Adapted({"empathy": 1})
    dialogues = [dialogue(0), dialogue(1, "zh")]
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues(dialogues, Scoring(scorer, RUBRIC, wording=wording), run)
    assert scores(ratings) == [(d.id, k, 1 if k == "empathy" else 3) for d in dialogues for k in RUBRIC.keys]
    assert ratings[0].raw == "The fluency score is 3."
    assert {r.rubric for r in ratings} == {wording.id}
    for key, language, conversation in scorer.asked:
        one = dialogues[language == "zh"]
        assert [m["role"] for m in conversation] == ["system", "user"]
        assert conversation[0]["content"] == "meta"
        assert conversation[1]["content"] == wording.prompt(one, key)


def test_adapters_are_swapped_seven_times_a_batch_not_seven_times_a_dialogue(tmp_path, wording):
    scorer = Adapted()
    with Run(tmp_path / "run") as run:
        score_dialogues([dialogue(n) for n in range(8)], Scoring(scorer, RUBRIC, wording=wording), run)
    assert scorer.swaps == 2 * 7  # two batches of four
    assert len(scorer.asked) == 8 * 7


def test_with_logits_the_answers_lead_is_found_and_put_into_the_adapters_mouth(tmp_path, wording):
    scorer = Adapted()
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues([dialogue(0)], Scoring(scorer, RUBRIC, "logits", wording=wording), run)
        leads = json.loads((tmp_path / "run" / "run.json").read_text())["scoring/adapted"]["identity"]["leads"]
    assert not (tmp_path / "run" / "rubrics").exists()  # the official wording is not ours to write down
    assert scorer.leads == [f"The {key} score is " for key in RUBRIC.keys]
    assert leads["humanoid/en"] == "The humanoid score is "
    assert ratings[0].probabilities == pytest.approx((0.1, 0.1, 0.1, 0.6, 0.1))
    assert ratings[0].expected == pytest.approx(0.1 * (0 + 1 + 2 + 4) + 1.8)
    again = Adapted()
    with Run(tmp_path / "run") as run:
        assert score_dialogues([dialogue(0)], Scoring(again, RUBRIC, "logits", wording=wording), run) == ratings
    assert again.asked == []


def test_an_interrupted_scoring_goes_on_with_the_dimension_it_stopped_at(tmp_path, wording):
    dialogues = [dialogue(n) for n in range(3)]
    with Run(tmp_path / "run") as run, pytest.raises(EscEvalError, match="went away"):
        score_dialogues(dialogues, Scoring(Adapted(fail_after=10), RUBRIC, wording=wording), run)
    second, seen = Adapted(), []
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues(dialogues, Scoring(second, RUBRIC, wording=wording), run, lambda: seen.append(1))
    assert len(second.asked) == 3 * 7 - 10
    assert len(seen) == 3
    with Run(tmp_path / "whole") as run:
        assert score_dialogues(dialogues, Scoring(Adapted(), RUBRIC, wording=wording), run) == ratings


def test_adapters_without_the_official_wording_are_refused():
    assert isinstance(Adapted(), AdapterModel)
    with pytest.raises(EscEvalError, match="--official-repo DIR"):
        Scoring(Adapted(), RUBRIC)


def test_adapters_that_answer_differently_have_no_lead(tmp_path, wording):
    scorer = Adapted()
    scorer.reply = lambda conversations, settings, seeds: iter([(0, Reply("good", "stop"))])
    with Run(tmp_path / "run") as run, pytest.raises(EscEvalError, match="no fixed words before the level"):
        score_dialogues([dialogue(0)], Scoring(scorer, RUBRIC, "logits", wording=wording), run)


@pytest.mark.parametrize(
    ("answers", "lead"),
    [
        (["3"], ""),
        (["Score: 3", "Score: 0."], "Score: "),
        (["共情分数是3分。"], "共情分数是"),
        (["The 4 scores: 4"], None),
        (["Unlike GPT-3, the score is 3."], None),
        (["Score: 3", "3"], None),
        (["Score: 10"], None),
        ([], None),
    ],
)
def test_a_lead_is_what_all_answers_share_before_their_level(answers, lead):
    assert find_lead(answers, RUBRIC.levels) == lead


@pytest.mark.parametrize("by", ["text", "logits"])
def test_a_dialogue_in_which_the_supporter_says_nothing_is_unscored_and_asked_of_nobody(tmp_path, wording, by):
    turns = (Turn(role="supporter", text="  "), Turn(role="seeker", text="Is anyone there?"))
    silent = [Dialogue(id="one", language="en", turns=turns), Dialogue(id="none", language="en", turns=turns[:1])]
    scorer, seen = Adapted(), []
    with Run(tmp_path / "run") as run:
        scoring = Scoring(scorer, RUBRIC, by, wording=wording)
        ratings = score_dialogues([*silent, dialogue(0)], scoring, run, lambda: seen.append(1))
    assert {(r.score, r.problem) for r in ratings[:14]} == {(None, "nothing to rate: the supporter says no word")}
    assert {(r.score, r.problem) for r in ratings[14:]} == {(3, None)}
    assert {"Is anyone there?" in c[-1]["content"] for *_, c in scorer.asked} == {False}
    assert len(seen) == 3


def reads_no_more_than(length, scorer):
    """The scorer, for which longer prompts are longer than it can read."""
    plain_reply, plain_choose = scorer.reply, scorer.choose

    def reply(conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            if len(conversation[-1]["content"]) > length:
                yield index, Reply("", "context")
            else:
                [(_, said)] = plain_reply([conversation], settings, [0])
                yield index, said

    def choose(groups, lead, options, answer_tokens=64):
        for index, group in enumerate(groups):
            if len(group[0][-1]["content"]) > length:
                yield index, [Choice(problem="too many tokens")]
            else:
                [(_, chosen)] = plain_choose([group], lead, options)
                yield index, chosen

    scorer.reply, scorer.choose = reply, choose
    return scorer


def test_leads_come_from_the_first_dialogues_that_can_be_read(tmp_path, wording):
    scorer = reads_no_more_than(1000, Adapted())
    dialogues = [dialogue(n, text="long " * 300) for n in range(4)] + [dialogue(4)]
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues(dialogues, Scoring(scorer, RUBRIC, "logits", wording=wording), run)
    assert {(r.score, r.problem) for r in ratings[:28]} == {(None, "too many tokens")}
    assert {r.score for r in ratings[28:]} == {3}
    assert set(scorer.leads) == {f"The {key} score is " for key in RUBRIC.keys}


def test_where_no_dialogue_can_be_read_all_are_unscored(tmp_path, wording):
    with Run(tmp_path / "run") as run:
        scoring = Scoring(reads_no_more_than(0, Adapted()), RUBRIC, "logits", wording=wording)
        assert {r.problem for r in score_dialogues([dialogue(0), dialogue(1)], scoring, run)} == {"too many tokens"}


def test_the_official_prompts_go_with_no_other_rubric(wording):
    with pytest.raises(EscEvalError, match="they go with no ieval/1"):
        Scoring(Adapted(), load_rubric("ieval"), wording=wording)


def test_an_answer_that_is_no_number_inside_the_model_says_so(tmp_path, wording):
    scorer = Adapted()
    scorer.reply = lambda conversations, settings, seeds: (
        (n, Reply("", "stop", problem="the model's logits are not finite")) for n in range(len(conversations))
    )
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues([dialogue(0)], Scoring(scorer, RUBRIC, wording=wording), run)
    assert {(r.score, r.raw, r.problem) for r in ratings} == {(None, None, "the model's logits are not finite")}
    assert reparse_ratings(ratings, RUBRIC.levels, "official") == (ratings, 0)


def test_a_calibration_changes_probabilities_and_says_so(tmp_path, wording):
    fitted = Fitted(temperature=2.0, n=50, log_loss=(1, 0.9), calibration_error=(0.2, 0.1))
    calibration = Calibration(
        rater="adapted", rubric=wording.id, levels=RUBRIC.levels, dimensions={"empathy": fitted}, labels="x", seed=0
    )
    with Run(tmp_path / "run") as run:
        scoring = Scoring(Adapted(), RUBRIC, "logits", wording=wording, calibration=calibration)
        found = {r.dimension: r for r in score_dialogues([dialogue(0)], scoring, run)}
    assert found["empathy"].probabilities == pytest.approx(temper_probabilities([0.1, 0.1, 0.1, 0.6, 0.1], 2).tolist())
    assert found["fluency"].probabilities == pytest.approx((0.1, 0.1, 0.1, 0.6, 0.1))
    assert found["empathy"].parser == f"logits, calibration {calibration.sha256[:8]}"
    with pytest.raises(EscEvalError, match="fitted for adapted"):
        Scoring(Adapted(), RUBRIC, wording=wording, calibration=calibration.model_copy(update={"rubric": "other"}))


# --- re-parsing -----------------------------------------------------------------------------------------------------


def text_rating(raw, level, parser="anchored", problem=None):
    problem = problem or (None if level is not None else "the answer names no single level")
    return Rating(
        dialogue_id="d", dimension="empathy", rater="j", rater_kind="model", rubric="r", score=level, raw=raw,
        parser=parser, problem=problem,
    )  # fmt: skip


def test_stored_answers_are_read_by_the_other_rule_and_stay_as_they_are():
    before = [text_rating("4/10", None), text_rating("The score is 3.", 3), text_rating("good", None)]
    after, count = reparse_ratings(before, RUBRIC.levels, "official")
    assert count == 3
    assert [(r.score, r.parser, r.raw) for r in after] == [
        (0, "official", "4/10"), (3, "official", "The score is 3."), (None, "official", "good"),
    ]  # fmt: skip
    assert reparse_ratings(after, RUBRIC.levels, "anchored")[0] == before


def test_ratings_without_an_answer_are_left_alone():
    kept = [
        text_rating("2", 2, parser="logits"),
        text_rating(None, 1, parser="official"),
        text_rating("", None, problem="longer than the scorer can read"),
    ]
    assert reparse_ratings(kept, RUBRIC.levels, "official") == (kept, 0)
