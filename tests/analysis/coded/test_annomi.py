"""AnnoMI's turns of therapists, and the classifier of strategies against their annotators."""

import csv

import pytest
from made_strategies import made_file, made_tensors

from analysis.coded.annomi import COLUMNS, read, read_behaviours
from analysis.coded.common import CodedUtterance
from analysis.studies import strategies
from analysis.studies.strategies import measure_figures, transfer_report
from esc_eval.errors import EscEvalError
from esc_eval.scoring.strategies import StrategyClassifier
from esc_eval.statistics.bootstrap import Bootstrap

CODES = {"question": "What is it?", "therapist_input": "You could try rest.", "other": "Hello there."}


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return path


def rows_of(transcript, said):
    """Three annotators, of whom the last calls everything other."""
    rows = []
    for number, code in enumerate(said):
        rows.append([transcript, 2 * number, "client", f"So {number}", 0, "n/a"])
        for who in range(3):
            rows.append([transcript, 2 * number + 1, "therapist", CODES[code], who, code if who < 2 else "other"])
    return rows


@pytest.fixture
def turns(tmp_path):
    said = ["question", "therapist_input", "other", "question"]
    return read(write(tmp_path / "a.csv", [row for n in range(4) for row in rows_of(str(n), said)]))


def test_every_strategy_stands_for_one_behaviour_with_a_reason():
    behaviours = read_behaviours()
    named = [name for one in behaviours.values() for name in one.strategies]
    assert len(named) == len(set(named)) == 8
    assert all(one.reason for one in behaviours.values())


def test_turns_have_what_the_client_said_before_and_each_annotators_code(turns):
    assert len(turns) == 16
    assert (turns[1].before, turns[1].codes) == ("So 1", {"0": "therapist_input", "1": "therapist_input", "2": "other"})
    assert turns[0].majority() == "question"
    assert turns[0].majority(without="0") is None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (["1", "0", "therapist", "Hi", "0", "singing"], "a behaviour of question"),
        (["1", "x", "therapist", "Hi", "0", "other"], "a number as utterance_id"),
        (["1", "0", "nurse", "Hi", "0", "other"], "an interlocutor"),
    ],
)
def test_what_is_not_annomi_is_refused_with_its_line(tmp_path, row, why):
    with pytest.raises(EscEvalError, match=f"line 2.*{why}"):
        read(write(tmp_path / "a.csv", [row]))


def test_figures_without_words_are_the_same_in_any_language():
    assert measure_figures("Was denn nun?") == measure_figures("How you do?")


@pytest.mark.slow
def test_the_classifier_is_held_against_the_majority_beside_annotators(turns, monkeypatch):
    own = StrategyClassifier(made_file(), made_tensors())
    known = read_behaviours()
    cut = {
        code: one.model_copy(update={"strategies": tuple(s for s in one.strategies if s in own.file.strategies)})
        for code, one in known.items()
        if code != "reflection"
    }
    monkeypatch.setattr(strategies, "read_behaviours", lambda: cut)
    german = [
        CodedUtterance(f"g/{n}", "de", "supporter", text, "B", (), strategy)
        for n in range(20)
        for text, strategy in (("Was denn nun?", "Question"), ("Hallo", "Others"), ("Ja", None))
    ]
    labelled = [("What is it?", "Question"), ("Hello", "Others"), ("Try rest.", "Providing Suggestions")] * 3
    found = transfer_report(own, turns, german, labelled, Bootstrap(draws=200))
    english = found.data["annomi"]["figures"]
    assert english["made-strategies"]["kappa"][0].value == 1
    assert english["majority"]["kappa"][0].value == 0
    assert english["made-strategies"]["accuracy"][0].clusters == 4
    assert english["an annotator, against the others' majority"]["accuracy"][0].value < 1
    counts = found.data["gecco"]["counts"]
    assert (counts["sentences of counsellors"], counts["with a strategy"]) == (60, 40)
    carried = found.data["gecco"]["figures"]["figures without words, fitted to ESConv"]["accuracy"][0]
    assert carried.value == 1
    assert found.data["gecco"]["strategies"] == ["Question", "Others"]
