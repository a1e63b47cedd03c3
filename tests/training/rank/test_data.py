"""Ratings as what a scorer learns from: readers, labels, splits and weights."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_support import BOTS, ieval_file, rated_set

from analysis.studies.ieval import read_ieval
from dataset_builder.rows import splits
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Rating, Turn
from training.rank.data import (
    SETS,
    TEST,
    TRAIN,
    VALIDATION,
    balance_rows,
    esconv_sets,
    ieval_sets,
    label_distributions,
    load_set,
    own_set,
    place_items,
    split_items,
)


def test_an_ieval_chat_is_the_person_first_and_its_ten_marks(tmp_path):
    rated = read_ieval(ieval_file(tmp_path / "i.json"))
    first = rated.dialogues[0]
    assert [t.role for t in first.turns] == ["seeker", "supporter"] * 3
    assert first.turns[2].text == "Yes, since\nlast week."
    assert (first.supporter, first.card_id) == ("iEval Pink", "ieval/7-positive")
    marks = {r.dimension: r.score for r in rated.ratings if r.dialogue_id == first.id}
    assert marks["understanding"] == 3
    assert marks["overall"] == 2
    assert len(marks) == 10
    assert len(rated.dialogues) == 8
    assert set(rated.people.values()) == {"iEval-7"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"EU": 6}, "EU is 6, expected a whole number 1..5"),
        ({"Rating": 0}, "Rating is 0, expected a whole number 1..3"),
        ({"S": "4"}, "S is '4'"),
        ({"chat_log": None}, "expected an object with text 'chat_log'"),
        ({"chat_log": "hello"}, "no line that begins"),
    ],
)
def test_what_is_not_ievals_layout_is_refused_with_its_place(tmp_path, changes, what):
    with pytest.raises(EscEvalError, match=r"7.*Pink") as caught:
        read_ieval(ieval_file(tmp_path / "i.json", **changes))
    assert what in str(caught.value)


def test_ieval_becomes_a_set_for_each_scale_of_levels(tmp_path):
    sets = ieval_sets(ieval_file(tmp_path / "i.json"))
    assert sets["ieval"].labels.shape == (8, 9, 5)
    assert sets["ieval-overall"].labels.shape == (8, 1, 3)
    assert sets["ieval-overall"].levels[0, 0] == 1
    assert sets["ieval"].cards["ieval/7-positive"]["near_duplicates"] == ["ieval/7-negative"]


def talk(id):
    return Dialogue(id=id, language="en", turns=(Turn(role="supporter", text="hello"),))


def mark(dialogue, score, rater="r", dimension="a"):
    return Rating(dialogue_id=dialogue, dimension=dimension, rater=rater, rater_kind="human", rubric="x/1", score=score)


def test_labels_are_shares_of_raters():
    marks = [mark("d", 1), mark("d", 1, "s"), mark("d", 3, "t"), mark("e", 2)]
    found = label_distributions([talk("d"), talk("e"), talk("f")], marks, ["a", "b"], [1, 2, 3])
    assert found[0, 0].tolist() == pytest.approx([2 / 3, 0, 1 / 3])
    assert found[1, 0].tolist() == [0, 1, 0]
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 1]).all()


def test_a_score_that_is_no_level_is_refused():
    with pytest.raises(EscEvalError, match="dialogue d, a: 7 is no level"):
        label_distributions([talk("d")], [mark("d", 7)], ["a"], [1, 2, 3])


@settings(max_examples=30)
@given(st.integers(3, 9), st.integers(0, 5), st.sampled_from(BOTS))
def test_no_bot_of_the_test_is_in_train_or_validation(people, seed, bot):
    ranked = rated_set(people, seed=1)
    [fold] = place_items(ranked, "x", "model-disjoint", seed, [bot]).folds
    found = {part: {ranked.dialogues[i].supporter for i in np.flatnonzero(fold[:, 0] == part)} for part in (0, 1, 2)}
    assert found[TEST] == {bot}
    assert bot not in found[TRAIN] | found[VALIDATION]


@pytest.mark.slow
@settings(max_examples=30)
@given(st.integers(4, 12), st.integers(0, 5))
def test_no_scenario_and_no_person_is_on_two_sides(people, seed):
    ranked = rated_set(people, seed=1)
    [fold] = place_items(ranked, "x", "card-disjoint", seed).folds
    sides = [{ranked.people[i] for i in np.flatnonzero(fold[:, 0] == part)} for part in (TRAIN, VALIDATION, TEST)]
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])


def test_splits_are_the_builders_own():
    ranked = rated_set()
    placed = place_items(ranked, "x", "random-rows", 3)
    manifest = splits.make_split("random-rows", split_items(ranked, "annotation"), 3)
    assert placed.manifests[0]["sha256"] == manifest["sha256"]
    assert all((fold >= 0).all() for fold in placed.folds)
    assert int((placed.folds[0] == TEST).sum()) == manifest["sizes"]["test"]
    assert any(line.startswith("dialogue:") for line in placed.leaks())


def test_rare_levels_weigh_more_up_to_a_cap():
    levels = np.array([0] * 90 + [1] * 9 + [2])
    weights = balance_rows(levels, 5, cap=4.0)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(4)
    assert balance_rows(levels, 5, cap=1.0) == pytest.approx(np.ones(100))


def test_a_bot_and_people_are_held_out_together():
    ranked = rated_set()
    tests = {f"{bot}, part {k}": [bot, *(f"p{n}" for n in range(k, 12, 3))] for bot in BOTS for k in range(3)}
    placed = place_items(ranked, "x", "bot-and-rater-disjoint", 0, [tests])
    assert placed.held_out == tuple(tests)
    bots, people = np.array([d.supporter for d in ranked.dialogues]), np.array(ranked.people)
    for fold, (bot, *out) in zip(placed.folds, tests.values(), strict=True):
        test, learnt = (fold == TEST).all(1), np.isin(fold, (TRAIN, VALIDATION)).all(1)
        assert (test == ((bots == bot) & np.isin(people, out))).all()
        assert (learnt == ((bots != bot) & ~np.isin(people, out))).all()
        assert not set(bots[(fold == TRAIN).all(1)]) & set(bots[(fold == VALIDATION).all(1)])
    assert (np.sum([fold == TEST for fold in placed.folds], axis=0) == 1).all()


def test_ones_own_ratings_are_a_set_too(tmp_path):
    talks, marks = tmp_path / "d.jsonl", tmp_path / "r.jsonl"
    talks.write_text("".join(talk(i).to_json() + "\n" for i in "de"))
    marks.write_text("".join(mark("d", s, r, "likable").to_json() + "\n" for s, r in ((2, "r"), (3, "s"))))
    ranked = own_set("ieval", [talks], [marks])
    assert [d.id for d in ranked.dialogues] == ["d"]
    assert ranked.labels[0, ranked.rubric.keys.index("likable")].tolist() == [0, 0.5, 0.5, 0, 0]
    marks.write_text(mark("z", 2, "r", "likable").to_json() + "\n")
    with pytest.raises(EscEvalError, match="no person's rating"):
        own_set("ieval", [talks], [marks])


def test_a_rubric_without_a_public_set_says_what_to_give(tmp_path):
    with pytest.raises(EscEvalError, match="no public rated set for rubric 'esc-eval'"):
        load_set("esc-eval", tmp_path)
    with pytest.raises(EscEvalError, match=r"holds none of train.txt"):
        esconv_sets(tmp_path)


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_public_sets_have_their_published_sizes(shared):
    ranked = load_set("ieval", shared)
    assert ranked.labels.shape == (1920, 9, 5)
    assert len(set(ranked.people)) == 240
    assert load_set("esconv-survey", shared).labels.shape == (974, 2, 5)
    assert load_set("esconv-change", shared).labels.shape == (974, 1, 4)
    both, bots = SETS["ieval"][2](ranked)[:2]
    assert [int((fold == TEST).any(1).sum()) for fold in bots.folds] == [480] * 4
    assert [int((fold == TEST).any(1).sum()) for fold in both.folds] == [96] * 20
    assert not {"supporter", "rater", "card", "dialogue"} & {leak.partition(":")[0] for leak in both.leaks()}
