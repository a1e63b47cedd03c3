"""Comparing ways to a scorer: nothing of a fold's test in its choices, judges beside regressions, pages and metrics."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_support import BOTS, rated_set

from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_jsonl
from esc_eval.reporting.render import to_plain_json
from esc_eval.schema import Rating
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards.checkpoint import read_checkpoint
from training.ieval import results as results_rank
from training.ieval.compare import CHOSEN, compare_scorers, majority_levels
from training.ieval.evaluate import (
    HEADLINE_SPLIT,
    LENGTH_AS_SHIPPED,
    OWN_MEAN,
    UNTUNED,
    Settings,
    compare_untuned,
    evaluate_rank,
    evaluate_split,
    make_section,
    measure_likeness,
    merge_sections,
    to_judge,
)
from training.ieval.folds import Folds, pool_folds
from training.ieval.judges import read_judges
from training.ieval.metrics import write_metrics
from training.rank import methods as rank_methods
from training.rank.data import TEST, place_items
from training.rank.methods import SHIPPED, Choice, Grams, mean_kappa, own_mean_levels
from training.rank.recipe import load_any

pytestmark = pytest.mark.slow

QUICK = Settings(draws=100, methods=("length only", "tf-idf", "tf-idf and figures"))


@pytest.fixture(scope="module", autouse=True)
def fewer_choices():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_methods, "ALPHAS", (3.0,))
        yield


@pytest.fixture(scope="module")
def ranked():
    return rated_set()


@pytest.fixture(scope="module")
def placed(ranked):
    return place_items(ranked, "bot_held_out", "model-disjoint", 0, BOTS)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def evaluated(ranked, placed, work):
    return evaluate_split(ranked, placed, QUICK, {}, work)


def of_bot(ranked, bot):
    return np.array([dialogue.supporter == bot for dialogue in ranked.dialogues])


@settings(max_examples=3)
@given(st.integers(0, 3), st.integers(0, 2**31))
@pytest.mark.slow
def test_the_labels_of_a_held_out_bot_change_nothing_that_is_chosen_or_said_of_it(
    ranked, placed, evaluated, tmp_path_factory, fold, seed
):
    own = of_bot(ranked, BOTS[fold])
    labels = ranked.labels.copy()
    labels[own] = np.eye(5)[np.random.default_rng(seed).integers(0, 5, labels[own].shape[:2])]
    before, levels = evaluated
    after, again = evaluate_split(replace(ranked, labels=labels), placed, QUICK, {}, tmp_path_factory.mktemp("other"))
    assert after["folds"][fold] == before["folds"][fold]
    for name in levels.keys() - {"majority"}:
        assert (again[name][own] == levels[name][own]).all(), name


@pytest.mark.slow
def test_a_fold_is_tuned_on_its_own_validation_bot(evaluated, placed):
    for fold, bot in zip(evaluated[0]["folds"], BOTS, strict=True):
        assert fold["held_out"] == bot
        assert bot not in fold["validation_bots"]
        best = max(("tf-idf", "tf-idf and figures"), key=lambda name: fold["tuned"][name]["validation_kappa"])
        assert fold["chosen"] == best
    assert {tuple(fold["validation_bots"]) for fold in evaluated[0]["folds"]} != {(BOTS[0],)}


def test_what_is_shipped_is_the_best_over_all_validation_parts(ranked, placed, work):
    tried = Folds(ranked, placed, Grams(ranked), work).tune("length only")
    mean = pool_folds(tried)
    choice = Choice(3.0, 10.0, "mean")
    assert mean[choice] == pytest.approx(sum(fold[choice] for fold in tried) / 4)
    assert len(mean) == 2 * 3


def test_a_scorer_learns_what_good_replies_are_and_carries_it_to_a_new_bot(ranked, placed, tmp_path):
    folds = Folds(ranked, placed, Grams(ranked), tmp_path)
    found = folds.test([("tf-idf and figures", Choice(1.0, 10.0))] * 4)
    assert (found >= 0).all()
    assert mean_kappa(ranked, found) > 0.2


def test_figures_of_people_themselves_and_of_a_constant():
    ranked = rated_set(20)
    truth = ranked.levels
    constant = majority_levels(truth, place_items(ranked, "x", "card-disjoint").folds, TEST)
    rows = constant[:, 0] >= 0
    found = compare_scorers(
        truth,
        {"majority": constant, "people": truth},
        ranked.people,
        ["b"] * len(truth),
        ["a", "b"],
        range(1, 6),
        Bootstrap(200),
    )
    assert found["ratings"] == 2 * int(rows.sum())
    people = found["methods"]["people"]
    assert people["quadratic_kappa"].value == pytest.approx(1)
    assert people["accuracy"].value == 1
    assert found["methods"]["majority"]["quadratic_kappa"].value == pytest.approx(0)
    gain = people["minus majority"]["quadratic_kappa"]
    assert (gain.value, gain.low) == (pytest.approx(1), pytest.approx(1))
    assert found["methods"]["majority"]["spearman"].undefined


def test_an_evaluation_is_reported_with_its_baselines_and_goes_on_from_its_folder(ranked, placed, evaluated, work):
    found, levels = evaluated
    files = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    again, _ = evaluate_split(ranked, placed, QUICK, {}, work)
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in work.iterdir()} == files
    assert set(levels) == {
        "majority",
        *QUICK.methods,
        LENGTH_AS_SHIPPED,
        OWN_MEAN,
        CHOSEN,
        f"{CHOSEN}, rare levels weighed",
    }
    part = sections(found)
    top = part["ieval_bot_held_out"]
    assert set(top["quadratic_kappa"]) >= {"value", "low", "high", "n"}
    assert top["beats_length_only"]["quadratic_kappa"]["value"] is not None
    page = results_rank.rank_page(part)
    assert "| length only |" in page
    assert "bot C held out, validated on bot" in page


def sections(found, split="bot_held_out"):
    entry = {"source": "iEval", "dialogues": 96, "about": "x", "license": "none", "splits": {split: found}}
    entry["sha256"] = "0"
    return to_plain_json(make_section({"ieval": entry}, QUICK, "python -m training evaluate-rank"))


def marks(ranked, chosen, name="judge", noise=0):
    """A judge's ratings: modal levels are all the same, expected ones follow people's, half a level too low."""
    rng = np.random.default_rng(noise)
    out = []
    for i in chosen:
        for j, key in enumerate(ranked.rubric.keys):
            expected = 0.5 + ranked.levels[i, j] + float(rng.normal(0, 0.05))
            given = {"dialogue_id": ranked.dialogues[i].id, "dimension": key, "rater": name, "rater_kind": "model"}
            out.append(Rating(**given, rubric=ranked.rubric.id, score=3, expected=expected))
    return out


def test_a_judge_of_every_test_row_is_a_row_of_the_table_and_one_of_a_part_has_its_own(ranked, placed, work, tmp_path):
    pink = np.flatnonzero(of_bot(ranked, BOTS[2]))
    write_jsonl(tmp_path / "all.jsonl", marks(ranked, range(96)))
    write_jsonl(tmp_path / "some.jsonl", marks(ranked, pink, "other"))
    judges = read_judges(ranked, [tmp_path / "all.jsonl", tmp_path / "some.jsonl"])
    found, _ = evaluate_split(ranked, placed, QUICK, {}, work, judges=judges)
    assert found["judges"] == ["judge"]
    assert {"judge", "judge, expected level"} <= set(found["methods"])
    assert found["dialogues"] == 96
    [part] = found["parts"]
    assert (part["judges"], part["bots"], part["dialogues"]) == (["other"], [BOTS[2]], 24)
    assert {"judge", "judge, expected level", "other", "other, expected level, cut within the part"} <= set(
        part["methods"]
    )
    page = results_rank.rank_page(sections(found))
    assert "judge: worse than chosen on validation" in page
    assert "48 ratings of 24 dialogues of bot C, there are ratings by other" in page


def test_expected_levels_are_cut_as_people_spread_theirs_without_labels_of_the_test(ranked, placed, tmp_path):
    write_jsonl(tmp_path / "all.jsonl", marks(ranked, range(96)))
    [judge] = read_judges(ranked, [tmp_path / "all.jsonl"])
    rows = judge.rows(ranked, placed.folds)
    modal, cut = rows["judge"], rows["judge, expected level"]
    assert set(modal.ravel()) == {2}
    assert mean_kappa(ranked, cut) > 0.8
    labels = ranked.labels.copy()
    own = of_bot(ranked, BOTS[1])
    labels[own] = labels[own][:, :, ::-1]
    again = judge.rows(replace(ranked, labels=labels), placed.folds)["judge, expected level"]
    assert (again[own] == cut[own]).all()


def test_judges_that_rated_other_rows_are_not_put_into_one_table(ranked, tmp_path):
    write_jsonl(tmp_path / "a.jsonl", marks(ranked, range(24), "a") + marks(ranked, range(24), "b"))
    write_jsonl(tmp_path / "c.jsonl", marks(ranked, range(5), "c"))
    judges = read_judges(ranked, [tmp_path / "a.jsonl", tmp_path / "c.jsonl"])
    assert [[judge.name for judge in own] for own in measure_likeness(judges)] == [["a", "b"], ["c"]]


def test_a_file_of_other_ratings_is_refused_before_anything_is_worked_out(ranked, tmp_path):
    path = tmp_path / "r.jsonl"
    write_jsonl(path, [mark.model_copy(update={"rubric": "esc-eval/1"}) for mark in marks(ranked, [0])])
    with pytest.raises(EscEvalError, match=r"r\.jsonl: no rating under .*ieval/1"):
        evaluate_rank(tmp_path, QUICK, "x", tmp_path, ratings=[path])


def test_chats_for_judges_are_all_or_those_of_a_bot_or_the_first_of_a_fixed_order(ranked):
    assert to_judge(ranked) == list(ranked.dialogues)
    assert {d.supporter for d in to_judge(ranked, BOTS[1])} == {BOTS[1]}
    few = to_judge(ranked, BOTS[1], 5)
    assert few == to_judge(ranked, BOTS[1], 9)[:5]


def test_metrics_name_what_they_were_measured_on_and_stand_beside_their_baselines(evaluated, tmp_path):
    (tmp_path / "training.json").write_text(
        json.dumps(
            {
                "kind": "rank",
                "name": "x",
                "version": "0",
                "recipe_sha256": "0",
                "seed": 0,
                "data": {"sha256": "0", "rows": 1, "sources": [{"name": "iEval", "license": "CC BY 4.0"}]},
            }
        )
    )
    write_metrics(tmp_path, sections(evaluated[0]))
    found = read_checkpoint(tmp_path).metrics
    kappa = found["ieval_bot_held_out.quadratic_kappa"]
    assert (kappa.figure, kappa.dataset, kappa.split) == ("quadratic_kappa", "iEval", "a bot held out")
    length = found["ieval_bot_held_out.quadratic_kappa_of_length_only"]
    gain = found["ieval_bot_held_out.quadratic_kappa_gain_over_length_only"]
    assert gain.value == pytest.approx(kappa.value - length.value)
    assert gain.low is not None
    assert found["ieval_bot_held_out.accuracy_of_majority"].figure == "accuracy_of_majority"
    card = (tmp_path / "README.md").read_text()
    assert "split: a bot held out" in card
    assert "baseline: majority" in card


@pytest.fixture(scope="module")
def held_out_both(tmp_path_factory):
    """Two bots, each with half of the people."""
    ranked = rated_set(24)
    tests = {f"{bot}, people {k}": [bot, *(f"p{n}" for n in range(k, 24, 2))] for bot in BOTS[:2] for k in range(2)}
    placed = place_items(ranked, HEADLINE_SPLIT, "bot-and-rater-disjoint", 0, [tests])
    methods = ("length only", "length and distinct bigrams", "tf-idf and figures")
    quick = Settings(draws=100, methods=methods)
    return ranked, placed, evaluate_split(ranked, placed, quick, {}, tmp_path_factory.mktemp("both"))


def test_with_bots_and_people_held_out_simple_baselines_stand_beside_the_scorer(
    held_out_both, evaluated, ranked, placed, tmp_path
):
    *_, (found, levels) = held_out_both
    assert {LENGTH_AS_SHIPPED, "length and distinct bigrams"} <= set(levels)
    assert OWN_MEAN not in levels  # whom nobody has met has no mean of their own
    assert {fold["tuned"]["tf-idf and figures"]["rule"] for fold in found["folds"]} == {"spread"}
    gains = [key for key in found["methods"][CHOSEN] if key.startswith("minus ")]
    assert gains == [
        "minus majority",
        "minus length only",
        f"minus {LENGTH_AS_SHIPPED}",
        "minus length and distinct bigrams",
    ]
    by = found["methods"][CHOSEN]["minus length only"]["by_dimension"]
    for key, gain in by.items():
        own, base = (found["methods"][name]["by_dimension"][key] for name in (CHOSEN, "length only"))
        assert gain.value == pytest.approx(own.value - base.value)
        assert gain.low <= gain.value <= gain.high
        assert gain.high - gain.low < own.high - own.low + base.high - base.low, "they rate the same dialogues"
    old = sections(evaluated[0])
    merged = merge_sections(old, sections(found | {"command": "the other command"}, HEADLINE_SPLIT))
    assert list(merged["tables"]["ieval"]["splits"]) == [HEADLINE_SPLIT, "bot_held_out"]
    assert (merged["command"], merged["shipped"]) == (old["command"], old["shipped"])
    untuned = to_plain_json(compare_untuned(ranked, placed, QUICK, tmp_path))
    assert set(untuned["methods"]) == {"majority", *UNTUNED, OWN_MEAN}
    merged["tables"]["ieval"]["splits"][HEADLINE_SPLIT]["untuned"] = untuned
    page = results_rank.rank_page(merged)
    assert "What needs no tuning, with a bot held out: length only, shipped setting " in page
    first, second = page.index("With a bot and people held out"), page.index("With a bot held out the quadratic kappa")
    assert first < second < page.index("| scorer |")
    assert "Beside it: length only " in page[first:second]
    assert f"{OWN_MEAN} " in page[second:]
    assert "`the other command`" in page
    changed = sections(found, HEADLINE_SPLIT)
    changed["tables"]["ieval"]["sha256"] = "1"
    with pytest.raises(EscEvalError, match="of other data"):
        merge_sections(old, changed)


def test_the_labels_of_held_out_people_change_nothing_that_is_said_of_them(held_out_both, tmp_path):
    ranked, placed, (_, levels) = held_out_both
    own = (placed.folds[0] == TEST).all(1)
    labels = ranked.labels.copy()
    people = np.isin(np.array(ranked.people), [ranked.people[i] for i in np.flatnonzero(own)])
    labels[people] = labels[people][:, :, ::-1]  # on other bots too: they are in no part of this fold
    quick = Settings(draws=100, methods=("length only", "length and distinct bigrams", "tf-idf and figures"))
    _, again = evaluate_split(replace(ranked, labels=labels), placed, quick, {}, tmp_path)
    for name in levels.keys() - {"majority"}:
        assert (again[name][own] == levels[name][own]).all(), name


def test_who_rates_mildly_is_known_from_their_other_ratings(ranked, placed):
    mild = np.array([int(one[1:]) % 2 for one in ranked.people])
    labels = np.zeros_like(ranked.labels)
    labels[np.arange(len(mild)), :, 4 * mild] = 1
    found = own_mean_levels(replace(ranked, labels=labels), placed.folds[0])
    own = (placed.folds[0] == TEST).all(1)
    assert (found[own] == (4 * mild[own])[:, None]).all()
    assert (found[~own] == -1).all()


def test_length_is_measured_at_the_setting_that_ships():
    recipe = load_any(Path("training/recipes/esc_rank/text.yaml"))
    assert Choice(recipe.alpha, recipe.bot_effect, recipe.rule, recipe.balanced) == SHIPPED
