"""What others wrote: bytes, encodings, JSON, YAML and CSV of every sort are read whole or refused with their place."""

import json
import os
from pathlib import Path

import pytest

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.records import read_cards, read_dialogues
from esc_eval.files.writing import write_jsonl
from esc_eval.reading import read_csv, read_json, read_json_lines, read_text, read_yaml
from esc_eval.schema import Rating, Turn

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_pipe_a_device_a_folder_and_an_impossible_name_are_refused_before_they_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    for path, what in (
        (tmp_path / "pipe.json", "no regular file"),
        (Path("/dev/zero"), "no regular file"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "a\0b", "no name of a file"),
        (tmp_path / "none", "no such file"),
    ):
        for read in (read_text, hash_file):
            with pytest.raises(EscEvalError, match=what):
                read(path)


def test_a_file_without_end_is_refused_by_its_size(tmp_path):
    path = put(tmp_path, "large.yaml", "")
    os.truncate(path, 1 << 40)
    for read in (read_text, read_yaml):
        with pytest.raises(EscEvalError, match="bytes, more than the"):
            read(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_text_that_says_its_encoding_is_read(tmp_path, encoding):
    path = put(tmp_path, "a.jsonl", '{"text": "é 难"}\n{"text": "b"}\n'.encode(encoding))
    assert [value["text"] for _, value in read_json_lines(path)] == ["é 难", "b"]
    path = put(tmp_path, "a.csv", "a,b\né,难\n".encode(encoding))
    assert read_csv(path).rows == [(2, {"a": "é", "b": "难"})]
    assert read_yaml(put(tmp_path, "a.yaml", "a: 难\n".encode(encoding))) == {"a": "难"}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("id,text\n1,我最近睡不好，总是担心\n".encode("gbk"), "GBK"),
        ("id,text\n1,une journée très difficile\n".encode("latin-1"), "Latin-1"),
        ("id,text\n1,x\n".encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        ("id,text\n1,x\n".encode("utf-32-le"), "UTF-32 without a byte-order mark"),
        ("id,text\n1,x".encode("utf-16") + b"\n", "broken UTF-16"),
    ],
)
def test_another_encoding_is_said_by_name(tmp_path, content, name):
    with pytest.raises(EscEvalError, match=f"a.csv, line .*not UTF-8 text but {name}.*save the file as UTF-8"):
        read_csv(put(tmp_path, "a.csv", content))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ('{"a": 1,\n "b": {"c": 1,\n "c": 2}}', 'line 3: the key "c" stands twice'),
        ('{"a": "\\"a\\":",\n "\\u0061": 2}', 'line 2: the key "a" stands twice'),
        ("\n" + "[" * 100_000, "line 2.*: nested deeper than 100 levels"),
        ('{"a":' * 150 + "1" + "}" * 150, "line 1: nested deeper than 100 levels"),
        (f"[1,\n{'9' * 5000}]", "line 2: a whole number of thousands of digits"),
        ('{"a": [1, 2', r"line 1, column 12: broken JSON.*is the file cut off\?"),
        ('{"a": "\0"}', "line 1: a NUL character"),
        ("", "line 1, column 1: broken JSON"),
    ],
)
def test_json_that_would_lose_or_never_end_is_refused_with_its_line(tmp_path, content, what):
    with pytest.raises(EscEvalError, match=rf"a\.json, {what}"):
        read_json(put(tmp_path, "a.json", content))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: .*the key 'a' stands twice, first in line 1"),
        ("a:\n  b: 1\n  b: 1\n", "line 3: .*'b' stands twice"),
        (BOMB, "aliases make more values"),
        ("a: &a [*a]\n", "an alias stands inside of what it means|unconstructable|undefined alias"),
        (f"a: {'[' * 500}", "nested deeper|not readable"),
        ("[" * 100_000, "nested deeper|not readable"),
        (f"a: {'9' * 5000}", "not readable as YAML"),
        ("a: !!binary aGk=\n", "line 1: .*the tag binary is not read"),
        ("b: 1\na: !!timestamp 2024-01-01\n", "line 2: .*the tag timestamp is not read"),
        ("no: 1\n", "line 1: .*the key 'no' is read as bool, not as text; write it in quotes"),
        ("[a]: 1\n", "a key is a list"),
        ('a: "\\ud800"\n', "half of a surrogate pair"),
        ("a: b: c\n", "line 1: not readable as YAML: mapping values are not allowed"),
        ("a: x\0\n", "a NUL character"),
        ("- a\n", "expected a mapping"),
        ("a: 1\n---\nb: 2\n", "line 2: not readable as YAML"),
    ],
)
def test_yaml_is_plain_data_or_refused_with_its_line(tmp_path, content, what):
    with pytest.raises(EscEvalError, match=rf"a\.yaml, (.*)({what})"):
        read_yaml(put(tmp_path, "a.yaml", content))


def test_a_date_in_yaml_is_the_text_that_is_written(tmp_path):
    assert read_yaml(put(tmp_path, "a.yaml", "version: 2024-01-01\nx: &x {k: 1}\ny: {<<: *x, l: 2}\n")) == {
        "version": "2024-01-01",
        "x": {"k": 1},
        "y": {"k": 1, "l": 2},
    }


@pytest.mark.parametrize(
    "content",
    [
        "id,score\na,3\n",
        "id;score\na;3\n",
        "id\tscore\na\t3\n",
        "sep=;\nid;score\na;3\n",
        " id ,score,\na,3,\n",
        "\ufeffid,score\n\na,3\n,\n\n,,,\n",
        'id,"score"\r\n"a",3\r\n',
        "id,score\ra,3\r",
    ],
)
def test_csv_of_any_country_is_the_same_table(tmp_path, content):
    assert [cells for _, cells in read_csv(put(tmp_path, "a.csv", content)).rows] == [{"id": "a", "score": "3"}]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("id,score\na,3\nb,3,4\n", "line 3: 3 fields, the header has 2: id, score"),
        ("id,x,score\na,3\nb,3,4\n", "line 2: 2 fields, the header has 3"),
        ("id,x,score\na,1,3\nb,3", r"line 3: 2 fields, .*is the file cut off\?"),
        ('id,x\na,1\nb,"2\nc,3\nd,4\n', "line 3: .*a quotation mark opens here and never closes"),
        ('id,x,y\na,1,2\nb,"2,3\nc,3,4\nd,"4,5\n', "line 3: .*opens here and closes in the middle of line 5"),
        ('id,x,y\na,1,2\nb,2,"3\nc,3,4\nd,4,5"\ne,5,6\n', "line 3: .*closes in line 5, and rows stand between"),
        ("id,score,score\n", "line 1: two columns are called 'score'"),
        ("id,empathy ,empathy\n", "line 1: two columns are called 'empathy'"),
        ("id,,score\n", "line 1: column 2 has no name"),
        ("", "line 1: no header"),
        ("id\0,score\na,1\n", "line 1: a NUL character"),
    ],
)
def test_csv_whose_columns_would_shift_or_rows_vanish_is_refused_with_its_line(tmp_path, content, what):
    with pytest.raises(EscEvalError, match=rf"a\.csv, {what}"):
        read_csv(put(tmp_path, "a.csv", content))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_quotation_mark_that_closes_in_a_later_row_swallows_none(tmp_path, separator, end, column, after):
    rows = [[f"d{i}", "r0", "empathy", str(i % 3)] for i in range(6)]
    rows[1][column] = f'"{rows[1][column]}'
    rows[1 + after][column] += '"'
    text = end.join(separator.join(row) for row in [["dialogue_id", "rater", "dimension", "score"], *rows])
    with pytest.raises(EscEvalError, match=rf"line 3: .*closes in line {3 + after}, and rows stand between"):
        read_csv(put(tmp_path, "a.csv", text + end))


@pytest.mark.parametrize("text", ['id,score\na,1\nb,"2\nc,3\nd,4"\n', 'id,score\n"a,1\nb,2\nc",3\n'])
def test_so_it_is_in_a_table_of_two_columns(tmp_path, text):
    with pytest.raises(EscEvalError, match="rows stand between"):
        read_csv(put(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    "cell",
    [
        "I lost my job, my home\nand my wife, last year, in May\nthen, I left",
        "Age: 30, about\nProblem: rent, debts",
        "我很难过,不知道怎么办,帮帮我\n谢谢\n再见",
        "one\n\ntwo, three, four",
    ],
)
@pytest.mark.parametrize("columns", ["id,card", "id,card,who", "id,who,card", "id,who,card,note"])
def test_sentences_with_commas_are_no_rows(tmp_path, cell, columns):
    values = [f'"{cell}"' if name == "card" else "x" for name in columns.split(",")]
    [(_, cells)] = read_csv(put(tmp_path, "a.csv", f"{columns}\n{','.join(values)}\n")).rows
    assert cells["card"] == cell


def test_a_missing_column_names_the_separator_and_what_was_found(tmp_path):
    with pytest.raises(EscEvalError, match=r"no column score in the header, only id, Score \(separated by semicolon\)"):
        read_csv(put(tmp_path, "a.csv", "id;Score\n1;2\n"), ["score"])


def test_a_text_of_several_lines_is_one_cell(tmp_path):
    path = put(tmp_path, "a.csv", 'id,card,who\na,"Age: 30, about\nProblem: x",ana\nb,y,bo\n')
    assert [(line, cells["card"]) for line, cells in read_csv(path).rows] == [
        (2, "Age: 30, about\nProblem: x"),
        (4, "y"),
    ]


def test_halves_of_characters_are_kept_escaped_and_come_back_the_same(tmp_path):
    official = {"0": ["AI assistant：Hello", "ESC-Role：so sad \ud83d", "AI assistant：\ud83d\ude22 yes"]}
    path = put(tmp_path, "llama3_en.json", json.dumps(official))
    [talk] = read_dialogues(path)
    assert [turn.text for turn in talk.turns] == ["Hello", "so sad \\ud83d", "\U0001f622 yes"]
    write_jsonl(tmp_path / "again.jsonl", [talk])
    assert read_dialogues(tmp_path / "again.jsonl") == [talk]
    put(tmp_path, "ours.jsonl", json.dumps({"id": "\ud800", "language": "en", "turns": []}))
    assert read_dialogues(tmp_path / "ours.jsonl")[0].id == "\\ud800"


def test_an_official_file_with_a_key_twice_loses_no_dialogue_silently(tmp_path):
    path = put(tmp_path, "llama3_en.json", '{"0": ["ESC-Role：a"],\n"1": ["ESC-Role：b"],\n"0": ["ESC-Role：c"]}')
    with pytest.raises(EscEvalError, match=r'line 3.*: the key "0" stands twice'):
        read_dialogues(path)


def test_unhashable_values_where_text_belongs_are_named(tmp_path):
    card = {"base": "x", "res": ["家庭生活"], "source": "s", "base_biaozhu": "", "language": "english", "id": 1}
    for change in ({}, {"res": "家庭生活", "language": {}}):
        with pytest.raises(EscEvalError, match="record 0: unknown"):
            read_cards(put(tmp_path, "cards.json", json.dumps([card | change])))


@pytest.mark.parametrize("field", [{"expected": float("nan")}, {"mass": float("inf")}, {"score": 10**30}])
def test_numbers_that_no_table_can_hold_are_no_ratings(field):
    with pytest.raises(ValueError, match=r"finite|less than"):
        Rating(dialogue_id="d", dimension="x", rater="r", rater_kind="model", rubric="r/1", **{"score": 1, **field})
    with pytest.raises(ValueError, match="less than"):
        Turn(role="seeker", text="x", seed=1 << 63)
