"""Strategies of replies: sentences, what is unknown, files that are broken."""

import shutil

import numpy as np
import pytest
from made_strategies import ADVISE, ASK, MOST_WORDS, NAMES, OTHER, made_file, made_tensors, write_strategies
from safetensors.numpy import save_file

from esc_eval.checkpoints import apart
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring import strategies
from esc_eval.scoring.strategies import FILE, WEIGHTS, StrategyClassifier, find_strategies, open_strategies
from esc_eval.scoring.strategy_features import hash_features, name_features, split_segments

CLASSIFIER = StrategyClassifier(made_file(), made_tensors())


def talk(*replies, language="en", before="So what then", opening=None):
    turns = [Turn(role="supporter", text=opening, finish_reason="scripted")] if opening else []
    for reply in replies:
        turns += [Turn(role="seeker", text=before), Turn(role="supporter", text=reply)]
    return Dialogue(id="d", language=language, turns=tuple(turns))


def told(reply):
    return [(NAMES[place], round(probability, 2)) for place, probability in reply.list_used()]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("I see. Is it so?", ["I see.", "Is it so?"]),
        ("1. Rest well.\n2. Try it", ["1. Rest well.", "2. Try it"]),
        ("- rest\n\n- sleep more\n", ["- rest", "- sleep more"]),
        ("**Rest.** Then sleep.", ["**Rest.**", "Then sleep."]),
        ('He said "no." So what?', ['He said "no."', "So what?"]),
        ("It costs 3.50 a day.", ["It costs 3.50 a day."]),
        ("Well... \u2026", ["Well... \u2026"]),
        ("?!", []),
        ("", []),
    ],
)
def test_a_reply_is_cut_at_the_ends_of_sentences_and_lines(text, sentences):
    assert [text[a:b] for a, b in split_segments(text)] == sentences


def test_segments_are_in_order_and_apart_in_any_text():
    for text in ("a.b. c\n\n. d", " x \n y ", "\n\n", "a" * 50, "1.\n2.\nz", "Oh! (Really?) Yes."):
        spans = [0, *(end for span in split_segments(text) for end in span), len(text)]
        assert spans == sorted(spans)


def test_what_is_taken_up_of_the_seekers_turn_is_a_feature():
    own = name_features("Your sister moved?", "My sister moved away")
    assert own - name_features("Your sister moved?", "It rains") >= {"shared 4"}
    assert (hash_features("Try\u2019s", "", 8) == hash_features("Try's", "", 8)).all()


def test_each_sentence_of_a_reply_has_its_strategy():
    read = CLASSIFIER.read(talk("Hello there. What is it?", "You could try rest."))
    assert [told(read[place]) for place in (1, 3)] == [[(OTHER, 1.0), (ASK, 1.0)], [(ADVISE, 1.0)]]
    assert np.allclose(read[1].mix, [0.5, 0, 0.5], atol=1e-3)
    assert NAMES[read[3].main] == ADVISE


def test_openings_are_no_replies_and_the_places_are_those_of_the_turns():
    assert list(CLASSIFIER.read(talk("What is it?", opening="Hello there"))) == [2]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rest " * (MOST_WORDS + 1), "words of the sentence above"),
        ("Zyx wvu tsr qpo.", "unknown words above"),
        ("x = foo[1] / (bar_2 + baz{3}) <<= 7;", "code"),
        ("\u4f60\u597d\u5417\u670b\u53cb", "unknown"),
    ],
)
def test_a_sentence_unlike_the_training_is_unknown_with_its_reason(text, why):
    reply = CLASSIFIER.read(talk(text))[1]
    assert (reply.mix, reply.main, reply.list_used()) == (None, None, [])
    assert why in reply.segments[0].problem


def test_one_unknown_sentence_leaves_the_others_told():
    reply = CLASSIFIER.read(talk("Zyx wvu tsr qpo. What is it?"))[1]
    assert told(reply) == [(ASK, 1.0)]
    assert [segment.problem is None for segment in reply.segments] == [False, True]


def test_a_reply_without_a_word_has_no_sentence():
    assert CLASSIFIER.read(talk("..."))[1].segments == ()


def test_another_language_is_not_read():
    assert CLASSIFIER.read(talk("What is it?", language="zh")) == {}


def test_probabilities_sum_to_one_whatever_is_said():
    for text in ("What is it?", "I see.", "You could try? Hello"):
        for segment in CLASSIFIER.read(talk(text))[1].segments:
            assert segment.probabilities.sum() == pytest.approx(1)


def test_first_replies_are_read_by_first_replies():
    tensors = made_tensors()
    tensors["reading"] = tensors["reading"].copy()
    tensors["reading"][:, 0] = 2 * np.roll(np.eye(3), 1, axis=0)
    tensors["read"] = tensors["read"].copy()
    tensors["read"][:, 0] = 2
    own = StrategyClassifier(made_file(), tensors)
    assert own.reading_until(1)[0].tolist() == np.roll(np.eye(3), 1, axis=0).tolist()
    assert np.allclose(own.reading_until(2)[0].sum(1), 1)
    assert own.reading_until(2)[0][0, 0] == pytest.approx(1 / 3)
    assert np.allclose(own.reading_until(99)[0], own.reading_until(strategies.REPLIES)[0])


def test_a_strategy_of_which_a_sample_has_nothing_is_read_as_all_are():
    tensors = made_tensors()
    for key in ("reading", "read"):
        tensors[key] = tensors[key].copy()
        tensors[key][1, :, 2] = 0
    reading = StrategyClassifier(made_file(), tensors).reading_until(5)
    assert reading[1][2].tolist() == pytest.approx([0.5, 0.5, 0])


def test_files_come_back_as_they_were(tmp_path):
    own = open_strategies(write_strategies(tmp_path / "made"))
    assert own.identity == CLASSIFIER.identity
    assert own.identity["revision"] != StrategyClassifier(made_file("zh"), made_tensors()).identity["revision"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"bias": np.zeros(2, dtype=np.float32)}, "not of one classifier"),
        ({"weights": np.zeros((3, 8), dtype=np.float32)}, "not of one classifier"),
        ({"people_mixes": np.full((80, 3), np.nan, dtype=np.float32)}, "not finite"),
        ({"reading": np.ones((1, 11, 3, 3), dtype=np.float32)}, "not of one classifier"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, why):
    with pytest.raises(EscEvalError, match=why):
        open_strategies(write_strategies(tmp_path / "made", **changes))


def test_missing_and_broken_files_are_said_with_their_name(tmp_path, monkeypatch):
    folder = write_strategies(tmp_path / "made")
    save_file({"weights": np.zeros(1)}, folder / WEIGHTS)
    with pytest.raises(EscEvalError, match=WEIGHTS):
        open_strategies(folder)
    (folder / WEIGHTS).write_bytes(b"\x80\x04junk")
    with pytest.raises(EscEvalError, match=WEIGHTS):
        open_strategies(folder)
    (folder / FILE).write_text("{}")
    with pytest.raises(EscEvalError, match=FILE):
        open_strategies(folder)
    with pytest.raises(EscEvalError, match="no classifier of strategies elsewhere"):
        open_strategies("elsewhere")
    monkeypatch.setattr(apart, "CHECKPOINTS", tmp_path)
    assert find_strategies() is None
    with pytest.raises(EscEvalError, match=r"pip install \./checkpoints"):
        open_strategies("esc-strategies")
    shutil.copytree(write_strategies(tmp_path / "again"), tmp_path / "esc-strategies")
    assert find_strategies() == tmp_path / "esc-strategies"
