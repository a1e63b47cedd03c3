"""What supporters do, by strategy: tables, claims, rows, and every place that shows them."""

import csv
import io
import json

import numpy as np
import pytest
from made_strategies import ADVISE, ASK, NAMES, OTHER, made_file, made_tensors, write_strategies
from typer.testing import CliRunner

from esc_eval import Results, report
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.strategies import COLUMNS, list_rows, strategy_report, word_replies
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring.strategies import StrategyClassifier
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.view.collection import Collection

CLASSIFIER = StrategyClassifier(made_file(), made_tensors())
BOOT = Bootstrap(draws=300)
SAID = {ASK: "What is it?", ADVISE: "You could try rest.", OTHER: "Hello there.", None: "Zyx wvu tsr qpo."}


def talk(number, supporter, *mains, language="en"):
    turns = [
        turn
        for main in mains
        for turn in (
            Turn(role="seeker", text="So what then"),
            Turn(role="supporter", text=SAID.get(main, main)),
        )
    ]
    return Dialogue(
        id=f"{supporter}:{number}", card_id=f"c{number}", language=language, supporter=supporter, turns=tuple(turns)
    )


ADVISERS = [talk(n, "adviser", ADVISE, ADVISE) for n in range(12)]
LIKE_PEOPLE = [talk(n, "plain", ASK, ADVISE) for n in range(12)]


@pytest.fixture(scope="module")
def found():
    return strategy_report(CLASSIFIER, [*ADVISERS, *LIKE_PEOPLE], BOOT)


def test_shares_are_of_replies_and_stand_beside_peoples(found):
    own = found.data["supporters"]
    assert own["adviser"]["shares"][ADVISE].value == pytest.approx(1, abs=1e-3)
    assert own["plain"]["shares"][ASK].value == pytest.approx(0.5, abs=1e-3)
    assert found.data["people"]["labels"][ASK].value == pytest.approx(0.5)
    assert own["adviser"]["shares"][ADVISE].clusters == 12
    assert {own["adviser"][key] for key in ("replies", "unknown_replies")} == {24, 0}


def test_repetition_is_beside_chance(found):
    own = found.data["supporters"]
    assert (own["adviser"]["repeated"].value, own["plain"]["repeated"].value) == (1, 0)
    assert own["plain"]["beyond"].value == pytest.approx(-0.5, abs=1e-3)
    assert own["adviser"]["by_round"]["2"][ADVISE].n == 12


def mixed(count, share):
    """Dialogues of which a share of the replies advises, the others ask."""
    return [
        talk(n, "mixed", *(ADVISE if (7 * n + k) % 10 < 10 * share else ASK for k in range(2))) for n in range(count)
    ]


def varied_people():
    rng = np.random.default_rng(0)
    return made_tensors(mixes=np.eye(3)[rng.choice(3, 80, p=[0.6, 0.3, 0.1])])


def test_over_used_is_what_both_intervals_carry():
    own = StrategyClassifier(made_file(), varied_people())
    found = strategy_report(own, mixed(40, 0.9), BOOT).data["supporters"]["mixed"]
    assert found["over_used"] == [ADVISE]
    assert found["under_used"] == [ASK, OTHER] or found["under_used"] == [ASK]
    few = strategy_report(own, mixed(9, 0.9), BOOT)
    assert few.data["supporters"]["mixed"]["over_used"] == []
    assert any("nothing is over-used or under-used" in note for note in few.notes)


def test_errors_of_the_classifier_are_taken_out():
    mistaken = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.0, 0.4, 0.6]])
    own = StrategyClassifier(made_file(), made_tensors(reading=mistaken))
    found = strategy_report(own, mixed(20, 0.7), BOOT).data["supporters"]["mixed"]
    assert found["shares"][ADVISE].value == pytest.approx(0.7, abs=0.01)
    assert found["corrected"][ADVISE].value == pytest.approx(0.5, abs=0.02)


def test_unknown_replies_are_counted_and_in_no_share():
    found = strategy_report(CLASSIFIER, [talk(n, "odd", ASK, None) for n in range(4)], BOOT)
    own = found.data["supporters"]["odd"]
    assert (own["replies"], own["unknown_replies"], own["shares"][ASK].n) == (8, 4, 4)
    assert sum(own["unknown_sentences"].values()) == 4
    assert any("4 of 8 sentences are unknown" in note for note in found.notes)
    assert any("(4 dialogues; 4 of 8 replies unknown, in no share)" in note for note in found.notes)


def test_a_supporter_of_whom_nothing_is_known_has_no_figure():
    found = strategy_report(CLASSIFIER, [talk(1, "odd", None), *ADVISERS], BOOT)
    assert found.data["supporters"]["odd"]["shares"][ASK].value is None
    assert "over_used" not in found.data["supporters"]["odd"]
    assert "undefined" in found.to_text()


def test_other_languages_are_left_out_with_a_sentence():
    mixture = [*ADVISERS, talk(99, "adviser", "\u4f60\u597d", language="zh")]
    found = strategy_report(CLASSIFIER, mixture, BOOT)
    assert "The classifier reads English alone; 1 dialogue in Chinese is left out." in found.notes
    alone = strategy_report(CLASSIFIER, mixture[-1:], BOOT)
    assert alone.data["supporters"] == {}
    assert alone.tables == []


def test_a_row_a_sentence_says_where_it_stands():
    rows = list(list_rows(CLASSIFIER, [talk(1, "a", "What is it? Zyx wvu tsr qpo.")]))
    assert [tuple(rows[0])] == [(*COLUMNS, *NAMES)]
    assert [(row["position"], row["segment"], row["strategy"]) for row in rows] == [(1, 0, ASK), (1, 1, None)]
    assert rows[0][ASK] == rows[0]["probability"] > 0.99
    assert "unknown words" in rows[1]["unknown"]


def test_a_reply_is_worded_with_its_probabilities():
    one = talk(1, "a", "Hello there. What is it?", "...", None)
    words = word_replies(NAMES, CLASSIFIER.read(one))
    assert words[1] == "Others 1.00 \u00b7 Question 1.00"
    assert words[3] == "unknown: it holds no word"
    assert words[5].startswith("1 of 1 sentences unknown: share of unknown words")


def rated(dialogues):
    rubric = load_rubric()
    return [
        Rating(dialogue_id=one.id, dimension=key, rater="r", rater_kind="human", rubric=rubric.id, score=2)
        for one in dialogues
        for key in rubric.keys
    ]


@pytest.fixture
def folder(tmp_path):
    return write_strategies(tmp_path / "made")


def test_python_gives_report_and_rows(folder):
    results = Results(ADVISERS, classifier=folder)
    assert results.strategies(BOOT).data["supporters"]["adviser"]["repeated"].value == 1
    assert len(results.rows("strategies")) == 24
    assert set(results.to_pandas("strategies")["strategy"]) == {ADVISE}


@pytest.mark.slow
def test_the_report_shows_them_only_where_they_are_asked_for(folder, tmp_path):
    results = Results([*ADVISERS, *LIKE_PEOPLE], rated([*ADVISERS, *LIKE_PEOPLE]))
    plain = results.render("json")
    assert "strategies" not in json.loads(plain)
    told = report(results, strategies=folder, out=tmp_path / "out")
    assert json.loads(told.render("json"))["strategies"]["made-strategies"]["supporters"].keys() == {"adviser", "plain"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<p class="strategies" lang="en">Providing Suggestions 1.00</p>' in page
    assert "Repetition" in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "strategies.csv").read_text(encoding="utf-8-sig"))))
    assert len(rows) == 48
    assert rows[0]["strategy"] == ADVISE
    assert results.render("json") == plain


def test_a_table_of_somebody_else_is_left_alone(folder, tmp_path):
    (tmp_path / "strategies.csv").write_text("mine\n")
    with pytest.raises(EscEvalError, match="is no table of strategies"):
        report(Results(ADVISERS), strategies=folder, out=tmp_path)


@pytest.mark.slow
def test_names_from_others_are_no_formula_and_no_markup(folder, tmp_path):
    hostile = [one.model_copy(update={"supporter": "=1+1<b>"}) for one in ADVISERS]
    told = report(Results(hostile, rated(hostile)), strategies=folder, out=tmp_path / "out")
    assert "1+1<b>" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    first = (tmp_path / "out" / "strategies.csv").read_text(encoding="utf-8").splitlines()[1]
    assert ",=1" not in first
    assert "=1+1" in told.render()


def test_the_command_needs_no_rating(folder, tmp_path):
    write_jsonl(tmp_path / "d.jsonl", ADVISERS)
    given = ["report", "--dialogues", str(tmp_path / "d.jsonl"), "--strategies", str(folder), "--format", "json"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.stderr
    [own] = json.loads(done.stdout)["strategies"].values()
    assert own["supporters"]["adviser"]["dialogues"] == 12
    wrong = CliRunner().invoke(app, [*given[:3], "--strategies", "nowhere"])
    assert wrong.exit_code != 0
    assert "no classifier of strategies nowhere" in wrong.stderr


@pytest.mark.slow
def test_the_pages_of_view_show_them_beside_each_reply(folder, tmp_path):
    pytest.importorskip("starlette")
    from starlette.testclient import TestClient

    from esc_eval.scoring.strategies import open_strategies
    from esc_eval.view.app import make_view

    Results([*ADVISERS, *LIKE_PEOPLE]).save(tmp_path / "run")
    for classifier, times in ((None, 0), (open_strategies(folder), 2)):
        collection = Collection.open([tmp_path / "run"], classifier=classifier)
        client = TestClient(make_view(collection), base_url="http://127.0.0.1:8600")
        page = client.get(f"/dialogues/{collection.entries[0].key}").text
        assert page.count("Providing Suggestions 1.00") == times
        assert (
            client.get(f"/side-by-side?first={collection.entries[0].key}").text.count(' class="strategies"')
            == 2 * times
        )
