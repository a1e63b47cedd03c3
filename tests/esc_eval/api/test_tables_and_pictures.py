"""Results as tables of pandas and datasets, and as pictures of matplotlib."""

import pytest

from esc_eval import Dialogue, Rating, Results, Turn
from esc_eval.errors import EscEvalError


@pytest.fixture(scope="module")
def results():
    """Two supporters on two cards, rated on one dimension by a person, once not at all."""
    turns = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Why?", finish_reason="stop"))
    talks = [
        Dialogue(id=f"{who}:{card}", language="en", turns=turns, card_id=card, supporter=who)
        for who in ("a", "b")
        for card in ("1", "2")
    ]
    common = {"dimension": "empathy", "rater": "anna", "rater_kind": "human", "rubric": "esc-eval/1"}
    scored = [Rating(dialogue_id=one.id, score=3, **common) for one in talks[:-1]]
    return Results(talks, [*scored, Rating(dialogue_id="b:2", problem="left out", **common)])


def test_a_row_says_all_that_a_rating_does_and_whose_dialogue_it_is_of(results):
    frame = results.to_pandas()
    assert frame[["supporter", "card_id", "dimension"]].values.tolist()[0] == ["a", "1", "empathy"]
    assert frame["score"].isna().tolist() == [False, False, False, True]
    assert frame["problem"].tolist()[-1] == "left out"
    assert set(Rating.model_fields) <= set(frame.columns)
    assert results.to_pandas("turns")[["dialogue_id", "position", "text"]].values.tolist()[1] == ["a:1", 1, "Why?"]
    assert len(results.to_pandas("dialogues")) == 4


@pytest.mark.slow
def test_a_dataset_has_the_same_rows_and_no_empty_column(results):
    table = results.to_datasets()
    assert table["score"][:] == [3, 3, 3, None]
    assert "probabilities" not in table.column_names
    assert results.to_datasets("dialogues")[0]["turns"][0]["text"] == "I am sad."
    assert len(Results([]).to_datasets()) == 0


def test_another_kind_of_row_is_refused(results):
    with pytest.raises(EscEvalError, match="expected one of ratings, dialogues, turns"):
        results.to_pandas("cards")


@pytest.mark.slow
def test_pictures_are_drawn_on_axes_of_ours_and_saved_as_their_endings_say(results, tmp_path):
    from matplotlib.figure import Figure

    pictures = results.pictures()
    assert {"means", "order", "differences", "levels", "en-rounds-distress"} <= set(pictures)
    left, right = Figure().subplots(1, 2)
    assert pictures["means"].plot(left) is left
    assert [label.get_text() for label in left.get_yticklabels()][-1] == "Average"
    assert not right.lines
    assert len(pictures["levels"].plot()) == 2
    with pytest.raises(EscEvalError, match="2 panels"):
        pictures["levels"].plot(right)
    begins = {"svg": b"<?xml", "png": b"\x89PNG"}
    for ending, begin in begins.items():
        assert pictures["order"].save(tmp_path / f"order.{ending}").read_bytes().startswith(begin)
    assert b"esc-eval" in (tmp_path / "order.png").read_bytes()  # signed
    with pytest.raises(EscEvalError, match=r"\.svg, \.pdf or \.png"):
        pictures["order"].save(tmp_path / "order.gif")
    assert pictures["order"]._repr_svg_().startswith("<svg")


@pytest.mark.slow
def test_results_without_ratings_have_the_pictures_of_rounds_alone(results):
    assert all("rounds" in name for name in Results(results.dialogues).pictures())
