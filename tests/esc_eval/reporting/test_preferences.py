"""What the tables of preferences say: standing, steadiness of judges, agreement with people beside baselines."""

import pytest
from made_pairs import talk

from esc_eval.files.preferences import Given
from esc_eval.reporting.preferences import LENGTH, MAJORITY, TIE, preference_reports
from esc_eval.schema import Preference
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(draws=100)
CARDS = 6


def said(value, card=0, left="a", rater="judge", kind="model", steps=1, names=("good", "poor"), **fields):
    facts = {"card_id": f"card {card}", "dimension": "preference", "rater": rater, "rater_kind": kind, "steps": steps}
    ids = {"dialogue_a": f"{names[0]}:card {card}", "dialogue_b": f"{names[1]}:card {card}"}
    problem = None if value is not None else "not read"
    return Given(Preference(**{**facts, **ids, "preference": value, "problem": problem, "left": left, **fields}))


def both(value, card, **fields):
    return [said(value, card, left, **fields) for left in "ab"]


def person(value, card, rater="anna"):
    return said(value, card, rater=rater, kind="human", steps=3)


def talks(good="ok", poor="much longer"):
    return [talk(name, f"card {n}", text) for name, text in (("good", good), ("poor", poor)) for n in range(CARDS)]


def one_report(given, dialogues=None, rule="tie"):
    [report] = preference_reports(given, talks() if dialogues is None else dialogues, BOOT, rule).values()
    return report


def test_a_judge_that_prefers_what_comes_first_is_seen_and_decides_nothing():
    given = [said(1 if left == "a" else -1, n, left) for n in range(CARDS) for left in "ab"]
    data = one_report(given).data
    own = data["judges"]["judge"]
    assert own["consistent"].value == 0
    assert own["turned_round"] == CARDS
    assert own["first_preferred"].value == 1
    assert own["first_preferred"].low > 0.5
    assert data["standings"]["judge"]["supporters"]["good"]["chance"].value == pytest.approx(0.5)
    left_out = one_report(given, rule="leave-out")
    assert left_out.data["standings"] == {}
    assert left_out.data["undecided"] == {"judge": {"the two orders disagree": CARDS}}


def test_a_steady_judge_has_no_position():
    own = one_report([one for n in range(CARDS) for one in both(1, n)]).data["judges"]["judge"]
    assert own["consistent"].value == 1
    assert own["consistent"].low < 1
    assert own["first_preferred"].value == 0.5


def test_what_was_not_read_is_counted_and_no_tie():
    given = [one for n in range(CARDS) for one in (both(1, n) if n else [said(1, n, "a"), said(None, n, "b")])]
    data = one_report(given).data
    assert data["judges"]["judge"]["unread"] == 1
    assert data["judges"]["judge"]["read_in_both_orders"] == CARDS - 1
    assert data["undecided"]["judge"] == {"not read": 1}
    [pair] = data["standings"]["judge"]["pairs"]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (CARDS - 1, 0, 0)


def test_agreement_with_people_stands_beside_length_the_majority_and_ties():
    """People prefer the short good one but once; the judge always; length never."""
    given = [one for n in range(CARDS) for one in (*both(1, n), person(-1 if n == 0 else 2, n), person(0, n, "ben"))]
    found = one_report(given).data["agreement_with_people"]
    right = (CARDS - 1) / CARDS
    assert found["judge"]["decided"].value == pytest.approx(right)
    assert found["judge"]["decided"].n == CARDS
    assert found["judge"]["all"].value == pytest.approx(right / 2)
    assert found["judge"]["decided_less_length"].value == pytest.approx(right - 1 / CARDS)
    assert found[LENGTH]["decided"].value == pytest.approx(1 / CARDS)
    assert found[MAJORITY]["decided"].value == pytest.approx(right)
    assert found[TIE]["decided"].value == 0.5
    assert found[TIE]["all"].value == 0.5
    assert found[TIE]["kappa"].value == pytest.approx(0)
    assert found["anna"]["kind"] == found["ben"]["kind"] == "person"
    assert found["anna"]["all"].value == 0


def test_kappa_is_scikit_learns():
    from sklearn.metrics import cohen_kappa_score

    people, judge = [1, 1, -1, 0, 1, -1], [1, -1, -1, 0, 0, 1]
    given = [one for n in range(CARDS) for one in (*both(judge[n], n), person(people[n], n))]
    found = one_report(given).data["agreement_with_people"]["judge"]["kappa"]
    assert found.value == pytest.approx(cohen_kappa_score(people, judge))


def test_people_are_averaged_into_one_standing():
    given = [one for n in range(CARDS) for one in (person(3, n), person(-1, n, "ben"))]
    data = one_report(given).data
    assert list(data["standings"]) == ["2 people, averaged"]
    assert data["standings"]["2 people, averaged"]["supporters"]["good"]["chance"].value == pytest.approx(0.5)


def test_without_people_it_says_that_nothing_shows_what_a_judge_is_worth():
    report = one_report([one for n in range(CARDS) for one in both(1, n)])
    assert report.data["agreement_with_people"] == {}
    assert any("No person compared these pairs" in note for note in report.notes)


def test_languages_and_dimensions_stand_apart():
    zh = [talk(name, f"card {n}", "x", language="zh") for name in ("good", "poor") for n in range(2)]
    given = [one for n in range(2) for one in both(1, n)]
    given += [
        Given(one.preference.model_copy(update={"dialogue_a": f"good:card {n}:zh", "dialogue_b": f"poor:card {n}:zh"}))
        for n in range(2)
        for one in both(-1, n)
    ]
    given += [Given(person(2, n).preference.model_copy(update={"dimension": "empathy"})) for n in range(2)]
    assert list(preference_reports(given, [*talks(), *zh], BOOT)) == ["en, empathy", "en, preference", "zh, preference"]


def test_a_table_without_dialogues_names_supporters_itself_and_knows_no_length():
    given = [Given(person(2, n).preference, "m", "n") for n in range(CARDS)]
    data = one_report(given, [])
    assert data.data["standings"]["anna"]["order"] == ["m", "n"]
    assert data.data["agreement_with_people"][LENGTH]["decided"].value is None


def test_pairs_of_unknown_supporters_are_said_to_be_in_no_standing():
    report = one_report([person(2, n) for n in range(CARDS)], [])
    assert any("in no standing" in note for note in report.notes)
    assert report.data["agreement_with_people"][TIE]["decided"].n == CARDS


def test_every_form_says_the_same_and_names_are_escaped():
    evil = "a<b>|&_%"
    given = [one for n in range(CARDS) for one in (*both(1, n, rater=evil), person(1, n))]
    report = one_report(given)
    assert "&lt;b&gt;" in report.to_html()
    assert "<b>" not in report.to_html()
    assert "\\_" in report.to_latex()
    assert evil in report.to_text(200)
    assert report.to_json()
