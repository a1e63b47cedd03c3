"""``convert``, ``--column`` and tables of others on the command line."""

import csv
import json
from pathlib import Path

import pytest
from made_sheets import lay_talks
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.files.records import read_cards

RECORDED = Path(__file__).parents[1]
LABEL_STUDIO = RECORDED / "rate/offline/recorded"
TABLES = RECORDED / "files/recorded"
LONG = "dialogue_id,rater,dimension,score\n"


def esc_eval(*arguments, code=0):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == code, (done.output, done.exception)
    return done


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_files_of_any_kind_become_one_table_that_other_commands_read_without_a_guess(tmp_path):
    (tmp_path / "eva.csv").write_text("dialogue_id;Empathy;Fluency\ns1;3,0;4\ns2;;2\n")
    files = [TABLES / "libreoffice-wide.xlsx", tmp_path / "eva.csv", TABLES / "argilla-list.json"]
    done = esc_eval("convert", *files, "--out", tmp_path / "ratings.csv")
    assert done.stdout == f"20 ratings, 3 of them without a score, in {tmp_path / 'ratings.csv'}\n"
    rows = rows_of(tmp_path / "ratings.csv")
    assert {row["dimension"] for row in rows} == {"empathy", "fluency"}
    assert len({row["rater"] for row in rows}) == 5
    assert {row["problem"] for row in rows} == {"", "left blank"}
    read = esc_eval("agreement", tmp_path / "ratings.csv", "--draws", 100)
    assert "note:" not in read.stderr
    assert "5 raters, 17 ratings (3 missing)" in " ".join(read.stdout.split())
    esc_eval("convert", tmp_path / "ratings.csv", "--out", tmp_path / "ratings.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "ratings.jsonl").read_text().splitlines()]
    assert [(line["dialogue_id"], line.get("score")) for line in lines] == [
        (row["dialogue_id"], int(row["score"]) if row["score"] else None) for row in rows
    ]


def test_what_is_guessed_is_one_line_on_stderr(tmp_path):
    done = esc_eval("convert", TABLES / "libreoffice-gbk.csv", "--out", tmp_path / "r.csv")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"note: {TABLES / 'libreoffice-gbk.csv'}: read as GBK, by its look; read '对话编号' as")


@pytest.mark.parametrize("name", ["label-studio.json", "label-studio-min.json", "label-studio.csv"])
def test_an_export_of_label_studio_is_told_apart_and_converted(name, tmp_path):
    refused = esc_eval("agreement", LABEL_STUDIO / name, code=2).stderr
    assert f"esc-eval convert {LABEL_STUDIO / name} --out ratings.csv" in refused
    out = tmp_path / "r.csv"
    esc_eval("convert", LABEL_STUDIO / name, "--dialogues", lay_talks(tmp_path), "--name", "1=anna", "--out", out)
    rows = rows_of(out)
    assert {(row["rater"], row["rubric"]) for row in rows} == {("anna", "esc-eval/1")}
    assert {row["model"] for row in rows} <= {"llama3", "glm4"}
    assert "cannot rate: broken off" in {row["problem"] for row in rows}


def test_the_same_rating_in_two_files_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"{LONG}s1,x,empathy,3\n")
    done = esc_eval("convert", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / "r.csv", code=2)
    assert "is rated twice" in done.stderr
    assert not (tmp_path / "r.csv").exists()


def test_a_column_is_named_in_every_verb_and_only_for_that_call(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Item,Who,What,Mark of 4\n" + "".join(f"{d},{r},Empathy,{r}\n" for d in "abc" for r in "123"))
    named = [
        x for pair in ("dialogue_id=Item", "rater=Who", "dimension=What", "score=Mark of 4") for x in ("--column", pair)
    ]
    done = esc_eval("agreement", path, *named, "--draws", 100)
    assert "3 dialogues, 3 raters" in done.stdout
    assert "note:" not in done.stderr
    refused = esc_eval("agreement", path, "--draws", 100, code=2).stderr
    assert "There is: 'Item', 'Who', 'What', 'Mark of 4'" in refused
    assert "--column score=: expected NAME=COLUMN" in esc_eval("agreement", path, "--column", "score=", code=2).stderr


def test_agreement_reads_preferences_whichever_of_the_two_stands_first(tmp_path):
    path = tmp_path / "preferences.csv"
    head = "card_id,dialogue_a,dialogue_b,dimension,rater,preference,steps,left,problem\n"
    pairs = [("c1", "x1", "y1", 2), ("c2", "x2", "y2", -3), ("c3", "x3", "y3", 1)]
    lines = [f"{c},{a},{b},preference,anna,{p},3,a,\n{c},{b},{a},preference,ben,{-p},3,b,\n" for c, a, b, p in pairs]
    path.write_text(head + "".join(lines))
    done = esc_eval("agreement", path, "--draws", 100, "--json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())["dimensions"]["preference"]
    assert found["krippendorff_alpha_ordinal"]["value"] == 1
    assert "3 dialogues, 2 raters, 6 ratings (0 missing); scale -3 to 3" in " ".join(done.stdout.split())
    refused = esc_eval("compare", path, code=2).stderr
    assert "preferences between two dialogues, no ratings of one; esc-eval agreement alone reads them" in refused
    (tmp_path / "r.csv").write_text(f"{LONG}s1,x,empathy,3\n")
    assert "do not belong into one table" in esc_eval("agreement", path, tmp_path / "r.csv", code=2).stderr


def test_cards_are_converted_too(tmp_path):
    out = tmp_path / "cards.csv"
    done = esc_eval("convert", TABLES / "libreoffice-cards.xlsx", "--as", "cards", "--out", out)
    assert done.stdout == f"2 role cards, in {out}\n"
    esc_eval("convert", out, "--as", "cards", "--out", tmp_path / "cards.jsonl")
    assert read_cards(tmp_path / "cards.jsonl") == read_cards(out)
    refused = esc_eval("convert", out, "--official", tmp_path, "--out", tmp_path / "x.csv", code=2).stderr
    assert "give --as cards too" in refused
    assert "role cards are written as" in esc_eval("convert", out, "--as", "cards", "--out", "x.txt", code=2).stderr


@pytest.mark.parametrize("verb", ["evaluate", "agreement", "compare", "score", "convert"])
def test_help_shows_how_columns_are_named(verb):
    assert "--column NAME=COLUMN" in esc_eval(verb, "--help").stdout
