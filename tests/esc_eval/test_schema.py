import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from esc_eval.files.records import load_cards
from esc_eval.schema import Dialogue, Rating, RoleCard, Turn, digest, find_duplicates, number_repeats

RATING = {"dialogue_id": "d", "dimension": "empathy", "rater": "r", "rater_kind": "human", "rubric": "x/1"}


def test_a_card_without_text_is_refused():
    with pytest.raises(ValidationError, match="no text"):
        RoleCard(id="1", language="en", text="  \n", source="s")


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "must say why"),
        ({"score": 3, "problem": "unreadable"}, "cannot have a problem"),
        ({"score": 3, "probabilities": (0.5, 0.4, 0, 0, 0)}, "sum to"),
        ({"score": 3, "mood": "good"}, "Extra inputs"),
    ],
)
def test_an_inconsistent_rating_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Rating(**RATING, **fields)


def test_rounds_are_answered_seeker_turns():
    turns = [Turn(role=r, text="x") for r in ("supporter", "seeker", "supporter", "seeker")]
    assert Dialogue(id="d", language="en", turns=turns).rounds == 1


@given(st.text(), st.sampled_from(["seeker", "supporter"]))
def test_a_turn_survives_its_json(text, role):
    turn = Turn(role=role, text=text)
    assert Turn.model_validate_json(turn.to_json()) == turn


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)))
def test_a_digest_does_not_depend_on_the_order_of_keys(value):
    assert digest(value) == digest(dict(reversed(value.items())))


def test_a_digest_of_something_without_json_is_refused():
    with pytest.raises(TypeError, match="no canonical JSON"):
        digest(object())


def test_duplicates_are_listed_once():
    assert find_duplicates(["a", "b", "a", "c", "a", "b"]) == ["a", "b"]


def test_repeats_are_numbered_by_what_they_say_else_in_order():
    def made(name, repeat=None, seeker="s", card="c"):
        return Dialogue(id=name, language="en", turns=(), card_id=card, supporter="m", seeker=seeker, repeat=repeat)

    assert number_repeats([made("a"), made("b", 3), made("c", 2)]) == {"a": 1, "b": 3, "c": 2}
    assert number_repeats([made("a"), made("b"), made("c", 2)]) == {"a": 1, "b": 3, "c": 2}, "2 is taken"
    assert number_repeats([made("a", 2), made("b", 2)]) == {"a": 2, "b": 1}, "two that say the same"
    assert set(number_repeats([made("a"), made("b", seeker="t"), made("c", card="d")]).values()) == {1}
    assert number_repeats([made("a", card=None), made("b", card=None)]) == {"a": 1, "b": 1}


def test_which_repeat_it_is_changes_nothing_that_a_scoring_knows_a_dialogue_by():
    one = Dialogue(id="m:c", language="en", turns=(Turn(role="seeker", text="a"),))
    assert one.content == digest(one) == one.model_copy(update={"repeat": 2}).content
    assert '"repeat"' not in one.to_json()


def test_the_sample_is_24_synthetic_cards_over_three_categories():
    cards = load_cards()
    assert [sum(c.language == x for c in cards) for x in ("en", "zh")] == [12, 12]
    assert all(card.synthetic for card in cards)
    for language in ("en", "zh"):
        own = [card.category for card in cards if card.language == language]
        assert {c: own.count(c) for c in set(own)} == {
            "family_and_life": 4,
            "work_and_study": 4,
            "society_and_others": 4,
        }
