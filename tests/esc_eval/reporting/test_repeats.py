"""Repeats in a report: for whom a mean holds, what a score is made of, and on which cards the verdict flips."""

import json

import numpy as np
import pandas as pd
import pytest

from esc_eval.api.results import Results
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import as_html, as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.agreement import agreement_report
from esc_eval.reporting.plan import plan_report
from esc_eval.reporting.repeated import repeats_report
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

RUBRIC = load_rubric()
TURNS = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Why?"))


def play(cards=6, repeats=3, supporters="ab", seeker="s", numbered=True):
    return [
        Dialogue(
            id=f"{name}:{seeker}{card}" + (f"#{n}" if n > 1 else ""),
            language="en",
            turns=TURNS,
            supporter=name,
            seeker=seeker,
            card_id=f"c{card}",
            repeat=n if numbered and n > 1 else None,
        )
        for name in supporters
        for card in range(cards)
        for n in range(1, repeats + 1)
    ]


def rate(dialogues, level, judges=("judge",), keys=RUBRIC.keys, kind="model"):
    return [
        Rating(
            dialogue_id=one.id,
            dimension=key,
            rater=judge,
            rater_kind=kind,
            rubric=RUBRIC.id,
            score=level(one, key, judge),
        )
        for one in dialogues
        for key in keys
        for judge in judges
    ]


def steady(one, key, judge):
    """Who is better flips on the first card between repeats 1 and 2; on the others b is always a level better."""
    if one.card_id == "c0":
        return {("a", 1): 4, ("a", 2): 0}.get((one.supporter, one.repeat or 1), 2)
    return int(one.card_id[1:]) % 3 + (one.supporter == "b")


def noisy(seed=0):
    rng = np.random.default_rng(seed)
    card = rng.normal(2, 0.8, 40)

    def level(one, key, judge):
        return int(
            np.clip(np.round(card[int(one.card_id[1:])] + (one.supporter == "b") * 0.5 + rng.normal(0, 0.7)), 0, 4)
        )

    return level


def summary(dialogues, ratings):
    [table] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    return table


def test_fragile_cards_are_listed_by_id_in_every_form():
    talks = play()
    ratings = rate(talks, steady)
    found = summary(talks, ratings).repeats
    [pair] = found.pairs
    assert pair.fragile.cards == ("c0",)
    assert pair.fragile.share.value == pytest.approx(1 / 6)
    assert {key: own.cards for key, own in found.supporters["a"].fragile.items()} == dict.fromkeys(RUBRIC.keys, ("c0",))
    assert all(not own.cards for own in found.supporters["b"].fragile.values())
    whole = summarise_ratings(talks, ratings, RUBRIC)
    for text in (as_text(whole, 160), as_markdown(whole), as_latex(whole), as_html(whole)):
        assert "Fragile cards of pairs: Average" in text
        assert "c0" in text
    [stored] = json.loads(whole.model_dump_json())["tables"]
    assert stored["repeats"]["pairs"][0]["fragile"]["cards"] == ["c0"]
    page = Results(talks, ratings)
    assert "Fragile cards of supporters" in page.compare().to_text(160)


def test_a_run_without_repeats_says_nothing_of_them():
    talks = play(repeats=1)
    table = summary(talks, rate(talks, steady))
    assert table.repeats is None
    assert "repeats" not in table.model_dump()
    assert "epeat" not in as_text(summarise_ratings(talks, rate(talks, steady), RUBRIC), 160)


@pytest.mark.parametrize("numbered", [True, False], ids=["as today", "of a folder that does not number them"])
def test_two_supporters_are_paired_by_repeat_where_one_is_missing(numbered):
    talks = play(cards=4, repeats=2)
    gone = [one for one in talks if one.id not in {"a:s0", "b:s1#2"}]
    ratings = rate(gone, lambda one, *_: 2 * ((one.repeat or 1) - 1) + (one.supporter == "b"))
    if not numbered:
        gone = [one for one in gone if one.id != "a:s0#2"]
        ratings = [r for r in ratings if r.dialogue_id != "a:s0#2"]
        gone = [one.model_copy(update={"repeat": None}) for one in gone]
    [pair] = summary(gone, ratings).repeats.pairs
    assert pair.fragile.share.n == 2, "cards with two pairs"
    assert not pair.fragile.cards, "b is better in each repeat"


def test_what_another_seeker_changes_is_no_luck_of_the_seed():
    once = [*play(repeats=1, seeker="s"), *play(repeats=1, seeker="t")]

    def level(one, *_):
        return 3 * (one.seeker == "t") + (one.supporter == "b")

    assert summary(once, rate(once, level)).repeats is None
    talks = [*play(repeats=2, seeker="s"), *play(repeats=2, seeker="t")]
    found = summary(talks, rate(talks, level)).repeats
    assert found.by_seeker
    assert not found.pairs[0].fragile.cards
    assert (found.supporters["a"].most, found.supporters["a"].cards) == (2, 12)
    assert not found.supporters["a"].fragile["empathy"].cards
    assert found.supporters["a"].parts["empathy"].repeat.value == 0
    ratings = rate(talks, lambda one, *_: 2 * (one.seeker == "t" and one.card_id == "c1" and one.repeat == 2))
    assert summary(talks, ratings).repeats.supporters["a"].fragile["empathy"].cards == ("c1 by t",)


def test_other_seeds_on_the_same_cards_are_surer_than_other_cards():
    talks = play(cards=20)
    one = summary(talks, rate(talks, noisy())).repeats.supporters["a"]
    wide, narrow = one.mean.high - one.mean.low, one.same_cards.high - one.same_cards.low
    assert narrow < wide
    assert one.mean.value == pytest.approx(one.same_cards.value)


def test_several_judges_are_a_part_of_the_variance_of_their_own():
    talks = play(cards=12)
    level = noisy(1)
    two = ("stern", "mild")
    ratings = rate(talks, lambda one, key, judge: min(4, level(one, key, judge) + (judge == "mild")), two, ("empathy",))
    [jury] = Results(talks, ratings).juries.values()
    parts = jury.data["repeats"]["a"]["empathy"]
    assert parts["judge"]["value"] > 5
    assert parts["rest"]["value"] > 5
    assert "Jury: what a score is made of" in jury.to_text(160)
    people = [r.model_copy(update={"rater_kind": "human"}) for r in ratings]
    boards = summarise_ratings(talks, people, RUBRIC).tables
    together = next(board for board in boards if board.rater.startswith("2 raters"))
    assert together.repeats.supporters["a"].parts["empathy"].judge.value > 5


def test_power_says_what_another_repeat_is_worth_and_refuses_one_repeat():
    talks = play(cards=15)
    level = noisy(2)

    def suited(one, key, judge):
        return min(4, level(one, key, judge) + 2 * (one.supporter == "b" and int(one.card_id[1:]) % 2))

    table = Results(talks, rate(talks, suited, keys=("empathy",))).tabulate()
    found = repeats_report(table, [1, 3], 2.0)
    [once, thrice] = found.data["errors"]
    assert thrice["same_cards"].value < once["same_cards"].value
    assert thrice["more_cards"].value <= thrice["same_cards"].value
    scores = table.frame.groupby(["card", "model"])["score"].mean().unstack()
    assert thrice["same_cards"].value == pytest.approx(25 * (scores["a"] - scores["b"]).sem()), "that of cards drawn"
    assert found.data["best"][0]["repeats"]["low"] >= 1
    assert "How many repeats pay" in found.to_text()
    single = play(repeats=1)
    with pytest.raises(EscEvalError, match="power --repeats needs two supporters that played some of the same cards"):
        repeats_report(Results(single, rate(single, steady)).tabulate(), [2], 1.0)
    with pytest.raises(EscEvalError, match="whole numbers from 1, not 0"):
        repeats_report(table, [0], 1.0)


def test_power_names_the_dimensions_that_can_be_asked_of_where_no_dialogue_has_an_average():
    talks = play(cards=6)
    ratings = rate(talks, noisy(2), keys=("empathy", "fluency"))
    some = [
        r
        if r.dimension == "empathy" or r.dialogue_id == talks[0].id
        else r.model_copy(update={"score": None, "problem": "none"})
        for r in ratings
    ]
    table = Results(talks, some).tabulate()
    with pytest.raises(EscEvalError, match="--dimension empathy, one of empathy"):
        repeats_report(table, [2], 1.0)
    assert repeats_report(table, [2], 1.0, dimension="empathy").data["errors"]
    with pytest.raises(EscEvalError, match="needs two supporters"):
        repeats_report(table, [2], 1.0, dimension="fluency")


def test_dialogues_of_a_card_are_one_cluster_for_agreement_and_go_to_the_same_raters(tmp_path):
    once = play(cards=12, repeats=1)
    level = noisy(3)
    ratings = rate(once, level, ("p", "q"), ("empathy",), "human")
    copies = [one.model_copy(update={"id": f"{one.id}#{n}", "repeat": n}) for n in (2, 3) for one in once]
    again = [r.model_copy(update={"dialogue_id": f"{r.dialogue_id}#{n}"}) for n in (2, 3) for r in ratings]
    narrow, wide = (
        agreement_report(Results(talks, given).tabulate(), Bootstrap(400)).data["dimensions"]["empathy"]["exact"]
        for talks, given in ((once, ratings), (once + copies, ratings + again))
    )
    assert (narrow.value, narrow.clusters) == (wide.value, wide.clusters) == (narrow.value, 12)
    assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low, rel=0.1), "copies make nothing surer"
    plan_report(once + copies, ["p", "q"], per_dialogue=1, overlap=0.0, seed=0, out=tmp_path / "plan.csv")
    given = pd.read_csv(tmp_path / "plan.csv")
    assert len(given) == 72
