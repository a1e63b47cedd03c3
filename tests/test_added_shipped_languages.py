"""Japanese and German go the whole way: played, rated by a judge and by people, shown, reported, exported and built."""

import contextlib
import json
import re
import sys
from importlib import import_module

import pytest
from rating import Team
from starlette.testclient import TestClient
from typer.testing import CliRunner

from esc_eval.files.records import load_cards, read_dialogues, read_ratings
from esc_eval.languages import get_language, language_codes
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.app import Show, make_rating_app
from esc_eval.rate.store import Store
from esc_eval.rate.study import Design, load_study, prepare
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")]
SAID = {
    "ja": ("それはつらかったですね。いつからですか。", "少し休んでみませんか。", "評価は{level}点です。"),
    "de": ("Das klingt schwer. Seit wann?", "Du solltest dich ausruhen.", "Die Punktzahl ist {level}."),
}
MODELS = """
def seeker(messages):
    trouble = messages[0]["content"].partition({mark!r})[2].split("\\n")[0]
    return trouble[15 * len(messages) - 15 :][:30]


def judge(messages):
    asked = messages[-1]["content"]
    assert {supporter!r} in asked, "the rubric in the language of the dialogue"
    return {answer!r}.format(level=len(asked) % 3 + 1)
"""


@pytest.fixture(scope="module", params=[code for code in language_codes() if not get_language(code).in_release])
def desk(request, tmp_path_factory):
    """A folder with scripted models of a language, a judge that is a function, and a run of four cards."""
    code = request.param
    folder = tmp_path_factory.mktemp(code)
    *replies, answer = SAID[code]
    for name, said in {"warm": replies, "cold": replies[::-1]}.items():
        (folder / f"{name}.json").write_text(json.dumps({"replies": said}), encoding="utf-8")
    words = get_language(code).card
    mark, supporter = f"{words.fields[-1]}{words.mark}", load_rubric().text(code).supporter
    content = MODELS.format(mark=mark, supporter=supporter, answer=answer)
    (folder / f"models_{code}.py").write_text(content, encoding="utf-8")
    sys.path.insert(0, str(folder))
    seeker = f"python:models_{code}:seeker"
    supporters = "--supporter", "scripted:warm.json", "--supporter", "scripted:cold.json"
    how = "--language", code, "--limit", "4", "--rounds", "2", "--out", "run"
    run(folder, "simulate", *how, "--seeker", seeker, *supporters)
    run(folder, "score", "--dialogues", "run", "--scorer", f"python:models_{code}:judge")
    yield folder, code
    sys.path.remove(str(folder))


def run(folder, *arguments, module="esc_eval.cli.app"):
    with contextlib.chdir(folder):
        done = CliRunner().invoke(import_module(module).app, [*map(str, arguments)])
    assert done.exit_code == 0, (done.stderr, done.exception)
    return done.stdout


def test_cards_are_its_own_and_every_answer_of_the_judge_is_read(desk):
    folder, code = desk
    assert {d.card_id for d in read_dialogues(folder / "run")} == {c.id for c in load_cards(language=code, limit=4)}
    ratings = read_ratings(folder / "run")
    assert len(ratings) == 2 * 4 * 7
    assert {r.score for r in ratings} <= {1, 2, 3}


def test_the_report_names_it_and_signs_with_the_hash_of_its_wording(desk):
    folder, code = desk
    board = run(folder, "report", "run")
    assert f"{get_language(code).name}, rated by judge" in board
    assert re.search(rf"rubric:esc-eval/1@[0-9a-f]{{8}}\+{code}@[0-9a-f]{{8}}", "".join(board.split()))


def test_the_default_scorer_gives_no_number_in_it_and_says_why(desk, tmp_path):
    folder, code = desk
    board = run(folder, "score", "--dialogues", "run", "--out", tmp_path / "by-default")
    assert "no valid scorer" in board
    assert f"nothing is shown for {get_language(code).name}" in " ".join(board.split())
    assert all(rating.score is None for rating in read_ratings(tmp_path / "by-default"))


def test_people_rate_in_its_words_and_their_ratings_agree_and_are_compared(desk, tmp_path):
    folder, code = desk
    words = {name: get_language(code).read_data(f"interface/{name}.yaml") for name in ("base", "rate")}
    study = load_study([folder / "run"], [], load_rubric(), Design())
    store = Store(tmp_path / "people", make=True)
    prepare(store, study, ("anna", "ben"), None, ())
    team = Team(store, study, make_rating_app(store, study, Show(), language=code))
    for name in ("anna", "ben"):
        visit = team.visit(name)
        assert words["rate"]["start_title"] in visit.client.get(visit.root).text
        for number, item in enumerate(visit.items()):
            visit.rate(item.id, level=number % 4 + (name == "ben"))
    run(tmp_path, "rate", "--out", "people", "--export")
    told = run(tmp_path, "agreement", "people/ratings.csv", "--draws", "100")
    assert "Fluency" in told or "fluency" in told


def test_pages_show_it_in_its_words_and_say_whose_review_its_cards_lack(desk):
    folder, code = desk
    words = get_language(code).read_data("interface/view.yaml")
    collection = Collection.open([folder / "run"])
    client = TestClient(make_view(collection), base_url="http://127.0.0.1", headers={"accept-language": code})
    assert words["nav_boards"] in client.get("/").text
    page = client.get(f"/dialogues/{collection.entries[0].key}").text
    assert words["unreviewed"].format(who="native speakers") in page


def test_it_is_exported_in_the_form_of_the_release_and_built_into_a_data_set_that_is_whole(desk, tmp_path):
    folder, code = desk
    run(folder, "export", "run", "--out", tmp_path / "official")
    assert {path.name for path in (tmp_path / "official/result").iterdir()} == {
        f"warm_{code}.json",
        f"cold_{code}.json",
    }
    builder = "dataset_builder.__main__"
    run(folder, "build", "--runs", "run", "--out", tmp_path / "build", "--public", module=builder)
    run(folder, "check", tmp_path / "build", module=builder)
    card = (tmp_path / "build/README.md").read_text(encoding="utf-8")
    assert get_language(code).name in card
    assert "not reviewed" in card
