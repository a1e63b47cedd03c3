"""The pages as raters and their coordinator meet them, and what they are refused."""

import csv
import io
import re

import pytest
from rating import HOSTILE, made_talks, make_team, talk
from starlette.testclient import TestClient

from esc_eval.files.rating_rows import read_rating_table
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings
from esc_eval.rate.app import describe_links
from esc_eval.rate.export import write_files
from esc_eval.schema import Preference


@pytest.fixture
def team(tmp_path):
    return make_team(tmp_path, reviewers=("carla",))


def begin(visit, name=None):
    return visit.client.post(f"{visit.root}/begin", data={"name": name or visit.name})


def page(visit, item, language="en"):
    return visit.client.get(f"{visit.root}/item/{item.id}?language={language}").text


def test_the_first_page_warns_and_says_where_help_is_and_whom_to_tell(team):
    anna = team.visit("anna")
    for language, warning in (("en", "emotional distress"), ("zh", "情绪困扰")):
        text = anna.client.get(f"{anna.root}/?language={language}").text
        assert warning in text
        assert "findahelpline.com" in text
        assert "Eva, room 5" in text
    item = anna.items()[0]
    assert anna.client.get(f"{anna.root}/item/{item.id}", follow_redirects=False).headers["location"] == f"{anna.root}/"
    assert begin(anna).url.path == f"{anna.root}/item/{item.id}"


def test_a_rater_chooses_the_name_beside_the_ratings(team):
    anna = team.visit("anna")
    assert begin(anna, " ").status_code == 422
    taken = begin(anna, "ben")
    assert taken.status_code == 422
    assert "Somebody else has this name" in taken.text
    assert begin(anna, "Blue  Heron").status_code == 200
    anna.rate(anna.items()[0].id)
    assert {row.rater for row in ratings(team)} == {"Blue Heron"}
    assert begin(team.visit("ben"), "anna").status_code == 422  # the name of the invitation stays hers
    lines = describe_links(team.store, "http://here")
    assert [line.partition(": ")[0] for line in lines[1:3]] == ["anna, called Blue Heron (first)", "ben (first)"]


def ratings(team):
    write_files(team.store)
    return read_ratings(team.store.path.parent / "ratings.jsonl")


def test_no_page_names_a_model_a_dialogue_or_what_kind_an_item_is(tmp_path):
    team = make_team(tmp_path, repeat=0.5, attention=1)
    anna = team.visit("anna")
    begin(anna)
    seen = [anna.client.get(f"{anna.root}/list").text, *(page(anna, item) for item in anna.items())]
    for text in seen:
        for word in ("llama3", "qwen", "esc-role", ":c0", ":c1", "repeat", "attention", "kind"):
            assert word not in text.lower().replace("repetition", "").replace("repeated", "")


def test_levels_are_worded_in_the_raters_language(team):
    anna = team.visit("anna")
    begin(anna)
    item = anna.items()[0]
    assert "Flawless wording" in page(anna, item)
    assert "用词无可挑剔" in page(anna, item, "zh")
    assert 'lang="zh"' in page(anna, item, "zh")


def test_what_was_clicked_is_what_is_exported_and_other_commands_read_it(team):
    anna, ben, carla = (team.visit(name) for name in ("anna", "ben", "carla"))
    for visit in (anna, ben, carla):
        begin(visit)
    wanted = {}
    for visit, shift in ((anna, 0), (ben, 1)):
        for n, item in enumerate(visit.items()):
            clicks = []
            for k, key in enumerate(team.study.dimensions):
                if (n + k) % 9 == 8:
                    clicks.append(visit.click(key, text="not_applicable"))
                    wanted[item.dialogue, visit.name, key, "first"] = None
                else:
                    clicks.append(visit.click(key, (n + k + shift) % 5))
                    wanted[item.dialogue, visit.name, key, "first"] = (n + k + shift) % 5
            visit.save(item.id, 0, *clicks, visit.click(None, text=f"note {n}"))
    carla.client.get(f"{carla.root}/next")
    reviewed = carla.items()[0]
    carla.rate(reviewed.id, 1)
    wanted |= {(reviewed.dialogue, "carla", key, "review"): 1 for key in team.study.dimensions}

    given = ratings(team)
    assert {(r.dialogue_id, r.rater, r.dimension, r.stage): r.score for r in given} == wanted
    assert len(given) == len(wanted)
    assert {r.problem for r in given if r.score is None} == {"cannot rate: it does not apply to this dialogue"}
    assert all(r.seconds == 2.0 and r.order is not None and r.time.endswith("+00:00") for r in given)
    table_file = team.store.path.parent / "ratings.csv"
    assert read_rating_table(table_file) == given
    table = read_table([table_file])
    assert table.has("card")
    assert table.has("model")
    assert table.stages == ("first", "review")
    history = list(csv.DictReader(io.StringIO((team.store.path.parent / "history.csv").read_text("utf-8-sig"))))
    assert len(history) == len(wanted) + 12
    assert {row["text"] for row in history if row["what"] == "note"} == {f"note {n}" for n in range(6)}


def test_time_left_is_told_for_as_long_as_something_is_left(team):
    anna = team.visit("anna")
    begin(anna)
    *most, last = anna.items()
    for item in most:
        anna.rate(item.id)
    assert "minutes of active work left" in page(anna, last)
    anna.rate(last.id)
    assert "minutes of active work left" not in page(anna, last)


def test_a_change_is_the_last_word_and_both_are_in_the_history(team):
    anna = team.visit("anna")
    item = anna.items()[0]
    version = anna.rate(item.id, 4)
    anna.save(item.id, version, anna.click("empathy", 0))
    assert {r.dimension: r.score for r in ratings(team)}["empathy"] == 0
    assert len(team.store.clicks()) == 8
    assert anna.save(item.id, version, anna.click("empathy", 2), expect=409) == version + 1  # the other window
    begin(anna)
    assert re.search(r'name="empathy" value="0"[^>]* checked', page(anna, item))


NO_CLICKS = (
    {"value": 5},
    {"value": -1},
    {"value": 2.5},
    {"value": True},
    {"dimension": "charm"},
    {"dimension": None},
    {"kind": "cannot"},
    {"kind": "cannot", "value": None, "text": "  "},
    {"kind": "note"},
    {"kind": "drop table"},
    {"seconds": -1},
    {"seconds": 1e300},
    {"value": 10**30},
    {"id": "short"},
    {"id": "../../../etc/passwd"},
    {"text": "x" * 20_001},
    {"more": 1},
)


def test_what_is_no_click_is_refused_and_nothing_sent_with_it_is_kept(team):
    anna = team.visit("anna")
    item = anna.items()[0].id
    for change in NO_CLICKS:
        anna.save(item, 0, anna.click("fluency", 1), {**anna.click("empathy", 3), **change}, expect=400)
        assert team.store.clicks() == [], change
    anna.save(item, 0, anna.click("fluency", 1), anna.click("empathy", 3))  # without the change it is one


def test_clocks_and_versions_that_cannot_be_break_nothing(team):
    anna = team.visit("anna")
    item = anna.items()[0].id
    anna.save(item, 10**30, anna.click("fluency", 1), expect=400)
    anna.save(item, 0, anna.click("fluency", 1, age=1e300))
    assert len(team.store.clicks()) == 1


def test_a_link_opens_its_own_pages_and_no_others(team):
    anna, ben = team.visit("anna"), team.visit("ben")
    item = ben.items()[0]
    assert anna.client.get(f"{ben.root}/").status_code == 401
    assert anna.client.get(f"{ben.root}/item/{item.id}").status_code == 401
    assert anna.client.get("/c/").status_code == 401
    sent = {"item": item.id, "base": 0, "clicks": [anna.click("empathy", 1)]}
    assert anna.client.post(f"{ben.root}/save", json=sent).status_code == 401
    anna.save(item.id, 0, anna.click("empathy", 1), expect=404)  # her page, his item
    begin(anna)
    assert anna.client.get(f"{anna.root}/item/{item.id}").status_code == 404
    assert TestClient(team.app, base_url="http://localhost").get("/").status_code == 401
    assert team.coordinator().get(f"{anna.root}/").status_code == 401
    assert team.store.clicks() == []


def test_links_cannot_be_tried_out_for_long(team):
    stranger = TestClient(team.app, base_url="http://localhost")
    answers = [stranger.get(f"/i/guess-{n}").status_code for n in range(30)]
    assert answers[0] == 401
    assert answers[-1] == 429
    assert team.visit("anna").client.get(f"{team.visit('anna').root}/").status_code == 200  # who has a link comes in


def test_other_sites_and_forms_cannot_click(team):
    anna = team.visit("anna")
    body = {"item": anna.items()[0].id, "base": 0, "clicks": [anna.click("empathy", 1)]}
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert anna.client.post(f"{anna.root}/save", json=body, headers=headers).status_code == 403
    assert anna.client.post(f"{anna.root}/save", data={"item": "x"}).status_code == 415
    assert anna.client.get(f"{anna.root}/", headers={"host": "evil.example"}).status_code == 421
    assert team.store.clicks() == []


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_stays_text_wherever_it_is_shown(tmp_path, text):
    team = make_team(tmp_path, [talk(f"m:{n}", f"m{n}", None, text) for n in range(2)], dimensions=("empathy",))
    anna, ben = team.visit("anna"), team.visit("ben")
    begin(anna, "<b>anna</b>"), begin(ben)
    for visit, level in ((anna, 0), (ben, 4)):
        for item in visit.items():
            visit.save(item.id, 0, visit.click("empathy", level), visit.click(None, text=text[:20_000]))
            visit.save(item.id, team.store.state(item.id).version, visit.click("empathy", text=text[:500]))
    coordinator = team.coordinator()
    pages = [page(anna, anna.items()[0]), coordinator.get("/c/").text, coordinator.get("/c/dialogue/0").text]
    for shown in pages:
        assert "<b>anna" not in shown
        assert "window.hacked" not in shown.replace("&lt;script&gt;window.hacked", "").replace(
            "window.hacked=true&#39;", ""
        )
        assert shown.count("</main>") == 1
        assert "\u202e" not in re.sub("(?s)<textarea.*?</textarea>", "", shown)  # where anna edits what she wrote
    given = ratings(team)
    assert {r.note for r in given} == {text[:20_000]}
    assert all(r.score is None for r in given)


def test_halves_of_characters_and_nulls_in_a_note_do_no_harm(team):
    anna = team.visit("anna")
    item = anna.items()[0].id
    raw = '{"item": "%s", "base": 0, "clicks": [{"id": "click-0001", "kind": "note", "text": "a\\ud83d b\\u0000", '
    raw += '"seconds": 1, "age": 0}]}'
    answer = anna.client.post(f"{anna.root}/save", content=raw % item, headers={"content-type": "application/json"})
    if answer.status_code == 200:
        assert team.store.state(item).note.endswith(" b")
    else:
        assert answer.status_code == 400


def test_the_coordinator_sees_progress_agreement_repeats_and_checks(tmp_path):
    team = make_team(tmp_path, made_talks(cards=4), repeat=0.25, attention=1, dimensions=("empathy", "overall"))
    for name, shift in (("anna", 0), ("ben", 1)):
        visit = team.visit(name)
        for n, item in enumerate(visit.items()):
            asked = item.level if name == "anna" and item.kind == "attention" else None
            level = (
                asked if asked is not None else (len(item.dialogue or "") + n * (item.kind == "dialogue") + shift) % 5
            )
            visit.rate(item.id, level)
    coordinator = team.coordinator()
    text = coordinator.get("/c/?language=en").text
    assert text.count("11 / 11") == 2
    assert "Krippendorff" in text
    assert "0 / 1" in text  # anna passed her check
    assert re.search(r"\d / 4 <small>", text)  # levels given a second time
    assert "/i/" in text
    assert coordinator.get("/c/dialogue/0").status_code == 200
    assert coordinator.get("/c/dialogue/99").status_code == 404
    for name in ("ratings.csv", "ratings.jsonl", "repeats.csv", "checks.csv", "history.csv"):
        answer = coordinator.get(f"/c/file/{name}")
        assert answer.status_code == 200
        assert "attachment" in answer.headers["content-disposition"]
    assert coordinator.get("/c/file/..%2Fclicks.sqlite3").status_code == 404
    assert len(ratings(team)) == 2 * 8 * 2  # neither repeats nor checks among them
    assert coordinator.get("/c/?language=zh").status_code == 200


def test_nobody_has_rated_yet_is_said(team):
    assert "No two people have rated the same yet." in team.coordinator().get("/c/").text


def test_a_reviewer_sees_the_first_scores_and_no_names(team):
    anna, carla = team.visit("anna"), team.visit("carla")
    begin(anna), begin(carla)
    item = anna.items()[0]
    anna.save(
        item.id,
        0,
        *(anna.click(key, 2) for key in team.study.dimensions[:-1]),
        anna.click(team.study.dimensions[-1], text="broken"),
    )
    assert carla.client.get(f"{carla.root}/next").url.path == f"{carla.root}/item/{carla.items()[0].id}"
    text = page(carla, carla.items()[0])
    assert text.count("First score: 2") == 6
    assert "Not rated at first: It is broken off" in text
    assert "anna" not in text
    assert "First score" not in page(anna, item)


def test_pairs_are_exported_with_their_sides(tmp_path):
    team = make_team(tmp_path, pairwise=True, steps=2, raters=("anna",))
    anna = team.visit("anna")
    begin(anna)
    places = list(team.study.dialogues)
    wanted = {}
    for n, item in enumerate(anna.items()):
        better = (-2, 0, 1)[n]
        anna.save(item.id, 0, anna.click("preference", better))
        a, b = sorted((item.dialogue, item.other), key=places.index)
        wanted[a, b] = (-better if item.dialogue == a else better, "a" if item.dialogue == a else "b")
    assert "Conversation B" in page(anna, anna.items()[0])
    anna.save(anna.items()[0].id, 1, anna.click("preference", 3), expect=400)
    write_files(team.store)
    lines = (team.store.path.parent / "preferences.jsonl").read_text().splitlines()
    given = [Preference.model_validate_json(line) for line in lines]
    assert {(p.dialogue_a, p.dialogue_b): (p.preference, p.left) for p in given} == wanted
    assert {p.steps for p in given} == {2}
    assert all(p.card_id and p.dialogue_a.endswith(p.card_id) for p in given)
    rows = list(csv.DictReader(io.StringIO((team.store.path.parent / "preferences.csv").read_text("utf-8-sig"))))
    assert {row["model_a"] for row in rows} == {"llama3"}
    assert team.coordinator().get("/c/").status_code == 200


RUBRIC = """
name: helped
version: "1"
levels: {levels}
dimensions: [{{key: useful, paper: Useful}}]
texts:
  en:
    system: s
    dialogue: "{{dialogue}}"
    ask: a
    lead: l
    seeker: Person
    supporter: Helper
    dimensions:
      useful: {{name: Useful, question: How was it, levels: {words}}}
"""


@pytest.mark.parametrize(
    ("levels", "words", "keys"),
    [
        ([0, 1], ["No", "Yes"], ["0", "1"]),
        ([1, 2, 3, 4, 5], list("abcde"), ["1", "2", "3", "4", "5"]),
        ([-1, 0, 1], list("abc"), ["1", "2", "3"]),
        (list(range(1, 11)), list("abcdefghij"), []),
        ([0, 5, 10], list("abc"), ["1", "2", "3"]),
    ],
)
def test_any_rubric_is_shown_and_kept_with_keys_where_there_are_enough(tmp_path, levels, words, keys):
    path = tmp_path / "helped.yaml"
    path.write_text(RUBRIC.format(levels=levels, words=words))
    team = make_team(tmp_path, rubric=path, raters=("anna",), language="zh")
    anna = team.visit("anna")
    begin(anna)
    item = anna.items()[0]
    text = page(anna, item, "zh")  # the rubric is worded in English alone, and says so to a screen reader
    assert re.findall(r'data-key="(.)"', text) == keys
    assert 'legend lang="en"' in text
    anna.save(item.id, 0, anna.click("useful", levels[0]))
    anna.save(item.id, 1, anna.click("useful", max(levels) + 1), expect=400)
    assert [(r.score, r.rubric) for r in ratings(team)] == [(levels[0], "helped/1")]
    table = read_table([team.store.path.parent / "ratings.csv"], (levels[0], levels[-1]))
    assert table.frame["score"].tolist() == [levels[0]]
