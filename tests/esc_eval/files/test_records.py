import json

import pytest

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.records import load_cards, read_cards, read_dialogues, read_jsonl
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.schema import RoleCard


def card(**changes):
    return RoleCard(**{"id": "1", "language": "en", "text": "Age: 30", "source": "s"} | changes)


def test_records_come_back(tmp_path):
    cards = [card(), card(id="2", text="line\nline\u2028separator", language="zh")]
    write_jsonl(tmp_path / "c.jsonl", cards)
    assert read_cards(tmp_path / "c.jsonl") == cards


def test_a_bad_line_is_named_and_the_others_are_counted(tmp_path):
    path = tmp_path / "c.jsonl"
    good = card().to_json()
    path.write_text(f'{good}\n{{"id": "2"}}\n\n{{"id": 3\n', encoding="utf-8")
    with pytest.raises(BadRecord, match=r"line 2: no RoleCard: language: Field required \(1 more bad lines\)"):
        read_jsonl(path, RoleCard)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("missing.json", None, "no such file"),
        ("empty.jsonl", b"", "holds no role cards"),
        ("empty.json", b"[]", "holds no role cards"),
        ("broken.json", b"[{]", "line 1, column 3: broken JSON"),
        ("latin.json", '["é"]'.encode("latin-1"), "not UTF-8"),
        ("object.json", b"{}", "no known format of role cards"),
        ("numbers.json", b"[1]", "record 0: expected an object"),
    ],
)
def test_a_bad_card_file_is_refused_with_what_is_wrong(tmp_path, name, content, complaint):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EscEvalError, match=complaint):
        read_cards(path)


def test_a_byte_order_mark_is_no_harm(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + card().to_json().encode())
    assert len(read_cards(tmp_path / "c.jsonl")) == 1


def test_language_is_chosen_before_the_limit():
    assert [c.id for c in load_cards(language="zh", limit=2)] == ["sample-zh-01", "sample-zh-02"]


def test_no_card_left_is_an_error(tmp_path):
    write_jsonl(tmp_path / "c.jsonl", [card()])
    with pytest.raises(EscEvalError, match="no card left: 1 cards in en"):
        load_cards([tmp_path / "c.jsonl"], language="zh")


def test_the_same_card_in_two_files_is_an_error(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        write_jsonl(tmp_path / name, [card()])
    with pytest.raises(EscEvalError, match="more than once"):
        load_cards([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("old")

    def broken():
        yield "half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(path, broken())
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_the_folder_of_a_file_is_made(tmp_path):
    write_whole(tmp_path / "new" / "folder" / "f.txt", ["text"])
    assert (tmp_path / "new" / "folder" / "f.txt").read_text() == "text"


def test_a_path_that_can_be_no_file_says_why(tmp_path):
    (tmp_path / "f.txt").write_text("old")
    with pytest.raises(EscEvalError, match=r"f\.txt is a file and not a folder"):
        write_whole(tmp_path / "f.txt" / "g.txt", ["text"])
    with pytest.raises(EscEvalError, match="is a folder; give the path of a file"):
        write_whole(tmp_path, ["text"])
    assert [p.name for p in tmp_path.iterdir()] == ["f.txt"]


def test_a_folder_without_dialogues_says_so(tmp_path):
    with pytest.raises(EscEvalError, match=r"dialogues\.jsonl: no such file.*its command is run again"):
        read_dialogues(tmp_path)


def test_a_json_list_is_no_dialogue_file(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps([{"turns": []}]))
    with pytest.raises(EscEvalError, match="no known format of dialogues"):
        read_dialogues(tmp_path / "d.json")
