"""Ratings say which rubric they are of; another one, or levels that it has not, are refused."""

import pytest

from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Rating
from esc_eval.scoring.rating_checks import rubric_of


def rating(rubric="ieval/1", score=5, **more):
    return Rating(
        dialogue_id="d", dimension="polite", rater="j", rater_kind="model", rubric=rubric, score=score, **more
    )


@pytest.mark.parametrize("name", ["esc-eval", "ieval", "esconv-survey"])
def test_a_shipped_rubric_is_found_by_the_name_that_ratings_carry(name):
    rubric = load_rubric(name)
    found = [rating(rubric.id, level) for level in rubric.levels]
    assert rubric_of(found) == rubric_of(found, name) == rubric


@pytest.mark.parametrize("carried", ["official/9ad46e7", "official/9ad46e7-changed-0123abcd"])
def test_the_official_wording_has_the_levels_of_our_rubric(carried):
    assert rubric_of([rating(carried, 4)]) == rubric_of([rating(carried, 4)], "esc-eval") == load_rubric()
    with pytest.raises(EscEvalError, match="not ieval/1"):
        rubric_of([rating(carried, 4)], "ieval")


def test_another_rubric_than_the_ratings_is_refused():
    with pytest.raises(EscEvalError, match="under ieval/1, not esc-eval/1; leave --rubric out"):
        rubric_of([rating()], "esc-eval")
    with pytest.raises(EscEvalError, match="under ieval/0, not ieval/1"):
        rubric_of([rating("ieval/0")])


def test_ratings_under_several_rubrics_or_none_have_no_rubric():
    with pytest.raises(EscEvalError, match="one rubric, found esc-eval/1, ieval/1"):
        rubric_of([rating(), rating("esc-eval/1", 4)])
    with pytest.raises(EscEvalError, match="found no rating"):
        rubric_of([])


def test_a_rubric_of_ones_own_is_asked_for_and_taken(tmp_path):
    shipped = load_rubric("ieval")
    text = "name: mine\nversion: '3'\nlevels: [1, 2, 3]\ndimensions:\n  - {key: polite, paper: Polite}\n"
    (tmp_path / "mine.yaml").write_text(text)
    assert shipped.name != "mine"
    with pytest.raises(EscEvalError, match="under mine/3, which is no shipped rubric; give yours"):
        rubric_of([rating("mine/3", 2)])
    assert rubric_of([rating("mine/3", 2)], str(tmp_path / "mine.yaml")).levels == (1, 2, 3)


@pytest.mark.parametrize("wrong", [0, 6, -1])
def test_a_level_that_the_rubric_has_not_is_refused(wrong):
    with pytest.raises(EscEvalError, match=rf"dialogue 'd', polite, rater 'j': {wrong} is none of the rubric's levels"):
        rubric_of([rating(), rating(score=wrong)])


def test_another_number_of_probabilities_than_of_levels_is_refused():
    with pytest.raises(EscEvalError, match="2 probabilities for the rubric's 5 levels"):
        rubric_of([rating(probabilities=(0.5, 0.5))])
