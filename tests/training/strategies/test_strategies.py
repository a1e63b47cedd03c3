"""The classifier of strategies is fitted to made-up conversations, measured on others, and comes out the same again."""

import json

import numpy as np
import pytest

from esc_eval.errors import EscEvalError
from esc_eval.scoring.strategies import REPLIES, StrategyClassifier
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.check import find_checkpoint_problems
from training.common.config import load_recipe
from training.strategies.data import read_material
from training.strategies.fit import StrategyRecipe, deal_folds, fit_classifier, fit_sharpness
from training.strategies.pages import strategies_page
from training.strategies.train import train_strategies

SAYS = {
    "Question": ["What happened to the garden?", "Who told you that? When was it?"],
    "Providing Suggestions": ["You could try a walk.", "Maybe call the plumber tomorrow. It may help."],
    "Others": ["Hello my friend.", "Good bye and thanks."],
}
RECIPE = {"kind": "strategies", "name": "toy", "about": "toy", "bits": 10, "strength": 5.0, "folds": 3, "readings": 4}


def conversation(rng):
    dialog = [{"speaker": "usr", "text": f"The roof leaks for {rng.integers(1000)} days"}]
    for _ in range(4):
        for _ in range(rng.integers(1, 3)):
            label = str(rng.choice(list(SAYS)))
            dialog.append({"speaker": "sys", "text": str(rng.choice(SAYS[label])), "strategy": label})
        dialog.append({"speaker": "usr", "text": "I do not know"})
    return {"dialog": dialog}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources") / "esconv"
    folder.mkdir()
    rng = np.random.default_rng(0)
    train, held = ([conversation(rng) for _ in range(n)] for n in (24, 8))
    train.append(held[0])
    for name, own in (("train.txt", train), ("valid.txt", held)):
        (folder / name).write_text("\n".join(map(json.dumps, own)), encoding="utf-8")
    return folder.parent


@pytest.fixture(scope="module")
def material(sources):
    return read_material(sources)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "toy.yaml"
    path.write_text(json.dumps(RECIPE))
    return load_recipe(path, StrategyRecipe)


@pytest.fixture(scope="module")
def trained(material, recipe, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "toy"
    return out, train_strategies(recipe, material, out, Bootstrap(draws=200))


def test_conversations_that_the_held_out_part_repeats_are_left_out(material):
    assert (material.repeats, len(material.train.conversations), len(material.held_out.conversations)) == (1, 24, 8)
    assert material.strategies == ("Others", "Providing Suggestions", "Question")


def test_utterances_in_a_row_are_one_reply_after_what_the_seeker_said(material):
    first = [one for one in material.train.utterances if one.conversation == 0]
    assert {one.reply for one in first} == {1, 2, 3, 4}
    assert {one.before for one in first if one.reply > 1} == {"I do not know"}
    assert any(len(one.sentences) == 2 for one in first)


def test_a_conversation_lies_in_one_fold():
    folds = deal_folds(np.repeat(np.arange(10), 3), 4, 0)
    assert all(len(set(folds[3 * n : 3 * n + 3])) == 1 for n in range(10))
    assert len(set(folds)) == 4


def test_overconfident_logits_are_softened():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    wrong = rng.random(400) < 0.3
    logits = 6.0 * np.eye(2)[np.where(wrong, 1 - labels, labels)]
    found = fit_sharpness(logits, labels, np.ones(400))
    assert 1 / (1 + np.exp(-6 * found)) == pytest.approx(1 - wrong.mean(), abs=0.02)


@pytest.mark.slow
def test_the_checkpoint_is_whole_and_says_what_it_is_worth(trained, material):
    out, section = trained
    assert find_checkpoint_problems(out) == []
    assert section["accuracy"]["low"] > section["baselines"]["majority"]["accuracy"]["high"]
    assert section["held_out"]["utterances"] == len(material.held_out.utterances)
    assert sum(map(sum, section["confusion"])) == section["held_out"]["known"]
    assert set(section["correction"]) == {"as told", "corrected", "the held-out mix"}
    assert "expected calibration error" in strategies_page(section)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "no\nscore" in card
    assert "CC-BY-NC-4.0" in card


def test_it_holds_the_people_and_how_it_reads(trained, material):
    own = StrategyClassifier.open(trained[0])
    assert len(np.unique(own.people_places[:, 0])) == len(material.held_out.conversations)
    assert np.allclose(own.people_labels.sum(1), 1)
    assert np.allclose(own.reading_until(REPLIES).sum(-1), 1, atol=1e-5)
    words = json.dumps(json.loads((trained[0] / "strategies.json").read_text()))
    assert not any(word in words for word in ("plumber", "garden", "leaks"))


def test_the_same_seed_gives_the_same_classifier(trained, material, recipe):
    again, _ = fit_classifier(recipe, material)
    assert again.identity == StrategyClassifier.open(trained[0]).identity


def test_files_that_are_not_there_or_have_no_labels_are_refused(tmp_path):
    with pytest.raises(EscEvalError, match=r"train\.txt: is not there"):
        read_material(tmp_path)
    for name in ("train.txt", "valid.txt"):
        bare = {"dialog": [{"speaker": "usr", "text": name}, {"speaker": "sys", "text": "b"}]}
        (tmp_path / name).write_text(json.dumps(bare))
    with pytest.raises(EscEvalError, match="name no two strategies"):
        read_material(tmp_path)
