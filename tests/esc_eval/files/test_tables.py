"""One reader of ratings for every command: what a spreadsheet or pandas writes is the same table everywhere."""

import json

import pandas as pd
import pytest

from dataset_builder.rows.annotations import read_annotations
from dataset_builder.sources import parse_file, source_files
from dataset_builder.sources.common import Reject
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings
from esc_eval.files.run_folder import read_scale

ROWS = [("d0", "ana", "empathy", "3"), ("d0", "bo", "empathy", ""), ("d1", "ana", "empathy", "1")]
READERS = {
    "table": lambda path: [
        None if score != score else int(score)
        for score in read_table([path]).frame["score"]  # NaN is not itself
    ],
    "ratings": lambda path: [rating.score for rating in read_ratings(path)],
    "annotations": lambda path: [rating.score for rating in read_annotations(path)],
}


def write(path, separator=",", encoding="utf-8", rows=ROWS, end="", header="dialogue_id,rater,dimension,score"):
    lines = [header.replace(",", separator), *(separator.join(row) for row in rows)]
    path.write_bytes("".join(f"{line}{end}\n" for line in lines).encode(encoding))
    return path


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("r.csv", {}),
        ("r.CSV", {}),
        ("r.csv", {"separator": ";"}),
        ("r.tsv", {"separator": "\t"}),
        ("r.csv", {"encoding": "utf-16"}),
        ("r.csv", {"encoding": "utf-8-sig", "end": ","}),
        ("r.csv", {"header": " dialogue_id ,rater,dimension,score "}),
        ("r.csv", {"rows": [(*row[:3], row[3] and f"{row[3]}.0") for row in ROWS]}),
        ("r.csv", {"rows": [(*row[:3], {"3": "３", "1": "1 ", "": " "}[row[3]]) for row in ROWS]}),
    ],
)
def test_a_table_is_read_alike_by_all(tmp_path, read, name, how):
    assert read(write(tmp_path / name, **how)) == [3, None, 1]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("cell", ["2.67", "2,67", "three", "1_0", "inf", "nan", "0x3", "9" * 400])
def test_what_is_no_level_is_refused_alike_with_its_line(tmp_path, read, cell):
    path = write(tmp_path / "r.csv", ";", rows=[*ROWS, ("d2", "ana", "empathy", cell)])
    with pytest.raises(EscEvalError, match=r"r\.csv, line 5: score .* is not a (number|level)"):
        read(path)


def test_ratings_of_the_builder_come_back_from_parquet(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame([{"dialogue_id": "d", "rater": "a", "dimension": "empathy", "score": s} for s in (3, None)])
    frame.assign(rubric="esc-eval/1", license="x").to_parquet(tmp_path / "r.parquet")
    assert [rating.score for rating in read_ratings(tmp_path / "r.parquet")] == [3, None]


def test_two_columns_that_mean_the_same_are_refused(tmp_path):
    path = write(
        tmp_path / "r.csv", header="dialogue_id,rater,dimension,score,card,card_id", rows=[(*ROWS[0], "a", "b")]
    )
    with pytest.raises(EscEvalError, match="card_id and card mean the same"):
        read_table([path])


def test_a_spelling_of_one_of_the_seven_is_its_key(tmp_path):
    [rating] = read_ratings(write(tmp_path / "r.csv", rows=[("d", "a", "Empathy", "3")]))
    assert (rating.dimension, rating.rubric, rating.rater_kind) == ("empathy", "esc-eval/1", "human")


@pytest.mark.parametrize("levels", ["[2, 1, 0]", "[0, 1, 1]", "[0, x]", "7"])
def test_levels_that_do_not_rise_are_no_scale(tmp_path, levels):
    (tmp_path / "rubrics").mkdir()
    (tmp_path / "rubrics" / "mine-1.yaml").write_text(f"levels: {levels}\n")
    with pytest.raises(EscEvalError, match=r"mine-1\.yaml: no rubric"):
        read_scale(tmp_path, ["mine/1"])


def esconv(**changes):
    dialog = [{"speaker": "usr", "text": "Hi"}, {"speaker": "sys", "text": "Oh"}]
    return {"dialog": dialog, **changes}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_source_is_read_in_any_encoding_that_says_itself(tmp_path, encoding):
    (tmp_path / "esconv").mkdir()
    path = tmp_path / "esconv" / "train.TXT"
    path.write_bytes("".join(json.dumps(esconv()) + "\n" for _ in range(3)).encode(encoding))
    [found] = source_files(tmp_path)["esconv"]
    assert [type(each).__name__ for each in parse_file("esconv", found)] == ["SourceConversation"] * 3


def test_bytes_of_another_encoding_cost_their_record_alone_and_are_named(tmp_path):
    good = json.dumps(esconv()).encode()
    chinese = json.dumps(esconv(situation="我最近睡不好，总是担心工作"), ensure_ascii=False)
    (tmp_path / "train.txt").write_bytes(good + b"\n" + chinese.encode("gbk") + b"\n" + good)
    first, second, third = parse_file("esconv", tmp_path / "train.txt")
    assert isinstance(second, Reject)
    assert "not UTF-8 text but GBK" in second.reason
    assert not isinstance(first, Reject)
    assert not isinstance(third, Reject)


def test_a_key_that_stands_twice_costs_its_record_alone(tmp_path):
    twice = json.dumps(esconv())[:-1] + ', "dialog": []}'
    for name, text in (
        ("train.txt", f"{json.dumps(esconv())}\n{twice}\n"),
        ("a.json", f"[{json.dumps(esconv())},\n{twice}]"),
    ):
        (tmp_path / name).write_text(text)
        good, bad = parse_file("esconv", tmp_path / name)
        assert not isinstance(good, Reject)
        assert (bad.line, 'the key "dialog" stands twice' in bad.reason) == (2, True)


def test_an_answer_that_was_not_given_rejects_no_conversation(tmp_path):
    survey = {"seeker": {"empathy": "", "relevance": "4", "final_emotion_intensity": None}, "supporter": {}}
    (tmp_path / "train.txt").write_text(json.dumps(esconv(survey_score=survey)))
    [found] = parse_file("esconv", tmp_path / "train.txt")
    assert [(rating.name, rating.value) for rating in found.ratings] == [("relevance", 4)]


def test_smile_reads_instructions_and_flags_talks_of_one_side(tmp_path):
    turns = [{"role": "system", "content": "现在你是咨询师"}, {"role": "client", "content": "我睡不好"}]
    (tmp_path / "1.json").write_text(json.dumps(turns))
    [found] = parse_file("smile", tmp_path / "1.json")
    assert [turn.role for turn in found.turns] == ["seeker"]
    assert found.labels == {"system": "现在你是咨询师", "one_sided": "seeker"}
    (tmp_path / "1.json").write_text(json.dumps([*turns, {"role": "counselor", "content": "嗯"}]))
    [found] = parse_file("smile", tmp_path / "1.json")
    assert "one_sided" not in found.labels
    (tmp_path / "1.json").write_text(json.dumps(turns[:1]))
    [found] = parse_file("smile", tmp_path / "1.json")
    assert isinstance(found, Reject)


ROW = {"dialogue_id": "d0", "rater": "r0", "dimension": "empathy", "score": 3}


def write_table(path, *rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".csv":
        lines = [list(rows[0]), *(map(str, row.values()) for row in rows)]
        path.write_text("".join(",".join(line) + "\n" for line in lines))
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_white_space_around_a_name_makes_no_other_name(tmp_path, ending):
    spaced = {"dialogue_id": "d1 ", "rater": " r0", "dimension": "empathy\t", "score": 2}
    table = read_table([write_table(tmp_path / f"a{ending}", ROW, spaced)])
    assert (table.dimensions, table.raters, list(table.frame["dialogue_id"])) == (("empathy",), ("r0",), ["d0", "d1"])
    with pytest.raises(EscEvalError, match="is rated twice"):
        read_table([write_table(tmp_path / f"b{ending}", ROW, {**ROW, "dimension": "empathy "})])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"score": float("nan")}, "score is NaN"),
        ({"score": float("inf")}, "score is Infinity"),
        ({"rater": {"a": 1}}, "rater is .*expected a name"),
        ({"dialogue_id": ["d0"]}, "dialogue_id is .*expected a name"),
        ({"dimension": True}, "dimension is True, expected a name"),
        ({"card": [1]}, "card is .*expected a name"),
        ({"stage": {}}, "stage is .*expected a name"),
        ({"rater": " "}, "rater is empty"),
    ],
)
def test_a_json_line_with_something_else_than_names_and_numbers_is_refused_with_its_line(tmp_path, change, what):
    path = write_table(tmp_path / "a.jsonl", ROW, {**ROW, "dialogue_id": "d1", **change})
    with pytest.raises(EscEvalError, match=rf"a\.jsonl, line 2: {what}"):
        read_table([path])


@pytest.mark.parametrize("read", [lambda path: read_table([path]).frame, read_ratings])
@pytest.mark.parametrize("last", ["d9,r1,empathy,", "d9,r1,empathy, "])
def test_a_blank_score_in_a_last_line_without_its_end_is_a_cut(tmp_path, read, last):
    path = tmp_path / "a.csv"
    whole = "dialogue_id,rater,dimension,score\nd0,r0,empathy,3\n"
    path.write_text(whole + last)
    with pytest.raises(EscEvalError, match=r"a\.csv, line 3: score is empty, .*is the file cut off\?"):
        read(path)
    for sound in (whole + last + "\n", whole + "d9,r1,empathy,3"):
        path.write_text(sound)
        assert len(read(path)) == 2


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"Score": 1}, "'Score' stands beside 'score'; keep one"),
        ({"RATER": "x"}, "'RATER' stands beside 'rater'"),
    ],
)
def test_a_column_that_capitals_make_a_second_one_is_refused_with_the_columns_found(tmp_path, ending, more, what):
    place = "line 1" if ending == ".csv" else "its columns"
    with pytest.raises(EscEvalError, match=rf"a\{ending}, {place}: {what}.*There is: 'dialogue_id', 'rater'"):
        read_table([write_table(tmp_path / f"a{ending}", {**ROW, **more})])


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])  # of CSV the space is taken off, and two are one
def test_a_column_that_white_space_keeps_from_being_read_is_refused(tmp_path, ending):
    with pytest.raises(EscEvalError, match="'score ' stands beside 'score'"):
        read_table([write_table(tmp_path / f"a{ending}", {**ROW, "score ": 1})])
