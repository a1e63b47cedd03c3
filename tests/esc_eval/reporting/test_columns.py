"""What is counted from columns is what is counted from the records themselves, held or read anew from a file."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_tables import RUBRIC, make_dialogues, make_ratings
from memory import measure_peak

from esc_eval import Results, report
from esc_eval.errors import EscEvalError
from esc_eval.files import records, scratch
from esc_eval.files.chosen import Chosen
from esc_eval.files.records import Stored, open_dialogues, open_ratings, read_dialogues
from esc_eval.files.scratch import is_mapped
from esc_eval.files.writing import write_jsonl
from esc_eval.reporting import columns
from esc_eval.reporting.columns import DialogueColumns, Ids, RatingColumns
from esc_eval.reporting.summary import _build_board, keep_last_word, summarise_ratings
from esc_eval.schema import Dialogue, Rating, SeekerState, Turn, digest, digest_each
from esc_eval.statistics import bootstrap, ranking
from esc_eval.statistics.ranking import Board

CASES = {
    "plain": ({}, {}),
    "two judges, three stages by people": (
        {},
        {"raters": ("judge", "other"), "people": ("p", "q"), "stages": ("first", "talk", "review")},
    ),
    "repeats, two seekers": ({"repeats": 2, "seekers": ("s", "t")}, {}),
    "some cards unknown, dimensions without scorer": ({"known_cards": False}, {"unsupported": RUBRIC.keys[4:]}),
}


def make(case, seed=0):
    rng = np.random.default_rng(seed)
    played, rated = CASES[case]
    dialogues = make_dialogues(rng, **played)
    return dialogues, make_ratings(rng, dialogues[1:], **rated)


def write_run(folder, dialogues, ratings):
    write_jsonl(folder / "dialogues.jsonl", dialogues)
    if ratings:
        write_jsonl(folder / "ratings.jsonl", ratings)
    return folder


@pytest.fixture
def stored(monkeypatch):
    """Files of any size are large."""
    monkeypatch.setattr(records, "HELD", 0)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_not_held_has_the_report_of_one_that_is(tmp_path, stored, case):
    dialogues, ratings = make(case)
    run = Results.load(write_run(tmp_path, dialogues, ratings))
    held = Results(dialogues, ratings)
    assert run.render("json") == held.render("json")
    run.write_report(tmp_path)
    assert (tmp_path / "report.html").read_text() == write_page(tmp_path / "held", held)
    assert run.dialogues == tuple(dialogues)
    assert run.ratings == tuple(ratings)


def write_page(folder, results):
    folder.mkdir()
    results.write_report(folder)
    return (folder / "report.html").read_text()


def test_a_report_of_a_large_file_holds_no_record(tmp_path, stored):
    dialogues, ratings = make("plain")
    results = report(write_run(tmp_path, dialogues, ratings), out=tmp_path)
    assert results.is_rated
    assert not {"dialogues", "ratings"} & vars(results).keys()


def test_a_report_of_several_large_folders_holds_no_record_and_is_that_of_those_that_are_held(tmp_path, monkeypatch):
    dialogues, ratings = make("plain", seed=4)
    for name, models in (("a", ("warm", "other")), ("b", ("cold",))):
        (tmp_path / name).mkdir()
        own = [one for one in dialogues if one.supporter in models]
        rated = [one for one in ratings if one.dialogue_id in {talk.id for talk in own}]
        write_run(tmp_path / name, own, rated)
    folders = [tmp_path / "a", tmp_path / "b"]
    held = Results.join(folders).render("json")
    monkeypatch.setattr(records, "HELD", 0)
    joined = Results.join(folders)
    assert joined.render("json") == held
    assert not {"dialogues", "ratings"} & vars(joined).keys()
    assert sorted(one.id for one in joined.dialogues) == sorted(one.id for one in dialogues)
    assert len(joined.ratings) == len(ratings)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("expected", [False, True])
def test_a_board_of_columns_is_the_board_of_rows(case, expected):
    dialogues, ratings = make(case, seed=1)
    dialogues = [d for d in dialogues if any(r.dialogue_id == d.id for r in ratings)]
    talks = DialogueColumns.of(dialogues)
    found = _build_board(talks, RatingColumns.of(ratings, talks), RUBRIC, expected, RUBRIC.keys[5:])
    by_card = all(d.card_id is not None for d in dialogues)
    of = {d.id: (d.supporter, d.card_id if by_card else d.id) for d in dialogues}
    levels = [r.expected if expected else r.score for r in ratings]
    rows = [
        (r.dialogue_id, *of[r.dialogue_id], r.dimension, r.rater, np.nan if level is None else level)
        for r, level in zip(ratings, levels, strict=True)
    ]
    turned = [d.key for d in RUBRIC.dimensions if d.lower_is_better]
    board = Board.build(rows, RUBRIC.keys, (0, 4), turned, RUBRIC.keys[5:], even=by_card)
    for name in (*vars(board).keys() - {"tell_given"}, "given"):
        np.testing.assert_equal(getattr(found, name), getattr(board, name), err_msg=name)


@given(st.lists(st.text(st.characters(codec=None), max_size=20) | st.sampled_from(["a" * 8, "a" * 16, "a" * 8 + "\0"])))
def test_ids_that_are_held_as_bytes_are_the_ids_in_the_order_of_texts(names):
    ids = Ids.of(names)
    assert (list(ids), len(ids), ids[-1:]) == (names, len(names), names[-1:])
    assert [names[i] for i in ids.order()] == sorted(names)
    some = ids.take(np.arange(len(names)) % 2 == 1)
    assert list(some) == names[1::2]
    assert [some[i] for i in some.order()] == sorted(names[1::2])


def test_a_dialogue_is_found_by_its_id_in_any_order_and_among_some_too():
    dialogues, _ = make("plain")
    talks = DialogueColumns.of(dialogues)
    find = talks.finder()
    for names in (sorted(talks.ids), list(talks.ids), list(reversed(talks.ids))):
        assert [find(name) for name in names] == [list(talks.ids).index(name) for name in names]
    assert (find(""), find("nobody"), find("~")) == (-1, -1, -1)
    own = talks.where(lambda about: about.supporter, dialogues[0].supporter)
    some = talks.take(own)
    assert [some.ids[i] for i in some.by_id] == sorted(d.id for d in dialogues if d.supporter == dialogues[0].supporter)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "two judges, three stages by people"])
def test_runs_that_are_joined_or_compared_and_not_held_are_as_those_that_are(tmp_path, monkeypatch, case):
    dialogues, ratings = make(case)
    folders = []
    for number in range(2):
        own = [d for d in dialogues if int(d.card_id[4:]) % 2 == number]
        ids = {d.id for d in own}
        (tmp_path / str(number)).mkdir()
        folders.append(write_run(tmp_path / str(number), own, [r for r in ratings if r.dialogue_id in ids]))

    def show(held):
        monkeypatch.setattr(records, "HELD", held)
        joined = Results.join(folders)
        return joined.render("json"), write_page(tmp_path / f"held up to {held}", joined), joined.compare().to_json()

    assert show(0) == show(1 << 20)
    monkeypatch.setattr(records, "HELD", 0)
    whole = Results.load(write_run(tmp_path, dialogues, ratings))
    assert whole.compare().to_json() == Results(dialogues, ratings).compare().to_json()


def test_comparing_and_joining_large_files_holds_no_record(tmp_path, stored):
    dialogues, ratings = make("plain")
    results = Results.load(write_run(tmp_path, dialogues, ratings))
    results.compare(draws=200)
    joined = Results.join([results])
    joined.compare(draws=200)
    assert not {"dialogues", "ratings"} & (vars(results).keys() | vars(joined).keys())


def test_what_is_counted_is_what_the_records_say():
    dialogues, ratings = make("plain", seed=2)
    [*boards] = summarise_ratings(dialogues, ratings, RUBRIC).tables
    assert {board.language for board in boards} == {"en", "zh"}
    by_id = {d.id: d for d in dialogues}
    for board in boards:
        for row in board.rows:
            own = [r for r in ratings if by_id[r.dialogue_id].supporter == row.supporter
                   and by_id[r.dialogue_id].language == board.language]  # fmt: skip
            talks = [by_id[name] for name in dict.fromkeys(r.dialogue_id for r in own)]
            replies = [turn for d in talks for turn in d.replies]
            assert row.problems == Counter(r.problem for r in own if r.problem)
            assert row.replies == len(replies)
            assert row.empty_replies == sum(not turn.text for turn in replies)
            assert row.low_mass == sum(r.mass is not None and r.mass < 0.5 for r in own)
            assert row.unanswered == sum(d.problem is not None or not d.answered for d in talks)
            for key, cell in row.cells.items():
                scores = Counter(r.score for r in own if r.dimension == key)
                assert cell.counts == tuple(scores[level] for level in RUBRIC.levels)


def test_the_last_word_of_people_is_that_of_the_latest_stage_with_a_score():
    common = {"dialogue_id": "d", "dimension": "empathy", "rater": "p", "rater_kind": "human", "rubric": RUBRIC.id}
    first = Rating(**common, score=1, stage="first")
    review = Rating(**common, problem="left out", stage="review")
    talk = Rating(**common, score=2, stage="talk")
    assert keep_last_word([review, first]) == [first]
    assert keep_last_word([talk, first]) == [talk]
    assert keep_last_word([first, talk, review]) == [talk]


def test_kinds_are_counted_in_order_of_first_appearance():
    dialogues, ratings = make("plain", seed=3)
    given = RatingColumns.of(ratings, DialogueColumns.of(dialogues))
    assert [said.dimension for said, _ in given.counted()][:2] == [r.dimension for r in ratings][:2]
    assert [(r.dimension, r.score, r.problem) for r in given.examples] == [
        (said.dimension, said.score, said.problem) for said, _ in given.counted()
    ]
    where = given.having(lambda said: said.score == 3)
    assert sum(n for _, n in given.counted(where)) == sum(r.score == 3 for r in ratings)


def test_the_seekers_course_is_that_of_the_dialogues(tmp_path, stored):
    def talk(number):
        levels = [{"name": "distress", "low": 0, "high": 10, "value": number}]
        turns = [Turn(role="seeker", text="Hm.", state=SeekerState.model_validate({"raw": "x", "levels": levels})),
                 Turn(role="supporter", text="Yes.")] * (1 + number % 2)  # fmt: skip
        return Dialogue(id=f"d{number}", language="en", turns=turns, supporter="m", card_id=f"c{number}", end="goodbye")

    talks = [talk(number) for number in range(6)]
    run, held = Results.load(write_run(tmp_path, talks, [])), Results(talks)
    assert run.course["course"].to_json() == held.course["course"].to_json()
    assert "course" in held.course


def test_records_of_a_file_are_read_anew_and_only_of_that_file(tmp_path, stored):
    dialogues, ratings = make("plain")
    talks, given = (open_(write_run(tmp_path, dialogues, ratings)) for open_ in (open_dialogues, open_ratings))
    assert isinstance(talks, Stored)
    assert (list(talks), list(talks), list(given)) == (dialogues, dialogues, ratings)
    assert (talks[1], talks[-1], talks[2:4], len(given)) == (dialogues[1], dialogues[-1], dialogues[2:4], len(ratings))
    write_jsonl(tmp_path / "dialogues.jsonl", dialogues[:3])
    with pytest.raises(EscEvalError, match="was changed since it was read; open it again"):
        list(talks)


def test_records_of_a_file_are_read_where_they_begin(tmp_path, stored):
    dialogues, _ = make("plain")
    lines = [one.to_json() for one in dialogues]
    lines[1] = lines[1].replace('"text":"', '"text":"half a \\ud83d 字', 1)
    (tmp_path / "dialogues.jsonl").write_text("\ufeff\u3000\n" + "\n\n \n".join(lines), encoding="utf-8")
    held = read_dialogues(tmp_path)
    talks = open_dialogues(tmp_path)
    assert isinstance(talks, Stored)
    assert list(talks) == list(talks) == held
    assert talks.pick([3, 1, 0, 3]) == [held[3], held[1], held[0], held[3]]
    assert talks[len(talks) - 1] == held[-1]


def test_records_that_are_chosen_from_several_files_are_one_sequence(tmp_path, stored):
    dialogues, _ = make("plain")
    for name, own in (("a", dialogues[:3]), ("b", dialogues[3:])):
        write_jsonl(tmp_path / f"{name}.jsonl", own)
    parts = [open_dialogues(tmp_path / "a.jsonl"), open_dialogues(tmp_path / "b.jsonl"), dialogues]
    assert all(map(len, parts))
    found = Chosen(parts, np.array([1, 0, 2, 0]), np.array([0, 2, 1, 0]))
    chosen = [dialogues[3], dialogues[2], dialogues[1], dialogues[0]]
    assert (list(found), found[-1], found[1:3]) == (chosen, chosen[-1], chosen[1:3])


@pytest.mark.parametrize("expected", [False, True])
def test_joined_columns_are_those_of_all_ratings(expected):
    dialogues, ratings = make("two judges, three stages by people", seed=3)
    talks = DialogueColumns.of(dialogues)
    first, second = ratings[: len(ratings) // 3], ratings[len(ratings) // 3 :]
    if not expected:
        first = [one.model_copy(update={"expected": None}) for one in first]
    every = [*first, *second]
    found, whole = (
        RatingColumns.join([RatingColumns.of(one, talks) for one in (first, second)], every),
        RatingColumns.of(every, talks),
    )
    assert [found.kinds[i] for i in found.kind] == [whole.kinds[i] for i in whole.kind]
    np.testing.assert_equal([found.dialogue, found.expected], [whole.dialogue, whole.expected])
    own = [[every[i] for i in found.places_of(place)] for place in range(len(dialogues))]
    assert own == [[one for one in every if one.dialogue_id == talk.id] for talk in dialogues]


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "holds no dialogues"), ('{"id": "d"}\n{\n', r"line 1: no Dialogue: .* \(1 more bad lines\)")],
)
def test_a_broken_file_that_is_not_held_is_refused_by_the_same_sentence(tmp_path, monkeypatch, text, why):
    monkeypatch.setattr(records, "HELD", -1)
    (tmp_path / "dialogues.jsonl").write_text(text)
    with pytest.raises(EscEvalError, match=why):
        Results.load(tmp_path)


def test_an_id_that_stands_twice_in_a_file_that_is_not_held_is_refused(tmp_path, stored):
    dialogues, _ = make("plain")
    with pytest.raises(EscEvalError, match="1 dialogue ids occur more than once"):
        Results.load(write_run(tmp_path, [*dialogues, dialogues[0]], []))


def test_the_digest_of_a_list_needs_no_list():
    dialogues, _ = make("plain")
    assert digest_each(iter(dialogues)) == digest(dialogues)


@pytest.mark.slow
def test_reading_a_run_takes_little_memory_for_each_dialogue_more(tmp_path, stored):
    def peak(cards):
        folder = tmp_path / str(cards)
        folder.mkdir()
        rng = np.random.default_rng(0)
        dialogues = make_dialogues(rng, cards)
        write_run(folder, dialogues, make_ratings(rng, dialogues))
        del dialogues
        return measure_peak(lambda: Results.load(folder))

    peak(2)  # what is loaded once
    few, many = peak(100), peak(500)
    assert (many - few) / 800 < 1500  # held, a dialogue takes about 40,000 bytes with its ratings


@pytest.fixture
def in_files(monkeypatch):
    """What makes columns and tables of any size stand in files, and be worked on a few rows at a time."""

    def begin():
        monkeypatch.setattr(scratch, "HELD", 64)
        monkeypatch.setattr(bootstrap, "PART", 512)
        for module in (scratch, columns):
            monkeypatch.setattr(module, "CHUNK", 7)

    return begin


@pytest.mark.parametrize("case", CASES)
def test_the_tables_of_columns_in_files_are_those_of_columns_that_are_held(in_files, case):
    dialogues, ratings = make(case)

    def summarise():
        talks = DialogueColumns.of(dialogues)
        given = RatingColumns.of(ratings, talks)
        return given, [summarise_ratings(talks, given, RUBRIC, statistic=of) for of in ("level", "expected")]

    held, tables = summarise()
    in_files()
    given, found = summarise()
    assert (is_mapped(held.dialogue), is_mapped(given.dialogue)) == (False, True)
    assert [one.model_dump_json() for one in found] == [one.model_dump_json() for one in tables]


class Passing(Sequence):
    """Records that are made anew whenever somebody goes through them."""

    def __init__(self, make):
        self.make = make

    def __iter__(self):
        return self.make()

    def __len__(self):
        return sum(1 for _ in self)

    def __getitem__(self, place):
        return list(self)[place]


def test_the_tables_of_a_large_run_take_little_memory_for_each_dialogue_more(monkeypatch):
    supporters = tuple("abcdefgh")
    for module in (bootstrap, ranking):
        monkeypatch.setattr(module, "CHUNK", 20_000)
    monkeypatch.setattr(scratch, "HELD", 4096)
    monkeypatch.setattr(bootstrap, "PART", 16_384)
    for module in (scratch, columns):
        monkeypatch.setattr(module, "CHUNK", 512)

    def peak(cards):
        dialogues = make_dialogues(np.random.default_rng(0), 2, supporters)
        ratings = make_ratings(np.random.default_rng(0), dialogues)
        talk = {one.supporter: one for one in dialogues}
        given = {one: [r for r in ratings if r.dialogue_id == talk[one].id] for one in supporters}

        def each_dialogue():
            for card in range(cards):
                for one in supporters:
                    yield talk[one].model_copy(update={"id": f"{card:05}-{one}", "card_id": f"{card:05}"})

        def each_rating():
            for card in range(cards):
                for one in supporters:
                    for rating in given[one]:
                        yield rating.model_copy(update={"dialogue_id": f"{card:05}-{one}"})

        return measure_peak(lambda: summarise_ratings(Passing(each_dialogue), Passing(each_rating), RUBRIC))

    peak(2)  # what is loaded once
    few, many = peak(100), peak(400)
    assert (many - few) / (300 * len(supporters)) < 100  # held, a dialogue takes more than 200 bytes
