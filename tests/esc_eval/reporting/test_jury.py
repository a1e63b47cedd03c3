"""Several judges of one run: their median, agreement and each one's bias, on what all of them scored."""

import json

import pytest

from esc_eval.api.results import Results
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.jury import find_juries, jury_report
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.bootstrap import Bootstrap

RUBRIC = load_rubric()
TURNS = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Why?"))
TALKS = [
    Dialogue(id=f"d{n}", language="en", turns=TURNS, supporter="xy"[n % 2], card_id=f"c{n // 2}") for n in range(12)
]
BASE = [n % 3 for n in range(12)]


def rated(judge, levels, dimension="empathy", **more):
    return [
        Rating(
            dialogue_id=f"d{n}",
            dimension=dimension,
            rater=judge,
            rater_kind="model",
            rubric=RUBRIC.id,
            **({"score": level} if level is not None else {"problem": "no level"}),
            **more,
        )
        for n, level in enumerate(levels)
    ]


def report(*ratings, **more):
    return jury_report(TALKS, [r for own in ratings for r in own], RUBRIC, Bootstrap(200), **more)


def test_the_median_resists_one_judge_and_bias_is_the_mean_less_the_jurys():
    found = report(rated("a", BASE), rated("b", BASE), rated("wild", [n + 2 for n in BASE])).data
    assert found["median"]["x"]["empathy"].value == pytest.approx(25 * sum(BASE[::2]) / 6)
    bias = {name: by["empathy"] for name, by in found["bias"].items()}
    assert [bias[name].value for name in ("a", "b", "wild")] == [0, 0, pytest.approx(50)]
    assert bias["wild"].low <= 50 <= bias["wild"].high
    assert bias["wild"].n == 12
    assert found["agreement"]["empathy"]["exact"].value == pytest.approx(1 / 3)
    assert set(found["agreement"]) == {"empathy"}


def test_what_a_judge_left_unscored_counts_for_nobody_and_a_silent_judge_is_named():
    gaps = [None, None, *BASE[2:]]
    found = report(rated("a", BASE), rated("b", gaps), rated("mute", [None] * 12))
    assert found.data["judges"] == ["a", "b"]
    assert found.data["scored_by_all"] == 10
    assert found.data["bias"]["a"]["empathy"].n == 10
    assert any("10 of 12 dialogues x dimensions are scored by all" in note for note in found.notes)
    assert "mute scored nothing and is no member." in found.notes
    assert any("one's bias is the other's turned round" in note for note in found.notes)


def test_judges_of_other_dialogues_are_no_jury_that_could_say_anything():
    found = report(rated("a", [*BASE[:6], *[None] * 6]), rated("b", [*[None] * 6, *BASE[6:]]))
    assert found.data["scored_by_all"] == 0
    assert found.data["bias"]["a"]["empathy"].value is None
    assert found.data["agreement"] == {}
    found.to_text()


def test_expected_levels_are_taken_where_they_are_asked_for():
    sure, unsure = rated("a", BASE, expected=1.5), rated("b", BASE)
    found = {s: report(sure, unsure, statistic=s).data["bias"]["a"]["empathy"] for s in ("level", "expected")}
    assert found["level"].value == 0
    assert found["expected"].value == pytest.approx(25 * (1.5 - 1) / 2)


def test_one_judge_people_and_what_was_made_of_judges_are_no_jury():
    made = rated("ensemble", BASE, parser="ensemble 12345678")
    person = [r.model_copy(update={"rater_kind": "human"}) for r in rated("p", BASE)]
    assert not find_juries(TALKS, [*rated("a", BASE), *made, *person])
    assert set(find_juries(TALKS, [*rated("a", BASE), *rated("b", BASE), *made])) == {("en", RUBRIC.id)}


@pytest.mark.slow
def test_a_run_with_several_judges_shows_its_jury_in_every_form_of_the_report(tmp_path):
    results = Results(TALKS, [*rated("a", BASE), *rated("b", [n + 1 for n in BASE])])
    assert "bias of each judge" in results.render()
    assert "| b |" in results.render("markdown")
    content = json.loads(results.render("json"))["juries"][f"en, {RUBRIC.id}"]
    assert content["bias"]["b"]["empathy"]["value"] == pytest.approx(12.5)
    results.write_report(tmp_path)
    assert "bias of each judge" in (tmp_path / "report.html").read_text()
    alone = Results(TALKS, rated("a", BASE))
    assert "Jury" not in alone.render()
    assert "juries" not in json.loads(alone.render("json"))
