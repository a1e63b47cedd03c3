"""The seeker's course in the report and in pictures."""

import json

import pytest

from esc_eval.api.results import Results
from esc_eval.reporting.course import course_report, draw_curves, estimate_courses
from esc_eval.schema import Attempt, Dialogue, RoleCard, SeekerState, StateLevel, Turn
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(draws=200)


def talk(number, values, supporter="p", seeker="s", text="I feel bad.", **more):
    turns = []
    for value in values:
        level = {
            "name": "distress",
            "value": value,
            "low": 0,
            "high": 10,
            "problem": None if value is not None else "no line",
        }
        turns += [
            Turn(role="seeker", text=text, state=SeekerState(raw="x", levels=(StateLevel(**level),))),
            Turn(role="supporter", text="I see."),
        ]
    card = f"c{number}"
    return Dialogue(
        id=f"{supporter}:{card}", language="en", turns=turns, card_id=card, supporter=supporter, seeker=seeker, **more
    )


def test_the_report_has_change_and_area_by_supporter_with_what_could_be_read():
    talks = [talk(1, [8, 6, 4]), talk(2, [6, None, 2]), talk(1, [5, 5, 5], "q"), talk(2, [5, 5, None], "q")]
    [state] = course_report(talks, {}, BOOT).data["states"]
    p, q = state["supporters"]["p"], state["supporters"]["q"]
    assert (p["change"].value, p["area"].value, p["readable"], p["asked"]) == (-4, 5, 5, 6)
    assert (q["change"].value, q["readable"]) == (0, 5)
    assert [e.n for e in q["rounds"]] == [2, 2, 1]
    text = course_report(talks, {}, BOOT).to_text()
    assert "5 of 6" in text
    assert "no measure of how anybody feels" in " ".join(text.split())


def test_ends_are_counted_with_problems_among_them():
    talks = [
        talk(i, [5, 5], protocol="course/1", end=end) for i, end in enumerate(["gave_up", "last_round", "gave_up"])
    ]
    talks.append(talk(9, [5], protocol="course/1", problem="supporter: refused"))
    [row] = course_report(talks, {}, BOOT).data["ends"]
    assert row["counts"] == {"gave_up": 2, "last_round": 1, "problem": 1}
    assert row["shares"]["gave_up"].value == pytest.approx(0.5)
    assert row["shares"]["gave_up"].low is not None


def test_faults_are_counted_by_seeker_by_the_first_attempt():
    bad = "As an AI language model I cannot play this role."
    attempt = Attempt(seed=0, faults=("refusal",), turns=(Turn(role="seeker", text=bad),))
    talks = [
        talk(1, [5, 5], attempts=(attempt,)),
        talk(2, [5, 5], text=bad),
        talk(3, [5, 5]),
        talk(4, [5, 5], seeker="other"),
        talk(5, [5, 5], seeker="other", text="I'm 52 years old."),
    ]
    cards = {"c5": RoleCard(id="c5", language="en", text="Age: 30\nProblem: x", source="t")}
    report = course_report(talks, cards, BOOT)
    by_seeker = {row["seeker"]: row for row in report.data["faults"]}
    assert by_seeker["s"]["shares"]["refusal"].value == pytest.approx(2 / 3)
    assert by_seeker["s"]["shares"]["card_contradiction"].value is None
    assert (by_seeker["s"]["replayed"], by_seeker["s"]["attempts"]) == (1, 1)
    assert by_seeker["other"]["shares"]["card_contradiction"].value == 1
    assert by_seeker["other"]["shares"]["card_contradiction"].n == 1
    assert any("1 dialogues were played again" in note for note in report.notes)


def test_dialogues_without_any_of_it_have_no_such_report():
    plain = [
        Dialogue(
            id="d", language="en", turns=[Turn(role="seeker", text="I feel bad."), Turn(role="supporter", text="Hm.")]
        )
    ]
    assert course_report(plain, {}, BOOT) is None
    assert Results(plain).course == {}
    assert estimate_courses(plain, BOOT) == []


def test_results_carry_it_into_every_form_and_a_picture():
    results = Results([talk(i, [8, 6, 4]) for i in range(4)])
    assert "course" in json.loads(results.render("json"))
    for form in ("text", "markdown", "latex"):
        assert "distress" in results.render(form)
    picture = results.pictures()["en-rounds-state-distress"]
    assert "round 3 4.0" in picture.words
    assert picture.svg.startswith("<svg")


def test_a_small_line_breaks_where_nothing_was_read():
    [curve] = draw_curves(talk(1, [10, 5, None, 0]))
    assert curve.words == "10 5 - 0"
    assert curve.lines == ["0.0,1.0 33.3,12.0", "100.0,23.0 100.0,23.0"]
    assert draw_curves(talk(1, [None, None])) == []
