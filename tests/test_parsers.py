import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.errors import EscEvalError
from esc_eval.parsers import anchored, get_parser, official

LEVELS = (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ("3", 3),
        (" 3\n", 3),
        ("3.", 3),
        ("**2**", 2),
        ("Score: 3", 3),
        ("3/4", 3),
        ("3 out of 4", 3),
        ("0/4", 0),
        ("The empathy score is 3.", 3),
        ("I give it a 3, so 3.", 3),
        ("３", 3),
        ("分数：4", 4),
        ("我认为共情分数是3分。", 3),
        ("3分（满分4分）", 3),
        ("三分", 3),
        ("<think>maybe 1 or 2</think>\n3", 3),
    ],
)
def test_an_answer_that_names_one_level_is_read(answer, level):
    assert anchored(answer, LEVELS) == level


@pytest.mark.parametrize(
    "answer",
    [
        *("", "good", "10", "4/10", "5", "-1", "3.5", "3/5", "99999999999999999999999"),
        *("3 or 4", "2-3", "between 0 and 4", "on a scale 0-4: 3", "score 3, with 2 suggestions"),
        *("十分好", "13分", "<think>3"),
    ],
)
def test_an_answer_that_names_none_or_several_is_refused(answer):
    assert anchored(answer, LEVELS) is None


@pytest.mark.parametrize(
    ("answer", "level"), [("10", 0), ("4/10", 0), ("The empathy score is 3.", 3), ("3 or 2", 2), ("good", None)]
)
def test_the_official_rule_takes_the_lowest_digit_anywhere(answer, level):
    assert official(answer, LEVELS) == level


@given(st.text())
def test_no_answer_crashes_and_every_reading_is_a_level(answer):
    assert anchored(answer, LEVELS) in {None, *LEVELS}
    assert official(answer, LEVELS) in {None, *LEVELS}


@given(st.sampled_from(LEVELS), st.text(alphabet="abcdefgh .,:!", max_size=30), st.text(alphabet=" .!abc", max_size=30))
def test_words_around_the_level_do_not_change_it(level, before, after):
    assert anchored(f"{before} {level} {after}", LEVELS) == level


@given(st.lists(st.sampled_from(LEVELS), min_size=2, unique=True))
def test_two_different_levels_are_never_resolved(levels):
    assert anchored(", ".join(map(str, levels)), LEVELS) is None


def test_an_unknown_parser_lists_the_known():
    with pytest.raises(EscEvalError, match="anchored, official"):
        get_parser("lucky")
