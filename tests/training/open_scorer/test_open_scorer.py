"""The open scorer: what holds on sets left out is supported, what does not is said not to; one file, seven heads."""

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.rated.common import RatedPart, make_rubric
from esc_eval.files.text import read_json_object
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import describe_validity, known_validity, levels_only_order
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring import text_scorer
from esc_eval.scoring.rater import DirectScoring
from esc_eval.scoring.text_scorer import NO_VALID_SCORER, TextScorer
from esc_eval.scoring.transfer_features import TRANSFER, fixed_figures, transfer_figures
from model_cards.check import find_checkpoint_problems
from model_cards.checkpoint import read_checkpoint
from model_cards.licences import find_restrictive
from training.open_scorer import train, validity
from training.open_scorer.crosswalk import Crosswalk, Row, Set, load_crosswalk
from training.open_scorer.fit import Choice, Columns, Target, choose, fit_model, make_targets, mean_spearman
from training.open_scorer.levels import measure_levels
from training.open_scorer.pages import open_scorer_page, say_support
from training.open_scorer.train import OpenRecipe, train_open_scorer
from training.open_scorer.validity import (
    Figures,
    give_verdict,
    leave_sets_out,
    measure_validity,
    summarise,
    weighted_spearman,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
GOOD = (
    "what happened then?",
    "how do you feel about it?",
    "that sounds hard, tell me more",
    "what would help you now?",
)
DULL = ("i like pizza a lot", "the weather is nice today", "ok then", "my car is blue and fast")
RECIPE = OpenRecipe(kind="open-rank", name="made-up", about="made up")


def fake_vectors(texts):
    """Vectors that tell texts apart, and no more."""
    rows = [np.frombuffer(hashlib.sha256(text.encode()).digest() * 12, dtype=np.uint8) for text in texts]
    found = np.array(rows, dtype=float).reshape(len(texts), 384) - 127.5
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


@pytest.fixture(autouse=True, scope="module")
def encoder():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_scorer, "encode_texts", fake_vectors)
        patch.setattr(text_scorer, "_encoder", lambda: None)
        patch.setattr(train, "encode_texts", fake_vectors)
        yield


def made_part(name, seed, turns, severity):
    """Chats of two bots: the more the supporter asks, the better `quality` is; `luck` is chance."""
    rng = np.random.default_rng(seed)
    rubric = make_rubric(name, range(1, 6), {"quality": "quality", "luck": "luck"})
    talks, ratings = [], []
    for n in range(60):
        good = rng.random() * 0.9
        said = []
        for k in range(turns):
            said += [
                Turn(role="seeker", text=f"i feel {['sad', 'lost', 'tired'][(n + k) % 3]} and {['cold', 'low'][n % 2]}")
            ]
            said += [Turn(role="supporter", text=str(rng.choice(GOOD if rng.random() < good else DULL)))]
        asked = np.mean([t.text in GOOD for t in said if t.role == "supporter"])
        talks.append(
            Dialogue(
                id=f"{name}{n}", language="en", turns=tuple(said), card_id=f"{name}{n // 2}", supporter=f"bot {n % 2}"
            )
        )
        levels = {"quality": 1 + round(4 * asked) - severity * (n % 2), "luck": rng.integers(1, 6)}
        for key, level in levels.items():
            ratings.append(
                Rating(
                    dialogue_id=f"{name}{n}",
                    dimension=key,
                    rater=f"p{n % 7}",
                    rater_kind="human",
                    rubric=rubric.id,
                    score=int(np.clip(level, 1, 5)),
                )
            )
    return RatedPart(name, rubric, tuple(talks), tuple(ratings))


NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def world():
    parts = {name: made_part(name, n, 3 + n, severity=n % 2) for n, name in enumerate(NAMES)}
    known = {"licence": "CC BY 4.0", "why": "x", "reader": "x", "path": "x"}
    sets = tuple(Set(name=name, folders=(name,), ships=name != "d", **known) for name in NAMES)
    row = {"levels": "up", "nearness": "same", "reason": "x"}
    rows = tuple(
        Row(dimension=dimension, folder=name, scale=scale, **row)
        for name in NAMES
        for dimension, scale in (("skillful", "quality"), ("humanoid", "luck"), ("empathy", "luck"))
        if dimension != "empathy" or name in "ab"
    )
    crosswalk = Crosswalk(sets=sets, rows=rows)
    return crosswalk, parts, make_targets(crosswalk, parts, lambda _: True)


@pytest.fixture(scope="module")
def tested(world):
    _, parts, targets = world
    columns = Columns(parts)
    return {
        key: leave_sets_out(key, targets, columns, "abc".__contains__) for key in ("skillful", "humanoid", "empathy")
    }


def test_a_set_that_may_not_ship_teaches_nothing_and_is_tested_on(world):
    _, parts, targets = world
    columns, choice = Columns(parts), Choice("figures", 30.0, 0.0)
    own = [t for t in targets if t.set != "d"]
    model = fit_model("skillful", own, columns, choice)
    assert mean_spearman(model, [t for t in targets if t.set == "d" and t.row.dimension == "skillful"], columns) > 0.5
    assert fit_model("fluency", own, columns, choice) is None


def test_only_the_sets_of_the_training_are_chosen_by(world):
    _, parts, targets = world
    columns = Columns(parts)
    own = [t for t in targets if t.set in "ab"]
    turned = [t if t.set in "ab" else t.part(np.arange(len(t.unit))[::-1]) for t in targets]
    assert choose("skillful", own, columns) == choose("skillful", [t for t in turned if t.set in "ab"], columns)


def test_what_people_follow_is_supported_and_chance_is_not(tested):
    rows, chosen = tested["skillful"]
    found = summarise(rows, 120, 0, 7)
    assert set(found["sets"]) == set(chosen) == set(NAMES)
    assert found["supported"], found["why"]
    assert found["gain"]["low"] > 0
    assert found["methods"]["scorer"]["within"]["value"] > 0.4
    assert found["methods"]["scorer"]["pairwise"]["value"] > 0.7
    chance = summarise(tested["humanoid"][0], 120, 0, 7)
    assert not chance["supported"]
    assert "not shown to be better than" in chance["why"]
    few = summarise(tested["empathy"][0], 40, 0, 7)
    assert not few["supported"]
    assert few["why"].startswith("2 unseen sets are too few")


def test_the_same_seed_gives_the_same_figures(tested):
    rows, _ = tested["skillful"]
    assert summarise(rows, 20, 3, 7) == summarise(rows, 20, 3, 7)


VERDICT = {
    "sets": {"a": {}, "b": {}, "c": {}},
    "near_sets": ["a", "b", "c"],
    "best_baseline": "words",
    "gain": {"value": 0.2, "low": 0.1, "high": 0.3},
    "gain_on_another_set": {"value": 0.2, "low": -0.1, "high": 0.5},
    "spearman_on_another_set": {"value": 0.4, "low": 0.1, "high": 0.7},
    "worse_in": [],
}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"near_sets": ["a"]}, "only 1 of the unseen sets ask for it"),
        ({"gain": {"value": 0.2, "low": 0.0, "high": 0.4}}, "not shown to be better than words"),
        ({"spearman_on_another_set": {"value": 0.4, "low": -0.1, "high": 0.9}}, "on another set it may order nothing"),
        ({"worse_in": ["b"]}, "worse than words in b"),
    ],
)
def test_each_condition_of_the_verdict_counts(change, why):
    assert give_verdict(VERDICT)["supported"]
    verdict = give_verdict(VERDICT | change)
    assert not verdict["supported"]
    assert why in verdict["why"]


@pytest.fixture(scope="module")
def section(world):
    crosswalk, parts, targets = world
    own = [t for t in targets if t.row.dimension != "empathy"]
    return {**measure_validity(crosswalk, own, Columns(parts), 100, 0), "command": "x"}


def test_majority_and_a_raters_own_mean_stand_beside_the_scorer(section):
    own = section["dimensions"]["skillful"]
    assert set(own["methods"]) == {"scorer", "words", "length and distinct bigrams", "majority"}
    constant = own["methods"]["majority"]
    assert (constant["spearman"]["value"], constant["pairwise"]["value"]) == (0, 0.5)
    assert constant["quadratic_kappa"]["value"] == pytest.approx(0)
    assert set(own["rater_mean"]["sets"]) == set(NAMES)  # seven people rate in each
    assert {"quadratic_kappa", "pairwise"} < set(own["rater_mean"])


def test_a_supporter_of_which_no_dialogue_is_drawn_counts_for_nothing():
    codes, people = np.arange(8), np.arange(8)[::-1].copy()
    assert np.isnan(weighted_spearman(codes, people, np.zeros(8)))
    two, both = np.repeat([0, 1], 8), np.concatenate([codes, codes])
    weight = np.repeat([0.0, 1.0], 8)
    target = Target(None, "s", np.arange(16), np.concatenate([people, codes]).astype(float), np.arange(16), two, two)
    figures = Figures(
        [validity.Tested(replace(target, row=SimpleNamespace(folder="f")), {"scorer": both.astype(float)}, {})]
    )
    drawn = figures.measure({"f": weight}, {"s": 1})
    assert (drawn["spearman|scorer"], drawn["within|scorer"]) == (pytest.approx(1), pytest.approx(1))


def test_means_of_levels_stand_beside_those_of_people_who_may_be_stricter(world):
    _, parts, targets = world
    columns = Columns(parts)
    own = [t for t in targets if t.row.dimension == "skillful"]
    strict = [replace(t, level=np.maximum(t.level - 1, 0)) if t.set == "a" else t for t in own]
    plain, harsh = (measure_levels("skillful", each, columns, "abc".__contains__, 100, 0) for each in (own, strict))
    assert set(plain) == set(NAMES)
    for name, one in plain.items():
        level = np.concatenate([t.level for t in own if t.set == name])
        assert one["people"] == pytest.approx(25 * level.mean())
        assert one["ratings"] == len(level)
        for kind in ("level", "expected"):
            gap = one[f"{kind}_less_people"]
            assert gap["value"] == pytest.approx(one[kind] - one["people"])
            assert gap["low"] < gap["value"] < gap["high"]
    for kind in ("level", "expected"):
        assert harsh["a"][kind] == pytest.approx(plain["a"][kind]), "what a set's people give teaches nothing of it"
        assert harsh["a"][f"{kind}_less_people"]["value"] > plain["a"][f"{kind}_less_people"]["value"] + 10


def test_the_page_has_the_levels_as_points_of_what_is_supported_alone(section):
    assert [key for key, one in section["dimensions"].items() if "points" in one] == ["skillful"]
    page = open_scorer_page(section)
    assert page.count("| unseen set | ratings | people | level | expected |") == 1
    assert "| mean size of the gap |" in page


@pytest.mark.parametrize(
    ("supported", "low", "words"),
    [(False, 0.1, "not supported"), (True, -0.1, "supported on these sets"), (True, 0.1, "supported")],
)
def test_support_is_of_the_tried_sets_unless_the_gain_holds_with_the_sets_drawn_too(supported, low, words):
    assert say_support({"supported": supported, "gain_on_another_set": {"low": low}}) == words


def test_the_page_has_the_embedded_judge_with_its_n_or_says_that_it_was_not_asked(section):
    alone = open_scorer_page(section)
    assert "The embedded judge was not asked" in alone
    asked = {"methods": {name: {"spearman": {"value": 0.125}} for name in ("judge", "scorer")}, "dialogues": 17}
    page = open_scorer_page(section, {"embedded": {"dimensions": {"skillful": asked}}})
    assert "The embedded judge was not asked" not in page
    assert "| embedded judge, n = 17 | 0.12 |" in page
    assert "0.12 (n = 17; scorer 0.12)" in page


@pytest.fixture(scope="module")
def folder(world, section, tmp_path_factory):
    crosswalk, parts, targets = world
    out = tmp_path_factory.mktemp("open") / "made-up"
    own = [t for t in targets if t.row.dimension != "empathy"]
    train_open_scorer(RECIPE, crosswalk, parts, own, section["dimensions"], out)
    return out


def test_the_file_gives_the_scores_of_its_fits_and_knows_its_range_and_licences(folder, world):
    _, parts, _ = world
    scorer = TextScorer(folder)
    scale = dict(zip(scorer.file.dimensions, scorer._scores(parts["b"].dialogues).T, strict=True))
    asked = [np.mean([t.text in GOOD for t in d.replies]) for d in parts["b"].dialogues]
    assert np.corrcoef(scale["skillful"], asked)[0, 1] > 0.8
    assert scorer.file.range.held_out == "a set and cards"
    card = (folder / "README.md").read_text()
    assert "quality for skillful" in card
    assert "python -m training open-scorer" in card
    assert "| humanoid | no | " in card
    assert "Not evaluated" not in card
    assert "| d |" not in card
    assert not find_checkpoint_problems(folder)


def test_a_dimension_without_support_is_scored_when_asked_for_and_else_says_why(folder, world):
    _, parts, _ = world
    rubric = load_rubric()
    rubric = rubric.model_copy(
        update={"dimensions": tuple(d for d in rubric.dimensions if d.key in ("skillful", "humanoid"))}
    )
    talk = parts["b"].dialogues[:1]

    def rated(**given):
        scorer = TextScorer(folder, **given)
        scorer.file = scorer.file.model_copy(update={"rubric_sha256": rubric.sha256})
        scoring = DirectScoring(scorer, rubric, out_of_range="flag")
        return {r.dimension: r for r in scoring.rate(talk)}, scorer.identity

    named, identity = rated()
    assert all(r.score is not None for r in named.values())
    alone, other = rated(supported_only=True)
    assert alone["skillful"].score == named["skillful"].score
    assert alone["humanoid"].problem.startswith(NO_VALID_SCORER)
    assert other != identity
    [sentence] = describe_validity({"scoring/x": {"identity": {"scorer": identity}}}, "x")
    run = {"scoring/x": {"identity": {"scorer": identity}}}
    assert {key: one.supported for key, one in known_validity(run, "x").items()} == {
        "skillful": True,
        "humanoid": False,
    }
    assert known_validity(run, "x")["skillful"].why.startswith("Spearman")
    assert levels_only_order(run, "x")
    assert sentence.startswith("x is not supported for humanoid, which the Average holds all the same")


def talk(*texts):
    turns = [Turn(role="supporter" if n % 2 else "seeker", text=text) for n, text in enumerate(texts)]
    return Dialogue(id="d", language="en", turns=tuple(turns))


def test_figures_mean_the_same_in_a_long_and_in_a_short_dialogue():
    once = ("i am sad", "why are you sad? i am here.", "my dog ran off", "you could ask the neighbours. did you?")
    short, long = (dict(zip(TRANSFER, transfer_figures(talk(*once * n)), strict=True)) for n in (1, 6))
    alike = set(TRANSFER) - {"turns said before", "openings said before", "last turn said before"}
    alike -= {name for name in TRANSFER if "likeness" in name or "25" in name or "taken up" in name or "doubts" in name}
    assert {k: short[k] for k in alike} == pytest.approx({k: long[k] for k in alike})
    assert long["turns said before"] > short["turns said before"] == 0


def test_advice_lists_and_an_assistants_phrases_are_counted():
    plain = dict(zip(TRANSFER, transfer_figures(talk("i am sad", "oh no. why?", "my dog", "poor thing.")), strict=True))
    bot = dict(
        zip(
            TRANSFER,
            transfer_figures(
                talk("i am sad", "As an AI, I can help.\n- You should walk.\n- Try to rest.", "ok", "Feel free to ask")
            ),
            strict=True,
        )
    )
    for name in (
        "advice a sentence",
        "turns with a list",
        "assistant's phrases a sentence",
        "advice before any question",
    ):
        assert plain[name] == 0 < bot[name]
    assert np.isfinite(transfer_figures(talk())).all()
    assert np.isfinite(transfer_figures(talk("", ""))).all()
    assert fixed_figures(talk("a", "b b b b"))[1] == pytest.approx(1 / 3)


SHIPPED = text_scorer.SCORERS / "esc-rank-open"


def test_the_shipped_scorer_is_small_and_says_what_holds_of_it():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 10_000_000
    file = text_scorer.TextScorerFile.load(SHIPPED / text_scorer.FILE)
    assert tuple(file.dimensions) == tuple(file.validity) == load_rubric().keys
    assert file.rubric_sha256 == load_rubric().sha256
    assert all("unseen sets" in one.why for one in file.validity.values())
    assert file.levels_mean == "order"
    assert text_scorer.shipped_for(load_rubric()) == SHIPPED.name
    assert not find_checkpoint_problems(SHIPPED)
    section = read_json_object(ROOT / "docs" / "results.json")["open_scorer"]["dimensions"]
    assert {k: (v.supported, v.why) for k, v in file.validity.items()} == {
        k: (v["supported"], v["why"]) for k, v in section.items()
    }


def test_only_sets_whose_licence_allows_it_taught_the_shipped_scorer():
    training = read_checkpoint(SHIPPED).training
    ships = {one.name for one in load_crosswalk().sets if one.ships}
    assert {source.name for source in training.data.sources} <= ships
    assert not find_restrictive(source.license for source in training.data.sources)
