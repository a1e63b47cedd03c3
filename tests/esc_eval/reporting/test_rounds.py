"""Figures by round are those that one counts by hand."""

import pytest

from esc_eval.reporting.rounds import estimate_rounds
from esc_eval.schema import Dialogue, Turn


def talk(number, *texts, language="en", supporter="m"):
    turns = [Turn(role="supporter", text="Hello there, what is it?", finish_reason="scripted")]
    for place, text in enumerate(texts):
        role = "seeker" if place % 2 == 0 else "supporter"
        turns.append(Turn(role=role, text=text, finish_reason="length" if text.endswith("...") else "stop"))
    return Dialogue(
        id=f"{supporter}{number}", language=language, turns=turns, card_id=f"c{number}", supporter=supporter
    )


def figures(dialogues):
    return {f"{each.language}-{each.figure.name}": each for each in estimate_rounds(dialogues)}


def test_words_questions_and_cuts_by_round_leave_the_opening_out():
    found = figures([
        talk(1, "I am sad", "Why is that?", "My job", "Tell me more about it..."),
        talk(2, "I feel low and alone", "I see"),
    ])  # fmt: skip
    values = {name: [e.value for e in each.by_supporter["m"]] for name, each in found.items()}
    assert values["en-supporter-words"] == [2.5, 5]
    assert values["en-seeker-words"] == [4, 2]
    assert values["en-questions"] == [50, 0]
    assert values["en-cut"] == [0, 100]
    assert values["en-distress"] == [pytest.approx(100 * 2 / 8), 0]
    assert [e.n for e in found["en-supporter-words"].by_supporter["m"]] == [2, 1]


def test_chinese_counts_characters_and_its_own_words_of_distress():
    found = figures([talk(1, "我很焦虑，也很孤独", "你好吗？", language="zh")])
    assert found["zh-seeker-words"].unit == "characters a turn"
    assert found["zh-seeker-words"].by_supporter["m"][0].value == 8
    assert found["zh-questions"].by_supporter["m"][0].value == 100
    assert found["zh-distress"].by_supporter["m"][0].value == 25


def test_what_nobody_knows_is_left_out():
    unknown = Dialogue(
        id="d", language="en", supporter="m", turns=[Turn(role="seeker", text="Hm"), Turn(role="supporter", text="Oh")]
    )
    assert "en-cut" not in figures([unknown])
    silent = Dialogue(id="d", language="en", supporter="m", turns=[Turn(role="supporter", text="Oh")])
    assert estimate_rounds([silent]) == []


def test_a_table_holds_the_same_numbers():
    [words, *_] = estimate_rounds([talk(1, "I am sad", "Why is that?")])
    table = words.to_table()
    assert table.columns == ["Supporter", "round 1"]
    assert table.rows[0][1].value == 3
