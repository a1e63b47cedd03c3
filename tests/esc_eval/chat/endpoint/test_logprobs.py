"""Level probabilities are those of the token that states the level, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge_server import SAID, completion, level_at, say, tokens_of

from esc_eval.chat.endpoint.choices import read_answer, read_choice
from esc_eval.chat.question import Question, Settled
from esc_eval.scoring.parsers import find_anchored

FREE = Settled(way="logprobs")


def read(payload, levels=range(5)):
    """The choice that is made of a chat completion, and the expected level."""

    def find(answer):
        found = find_anchored(answer, levels)
        return found and (str(found[0]), found[1])

    choice = read_choice(read_answer(payload), Question(tuple(map(str, levels)), find), FREE)
    p = choice.probabilities
    return choice, p and sum(level * share for level, share in zip(levels, p, strict=True))


@pytest.mark.parametrize("name", SAID)
def test_probabilities_are_those_of_the_token_that_states_the_level(name):
    choice, expected = read(say(name, {"logprobs": True})[1])
    assert choice.way == "logprobs"
    assert expected == pytest.approx(2.9, abs=0.01)
    assert choice.mass == pytest.approx(0.98, abs=0.001)
    assert choice.probabilities[3] == max(choice.probabilities)


def test_where_a_number_is_a_count_first_the_place_is_the_score():
    at = {"3": 0.5, "4": 0.45, "2": 0.05}
    tokens = tokens_of("All", (" 3", {"3": 0.97, "2": 0.01, "1": 0.01}), " replies are fluent. Score:", (" 3", at))
    _, expected = read(completion("All 3 replies are fluent. Score: 3", tokens)[1])
    assert expected == pytest.approx(3.40)


@pytest.mark.parametrize(
    "logprobs",
    [
        *(None, {}, {"content": None}, {"content": []}, [], "none", {"content": ["3"]}, {"content": [{"token": None}]}),
        {"content": [{"token": "3", "logprob": None, "top_logprobs": None}]},
        {"content": [{"token": "3", "logprob": "-0.1", "top_logprobs": [{"token": "2", "logprob": True}]}]},
        {"content": [{"token": "3", "logprob": float("nan"), "top_logprobs": 3}]},
        tokens_of("good"),
        tokens_of(("4", level_at(4))),
        tokens_of("Score:", (" 3", level_at(3)), " and so on"),
        {"tokens": ["Score:", " 3"], "token_logprobs": [0.0]},
    ],
)
def test_log_probabilities_that_are_not_those_of_the_answer_leave_the_text(logprobs):
    choice, _ = read(completion("Score: 3", logprobs)[1])
    assert (choice.probabilities, choice.way, choice.text) == (None, "text", "Score: 3")


def test_a_probability_of_nothing_counts_as_none():
    top = [{"token": "3", "logprob": 0.0}, {"token": "2", "logprob": -9999.0}, {"token": "1", "logprob": None}]
    choice, _ = read(completion("3", {"content": [{"token": "3", "logprob": 0.0, "top_logprobs": top}]})[1])
    assert choice.probabilities == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_spellings_of_one_level_add_up_and_what_only_begins_with_its_digit_does_not():
    tokens = tokens_of(
        (" 3", {" 3": 0.4, "3": 0.2, "３": 0.1, "3.": 0.1, "30": 0.05, "3.5": 0.05, "-3": 0.05, " 2": 0.05})
    )
    choice, _ = read(completion("3", tokens)[1])
    assert choice.mass == pytest.approx(0.85)
    assert choice.probabilities[3] == pytest.approx(0.8 / 0.85)


def test_log_probabilities_in_the_form_of_text_completions_are_read():
    top = [None, {" 3": -0.105, " 2": -2.3}]
    choice, _ = read(
        completion("Score: 3", {"tokens": ["Score:", " 3"], "token_logprobs": [0.0, -0.105], "top_logprobs": top})[1]
    )
    assert choice.probabilities == pytest.approx((0, 0, 0.1, 0.9, 0), abs=0.01)


SINGLES = {str(level): 0.01 for level in range(2, 10)}


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([("1", {"1": 0.9, **SINGLES}), ("0", {"0": 0.95})], (0.855 * 10 + 0.44) / 0.935),
        ([("1", {"1": 0.9, **SINGLES}), ("0", {"0": 0.6, ".": 0.3})], (5.4 + 0.27 + 0.44) / 0.89),
        ([("10", {"10": 0.9, "1": 0.01, **SINGLES})], (9 + 0.01 + 0.44) / 0.99),
        ([("Score", {"Score": 1.0}), ": ", ("1", {"1": 0.9, **SINGLES}), ("0", {"0": 1.0})], (9 + 0.44) / 0.98),
    ],
)
def test_a_level_of_two_digits_is_read_by_all_its_tokens(tokens, expected):
    text = "".join(token if isinstance(token, str) else token[0] for token in tokens)
    choice, found = read(completion(text, tokens_of(*tokens))[1], range(1, 11))
    assert choice.probabilities[9] == max(choice.probabilities)
    assert found == pytest.approx(expected)


def test_a_digit_that_may_begin_another_level_gives_no_distribution():
    tokens = tokens_of(("8", {"8": 0.5, "1": 0.4, "9": 0.1}))
    choice, _ = read(completion("8", tokens)[1], range(1, 11))
    assert (choice.probabilities, choice.text) == (None, "8")


pieces = st.sampled_from(["The supporter", " listens", " 1.", "4", "\n", " 两", "好", " of 5", "[", " 0"])
level_tokens = st.sampled_from([3, 2, 0]).map(lambda n: (f" {n}", level_at(n)))


@given(
    st.lists(pieces), level_tokens, st.lists(pieces), st.sampled_from([[], ["<|im_end|>"], ["</s>", " "], ["<end>"]])
)
def test_whatever_is_thought_before_and_written_at_the_end_the_place_is_the_same(thought, level, said, end):
    others = [(piece, level_at(4)) for piece in said]
    text = "".join(said) + "\nScore:" + level[0]
    tokens = tokens_of(
        "<think>", *[(piece, level_at(1)) for piece in thought], "</think>", *others, "\nScore:", level, *end
    )
    choice, _ = read(completion(text, tokens)[1])
    if choice.probabilities is not None:  # else the words before name another number
        assert choice.probabilities[int(level[0])] == pytest.approx(0.9 / 0.98)


@given(st.text(), st.lists(st.text()))
def test_no_answer_and_no_tokens_crash_it(text, tokens):
    choice, _ = read(completion(text, tokens_of(*tokens))[1])
    assert choice.probabilities is None or sum(choice.probabilities) == pytest.approx(1)
