"""Judges on the crosswalk: set and rater effects are no part of what is learnt; no judge rates a set that it learnt."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from analysis.rated.common import RatedPart, make_rubric
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_ratings
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring import text_scorer
from model_cards.checkpoint import read_checkpoint
from training.__main__ import app
from training.open_scorer import judges
from training.open_scorer.crosswalk import Crosswalk, Row, Set
from training.open_scorer.fit import Columns, make_targets
from training.open_scorer.judge_rows import Rated, crosswalk_set, level_shares, sample_dialogues
from training.open_scorer.judges import JUDGE, measure_judge, rate_unseen
from training.open_scorer.pages import _rater_mean, judges_page
from training.open_scorer.validity import measure_rater_means, rater_means
from training.rank.recipe import load_any
from training.rank.train import choose_rows

SMALL = Path(judges.__file__).parents[1] / "recipes" / "esc_rank" / "open_small.yaml"
NAMES = ("a", "b", "c", "d")


def made_part(name, seed, shift):
    """Chats whose supporter asks; three people, the last a level more severe, rate it; a set's own level is shifted."""
    rng = np.random.default_rng(seed)
    rubric = make_rubric(name, range(1, 6), {"quality": "quality"})
    talks, ratings = [], []
    for n in range(24):
        asks = int(rng.integers(0, 3))
        said = []
        for k in range(2):
            said += [Turn(role="seeker", text=f"i feel {['sad', 'lost', 'low'][(n + k) % 3]}")]
            said += [Turn(role="supporter", text="why is that?" if k < asks else "ok then, nice weather today")]
        talks.append(
            Dialogue(
                id=f"{name}{n}", language="en", turns=tuple(said), card_id=f"{name}-{n // 2}", supporter=f"b{n % 2}"
            )
        )
        for person in range(3):
            level = int(np.clip(2 + asks + shift - (person == 2), 1, 5))
            ratings.append(
                Rating(
                    dialogue_id=f"{name}{n}",
                    dimension="quality",
                    rater=f"p{person}",
                    rater_kind="human",
                    rubric=rubric.id,
                    score=level,
                )
            )
    return RatedPart(name, rubric, tuple(talks), tuple(ratings))


@pytest.fixture(scope="module")
def rated():
    parts = {name: made_part(name, n, shift=n % 2) for n, name in enumerate(NAMES)}
    known = {"licence": "CC BY 4.0", "why": "x", "reader": "x", "path": "x"}
    sets = tuple(Set(name=name, folders=(name,), ships=name != "d", **known) for name in NAMES)
    rows = tuple(
        Row(dimension="skillful", folder=name, scale="quality", levels="up", nearness="same", reason="x")
        for name in NAMES
    )
    crosswalk = Crosswalk(sets=sets, rows=rows)
    return Rated(crosswalk, parts, tuple(make_targets(crosswalk, parts, lambda _: True)))


def test_a_sample_is_the_beginning_of_a_larger_one_and_names_sets_cards_and_what_is_not_asked(rated):
    few, more = (sample_dialogues(rated.targets, rated.parts, size, 0) for size in (4, 9))
    assert [sum(name.startswith(f"{s}/") for name in few.set_of) for s in NAMES] == [4] * 4
    assert set(few.set_of) < set(more.set_of)
    assert {d.id for d in few.dialogues} == set(few.set_of) == set(few.left_out)
    assert all(d.card_id.startswith(f"{few.set_of[d.id]}/{few.set_of[d.id]}-") for d in few.dialogues)
    assert set(few.left_out.values()) == {frozenset(load_rubric().keys) - {"skillful"}}
    assert {label.dialogue_id for label in few.labels} == set(few.set_of)
    assert {label.rubric for label in few.labels} == {load_rubric().id}
    assert sample_dialogues(rated.targets, rated.parts, 4, 1).set_of != few.set_of
    assert not sample_dialogues(rated.targets, rated.parts, 4, 0, longest=5).dialogues
    assert set(few.part(["a"]).set_of.values()) == {"a"}


def test_levels_between_two_are_shares_of_both():
    assert level_shares(np.array([0.0, 2.5, 9.0])).tolist() == [[1, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0], [0, 0, 0, 0, 1]]


def test_the_same_talk_has_the_same_level_in_a_mild_and_in_a_severe_set_and_of_a_severe_rater(rated):
    ranked = crosswalk_set(rated)
    assert [one.name for one in ranked.sets] == ["a", "b", "c"]  # d may not ship
    asks = np.array([sum("why" in turn.text for turn in d.turns) for d in ranked.dialogues])
    column = ranked.rubric.keys.index("skillful")
    level = ranked.labels[:, column] @ np.arange(5)
    whose = np.array([name[0] for name in ranked.people])
    middle = [[level[(asks == n) & (whose == s)].mean() for n in (0, 1, 2)] for s in "abc"]
    assert np.ptp(middle, axis=0).max() < 0.6  # unshifted they differ by a level
    assert (np.diff(middle, axis=1) > 0.5).all()
    spread = ranked.labels[:, column].max(axis=1)
    assert spread.mean() > 0.55  # three raters, one of them severe, are of one mind
    assert np.isnan(np.delete(ranked.labels, column, axis=1)).all()
    assert ranked.say.mean() == pytest.approx(1)


def test_a_recipe_may_name_sets_and_leaves_out_what_is_held_out(rated):
    found = crosswalk_set(rated, ["a", "b", "c", "d"])
    recipe = load_any(SMALL, {"data.split": "source-disjoint", "data.held_out": ["b", "d"], "data.dialogues": None})
    asked = choose_rows(recipe, found)
    assert {found.dialogues[i].id[0] for i, _, _ in asked.rows} == {"a", "c"}
    assert "(b, d)" in asked.held_out
    with pytest.raises(EscEvalError, match=r"no set 'z'; it has: a, b, c, d"):
        crosswalk_set(rated, ["z"])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"data.rubric": "ieval"}, "crosswalk is of rubric esc-eval"),
        ({"data.ratings": "rubric", "data.sets": ["ieval"]}, "are of ratings: crosswalk"),
    ],
)
def test_a_recipe_of_the_crosswalk_is_of_the_seven_dimensions(change, what):
    with pytest.raises(EscEvalError, match=what):
        load_any(SMALL, change)


TOY = {
    "base": {"model": "toy", "license": "Apache-2.0", "dtype": "float32"},
    "optimise.max_length": 2048,
    "optimise.accumulate": 1,
    "data.dialogues": 4,
    "adapter.targets": ["q_proj"],
}


@pytest.fixture(scope="module")
def judged(rated, tmp_path_factory):
    """What toys that were trained without each set rated of it, twice; and where."""
    folder, sample = tmp_path_factory.mktemp("judges"), sample_dialogues(rated.targets, rated.parts, 4, 0)
    recipe, said = load_any(SMALL, TOY), []

    def rate():
        return rate_unseen(recipe, rated, sample, folder, lambda _: None, said.append)

    return folder, sample, rate(), said.copy(), rate(), said


@pytest.mark.slow
def test_each_set_is_rated_by_a_judge_that_learnt_from_the_others(judged):
    folder, sample, ratings, said, _, _ = judged
    assert [line for line in said if line.startswith("training without")] == [
        f"training without {name}" for name in (*"abc", "nothing")
    ]
    for name in "abc":
        training = read_checkpoint(folder / f"without-{name}").training
        assert f"({name})" in training.data.held_out
        assert {source.name for source in training.data.sources} <= set("abc") - {name}
        assert {source.license for source in training.data.sources} == {"CC BY 4.0"}
        own = read_ratings(folder / f"rated-{name}")
        assert {rating.dialogue_id.partition("/")[0] for rating in own} == {name}
        assert {rating.dimension for rating in own} == {"skillful"}
    assert {r.dialogue_id for r in read_ratings(folder / "rated-nothing")} == {n for n in sample.set_of if n[0] == "d"}
    assert {rating.dialogue_id for rating in ratings} == set(sample.set_of)
    assert all(len(rating.probabilities) == 5 for rating in ratings)


@pytest.mark.slow
def test_a_second_call_trains_and_asks_nothing(judged):
    _, _, first, said, second, more = judged
    assert more == said
    assert {r.dialogue_id: r.expected for r in first} == {r.dialogue_id: r.expected for r in second}


@pytest.mark.slow
def test_a_judge_stands_beside_scorer_words_and_a_raters_mean_on_the_same_dialogues(judged, rated, monkeypatch):
    monkeypatch.setattr(text_scorer, "encode_texts", lambda texts: np.ones((len(texts), 384)) / 384**0.5)
    _, sample, ratings, *_ = judged
    gone = [r.model_copy(update={"score": None, "problem": "too long"}) if n == 0 else r for n, r in enumerate(ratings)]
    found = measure_judge(gone, rated, sample, Columns(rated.parts), 40, 0)
    assert (found["dialogues"], found["unscored"], found["reasons"]) == (16, 1, {"too long": 1})
    own = found["dimensions"]["skillful"]
    assert set(own["methods"]) == {JUDGE, "scorer", "words", "length and distinct bigrams", "majority"}
    assert own["dialogues"] == sum(own["rows"].values()) == 15
    assert own["methods"]["majority"]["quadratic_kappa"]["value"] == pytest.approx(0)
    assert own["methods"]["majority"]["pairwise"]["value"] == 0.5
    assert set(own["sets"]) == set(NAMES)
    assert "rater_mean" not in own  # the same three rated all
    assert found["dimensions"]["fluency"]["why"] == "it scored no dialogue of a set that asks for it"
    page = judges_page({"made-up": {**found, "command": "x", "about": "y"}})
    assert "16 dialogues, 16 ratings, of which 1 are unscored (1 x too long)" in page
    assert "| skillful | 4 (15) |" in page


def test_a_raters_mean_of_other_dialogues_is_told_where_raters_rate_some(rated):
    part = rated.parts["a"]
    rng = np.random.default_rng(0)
    who = {d.id: f"p{rng.integers(6)}" for d in part.dialogues}
    ratings = tuple(
        r.model_copy(update={"rater": who[r.dialogue_id], "score": 1 + int(who[r.dialogue_id][1:]) % 5})
        for r in part.ratings[::3]
    )
    parts = {"a": dataclasses.replace(part, ratings=ratings)}
    alone = dataclasses.replace(rated, parts=parts, targets=tuple(make_targets(rated.crosswalk, parts, lambda _: True)))
    found = measure_rater_means(alone.targets, parts, 40, 0)
    assert found["value"] > 0.8
    assert found["quadratic_kappa"]["value"] > 0.5
    assert found["pairwise"]["value"] > 0.8
    assert found["sets"] == ["a"]


def ranked_part(*, ranks):
    """Chats of eight people with four bots, put in order on every card, so that all people's levels have one sum."""
    rng = np.random.default_rng(0)
    rubric = make_rubric("a", range(1, 6), {"quality": "quality"})
    turns = (Turn(role="seeker", text="i feel sad"), Turn(role="supporter", text="why is that?"))
    talks, ratings = [], []
    for person in range(8):
        for card in range(2):
            for bot, level in enumerate(rng.permutation([2, 3, 4, 5])):
                name, on = f"a{person}-{card}-{bot}", f"a{person}-{card}"
                talks.append(Dialogue(id=name, language="en", turns=turns, card_id=on, supporter=f"b{bot}"))
                given = {"dimension": "quality", "rater": f"p{person}", "rater_kind": "human", "rubric": rubric.id}
                ratings.append(Rating(dialogue_id=name, score=int(level), **given))
    return RatedPart("a", rubric, tuple(talks), tuple(ratings), ranks=ranks)


def test_of_people_who_rank_no_mean_of_their_other_levels_is_told(rated):
    """What a dialogue got is missing in a sum that is fixed: the mean goes against people, who are all alike here."""
    means = {}
    for ranks in (False, True):
        parts = {"a": ranked_part(ranks=ranks)}
        means[ranks] = measure_rater_means(make_targets(rated.crosswalk, parts, lambda _: True), parts, 40, 0)
    assert means[False]["value"] < -0.3
    assert means[True] is None


def test_intervals_of_a_raters_mean_draw_people_with_all_cards_that_they_have(rated):
    part = ranked_part(ranks=False)
    parts = {"a": part}
    [target] = make_targets(rated.crosswalk, parts, lambda _: True)
    drawn = rater_means(target, parts).target.cluster
    people = [dialogue.card_id.split("-")[0] for dialogue in part.dialogues]
    assert len(set(target.cluster)) == 16  # cards
    assert len(set(zip(drawn.tolist(), people, strict=True))) == len(set(drawn.tolist())) == 8


def test_the_cell_of_a_raters_mean_names_its_sets():
    mean = {"value": 0.5, "low": 0.4, "high": 0.6, "sets": ["ieval", "vera-mh"]}
    assert _rater_mean({"rater_mean": mean}) == "0.50 [0.40, 0.60] (ieval, vera-mh)"
    assert _rater_mean({}) == "-"


def test_the_command_wants_a_judge_or_a_recipe_that_learns_from_the_crosswalk(tmp_path):
    where = ["judges", "--data", str(tmp_path), "--out", str(tmp_path), "--cache", str(tmp_path)]
    done = CliRunner().invoke(app, where)
    assert done.exit_code == 2
    assert "give --scorer MODEL for a judge as it is, or --recipe FILE" in done.stderr
    done = CliRunner().invoke(app, [*where, "--recipe", str(SMALL.with_name("small.yaml"))])
    assert done.exit_code == 2
    assert "it learns from no set of the crosswalk" in done.stderr
