"""What a report says of how its numbers were made."""

from esc_eval.reporting.making import warn_of_one_model

SEEKER = {"model": "trained", "revision": "t", "languages": ["en"], "other_languages": "b"}
BASE = {"model": "base", "revision": "b"}


def test_the_base_that_plays_what_a_seeker_did_not_learn_is_said_where_it_has_another_role():
    said = "In Chinese the seeker is the model that is supporter m and judge j too."
    assert (
        warn_of_one_model({"seeker": SEEKER}, {"m": BASE, "other": {"model": "o"}}, {"j": BASE}, ["zh", "en"])[-1]
        == said
    )


def test_in_the_language_that_it_learnt_it_is_a_model_of_its_own():
    assert warn_of_one_model({"seeker": SEEKER}, {"m": BASE}, {}, ["en"]) == []
    assert warn_of_one_model({"seeker": SEEKER}, {"m": {"model": "o", "revision": "c"}}, {}, ["zh"]) == []
