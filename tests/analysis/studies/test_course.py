"""The analysis of courses: SAGE's form, ESConv's change, and false alarms on real seekers."""

import json

import pytest

from analysis.studies.course import (
    count_contradictions,
    course_report_of,
    describe_series,
    list_series,
    measure_alarms,
    read_esconv_change,
)
from analysis.studies.sage import read_sage
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(draws=200)


def write_sage(path, talks):
    def say(point):
        return [
            {"role": "user", "content": "我很难过。", "emotion-point": point},
            {"role": "assistant", "content": "我在听。"},
        ]

    lines = [
        {"id": f"t{i}", "history": [one for point in points for one in say(point)]} for i, points in enumerate(talks)
    ]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    return path


def test_sage_is_read_as_dialogues_with_states(tmp_path):
    talks = read_sage(write_sage(tmp_path / "m-1_result_x.jsonl", [[40, 30], [40, 60, 80]]))
    assert [(d.supporter, d.language, d.rounds) for d in talks] == [("m-1", "zh", 2), ("m-1", "zh", 3)]
    assert [t.state.values["emotion"] for t in talks[1].turns if t.state] == [40, 60, 80]
    [series] = list_series(talks, "SAGE")
    found = describe_series(series, BOOT)
    assert found["change"].value == pytest.approx((-10 + 40) / 2)
    assert found["area"].value == pytest.approx((35 + 60) / 2)
    assert found["area_above_first"].value == pytest.approx((-5 + 20) / 2)
    assert found["higher"].value == 50
    assert [e.n for e in found["rounds"]] == [2, 2, 1]


@pytest.mark.parametrize("bad", ['{"id": "a"}', '{"id": "a", "history": [{"role": "judge", "content": "x"}]}', "no"])
def test_what_is_no_talk_of_sage_is_refused_with_its_line(tmp_path, bad):
    path = write_sage(tmp_path / "m_result.jsonl", [[40, 30]])
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{bad}\n", encoding="utf-8")
    with pytest.raises(EscEvalError, match="line 2"):
        read_sage(path)


def test_esconv_says_how_strong_it_was_before_and_after(tmp_path):
    def line(before, after):
        survey = {"seeker": {"initial_emotion_intensity": before, "final_emotion_intensity": after}}
        return json.dumps(
            {"dialog": [{"speaker": "usr", "text": "Hm."}, {"speaker": "sys", "text": "Yes."}], "survey_score": survey}
        )

    path = tmp_path / "valid.txt"
    path.write_text("\n".join([line("5", "2"), line("4", "3"), line("5", None)]), encoding="utf-8")
    found = describe_series(read_esconv_change(path), BOOT)
    assert (found["n"], found["first"].value, found["last"].value) == (2, 4.5, 2.5)
    assert found["change_of_scale"].value == -50
    path.write_text(line("5", None), encoding="utf-8")
    with pytest.raises(EscEvalError, match="before and after"):
        read_esconv_change(path)


def real(*texts):
    turns = [Turn(role="seeker" if i % 2 == 0 else "supporter", text=text) for i, text in enumerate(texts)]
    return Dialogue(id=texts[0], language="en", turns=turns, seeker="human")


def test_false_alarms_are_shares_of_real_turns_and_talks():
    talks = [
        real("I'm 30 years old.", "How can I help you?", "I'm 45 years old.", "Hm.", "No."),
        real(
            "I'm sad.",
            "Why?",
            "I'm 20 years old. I am 21 years old.",
            "Hm.",
            "As an AI language model I am fine.",
            "Oh.",
        ),
        real(
            "A.",
            "B.",
            "C.",
            "D.",
            "Thanks, bye!",
            "Bye!",
            "Thank you!",
            "Take care!",
            "Wait, one more thing.",
            "Yes?",
            "It is late.",
        ),
    ]
    [found] = measure_alarms(talks, BOOT)
    assert found["refusal"].value == pytest.approx(100 * 1 / 12)
    assert found["supporters"].value == pytest.approx(100 * 1 / 10)
    assert (found["contradiction"].value, found["contradiction"].n) == (50, 2)
    assert found["loop"].value == pytest.approx(100 / 3)
    assert found["early"].value == pytest.approx(100 / 3)


def test_contradictions_of_cards_are_counted_where_the_card_is_known():
    cards = {"c": RoleCard(id="c", language="en", text="Age: 30\nProblem: x", source="t")}
    talks = [real("I'm 45 years old.").model_copy(update={"card_id": "c"}), real("I'm sad.")]
    assert count_contradictions(talks, cards, BOOT).n == 1


def test_nothing_to_show_is_said():
    with pytest.raises(EscEvalError, match="nothing to show"):
        course_report_of([], [], BOOT)
