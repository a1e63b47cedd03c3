"""Results by seeker in every form of a report and on the pages, and what pooled means hold for."""

import json
import re

import pytest
from starlette.testclient import TestClient

from esc_eval.api.results import Results
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import describe_context, describe_seekers
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection

RUBRIC = load_rubric()


def talk(supporter, card, seeker, **more):
    turns = (Turn(role="seeker", text="I am sad."), Turn(role="supporter", text="Why?"))
    return Dialogue(
        **{"id": f"{supporter}:{card}#by-{seeker}", "language": "en", "turns": turns, "card_id": card}
        | {"supporter": supporter, "seeker": seeker}
        | more
    )


def rate(dialogue, level, rater="judge", kind="model"):
    return [
        Rating(dialogue_id=dialogue.id, dimension=key, rater=rater, rater_kind=kind, rubric=RUBRIC.id, score=level)
        for key in RUBRIC.keys
    ]


def level(supporter, card, seeker):
    """``warm`` is two levels better with the open seeker, and as good with the terse one."""
    return 1 + int(card) % 2 + (2 if (supporter, seeker) == ("warm", "open") else 0)


TALKS = [talk(s, str(c), k) for c in range(12) for s in ("cold", "warm") for k in ("open", "terse")]
RATINGS = [
    rating for one in TALKS for rating in rate(one, min(4, level(one.supporter, one.card_id, one.seeker)))
]  # fmt: skip


@pytest.fixture(scope="module")
def results():
    return Results(TALKS, RATINGS)


def test_every_form_has_the_means_of_each_seeker_with_n_and_intervals(results):
    for form in ("text", "markdown", "latex"):
        assert "By seeker: Average, mean of each supporter" in results.render(form)
    line = next(row for row in results.render().splitlines() if re.match(r"warm +12 \+ 12", row))
    assert line.count("[") == 3
    [found] = json.loads(results.render("json"))["by_seeker"].values()
    means = found["columns"]["average"]["means"]
    assert means["warm"]["open"]["value"] - means["cold"]["open"]["value"] == pytest.approx(50)
    assert means["warm"]["terse"]["value"] == pytest.approx(means["cold"]["terse"]["value"])


@pytest.mark.slow
def test_the_page_has_them_too(results, tmp_path):
    results.write_report(tmp_path)
    assert "change of order" in (tmp_path / "report.html").read_text()


def test_it_says_whether_the_order_changes_and_what_two_seekers_cannot_tell(results):
    [report] = results.by_seeker.values()
    [change] = report.data["columns"]["average"]["changes_of_order"]
    assert change["supporters"] == ["cold", "warm"]
    assert change["difference"].value == pytest.approx(-50)
    assert "Average: a difference of supporters changes with the seeker: cold - warm (p < 0.05, Holm)." in report.notes
    assert any("2 seekers leave 1 degree of freedom" in note for note in report.notes)
    same = [rating for one in TALKS for rating in rate(one, 1 + int(one.card_id) % 2)]
    [report] = Results(TALKS, same).by_seeker.values()
    assert any("no difference of two supporters is shown to change with the seeker" in note for note in report.notes)


def test_a_pooled_mean_says_what_it_holds_for_and_one_seeker_says_nothing(results):
    [board] = results.summary.tables
    assert any("hold for these seekers, and not for seekers at large" in warning for warning in board.warnings)
    alone = [one for one in TALKS if one.seeker == "open"]
    ids = {one.id for one in alone}
    one_seeker = Results(alone, [r for r in RATINGS if r.dialogue_id in ids])
    assert one_seeker.by_seeker == {}
    assert not any("seekers" in warning for warning in one_seeker.summary.tables[0].warnings)
    assert "by_seeker" not in json.loads(one_seeker.render("json"))


def test_seekers_that_did_not_play_the_same_supporters_are_said():
    uneven = [one for one in TALKS if (one.supporter, one.seeker) != ("cold", "terse")]
    said = describe_seekers(uneven)
    assert any("cold 12 by open, 0 by terse; warm 12 by open, 12 by terse" in sentence for sentence in said)
    assert len(describe_seekers(TALKS)) == 1


def test_dialogues_of_many_people_have_no_table_by_seeker():
    people = [talk("warm", str(n), f"person {n}") for n in range(12)]
    found = Results(people, [rating for one in people for rating in rate(one, 2)])
    assert found.by_seeker == {}
    assert any("over 12 seekers" in warning for warning in found.summary.tables[0].warnings)


def test_ratings_of_people_and_of_a_judge_are_apart_and_people_together():
    people = [r for one in TALKS for name in ("ann", "bob") for r in rate(one, 2, name, "human")]
    assert list(Results(TALKS, [*RATINGS, *people]).by_seeker) == [
        f"en, judge, {RUBRIC.id}",
        f"en, 2 raters, averaged, {RUBRIC.id}",
    ]


def test_turns_that_were_said_without_the_oldest_are_counted_by_speaker():
    turns = [
        Turn(role="supporter", text="Hi", finish_reason="scripted"),
        *(Turn(role=role, text="x", left_out=n) for n in (None, 2, 4) for role in ("seeker", "supporter")),
    ]
    said = describe_context([talk("warm", "1", "open", turns=turns)])
    assert said == [
        f"{who} was not shown all that came before in 2 of 3 turns: the oldest exchanges, up to 4 turns, no longer "
        "fitted (context policy)."
        for who in ("seeker", "supporter warm")
    ]
    assert describe_context(TALKS) == []


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pooled")
    cut = TALKS[0].model_copy(update={"turns": (*TALKS[0].turns, Turn(role="seeker", text="So.", left_out=6))})
    write_jsonl(folder / "dialogues.jsonl", [cut, *TALKS[1:]])
    write_jsonl(folder / "ratings.jsonl", RATINGS)
    collection = Collection.open([folder])
    return collection, TestClient(make_view(collection), base_url="http://127.0.0.1")


@pytest.mark.slow
def test_pages_filter_and_name_by_seeker_and_show_what_changes_with_it(pages):
    collection, client = pages
    listed = client.get("/dialogues?seeker=terse").text
    assert "24 of 48" in listed
    assert client.get(f"/boards/{collection.boards[0].key}").text.count("By seeker: Average") >= 2
    whole = client.get(f"/dialogues/{collection.entries[0].key}").text
    assert "shown without the oldest 6 turns" in whole
    assert "warm · terse" in whole


def test_dialogues_side_by_side_are_of_one_seeker_and_stay_so_on_the_next_card(pages):
    collection, client = pages
    for left in collection.entries[:4]:
        page = client.get(f"/side-by-side?first={left.key}").text
        [*_, right] = re.findall(r'<option value="(\w+)" selected>', page)
        assert collection.by_key[right].seeker == left.seeker
        assert collection.by_key[right].supporter != left.supporter
        one, other = re.search(r'rel="next" href="/side-by-side\?first=(\w+)&amp;second=(\w+)"', page).groups()
        assert {collection.by_key[key].seeker for key in (one, other)} == {left.seeker}
