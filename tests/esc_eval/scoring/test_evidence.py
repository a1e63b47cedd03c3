"""A judge that is asked for a quote or a reason: what it gave is kept and checked, other answers are unscored."""

import json

import pytest
from typer.testing import CliRunner

from esc_eval import Dialogue, Turn, score
from esc_eval.chat import open_model
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.page import as_page
from esc_eval.schema import Evidence, Rating
from esc_eval.scoring.evidence import find_quote
from esc_eval.scoring.score import Scoring, judge_prompts

SAID = "I feel  so\nalone since my dog, “Rex”, died."
TURNS = (Turn(role="seeker", text=SAID), Turn(role="supporter", text="That hurts. You rated 3/4 days as bad?"))
TALK = Dialogue(id="m:1", language="en", turns=TURNS, supporter="m", card_id="c")


def rate(script, answer, wanted="quote", **more):
    scoring = Scoring(open_model(script([answer])), load_rubric(), evidence=wanted, answer_tokens=256, **more)
    return next(iter(scoring.rate([TALK])))


@pytest.mark.parametrize(
    ("answer", "score", "text", "turn"),
    [
        ('{"quote": "so alone since", "score": 3}', 3, "so alone since", 0),
        ('```json\n{"quote": "my dog, \\"Rex\\", died", "score": "2"}\n```', 2, 'my dog, "Rex", died', 0),
        ('<think>{"quote": "x", "score": 1}</think>{"quote": "You rated 3/4 days", "score": 4}', 4, None, 1),
        ('{"score": 0, "quote": "I feel so lonely"}', 0, "I feel so lonely", None),
        ('{"quote": "\\"That hurts.\\"", "score": "3/4", "confidence": 0.5}', 3, '"That hurts."', 1),
        ('{"quote": "...", "score": 1}', 1, "...", None),
    ],
)
def test_a_quote_is_kept_with_the_turn_that_holds_it(script, answer, score, text, turn):
    rating = rate(script, answer)
    assert (rating.score, rating.evidence.kind, rating.evidence.turn) == (score, "quote", turn)
    assert text is None or rating.evidence.text == text
    assert rating.evidence.is_strange == (turn is None)
    assert (rating.raw, rating.parser, rating.way) == (answer, "quote, JSON", "text")
    assert Rating.model_validate_json(rating.to_json()) == rating


def test_a_reason_is_in_the_judges_own_words(script):
    rating = rate(script, '{"reason": "it asks nothing, 4 times", "score": 1}', "reason")
    assert (rating.score, rating.evidence) == (1, Evidence(kind="reason", text="it asks nothing, 4 times"))
    assert not rating.evidence.is_strange


@pytest.mark.parametrize(
    "answer",
    [
        "Score: 3",
        "3",
        "",
        '{"score": 3}',
        '{"quote": "so alone"}',
        '{"quote": "so alone", "score": 7}',
        '{"quote": "so alone", "score": 2.5}',
        '{"quote": "so alone", "score": true}',
        '{"quote": "so alone", "score": "3 or 4"}',
        '{"quote": "  ", "score": 3}',
        '{"quote": ["so alone"], "score": 3}',
        '{"reason": "so alone", "score": 3}',
        '{"quote": "so alone", "score": 3',
        '{"quote": "so alone", "score": 3} {"quote": "That hurts.", "score": 1}',
    ],
)
def test_what_is_not_one_object_with_quote_and_level_is_unscored(script, answer):
    rating = rate(script, answer)
    assert (rating.score, rating.evidence, rating.raw) == (None, None, answer)
    assert rating.problem == "the answer is not one JSON object with quote and score"


def test_a_quote_is_of_one_turn_word_for_word():
    assert find_quote("since my dog", TALK) == 0
    assert find_quote("since  my\tdog", TALK) == 0
    assert find_quote("Since my dog", TALK) is None  # copied is copied
    assert find_quote("died. That hurts.", TALK) is None
    assert find_quote("Seeker: I feel", TALK) is None
    assert find_quote(" ", TALK) is None


@pytest.mark.parametrize(
    ("quote", "said", "found"),
    [
        ("art", "It breaks my heart.", False),
        ("heart", "It breaks my heart.", True),
        ("art", "My heart is in my art.", True),  # the second one
        ("7", "It is 17 years.", False),
        ("it", "That’s what it’s.", False),
        ("it’s", "That’s what it’s.", True),
        ("can", "I can't go.", False),
        ("don", "I don't know.", False),
        ("t know", "I don't know.", False),
        ("well", "He said 'well' twice.", True),
        ("5 hours", "I slept 3.5 hours.", False),
        ("3", "I am 3. Or 4.", True),
        ("难过", "我很难过了", True),
        ("寂しい", "とても寂しいです", True),
        ("학교", "학교에 가기 싫어요", True),
    ],
)
def test_a_quote_neither_begins_nor_ends_inside_a_word(quote, said, found):
    talk = TALK.model_copy(update={"turns": (Turn(role="seeker", text=said),)})
    assert find_quote(quote, talk) == (0 if found else None)


def test_the_question_says_what_is_wanted_in_the_dialogues_language_and_is_the_same_without():
    for language, word in (("en", '{"quote": '), ("zh", '{"quote": ')):
        talk = TALK.model_copy(update={"language": language})
        plain, asked = (judge_prompts(talk, load_rubric(), wanted)[0][-1]["content"] for wanted in ("none", "quote"))
        assert asked.startswith(plain)
        assert word in asked.removeprefix(plain)
        assert "{low}" not in asked
    assert judge_prompts(TALK, load_rubric()) == judge_prompts(TALK, load_rubric(), "none")


def test_who_is_not_asked_in_our_words_gives_no_evidence(script):
    for more, why in (({"by": "logits"}, "no logits"), ({"parser": "official"}, "--evidence is for judges")):
        with pytest.raises(EscEvalError, match=why):
            Scoring(open_model(script(["3"])), load_rubric(), evidence="quote", **more)
    with pytest.raises(EscEvalError, match="takes no --by text, --judge-temperature, --evidence"):
        score([TALK], scorer=Reader(), evidence="quote")


class Reader:
    """Rates without being asked."""

    name, identity, parallel = "reader", {}, 1

    def check(self, rubric):
        pass

    def verdicts(self, dialogues):
        raise AssertionError("it was asked")


@pytest.mark.slow
def test_a_scoring_with_evidence_is_another_and_the_report_and_page_show_it(script, tmp_path):
    judge = script(['{"quote": "so alone", "score": 3}'])
    other = TALK.model_copy(update={"id": "m:2", "card_id": "d", "turns": TURNS[1:] * 2})
    results = score([TALK, other], scorer=judge, evidence="quote", out=tmp_path / "run")
    report = results.render("markdown")
    assert "script quotes the dialogue in 14 ratings; in 7 of them (50%) the quote stands nowhere in it." in report
    assert "by:text, quote in JSON" in report
    page = as_page(results.summary, results.dialogues, results.ratings, load_rubric())
    assert "This quote stands nowhere in the dialogue." in page
    assert "(turn 1)" in page
    with pytest.raises(EscEvalError, match="evidence"):
        score([TALK], scorer=judge, out=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "ratings.jsonl").read_text().splitlines()]
    assert {line["evidence"].get("turn") for line in lines} == {0, None}


@pytest.mark.slow
def test_rejudge_takes_the_same_setting(script, tmp_path):
    first, second = script(["Score: 3"], "first"), script(['{"reason": "warm", "score": 2}'], "second")
    score([TALK], scorer=first, out=tmp_path / "run")
    done = CliRunner().invoke(
        app,
        ["rejudge", str(tmp_path / "run"), "--scorer", second, "--evidence", "reason", "--out", str(tmp_path / "n")],
    )
    assert done.exit_code == 0, done.output
    assert '"kind":"reason","text":"warm"' in (tmp_path / "n" / "ratings.jsonl").read_text()
