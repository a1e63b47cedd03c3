"""Ratings in any layout and dialect that a program writes are one table; what may mean two things is refused."""

import csv
import json
import warnings
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from esc_eval.errors import EscEvalError
from esc_eval.files.cell_tables import Guess
from esc_eval.files.columns import naming
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings

RECORDED = Path(__file__).parent / "recorded"
LEVELS = {
    ("s1", "vera", "empathy"): 3,
    ("s1", "otto", "empathy"): 2,
    ("s1", "vera", "fluency"): 4,
    ("s1", "otto", "fluency"): 4,
    ("s2", "vera", "empathy"): 1,
    ("s2", "otto", "empathy"): None,
    ("s2", "vera", "fluency"): 0,
    ("s2", "otto", "fluency"): 1,
}
CHINESE = {"薇拉": "vera", "奥托": "otto"}


def in_table(path, **how):
    rows = read_table([path], **how).frame.to_dict("records")
    found = {
        (r["dialogue_id"], CHINESE.get(r["rater"], r["rater"]), r["dimension"]): None
        if r["score"] != r["score"]  # NaN is not itself
        else int(r["score"])
        for r in rows
    }
    assert len(found) == len(rows)
    return found


def in_ratings(path, **how):
    rows = read_ratings(path, **how)
    found = {(r.dialogue_id, CHINESE.get(r.rater, r.rater), r.dimension): r.score for r in rows}
    assert len(found) == len(rows)
    return found


NAMES_OF_TABLES = sorted(p.name for n in ("libre*", "pandas*") for p in RECORDED.glob(n) if "cards" not in p.name)


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
@pytest.mark.parametrize("read", [in_table, in_ratings])
@pytest.mark.parametrize("name", NAMES_OF_TABLES)
def test_what_a_program_wrote_is_the_same_table(read, name):
    assert read(RECORDED / name) == LEVELS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "libreoffice-long.xlsx",
            "not 'Notes'; read 'Dialogue ID' as dialogue_id, 'Annotator' as rater, .*'Rating' as",
        ),
        ("libreoffice-wide.xlsx", "a column a dimension: 'Fluency' as fluency, 'Empathy' as empathy"),
        ("libreoffice-raters.xlsx", "a column a rater: 'vera', 'otto'"),
        ("libreoffice-gbk.csv", "read as GBK, by its look; read '对话编号' as dialogue_id"),
    ],
)
def test_what_is_guessed_is_said_in_one_sentence(name, said):
    with pytest.warns(Guess, match=said) as found:
        read_table([RECORDED / name])
    assert len(found) == 1


@pytest.mark.parametrize("name", ["pandas-index.csv", "pandas-lines.jsonl", "pandas.parquet"])
def test_where_nothing_is_guessed_nothing_is_said(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", Guess)
        read_table([RECORDED / name])


LONG = "dialogue_id,rater,dimension,score\n"
NAMED = "Item,Who,What,Mark of 4\na,x,Empathy,3\nb,x,Empathy,1\n"
OURS = {"dialogue_id": "Item", "rater": "Who", "dimension": "What", "score": "Mark of 4"}


@pytest.mark.parametrize("read", [in_table, in_ratings])
def test_columns_of_any_name_are_read_where_the_user_names_them(read, tmp_path):
    path = write(tmp_path / "a.csv", NAMED)
    levels = {("a", "x", "empathy"): 3, ("b", "x", "empathy"): 1}
    assert read(path, columns=OURS) == levels
    with naming([f"{name}={column}" for name, column in OURS.items()]):
        assert read(path) == levels
        assert read(write(tmp_path / "ours.csv", "dialogue_id,rater,dimension,score\na,x,empathy,3\n")) == {
            ("a", "x", "empathy"): 3
        }
    with pytest.raises(
        EscEvalError, match=r"a\.csv, line 1: no column dialogue_id, .* There is: 'Item', 'Who', 'What'"
    ):
        read(path)


@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
@pytest.mark.parametrize(
    ("text", "columns", "levels"),
    [
        ("dialogue_id,rater,Q1,Q2\na,x,3,1\n", {"empathy": "Q1", "fluency": "Q2"}, {"empathy": 3, "fluency": 1}),
        ("dialogue_id,rater,warmth,age\na,x,3,41\n", {"dimension": "warmth"}, {"warmth": 3}),
        ("dialogue_id,rater,warmth,pace\na,x,3,1\n", {"dimension": ["warmth", "pace"]}, {"warmth": 3, "pace": 1}),
        ("dialogue_id,rater,warmth,pace\na,x,3,1\n", {}, {"warmth": 3, "pace": 1}),
        ("dialogue_id,rater,score\na,x,3\n", {"overall": "score"}, {"overall": 3}),
        ("dialogue_id,rater,Tech,Human\na,x,3,1\n", {}, {"skillful": 3, "humanoid": 1}),
        ("dialogue_id,dimension,x\na,empathy,3\n", {"rater": "x"}, {"empathy": 3}),
    ],
)
def test_a_column_a_dimension_or_a_rater(text, columns, levels, tmp_path):
    found = in_table(write(tmp_path / "a.csv", text), columns=columns)
    assert found == {("a", "x", dimension): level for dimension, level in levels.items()}


def test_columns_that_are_not_read_are_said(tmp_path):
    path = write(tmp_path / "a.csv", "dialogue_id,rater,empathy,age,remark\na,x,3,41,\n")
    with pytest.warns(Guess, match=r"not read: 'age' \(--column dimension='age' would\)"):
        assert in_table(path) == {("a", "x", "empathy"): 3}
    with pytest.warns(Guess, match="not read: 'age', 'remark'"):
        read_ratings(path)


def test_a_file_a_rater_needs_no_column_for_them(tmp_path):
    files = [write(tmp_path / f"{name}.csv", "dialogue_id,empathy\na,3\nb,1\n") for name in ("vera", "otto")]
    with pytest.warns(Guess, match="no column says who rated, so the rater is 'vera', the file's name"):
        assert read_table(files).raters == ("otto", "vera")


@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
@pytest.mark.parametrize("read", [in_table, in_ratings])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LONG + 'a,x,empathy,"1,5"\n', "line 2: score '1,5' is not a number: its comma may be"),
        (LONG + 'a,x,empathy,"3,0"\n', "line 2: score '3,0' is not a number: its comma may be"),
        (LONG + "a,x,empathy,3,0\n", "line 2: 5 fields, .* decimal comma, as 3,0 has"),
        (LONG.replace(",", ";") + "a;x;empathy;2,5\n", "line 2: score '2.5' is not a level"),
        (LONG + "a,x,empathy,2026-03-01\n", "line 2: score .* looks like a date"),
        (LONG + "a,x,empathy,2-Mar\n", "line 2: score .* looks like a date"),
        (LONG + "a,x,empathy,3/4\n", "line 2: score .* looks like a date"),
        ("dialogue_id,rater,dimension,Rating,Mark\na,x,empathy,3,1\n", "line 1: 'Rating' and 'Mark' may both be the"),
        ("dialogue_id,dimension,Punkte\na,empathy,3\n", "line 1: 'Punkte' is either one rater's levels or everybody's"),
        ("dialogue_id,Empathy,empathic,rater\na,3,3,x\n", "line 1: 'Empathy' and 'empathic' are both the dimension"),
        ("dialogue_id,empathy,score,rater\na,3,3,x\n", "line 1: beside a column a dimension stands one called"),
        ("dialogue_id,rater,score\na,x,3\n", "line 1: no column dimension; .*--column overall=score"),
        ("talk_no,warm,kind\n1,3,2\n", "line 1: no column dialogue_id, .*, score; .* There is: 'talk_no', 'warm'"),
        ("a,x,empathy,3\n", "line 1: no column dialogue_id"),
        ("dialogue_id;rater;empathy;fluency\na;x;3;", r"line 2, column 'fluency': score is empty, .*cut off\?"),
        ("dialogue_a,dialogue_b,dimension,rater,preference,steps\na,b,p,x,1,3\n", "line 1: .*agreement alone reads"),
        ("annotator,annotation_id,lead_time,dialogue_id,empathy\n1,1,3,a,3\n", "line 1: .*esc-eval convert .*a table"),
    ],
)
def test_what_may_mean_two_things_is_refused_with_its_line_and_what_to_do(read, text, why, tmp_path):
    with pytest.raises(EscEvalError, match=rf"a\.csv, {why}"):
        read(write(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"skore": "score"}, "nothing of ratings is called 'skore'"),
        ({"order": "Rank"}, r"--column order=Rank: no such column\. There is: 'dialogue_id'"),
        ({"rater": ["x", "nobody"]}, "--column rater=x: no such column"),
    ],
)
def test_a_column_that_is_named_wrongly_is_refused_with_those_that_there_are(columns, why, tmp_path):
    path = write(tmp_path / "a.csv", "dialogue_id,rater,dimension,score\na,x,empathy,3\n")
    with pytest.raises(EscEvalError, match=why):
        read_table([path], columns=columns)


def test_a_date_in_a_workbook_and_a_cell_beside_the_columns_are_refused_with_their_row(tmp_path):
    from datetime import datetime

    for cells, why in (
        (["a", "x", "empathy", datetime(2026, 3, 1)], "row 2: score .* looks like a date"),
        (["a", "x", "empathy", 3, "?"], "row 2: a cell stands right of the 4 columns that row 1 names"),
        (["a", "x", "empathy", "=1+2"], "row 2: '=1[+]2' is a formula"),
    ):
        book = Workbook()
        for row in (["dialogue_id", "rater", "dimension", "score"], cells):
            book.active.append(row)
        book.save(tmp_path / "a.xlsx")
        with pytest.raises(EscEvalError, match=rf"a\.xlsx, {why}"):
            read_table([tmp_path / "a.xlsx"])


def test_bytes_that_may_be_gbk_or_big5_are_read_only_where_they_can_be_no_other(tmp_path):
    header = "dialogue_id,rater,dimension,score,note\n"
    for encoding, note, good in (
        ("gbk", "他说得很慢，也很清楚", True),
        ("big5", "他說得很慢，也很清楚", False),
        ("latin-1", "trčs bien, même déjà".replace("č", "è"), False),
        ("utf-16-le", "plain", True),
    ):
        path = write(tmp_path / "a.csv", f"{header}a,x,empathy,3,{note}\n", encoding)
        if good:
            with pytest.warns(Guess, match="by its look"):
                [rating] = read_ratings(path)
            assert rating.note == note
        else:
            with pytest.raises(EscEvalError, match=r"a\.csv, line 2: not UTF-8 text but"):
                read_ratings(path)


# every value that a table can hold, through every way of writing it down
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda text: text.strip("'\"") == text and text[0] not in "=+-@＝＋－＠"
)
TABLES = st.dictionaries(
    st.tuples(NAMES, NAMES, st.sampled_from(["empathy", "fluency", "overall"])),
    st.none() | st.integers(0, 4),
    min_size=1,
    max_size=8,
)
DIALECTS = st.tuples(
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(0, 2),
)


@pytest.mark.slow
@settings(max_examples=40)
@given(TABLES, DIALECTS)
def test_a_table_comes_back_through_every_dialect(tmp_path_factory, table, dialect):
    separator, encoding, end, fraction, empty = dialect
    point = "." if separator == "," else ","
    text = StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end)
    writer.writerow(["dialogue_id", "rater", "dimension", "score"])
    for key, level in table.items():
        writer.writerow([*key, "" if level is None else f"{level}{point}0" if fraction else level])
    for _ in range(empty):
        writer.writerow(["", "", "", ""])
    path = write(tmp_path_factory.mktemp("dialect") / "a.csv", text.getvalue(), encoding)
    assert in_table(path) == table
    assert in_ratings(path) == table


PEOPLE = st.sampled_from(["vera", "Otto K.", "王", "r-1", "7", "a b", "x,y", "ü;", 'the "third"'])
WIDE = st.dictionaries(
    st.tuples(st.sampled_from(["s1", "s 2", "12"]), PEOPLE, st.sampled_from(["empathy", "fluency", "overall"])),
    st.none() | st.integers(0, 4),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
@settings(max_examples=25)
@given(WIDE, st.sampled_from(["dimension", "rater"]), st.sampled_from([".csv", ".xlsx", ".jsonl"]))
def test_a_table_comes_back_through_every_layout(tmp_path_factory, table, wide, ending):
    own, other = (2, "rater") if wide == "dimension" else (1, "dimension")
    names = list(dict.fromkeys(key[own] for key in table))
    rows = {}
    for key, level in table.items():
        rows.setdefault((key[0], key[3 - own]), {})[key[own]] = level
    columns = ["dialogue_id", other, *names]
    lines = [[*about, *(levels.get(name) for name in names)] for about, levels in rows.items()]
    path = tmp_path_factory.mktemp("layout") / f"a{ending}"
    if ending == ".xlsx":
        book = Workbook()
        for line in [columns, *lines]:
            book.active.append(line)
        book.save(path)
    elif ending == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(columns, line, strict=True))) + "\n" for line in lines))
    else:
        text = StringIO(newline="")
        csv.writer(text).writerows([columns, *lines])
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
    found = in_table(path, columns={"rater": names} if wide == "rater" else {})
    missing = {key: None for key in found if key not in table}  # a cell of a row that others fill
    assert found == {**table, **missing}


@pytest.mark.parametrize("cell", ["3²", "②", "1¹", "½", "٣", "true", "3分"])
def test_a_sign_that_is_no_plain_digit_is_no_level(cell, tmp_path):
    path = write(tmp_path / "a.csv", f"dialogue_id,rater,dimension,score\na,x,empathy,{cell}\n")
    for read in (in_table, in_ratings):
        with pytest.raises(EscEvalError, match=rf"line 2: score '{cell}' is not a number"):
            read(path)


@pytest.mark.parametrize("read", [in_table, in_ratings])
def test_a_rater_whose_column_holds_other_things_too_is_said_with_the_line(read, tmp_path):
    path = write(tmp_path / "a.csv", "dialogue_id,dimension,ann,ben,eve,remark\na,empathy,3,2,4,ok\nb,empathy,1,NA,,\n")
    with pytest.warns(Guess, match="not read: 'ben', which beside levels holds 'NA' in line 3; no levels: 'remark'"):
        found = read(path)
    assert {key: level for key, level in found.items() if key[1] == "ann"} == {
        ("a", "ann", "empathy"): 3,
        ("b", "ann", "empathy"): 1,
    }
    assert {rater for _, rater, _ in found} == {"ann", "eve"}


def test_a_second_column_for_one_thing_is_said(tmp_path):
    path = write(tmp_path / "a.csv", "dialogue_id,rater,annotator,dimension,score\na,x,y,empathy,3\n")
    with pytest.warns(Guess, match="not read: 'annotator', as a column of our name says the same"):
        assert in_table(path) == {("a", "x", "empathy"): 3}


def test_names_that_are_numbers_stay_whole_beside_gaps(tmp_path):
    rows = [
        {"dialogue_id": 1, "rater": 7, "dimension": "empathy", "score": 3, "card": 12},
        {"dialogue_id": 2.0, "rater": 7, "dimension": "empathy", "score": 2, "card": None},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    pd.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
    for name in ("a.json", "a.parquet"):
        frame = read_table([tmp_path / name]).frame
        assert list(frame["dialogue_id"]) == ["1", "2"]
        assert list(frame["card"].fillna("none")) == ["12", "none"]


def test_a_column_that_numbers_the_rows_of_a_pandas_table_is_read(tmp_path):
    rows = pd.DataFrame({"dialogue_id": ["a", "b"], "rater": ["x", "y"], "empathy": [3, 2]})
    rows.set_index("rater").to_parquet(tmp_path / "a.parquet")
    with pytest.warns(Guess):
        assert in_table(tmp_path / "a.parquet") == {("a", "x", "empathy"): 3, ("b", "y", "empathy"): 2}


@pytest.mark.parametrize("name", ["a.csv", "a.xlsx", "a.jsonl", "a.parquet"])
def test_a_table_without_rows_holds_no_ratings(name, tmp_path):
    empty = pd.DataFrame({"dialogue_id": [], "rater": [], "dimension": [], "score": []})
    path = tmp_path / name
    writers = {".csv": empty.to_csv, ".xlsx": empty.to_excel, ".parquet": empty.to_parquet}
    writers[path.suffix](path, index=False) if path.suffix in writers else path.write_text("")
    with pytest.raises(EscEvalError, match=r"no ratings|no column dialogue_id"):
        read_table([path])


def test_a_book_whose_open_sheet_is_empty_is_refused_with_the_sheets_that_are_not(tmp_path):
    book = Workbook()
    book.create_sheet("levels").append(["dialogue_id", "rater", "dimension", "score"])
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(EscEvalError, match="the sheet that is open is empty; open the one to read and save: 'levels'"):
        read_table([tmp_path / "a.xlsx"])


def test_korean_text_is_not_taken_for_chinese(tmp_path):
    text = "dialogue_id,rater,dimension,score\na,김철수,empathy,3\nb,이영희,empathy,2\n"
    (tmp_path / "a.csv").write_bytes(text.encode("euc-kr"))
    with pytest.raises(EscEvalError, match="line 2: not UTF-8"):
        read_table([tmp_path / "a.csv"])
