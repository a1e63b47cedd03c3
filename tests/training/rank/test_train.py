"""Training ESC-RANK: prompts token for token, the objective, a toy that learns eight rows, recipes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rank_support import BOTS, rated_set

from esc_eval.chat import open_model
from esc_eval.chat.base import AdapterModel
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.checkpoints import plain
from esc_eval.checkpoints.hub import BASE
from esc_eval.checkpoints.prepare import adapter_names
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.score import Scoring, judge_prompts
from training.rank import train as rank
from training.rank.level_loss import Beside, level_loss, level_rows
from training.rank.recipe import RankRecipe, TextRecipe, load_any

RECIPES = Path(rank.__file__).parents[1] / "recipes" / "esc_rank"
SMOKE = RECIPES / "smoke.yaml"
TEXT = {"optimise.max_length": 4096, "data.cap": 1.0}


def recipe(**changes):
    return load_any(SMOKE, {"data.split": "none", "data.held_out": None, **changes})


@pytest.fixture(scope="module")
def ranked():
    return rated_set()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_recipe_is_valid_and_names_where_each_value_is_from(path):
    assert isinstance(load_any(path), RankRecipe | TextRecipe)
    assert "our choice" in path.read_text()


def test_an_unknown_key_of_a_recipe_is_an_error():
    with pytest.raises(EscEvalError, match=r"data\.asked"):
        recipe(**{"data.asked": 3})


def test_the_papers_recipe_is_the_papers():
    paper = load_any(RECIPES / "paper.yaml")
    assert (paper.base.model, paper.adapter.r, paper.adapter.alpha) == ("internlm/internlm2-chat-7b", 8, 16)
    assert (paper.adapters, paper.objective) == ("each", "text")
    assert paper.base.revision == "c2ba64483dc50b3f8eb2d8271c4b9877a79ed2e2"


def test_rows_end_where_scoring_reads_the_level(toy, ranked):
    encoder = Encoder(toy.tokenizer, "toy")
    made = level_rows(ranked, [(i, j, 1.0) for i in range(3) for j in range(2)], encoder, 4096)
    lead = ranked.rubric.text("en").lead
    for number, row in enumerate(made.rows):
        conversation = judge_prompts(ranked.dialogues[number // 2], ranked.rubric)[number % 2]
        start, tokens = toy.answers(conversation, lead, ["1", "2", "3", "4", "5"])
        assert list(row.ids) == toy.encode(conversation, start)
        assert list(made.tokens) == tokens
        assert row.levels == tuple(ranked.labels[number // 2, number % 2])


def test_rows_that_do_not_fit_are_counted(toy, ranked):
    made = level_rows(ranked, [(0, 0, 1.0), (1, 1, 1.0)], Encoder(toy.tokenizer, "toy"), 16)
    assert (len(made.rows), made.left_out) == (0, 2)


def test_text_answers_are_learnt_word_for_word_and_nothing_else_is(toy, ranked):
    wanted = recipe(objective="text", answer="The {name} score is {level}.", **TEXT)
    encoder = Encoder(toy.tokenizer, "toy")
    made = rank.text_rows(wanted, ranked, rank.Asked(((0, 0, 1.0),), ""), encoder)
    [row] = made.rows
    learnt = [token for token, label in zip(row.ids, row.labels, strict=True) if label != -100]
    level = ranked.rubric.levels[ranked.levels[0, 0]]
    assert toy.tokenizer.decode(learnt) == f"The Polite score is {level}.<|im_end|>"


def test_the_loss_is_lowest_where_the_model_says_what_raters_said():
    levels = torch.tensor([[0.5, 0.5, 0.0]])
    tokens, one = torch.tensor([2, 5, 7]), torch.ones(1)
    logits = torch.full((1, 9), -30.0)
    logits[0, [2, 5]] = 10.0
    assert float(level_loss(logits, levels, one, tokens)) == pytest.approx(np.log(2), abs=1e-4)
    off = logits.clone()
    off[0, 1] = 12.0  # probability that goes to no level
    assert level_loss(off, levels, one, tokens) > level_loss(logits, levels, one, tokens)
    assert level_loss(logits, levels, 3 * one, tokens) == pytest.approx(3 * np.log(2), abs=1e-3)


def test_padding_changes_no_loss(toy, ranked):
    made = level_rows(ranked, [(0, 0, 1.0), (1, 1, 2.0)], Encoder(toy.tokenizer, "toy"), 4096)
    rows = [{"input_ids": r.ids, "levels": r.levels, "weight": r.weight} for r in made.rows]
    tokens, beside = torch.tensor(made.tokens), Beside(0)

    def loss(own):
        batch = beside(own)
        levels, weight = batch.pop("levels"), batch.pop("weight")
        with torch.inference_mode():
            return level_loss(toy.model(**batch).logits[:, -1], levels, weight, tokens)

    together, alone = loss(rows), (loss(rows[:1]) + loss(rows[1:])) / 2
    assert float(together) == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.slow
def test_a_toy_learns_eight_rows_and_says_the_same_when_loaded_again(ranked, tmp_path):
    wide = {"adapter.r": 16, "adapter.alpha": 32, "adapter.targets": ["q_proj", "v_proj", "up_proj", "down_proj"]}
    slow = {"optimise.epochs": 30, "optimise.batch": 8, "optimise.accumulate": 1, "optimise.learning_rate": 0.03}
    rest = {"optimise.warmup": 0.0, "data.dialogues": 8, "data.asks": 1, "data.cap": 1.0, "optimise.save_every": 500}
    wanted = recipe(**wide, **slow, **rest)
    rank.train_rank(wanted, ranked, tmp_path / "out")
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[0] > 3
    assert losses[-1] < 0.05
    asked = rank.choose_rows(wanted, ranked).rows
    model = open_model(str(tmp_path / "out"))
    again = open_model(str(tmp_path / "out"))
    dialogues = [ranked.dialogues[i] for i, _, _ in asked]
    found, same = (
        {(r.dialogue_id, r.dimension): r for r in Scoring(m, ranked.rubric).rate(dialogues)} for m in (model, again)
    )
    assert {k: r.probabilities for k, r in found.items()} == {k: r.probabilities for k, r in same.items()}
    for i, j, _ in asked:
        rating = found[ranked.dialogues[i].id, ranked.rubric.keys[j]]
        assert rating.score == ranked.rubric.levels[ranked.levels[i, j]]
        assert rating.mass > 0.9


EACH = {"adapters": "each", "data.dialogues": 4, "data.asks": 2, "optimise.max_length": 4096}


@pytest.fixture(scope="module")
def each(ranked, tmp_path_factory):
    """A folder of adapters, one of them made before a stop."""
    out = tmp_path_factory.mktemp("each") / "judges"
    rank.train_rank(recipe(**EACH), ranked, out, only=["insulting_en"])
    before = (out / "insulting_en" / "adapter_model.safetensors").stat().st_mtime_ns
    said = []
    rank.train_rank(recipe(**EACH), ranked, out, progress=said.append)
    assert "insulting_en: finished before" in said
    assert (out / "insulting_en" / "adapter_model.safetensors").stat().st_mtime_ns == before
    return out


@pytest.mark.slow
def test_a_folder_of_adapters_is_a_scorer_that_swaps_them(each, ranked):
    model = open_model(f"mine={each}")
    assert isinstance(model, AdapterModel)
    scoring = Scoring(model, ranked.rubric)
    found = {(r.dialogue_id, r.dimension): r.probabilities for r in scoring.rate(ranked.dialogues[:2])}
    assert (model.name, model.swaps, len(found)) == ("mine", 2, 4)
    for key in ranked.rubric.keys:
        alone = open_model(str(each / f"{key}_en"))
        chosen = tuple(d for d in ranked.rubric.dimensions if d.key == key)
        only = ranked.rubric.model_copy(update={"dimensions": chosen})
        alone.judge_card = alone.judge_card.model_copy(update={"rubric_sha256": only.sha256})
        for rating in Scoring(alone, only).rate(ranked.dialogues[:2]):
            assert found[rating.dialogue_id, key] == pytest.approx(rating.probabilities, abs=1e-5)


@pytest.mark.slow
def test_what_an_adapter_did_not_learn_is_refused(each, ranked):
    with pytest.raises(EscEvalError, match="polite_en learnt polite and rates no insulting; give a folder that holds"):
        Scoring(open_model(str(each / "polite_en")), ranked.rubric)
    with pytest.raises(EscEvalError, match=r"on the prompts of rubric ieval/1 .* not esc-eval/1: --rubric ieval"):
        Scoring(open_model(str(each)), load_rubric())
    with pytest.raises(EscEvalError, match="in another wording"):
        Scoring(open_model(str(each)), load_rubric("ieval"))
    chinese = ranked.dialogues[0].model_copy(update={"language": "zh"})
    rubric = ranked.rubric.model_copy(update={"texts": {**ranked.rubric.texts, "zh": ranked.rubric.texts["en"]}})
    model = open_model(str(each))
    model.judge_card = model.judge_card.model_copy(update={"rubric_sha256": rubric.sha256})
    with pytest.raises(EscEvalError, match="no adapter for polite in language 'zh'"):
        list(Scoring(model, rubric).rate([chinese]))


@pytest.mark.slow
def test_finished_adapters_of_another_recipe_are_not_gone_on_with(each, ranked):
    with pytest.raises(EscEvalError, match="polite_en: holds a finished checkpoint"):
        rank.train_rank(recipe(**EACH, **{"optimise.seed": 5}), ranked, each)
    with pytest.raises(EscEvalError, match="no such adapter; there is: polite_en, insulting_en"):
        rank.train_rank(recipe(**EACH), ranked, each, only=["insulting_zh"])
    with pytest.raises(EscEvalError, match="one adapter for all"):
        rank.train_rank(recipe(), ranked, each / "x", only=["polite_en"])


def test_adapters_are_called_as_the_released_ones(ranked):
    asked = rank.Asked(tuple((0, j, 1.0) for j in range(7)), "")
    own = replace(ranked, rubric=load_rubric())
    released = [adapter_names()[key, "en"] for key in own.rubric.keys]
    assert list(rank.by_adapter(own, asked)) == released
    assert "empathic_en" in released


@pytest.mark.slow
def test_an_adapter_on_internlm2_names_the_hubs_base_and_is_opened_on_the_converted_one(
    ranked, toy_folder, tmp_path, monkeypatch
):
    asked_for = []

    def converted(revision=None):
        asked_for.append(revision)
        return toy_folder

    monkeypatch.setattr(rank, "plain_base", converted)
    monkeypatch.setattr(plain, "plain_base", converted)
    base = {"base.model": BASE.repo, "base.revision": BASE.revision}
    wanted = recipe(**base, objective="text", **{**TEXT, "data.dialogues": 1, "data.asks": 2})
    rank.train_rank(wanted, ranked, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (BASE.repo, BASE.revision)
    scoring = Scoring(open_model(str(tmp_path / "out")), ranked.rubric)
    assert scoring.chooser is None  # it learnt to answer in words
    assert len(list(scoring.rate(ranked.dialogues[:1]))) == 2
    assert asked_for == [BASE.revision] * len(asked_for)


def test_what_is_held_out_is_not_asked_about_and_is_named(ranked):
    asked = rank.choose_rows(
        recipe(**{"data.split": "model-disjoint", "data.held_out": BOTS[2], "data.dialogues": None}), ranked
    )
    assert {ranked.dialogues[i].supporter for i, _, _ in asked.rows} == set(BOTS) - {BOTS[2]}
    assert asked.held_out.startswith("24 dialogues: test of model-disjoint (bot C)")


def test_what_is_held_out_is_counted_in_what_the_split_places(ranked):
    asked = rank.choose_rows(recipe(**{"data.split": "random-rows", "data.dialogues": None, "data.asks": None}), ranked)
    assert len(asked.rows) + int(asked.held_out.partition(" ratings: test of random-rows")[0]) == ranked.levels.size


def test_weights_that_would_not_be_applied_are_refused():
    with pytest.raises(EscEvalError, match=r"data\.cap .* objective text"):
        recipe(objective="text", **{"data.cap": 3.0})


def test_dimensions_are_asked_in_turn(ranked):
    asked = rank.choose_rows(recipe(**{"data.dialogues": 6, "data.asks": 1}), ranked)
    assert [j for _, j, _ in asked.rows] == [0, 1, 0, 1, 0, 1]


def test_an_outlook_trains_nothing(ranked, tmp_path):
    text = rank.estimate_rank_cost(recipe(), ranked, tmp_path / "x")
    assert "8 dialogues, 16 questions" in text
    assert not (tmp_path / "x" / "training.json").exists()
