"""Scoring goes through dialogues as they come: what it writes, refuses and resumes is as if it held them."""

import numpy as np
import pytest
from made_tables import make_dialogues
from memory import measure_peak

from esc_eval import score
from esc_eval.errors import EscEvalError
from esc_eval.files import records
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import digest
from esc_eval.scoring.rater import Verdict
from esc_eval.simulation.run import Run, read_card


class Counting:
    """A rater that asks nobody and can stop in the middle."""

    name, parallel, identity = "counting", 3, {"kind": "counting", "model": "counting"}

    def __init__(self, stop_after=None):
        self.rated, self.stop_after = [], stop_after

    def check(self, rubric):
        self.keys = rubric.keys

    def verdicts(self, dialogues):
        assert len(dialogues) <= self.parallel
        for dialogue in dialogues:
            if len(self.rated) == self.stop_after:
                raise EscEvalError("stopped")
            self.rated.append(dialogue.id)
            level = int(digest(dialogue.id), 16) % 5
            yield dict.fromkeys(self.keys, Verdict(level, tuple(float(i == level) for i in range(5))))


@pytest.fixture
def stored(monkeypatch):
    monkeypatch.setattr(records, "HELD", 0)


def make_folder(folder, dialogues):
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    return folder


@pytest.fixture
def dialogues():
    return make_dialogues(np.random.default_rng(0), cards=4)


def spoken(dialogues):
    return [d.id for d in dialogues if d.answered and not d.problem]


def test_a_file_that_is_not_held_is_rated_as_one_that_is(tmp_path, monkeypatch, dialogues):
    def rate(held):
        monkeypatch.setattr(records, "HELD", held)
        folder = make_folder(tmp_path / str(held), dialogues)
        score(folder, rater := Counting())
        assert rater.rated == spoken(dialogues)
        return (folder / "ratings.jsonl").read_text(), read_card(folder)["scoring/counting"]["identity"]

    (text, identity), (other, same) = rate(0), rate(1 << 20)
    assert (text, identity) == (other, same)
    assert identity["dialogues"] == {"n": 8, "sha256": digest({d.id: d.content for d in dialogues})}


def test_a_large_file_with_half_a_character_is_rated_as_one_that_is_held(tmp_path, monkeypatch, dialogues):
    def rate(held):
        monkeypatch.setattr(records, "HELD", held)
        file = make_folder(tmp_path / str(held), dialogues) / "dialogues.jsonl"
        file.write_text(file.read_text().replace('"text":"', '"text":"so sad \\ud83d '))
        score(file.parent, Counting())
        return (file.parent / "ratings.jsonl").read_text()

    assert rate(0) == rate(1 << 20) != ""


def test_an_interrupt_says_what_is_kept_though_the_file_was_changed_meanwhile(tmp_path, stored, dialogues):
    folder = make_folder(tmp_path / "given", dialogues)

    class Changing(Counting):
        def verdicts(self, dialogues):
            if self.rated:
                with (folder / "dialogues.jsonl").open("a") as file:
                    file.write("\n")
                raise KeyboardInterrupt
            return super().verdicts(dialogues)

    with pytest.raises(KeyboardInterrupt) as stopped:
        score(folder / "dialogues.jsonl", rater := Changing(), out=tmp_path / "out")
    [kept] = stopped.value.__notes__
    assert "Kept in" in kept
    with Run(tmp_path / "out") as run:
        whole = [count for count in run.owners("scoring/counting").values() if count == len(rater.keys)]
    assert 0 < len(whole) < len(dialogues)
    assert f"the ratings of {len(whole)} of {len(dialogues)} dialogues by counting" in kept


def test_an_interrupt_reads_no_file_again_to_say_what_is_kept(tmp_path, stored, dialogues, monkeypatch):
    folder, read = make_folder(tmp_path, dialogues), []
    own = records.StoredDialogues.each_id
    monkeypatch.setattr(records.StoredDialogues, "each_id", lambda stored: read.append(stored) or own(stored))

    class Stopped(Counting):
        def verdicts(self, dialogues):
            if self.rated:
                read.clear()
                raise KeyboardInterrupt
            return super().verdicts(dialogues)

    with pytest.raises(KeyboardInterrupt) as stopped:
        score(folder, Stopped())
    assert "Kept in" in stopped.value.__notes__[0]
    assert read == []


def test_the_results_of_a_large_file_that_was_rated_are_read_when_they_are_asked_for(tmp_path, stored, dialogues):
    results = score(make_folder(tmp_path, dialogues), Counting())
    assert not {"dialogues", "ratings", "_talks", "_given"} & vars(results).keys()
    assert results.is_rated
    assert [row.dialogues for row in results.summary.tables[0].rows]


def test_what_was_stopped_goes_on_where_it_was(tmp_path, stored, dialogues):
    folder = make_folder(tmp_path, dialogues)
    whole = spoken(dialogues)
    with pytest.raises(EscEvalError, match="stopped"):
        score(folder, first := Counting(stop_after=4))
    score(folder, second := Counting())
    assert first.rated[:3] + second.rated == whole  # a batch of three was written, the one in hand was not
    score(folder, third := Counting())
    assert third.rated == []
    assert {r.dialogue_id for r in read_ratings(folder)} == {d.id for d in dialogues}


def test_a_dialogue_that_is_partly_rated_gets_the_rest(tmp_path, stored, dialogues):
    folder = make_folder(tmp_path, dialogues)
    score(folder, Counting())
    before, name = (folder / "ratings.jsonl").read_text(), spoken(dialogues)[2]
    with Run(folder) as run:
        run.forget("scoring/counting", name, 5)
    score(folder, rater := Counting())
    assert rater.rated == [name]
    assert (folder / "ratings.jsonl").read_text() == before


def test_more_dialogues_join_and_changed_ones_are_refused(tmp_path, stored, dialogues):
    folder = make_folder(tmp_path / "run", dialogues[:5])
    score(folder, Counting())
    write_jsonl(tmp_path / "more.jsonl", dialogues)
    score(tmp_path / "more.jsonl", rater := Counting(), out=folder)
    assert rater.rated == spoken(dialogues[5:])
    with Run(folder) as run:
        assert list(run.members("scoring/counting")) == [d.id for d in dialogues]
    changed = [d.model_copy(update={"category": "work_and_study"}) if i < 2 else d for i, d in enumerate(dialogues)]
    make_folder(folder, changed)
    with pytest.raises(EscEvalError, match=f"{dialogues[0].id!r} and 1 more dialogues read otherwise than when"):
        score(folder, Counting())
    with Run(folder) as run:
        assert run.members("scoring/counting") == {d.id: d.content for d in dialogues}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("delete from members where id = ?", r"ratings of '.*' are there, and no dialogue that was rated is called so"),
        ("update members set json = 'x' where id = ?", "is no JSON"),
        ("update records set json = '{' where owner = ? and position = 3", "a record of kind scoring/counting"),
    ],
)
def test_a_damaged_ledger_is_refused_before_anything_is_rated(tmp_path, stored, dialogues, change, why):
    folder = make_folder(tmp_path, dialogues)
    score(folder, Counting())
    with Run(folder) as run:
        run._database.execute(change, (dialogues[0].id,))
    with pytest.raises(EscEvalError, match=why):
        score(folder, Counting(), progress=None)


def test_results_of_a_large_run_are_scored_in_its_folder(tmp_path, stored, dialogues):
    from esc_eval import Results, rejudge

    folder = make_folder(tmp_path, dialogues)
    score(Results.load(folder), Counting())
    other = Counting()
    other.name = "other"
    [told] = rejudge(folder, other)
    assert told.data["n"] if "n" in told.data else told.to_text()
    assert {r.rater for r in read_ratings(folder)} == {"counting", "other"}


@pytest.mark.slow
def test_scoring_takes_little_memory_for_each_dialogue_more(tmp_path, stored):
    def peak(cards):
        folder = make_folder(tmp_path / str(cards), make_dialogues(np.random.default_rng(0), cards))
        return measure_peak(lambda: score(folder, Counting()))

    peak(2)  # what is loaded once
    few, many = peak(100), peak(500)
    assert (many - few) / 800 < 2000  # held, a dialogue takes about 40,000 bytes with its ratings
