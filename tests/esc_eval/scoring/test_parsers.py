import pytest
from hypothesis import given
from hypothesis import strategies as st

from esc_eval.errors import EscEvalError
from esc_eval.reasoning import strip_thinking
from esc_eval.scoring.parsers import find_anchored, get_parser, parse_anchored, parse_official

LEVELS = (0, 1, 2, 3, 4)


READ = {
    3: [
        *("3", " 3\n", "3.", "(3)", "[3]", "“3”", "３", "**3**", "$\\boxed{3}$", "<score>3</score>", "3 points"),
        *(
            "Score: 3",
            "**Score:** 3",
            "Score:\n3",
            "Score - 3",
            "Level 3",
            "Empathy: 3",
            '{"score": 3, "reason": "warm"}',
        ),
        *(
            "3/4",
            "3 out of 4",
            "3 Out Of 4",
            "Score: 3 (out of 4)",
            "Overall, 3/4.",
            "a score of 3 out of a possible 4",
        ),
        *("The empathy score is 3.", "I would rate it 3.", "I give it a 3, so 3.", "It deserves a 3 for its warmth."),
        *("Not perfect, but I would rate it as a 3 because it listens.", "My rating is 3. The supporter listens."),
        *("3: The supporter listens.", "3, because the supporter listens.", "3 - good", "3\n\nThe supporter listens."),
        *("1. Listens\n2. Reflects\nScore: 3", "A GPT4-like reply. Score: 3", "90% of the replies are warm. Score: 3"),
        *("The supporter listens.\n\n3", "<think>maybe 1 or 2</think>\n3"),
        *(
            "我认为共情分数是3分。",
            "3分（满分4分）",
            "满分4分,得3分",
            "3分(共4分)",
            "3分/4分",
            "三分",
            "我给这段对话打三分。",
        ),
        *("支持者表现不错，得3分。", "评分：3分，因为他倾听。", "答案是3。", "3分 支持者在倾听"),
    ],
    **{0: ["0/4", "零分"], 2: ["**2**", "两分", "得分为两分"], 4: ["分数：4", "The 4 scores: 4"]},
}
REFUSED = [
    *("", "good", "10", "4/10", "5", "-1", "−1", "3.5", "3/5", "99999999999999999999999", "<think>3"),
    *(
        "3 or 4",
        "2-3",
        "between 0 and 4",
        "score 3, with 2 suggestions",
        "Score: 3 to 4",
        "3、4分",
    ),
    *("Score: 3+", "Score: >2", "Score: 3 or higher", "A rating of at least 3.", "3 and a half", "3分半", "三到四分"),
    *(
        "The score is not 3.",
        "I cannot give it a 3.",
        "A score of 4 would need more.",
        "不到3分",
        "扣1分",
        "比上次高1分",
    ),
    *("1. The supporter listens and reflects.", "1) Listens", "1、倾听", "1. Listens\n2. Reflects\n3.", "3. 4"),
    *("The supporter gave 2 suggestions.", "3 questions", "Suggestions: 2", "The supporter gave suggestions: 3."),
    *("in turn 3 the supporter repeats itself.", "The score falls in turn 3.", "In 3/4 of the replies he listens."),
    *("GPT4-like reply", "a GPT-4 style", "3rd reply", "a 2-minute pause", "3%", "3:15"),
    *("一分钟后再回答", "3分钟", "四分五裂", "三分之一", "三点二分", "3点2分", "十分好", "13分", "十五分", "入木三分"),
    *("支持者给了3条建议。", "第3轮得分", "五分"),
]


@pytest.mark.parametrize(("answer", "level"), [(answer, level) for level in READ for answer in READ[level]])
def test_an_answer_that_gives_one_level_is_read(answer, level):
    assert parse_anchored(answer, LEVELS) == level


@pytest.mark.parametrize("answer", REFUSED)
def test_an_answer_that_gives_none_or_several_is_refused(answer):
    assert parse_anchored(answer, LEVELS) is None


def test_the_top_of_the_scale_is_that_of_the_rubric():
    assert [parse_anchored(answer, range(1, 6)) for answer in ("五分", "4/5", "3/4", "满分5分，得3分")] == [
        5,
        4,
        None,
        3,
    ]


@pytest.mark.parametrize(
    ("answer", "level"), [("10", 0), ("4/10", 0), ("The empathy score is 3.", 3), ("3 or 2", 2), ("good", None)]
)
def test_the_official_rule_takes_the_lowest_digit_anywhere(answer, level):
    assert parse_official(answer, LEVELS) == level


@given(st.text())
def test_no_answer_crashes_and_every_reading_is_a_level(answer):
    assert parse_anchored(answer, LEVELS) in {None, *LEVELS}
    assert parse_official(answer, LEVELS) in {None, *LEVELS}


words = st.lists(st.sampled_from(["the", "supporter", "listens", "warmly", "and", "asks", "today"])).map(" ".join)


@given(
    st.sampled_from(LEVELS),
    words,
    st.sampled_from(
        ["Score: {}", "I would rate it {}.", "The empathy score is {}.", "I give it a {}.", "{}/4", "得{}分。"]
    ),
    st.sampled_from(["{1}", "{0}. {1}", "{1}\n\n{0}.", "1. {0}.\n2. {0}.\n{1}", "GPT4 said {0}. {1}", "5% {0}. {1}"]),
)
def test_what_is_said_beside_a_score_does_not_change_it(level, said, score, place):
    assert parse_anchored(place.format(f"She {said}", score.format(level)), LEVELS) == level


@given(
    st.sampled_from(LEVELS),
    words,
    st.sampled_from(
        ["{} questions", "turn {}", "{} of the replies", "{}%", "GPT{}", "a {}-step plan", "{}个问题", "{}分钟"]
    ),
    words,
)
def test_a_number_that_is_no_score_is_never_read(level, before, number, after):
    assert parse_anchored(f"she {before} {number.format(level)} {after}", LEVELS) is None


@given(words, st.integers(-20, 20).filter(lambda number: number not in LEVELS))
def test_a_number_off_the_scale_is_never_brought_onto_it(said, number):
    assert parse_anchored(f"She {said}. Score: {number}", LEVELS) is None


@given(st.lists(st.sampled_from(LEVELS), min_size=2, unique=True))
def test_two_different_levels_are_never_resolved(levels):
    assert parse_anchored(", ".join(map(str, levels)), LEVELS) is None
    assert parse_anchored("\n".join(f"Score: {level}" for level in levels), LEVELS) is None


def test_an_unknown_parser_lists_the_known():
    with pytest.raises(EscEvalError, match="anchored, official"):
        get_parser("lucky")


NAMES = {0: "0０零", 1: "1１一", 2: "2２二两", 3: "3３三", 4: "4４四"}


@pytest.mark.parametrize(("answer", "level"), [(answer, level) for level in READ for answer in READ[level]])
def test_the_place_of_a_level_holds_the_level(answer, level):
    answer = strip_thinking(answer)
    found, (start, end) = find_anchored(answer, LEVELS)
    assert (found, answer[start:end] in NAMES[level]) == (level, True)


@given(
    st.sampled_from(LEVELS),
    st.text(st.sampled_from("the ﬁne ﹙ e\u0301 한글 ㈱ \t\n*_`{<>《，。ｶﾞ…"), max_size=12),
    st.sampled_from(["Score: {}", "Score: {} / 4", "The empathy score is {}.", "得{}分。", '{{"score": {}}}']),
    st.text(st.sampled_from("the ﬁne e\u0301 \t\n*_`…ｶﾞ"), max_size=8),
)
def test_the_place_is_told_in_characters_of_the_answer_itself(level, before, score, after):
    for name in NAMES[level]:
        answer = f"{before}\n{score.format(name)}\n{after}"
        if found := find_anchored(answer, LEVELS):
            assert found[0] == level
            assert answer[slice(*found[1])] == name


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("All 3 replies are fluent. Score: 3", 33),
        ("Score: 3. So I give it a 3.", 25),
        ("2 of the 5 replies are warm. Score: 3", 36),
        ("Score (0-4): 3", 13),
        ("评分（0到4分）：3分", 9),
    ],
)
def test_of_several_places_it_is_the_last_that_is_a_score(answer, place):
    assert find_anchored(answer, LEVELS) == (3, (place, place + 1))


@pytest.mark.parametrize("answer", ["Score (0-3): 3", "Score (1-5): 3", "2 of 5 replies. Score: 3"])
def test_another_scale_and_unclear_counts_are_refused(answer):
    assert find_anchored(answer, LEVELS) is None


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ('{"reason": "2 of 4 replies", "score": 3}', 3),
        ('{"score": "3", "reason": "all 10 turns, 100%"}', 3),
        ('Here it is:\n```json\n{"explanation": "In turn 2 it asks.", "rating": 1}\n```', 1),
        ('{"理由": "第2轮没有回应", "评分": 3}', 3),
        ('{"reason": "I rate it 2.", "score": 3}', None),
        ('{"score": 2}\n{"score": 3}', None),
        ('{"score": 2, "rating": 3}', None),
        ('{"turn": 2, "score": 3}', 3),
        ('{"reason": "warm", "score": 3.5}', None),
        ('{"reason": "warm", "score": 30}', None),
        ('{"reason": "warm", "score": 3} Score: 2', None),
        ("In turn 2 the supporter listens. My score is 3.", 3),
        ("第2轮回应得体。评分：3", 3),
        ("Score: 2. Wait, actually. Score: 3", None),
        ("In turn 2 it listens. My score is 3 or so, I think", None),
        ("Out of 4, I rate it 3.", 3),
        ("Out of 10, I rate it 3.", None),
        ("Out of 4, 3 are good.", None),
    ],
)
def test_a_score_in_json_or_at_the_end_stands_for_itself_and_two_that_differ_for_none(answer, level):
    found = find_anchored(answer, range(5))
    assert (found and found[0]) == level
    if found:
        assert answer[slice(*found[1])] == str(level)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ('{"Empathy": 3, "confidence": 0.9}', 3),
        ('{"Empathy": {"score": 3, "reason": "In turn 2 it asks."}}', 3),
        ('{"result": {"dimension": "Empathy", "rating": {"value": 3, "max": 4}}}', 3),
        ('{"analysis": {"clarity": 2, "warmth": 4}, "score": 3}', 3),
        ('{"scores": [{"empathy_score": "3/4"}], "scale": "0-4"}', 3),
        ('{"共情得分": 3, "轮次": 5}', 3),
        ('{"Empathy": 3, "Fluency": 2}', None),
        ('{"Empathy": {"score": 3}, "Fluency": {"score": 2}}', None),
        ('{"score": 3, "max_score": 10}', None),
        ('{"score": 3, "scale": "1-5"}', None),
        ('{"turns": 3}', None),
        ('{"suggestions": 2, "max": 4}', None),
        ('{"score": {"value": 3.5}, "turn": 3}', None),
        ('{"score": true, "turn": 3}', None),
    ],
)
def test_in_json_the_one_value_that_is_a_score_is_read_wherever_it_stands(answer, level):
    found = find_anchored(answer, range(5))
    assert (found and found[0]) == level
    if found:
        assert answer[slice(*found[1])] == str(level)


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        *(("on a scale 0-4: 3", 3), ("On a scale of 0 to 4, I give 3.", 3), ("On a scale of 1 to 5, I give 3.", None)),
        *(("I rate it 3 on the 0–4 scale.", 3), ("Score [0-4]: 3", 3), ("Score (out of 4): 3", 3)),
        *(("Score (out of 10): 3", None), ("在0-4分的评分中，我给3分", 3), ("5分制下得3分", None), ("4分制下得3分", 3)),
        *(("【3】", 3), ("评分：「3」", 3), ("- Empathy: 3", 3), ("Score → 3", 3), ("A level of 3 to its empathy.", 3)),
        *(("a scale of 0 to 4", None), ("The range is 0-4, and 3 replies are warm.", None)),
    ],
)
def test_the_scale_beside_a_score_has_to_be_the_rubrics(answer, level):
    assert parse_anchored(answer, LEVELS) == level


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        *(("Score: 3\nConfidence: 4", 3), ("3\n\n(Warm in turns 1 and 2.)", 3), ("得分：3。第2轮安慰了用户。", 3)),
        *(("Score: 3\nReason: 10 replies are warm.", None), ("Score: 3\nOn second thought, 2.", None)),
        *(("Score: 3. Wait, 2 fits.", None), ("Score: 3. It scores 2 at the end.", None), ("3. 4", None)),
        *(("1\n2\n3", None), ("3 replies\n2", None)),
    ],
)
def test_an_answer_that_begins_with_its_score_may_count_afterwards_and_not_take_it_back(answer, level):
    assert parse_anchored(answer, LEVELS) == level
