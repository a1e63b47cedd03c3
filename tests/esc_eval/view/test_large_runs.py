"""A run whose files are not held has the pages of one whose are, and says where a file is no more what it was."""

import json
from pathlib import Path

import pytest
from made_views import make_view_run
from memory import measure_peak
from starlette.testclient import TestClient

from esc_eval.files import records
from esc_eval.files.records import Stored, read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection
from esc_eval.web import load_words

ODD = 'So "tired"\\\n\n\t of\u2028 it’s ＯＫ \u0301e\u0301 / end'
QUERIES = (
    "", "find=blame", "find=it%27s+ok", "find=%22tired%22", 'find="of it"', "find=%5C", "find=n", "find=é",
    "find=ended&where=seeker", "find=Occupation&where=card", "find=occupation+tired&where=all", 'find="end it"',
    "find=ud83d", "level=unscored", "level=4&dimension=fluency", "rater=judge&sort=mean", "rater=second", "state=ended",
    "sort=empathy&down=1", "sort=category", "sort=rounds", "group=2", "find=错&spoken=zh&sort=mean",
)  # fmt: skip


def make_odd(folder: Path) -> Path:
    """Words that JSON escapes, that folding changes, and half a character."""
    make_view_run(folder, supporters=("odd", "cold"), words=ODD)
    path = folder / "dialogues.jsonl"
    text = path.read_text(encoding="utf-8").replace("hardly sleep", "hardly \\ud83d sleep")
    path.write_text("\ufeff\u3000\n\n" + text.replace("\n", "\n \n"), encoding="utf-8")
    return folder


def change(folder: Path, **changed) -> Path:
    write_jsonl(folder / "ratings.jsonl", [one.model_copy(update=changed) for one in read_ratings(folder)])
    return folder


def turn_round(folder: Path) -> Path:
    """The same dialogues in the other order, which say that they are the first."""
    talks = [one.model_copy(update={"repeat": 1}) for one in read_dialogues(folder)]
    write_jsonl(folder / "dialogues.jsonl", talks[::-1])
    return folder


RUNS = {
    "one": [make_odd],
    "joined": [make_view_run, lambda path: make_view_run(path, supporters=("third",))],
    "the same, scored twice": [make_view_run, lambda path: change(make_view_run(path), rater="second")],
    "the same in another order": [make_view_run, lambda path: turn_round(make_view_run(path))],
    "apart for ratings, joined with people": [
        make_view_run,
        lambda path: change(make_view_run(path), score=2, problem=None),
        lambda path: make_view_run(path, supporters=("human",), protocol=None),
    ],
    "apart for words": [make_odd, lambda path: make_view_run(path, supporters=("odd", "cold"))],
}


def open_pages(collection: Collection) -> TestClient:
    return TestClient(make_view(collection), base_url="http://127.0.0.1:8600")


def list_paths(collection: Collection) -> list[str]:
    entries = collection.entries
    sides = [f"/side-by-side?first={on_card[-1].key}" for on_card in list(collection.by_card.values())[:3]]
    talks = [f"/dialogues/{one.key}?{QUERIES[i % len(QUERIES)]}" for i, one in enumerate(entries)]
    boards = [f"/boards/{board.key}" for board in collection.boards]
    return ["/", "/rounds", "/side-by-side", *sides, *boards, *(f"/dialogues?{one}" for one in QUERIES), *talks]


@pytest.mark.slow
@pytest.mark.parametrize("case", RUNS)
def test_every_page_of_a_run_that_is_not_held_is_that_of_one_that_is(tmp_path, monkeypatch, case):
    folders = [make(tmp_path / str(number)) for number, make in enumerate(RUNS[case])]
    held = Collection.open(folders)
    paths = list_paths(held)
    pages = [open_pages(held).get(path).text for path in paths]
    monkeypatch.setattr(records, "HELD", 0)
    stored = Collection.open(folders)
    assert all(isinstance(source.dialogues, Stored) for group in stored.groups for source in group.sources)
    assert not any(isinstance(source.dialogues, Stored) for group in held.groups for source in group.sources)
    site = open_pages(stored)
    for path, page in zip(paths, pages, strict=True):
        assert site.get(path).text == page, path


def test_opening_a_large_run_holds_nothing_that_was_said(tmp_path):
    said = "It has been a hard week. " * 2000
    turns = [Turn(role="seeker", text=said), Turn(role="supporter", text=said)]
    talks = [Dialogue(id=f"d{i}", language="en", turns=turns, supporter="m") for i in range(100)]
    common = {"dimension": "empathy", "rater": "j", "rater_kind": "model", "rubric": "esc-eval/1", "score": 3}
    write_jsonl(tmp_path / "dialogues.jsonl", talks)
    write_jsonl(tmp_path / "ratings.jsonl", [Rating(dialogue_id=one.id, raw=said, **common) for one in talks])
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    other = make_view_run(tmp_path / "other", limit=2)
    open_pages(Collection.open([other])).get("/dialogues?find=zebra")  # what is imported and read once is not counted
    opened = []
    assert measure_peak(lambda: opened.append(Collection.open([tmp_path]))) < size / 5
    [collection] = opened
    assert measure_peak(lambda: open_pages(collection).get("/dialogues?find=zebra")) < size / 5
    assert collection.entries[99].dialogue == talks[99]
    assert [rating.raw for rating in collection.entries[99].ratings] == [said]


@pytest.mark.parametrize("name", ["dialogues.jsonl", "ratings.jsonl"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_page_of_a_file_that_was_changed_says_so_and_the_leaderboards_stay(tmp_path, monkeypatch, name, language):
    monkeypatch.setattr(records, "HELD", 0)
    collection = Collection.open([make_view_run(tmp_path / "run", limit=2)])
    site, page = open_pages(collection), f"/dialogues/{collection.entries[0].key}"
    site.headers["accept-language"] = language
    assert collection.boards
    assert site.get(page).status_code == 200
    path = tmp_path / "run" / name
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for change_it in (lambda: path.write_text("".join(lines[::-1]), encoding="utf-8"), path.unlink):
        change_it()
        told = site.get(page)
        assert told.status_code == 503
        assert load_words(language, "view")("error_503") in told.text
        assert site.get("/").status_code == 200


def test_a_file_in_utf_16_is_held_and_shown(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "HELD", 0)
    run = make_view_run(tmp_path / "run", limit=2)
    path = run / "dialogues.jsonl"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    [first, *_] = Collection.open([run]).entries
    assert first.dialogue.id == first.id == json.loads(path.read_text(encoding="utf-16").split("\n")[0])["id"]
