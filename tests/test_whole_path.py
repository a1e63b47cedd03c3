"""Two seekers, three repeats, people in danger and a third language go the whole way, and no step knows of them."""

import contextlib
import csv
import json
import re
import sys
from collections import Counter
from importlib import import_module

import pytest
from rating import Team
from starlette.testclient import TestClient
from typer.testing import CliRunner

import esc_eval
from esc_eval.files.records import load_cards, read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.app import Show, make_rating_app
from esc_eval.rate.store import Store
from esc_eval.rate.study import Design, load_study, prepare
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection
from esc_eval.web.words import load_words

NOISE = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")
LANGUAGES = ("en", "zh", "ja")
SEEKERS, SUPPORTERS = ("open", "closed"), ("warm", "cold")
CARDS, REPEATS = 6, 3
RATED = 12
DIALOGUES = CARDS * len(SUPPORTERS) * len(SEEKERS) * REPEATS
SAFETY, SUPPORT = load_rubric("safety"), load_rubric()
MODELS = '''
"""Seekers with a state, supporters that never say the same again, and a judge that answers what it is asked."""

import json
import re
from itertools import count

SAID, ASKED = count(), count()
SPOKEN = {"[ぁ-ん]": "毎晩よく眠れません", "[一-鿿]": "我晚上总是睡不着"}
ANSWERS = {"眠れ": "それはつらいですね", "睡不着": "这很难受"}


def seek(messages, start, often):
    system, rounds = messages[0]["content"], sum(m["role"] == "assistant" for m in messages)
    form = re.search("<state>.*?</state>", system)
    line = form and re.sub(r"(?<=: )0\\D+10|(?<=：)0\\D+10", str(start - rounds), form[0])
    leave = re.findall("<end: [^>]+>", system) if often and rounds == 2 else []
    said = next((said for script, said in SPOKEN.items() if re.search(script, system)), "I cannot sleep")
    return "\\n".join([line or "", f"{said} {next(SAID)}", *leave[:1]])


def seeker_open(messages):
    return seek(messages, 8, True)


def seeker_closed(messages):
    return seek(messages, 9, False)


def answer(messages):
    heard = messages[-1]["content"]
    return f"{next((answer for said, answer in ANSWERS.items() if said in heard), 'that is hard')} {next(SAID)}"


def warm(messages):
    return f"warm {answer(messages)}?"


def cold(messages):
    return f"cold {answer(messages)}."


def judge(messages):
    text, number = "\\n".join(m["content"] for m in messages), next(ASKED)
    if '"better"' in text:
        first = text.index("warm ") < text.index("cold ")
        return json.dumps({"reason": "It asks.", "better": 1 if first else 2})
    best = 2 if "N/A" in text else 4
    if "N/A" in text and number % 5 == 0:
        return "N/A"
    return str(best - (number % 7 == 0) - (2 - number % 2) * ("cold " in text))
'''


@pytest.fixture(autouse=True, scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "whole_path_models.py").write_text(MODELS, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield import_module("whole_path_models")
    sys.path.remove(str(folder))


def mixed_cards():
    """Two cards of people in danger in English and in Chinese, and two of the Japanese sample."""
    return [
        card
        for language in LANGUAGES
        for card in load_cards(("safety",) if language != "ja" else ("sample",), language=language)[-2:]
    ]


def python(name):
    return f"python:whole_path_models:{name}"


SIMULATE = (
    *("simulate", "--cards", "cards.jsonl", "--protocol", "course", "--rounds", 3),
    *(f for name in SUPPORTERS for f in ("--supporter", python(name))),
)
WHOLE = (*(f for name in SEEKERS for f in ("--seeker", f"{name}={python(f'seeker_{name}')}")), "--repeats", REPEATS)


def run(folder, *arguments, module="esc_eval.cli.app", code=0):
    with contextlib.chdir(folder):
        done = CliRunner().invoke(import_module(module).app, [*map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == code, (done.stderr, done.stdout, done.exception)
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("desk")
    write_jsonl(folder / "cards.jsonl", mixed_cards())
    run(folder, *SIMULATE, *WHOLE, "--out", "run")
    run(folder, "score", "--dialogues", "run", "--scorer", python("judge"))
    run(folder, "score", "--dialogues", "run", "--scorer", f"safe={python('judge')}", "--rubric", "safety")
    run(folder, "prefer", "run", "--judge", python("judge"))
    return folder


@pytest.fixture(scope="module")
def results(desk):
    return esc_eval.report(desk / "run")


def names(results):
    return {one.id: one for one in results.dialogues}


@NOISE
@pytest.mark.slow
class TestWholePath:
    def test_every_card_is_played_by_each_seeker_with_each_supporter_as_often(self, results):
        each = Counter((d.card_id, d.supporter, d.seeker) for d in results.dialogues)
        assert len(results.dialogues) == DIALOGUES
        assert set(each.values()) == {REPEATS}
        assert len(each) * REPEATS == DIALOGUES
        assert {d.language for d in results.dialogues} == set(LANGUAGES)
        assert all(turn.state.levels for d in results.dialogues for turn in d.turns if turn.role == "seeker")
        assert {d.end for d in results.dialogues if d.seeker == "open"} == {"goal_reached"}

    def test_each_board_has_its_n_and_harm_stands_before_any_mean(self, desk, results):
        boards = {(board.language, board.rater): board for board in results.summary.tables}
        assert boards.keys() == {(language, rater) for language in LANGUAGES for rater in ("judge", "safe")}
        for (_, rater), board in boards.items():
            assert {row.dialogues for row in board.rows} == {DIALOGUES // len(LANGUAGES) // len(SUPPORTERS)}
            assert bool(board.risk) == (rater == "safe")
            assert {one.most for one in board.repeats.supporters.values()} == {REPEATS}
        text = results.render("text")
        for part in re.split(r"(?=^\S+, rated by )", text, flags=re.MULTILINE):
            if "rated by safe under safety/1: mean" in part:
                assert part.index("\nHarm\n") < part.index("\nSupporter       rank")
        for board in boards.values():
            for row in board.rows:
                for cell in row.cells.values():
                    assert cell.mean.n + cell.not_applicable + cell.unscored == row.dialogues
            given = Counter((r.dimension, r.mark == "N/A") for r in results.ratings if r.rater == board.rater)
            assert any(exempt for _, exempt in given) == (board.rater == "safe")
        for key in SAFETY.keys:
            cells = [row.cells[key] for board in results.summary.tables if key in board.names for row in board.rows]
            scored = [r for r in results.ratings if r.dimension == key and r.score is not None]
            assert sum(cell.mean.n for cell in cells) == len(scored) < DIALOGUES

    def test_results_by_seeker_are_of_all_dialogues_where_some_dimensions_do_not_apply(self, results):
        assert len(results.by_seeker) == len(LANGUAGES) * 2
        each = DIALOGUES // len(LANGUAGES) // len(SUPPORTERS) // len(SEEKERS)
        for key, report in results.by_seeker.items():
            means = report.data["columns"]["average"]["means"]
            assert {mean.n for own in means.values() for mean in own.values()} == {each}, key
            language, rater, _ = key.split(", ")
            [board] = [b for b in results.summary.tables if (b.language, b.rater) == (language, rater)]
            assert {row.supporter for row in board.rows} == means.keys()

    def test_preferences_are_of_one_card_seeker_and_repeat(self, results):
        talks = names(results)
        asked = results.rows("preferences")
        assert len(asked) == DIALOGUES // 2 * 2
        for row in asked:
            a, b = talks[row["dialogue_a"]], talks[row["dialogue_b"]]
            assert (a.card_id, a.seeker, a.repeat) == (b.card_id, b.seeker, b.repeat)
            assert {row["model_a"], row["model_b"]} == set(SUPPORTERS)
        assert set(results.preference_reports) == {f"{language}, preference" for language in LANGUAGES}
        for report in results.preference_reports.values():
            judge = report.data["judges"]["judge"]
            assert judge["read_in_both_orders"] == judge["pairs"] == DIALOGUES // 2 // len(LANGUAGES)
            assert report.data["standings"]["judge"]["order"] == ["warm", "cold"]

    def test_every_form_of_the_report_has_all_parts(self, desk, results):
        content = json.loads(run(desk, "report", "run", "--format", "json"))
        assert content.keys() >= {"tables", "by_seeker", "preferences", "course"}
        assert content == json.loads(results.render("json")), "the command line and Python say the same"
        assert len(content["tables"]) == len(LANGUAGES) * 2
        page = (desk / "run/report.html").read_text(encoding="utf-8")
        for form in (page, results.render("markdown"), results.render("latex")):
            for part in ("Harm", "Repeats", "By seeker", "Preferences", "How talks end", "Japanese"):
                assert part in form, part

    def test_it_is_exported_a_file_a_seeker_and_repeat_and_what_has_no_form_stays(self, desk):
        run(desk, "export", "run", "--out", "official")
        files = list((desk / "official/result").iterdir())
        assert len(files) == len(LANGUAGES) * len(SUPPORTERS) * len(SEEKERS) * REPEATS
        scored = {path.name for path in (desk / "official/score").rglob("*.json")}
        assert scored == {path.name for path in files}
        with (desk / "official/preferences.csv").open(encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == DIALOGUES

    def test_it_is_built_into_a_data_set_that_is_whole_and_opens(self, desk):
        builder = "dataset_builder.__main__"
        run(desk, "build", "--runs", "run", "--out", "build", "--public", module=builder)
        run(desk, "check", "build", module=builder)
        datasets = pytest.importorskip("datasets")
        talks = datasets.load_dataset("parquet", data_files=str(desk / "build/dialogues/*.parquet"), split="train")
        assert len(talks) == DIALOGUES
        assert Counter(talks["seeker"]) == dict.fromkeys(SEEKERS, DIALOGUES // 2)
        assert set(talks.features["language"].int2str(talks["language"][:])) == set(LANGUAGES)

    def test_supporters_are_compared_under_the_rubric_that_is_asked_for(self, desk, results):
        assert "Choose one: --rubric NAME" in run(desk, "compare", "run", code=2)
        said = run(desk, "compare", "run", "--rubric", "safety", "--draws", 100)
        assert said.index("Harm. English, rated by safe") < said.index("English, rated by safe: ")
        table = results.tabulate(rubric="safety").frame
        assert set(table["rubric"]) == {SAFETY.id}
        assert set(table["seeker"]) == set(SEEKERS)
        report = json.loads(results.compare(rubric="safety", draws=100).to_json())
        assert {board["rater"] for board in report["boards"].values()} == {"safe"}
        assert "safety" not in run(desk, "power", "run", "--rubric", "esc-eval", "--repeats", "1,3")

    def test_people_rate_not_applicable_their_ratings_come_back_and_agree_with_the_judge(self, desk, tmp_path):
        study = load_study([desk / "run"], [], SAFETY, Design())
        store = Store(tmp_path / "people", make=True)
        prepare(store, study, ("anna", "ben"), None, ())
        team = Team(store, study, make_rating_app(store, study, Show(), language="ja"))
        rated = sorted(study.dialogues)[:: DIALOGUES // RATED]
        for name in ("anna", "ben"):
            visit = team.visit(name)
            places = {item.dialogue: item.id for item in visit.items()}
            for number, item in enumerate(places[one] for one in rated):
                first, *rest = SAFETY.keys
                doubt = visit.click(first, text="not_applicable") if number % 2 else visit.click(first, 2)
                visit.save(item, 0, doubt, *(visit.click(key, number % 3) for key in rest))
        run(tmp_path, "rate", "--out", "people", "--export")
        run(desk, "score", "--dialogues", "run", "--people", tmp_path / "people/ratings.jsonl")
        people = [r for r in read_ratings(desk / "run") if r.rater_kind == "human"]
        assert len(people) == 2 * RATED * len(SAFETY.keys)
        assert sum(bool(r.not_applicable) for r in people) == RATED
        run(desk, "agreement", "run", "--rubric", "safety", "--draws", 100, "--json", "agreement.json")
        told = json.loads((desk / "agreement.json").read_text(encoding="utf-8"))["dimensions"]
        assert all(told[key]["krippendorff_alpha_ordinal"]["n"] <= RATED for key in SAFETY.keys)

    def test_pages_show_it_in_each_language(self, desk, results):
        collection = Collection.open([desk / "run"])
        for code in LANGUAGES:
            client = TestClient(make_view(collection), base_url="http://127.0.0.1", headers={"accept-language": code})
            assert client.get("/").status_code == 200
            words = load_words(code, "view", "reporting").texts
            home = client.get("/").text
            of_safety = [board for board in collection.boards if board.table.risk]
            assert home.count(f">{words['term_harm']}<") == len(of_safety) >= len(LANGUAGES)
            page = client.get(f"/dialogues/{collection.entries[0].key}").text
            assert words["hidden_state"] in page
            assert words["repeat_n"].format(n=REPEATS) in page
            assert words["prefers"] in client.get("/side-by-side").text

    def test_shards_and_what_grows_are_the_run_of_one_call(self, desk, tmp_path):
        write_jsonl(tmp_path / "cards.jsonl", mixed_cards())
        for shard in ("1/2", "2/2"):
            run(tmp_path, *SIMULATE, *WHOLE, "--out", f"part{shard[0]}", "--shard", shard)
        run(tmp_path, "merge", "part1", "part2", "--out", "both")
        ids = {d.id for d in read_dialogues(desk / "run")}
        assert {d.id for d in read_dialogues(tmp_path / "both")} == ids
        run(tmp_path, *SIMULATE, *WHOLE[:2], "--out", "grown")
        assert len(read_dialogues(tmp_path / "grown")) == CARDS * len(SUPPORTERS)
        run(tmp_path, *SIMULATE, *WHOLE, "--out", "grown", "--quiet")
        assert len(read_dialogues(tmp_path / "grown")) == DIALOGUES
