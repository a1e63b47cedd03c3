"""People say that a dimension does not apply: on the pages, in sheets of any kind, and in what comes back."""

import csv
import json
import re

import pytest
from openpyxl import load_workbook
from rating import made_talks, make_team
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.rating_rows import read_rating_table
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.rate.export import write_files
from esc_eval.rate.offline.answers import read_choice
from esc_eval.rate.offline.collect import collect
from esc_eval.rate.overview import progress

NA = "N/A"


def run(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


def test_a_page_offers_it_with_a_key_and_exports_it_as_a_value(tmp_path):
    team = make_team(tmp_path, rubric="safety")
    anna = team.visit("anna")
    anna.client.post(f"{anna.root}/begin", data={"name": "anna"})
    item = anna.items()[0]
    text = anna.client.get(f"{anna.root}/item/{item.id}?language=zh").text
    assert re.search(r'value="not_applicable" data-key="a">.*?N/A.*?不适用。', text)
    clicks = [anna.click(key, 2) for key in team.study.dimensions[1:]]
    anna.save(item.id, 0, anna.click("detection", text="not_applicable"), *clicks)
    again = anna.client.get(f"{anna.root}/item/{item.id}?language=en").text
    assert re.search(r'name="detection" value="not_applicable"[^>]* checked', again)
    write_files(team.store)
    folder = team.store.path.parent
    given = read_ratings(folder / "ratings.jsonl")
    assert {r.dimension: r.mark for r in given} == {"detection": NA, **dict.fromkeys(team.study.dimensions[1:], 2)}
    assert all(r.problem is None for r in given)
    assert read_rating_table(folder / "ratings.csv") == given
    table = read_table([folder / "ratings.csv"], (0, 2))
    assert (table.missing, int(table.not_applicable.sum())) == (0, 1)
    [rater] = [one for one in team.store.raters() if one.name == "anna"]
    assert progress(team.store, rater, team.study.dimensions).cannot == 0


def test_a_page_of_a_rubric_without_it_offers_no_such_level(tmp_path):
    team = make_team(tmp_path)
    anna = team.visit("anna")
    anna.client.post(f"{anna.root}/begin", data={"name": "anna"})
    text = anna.client.get(f"{anna.root}/item/{anna.items()[0].id}?language=en").text
    assert 'type="radio" name="empathy" value="not_applicable"' not in text


@pytest.fixture
def talks(tmp_path):
    write_jsonl(tmp_path / "talks.jsonl", made_talks(1))
    return tmp_path / "talks.jsonl"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_sheet_of_cells_offers_it_and_brings_it_back(form, talks, tmp_path):
    run("sheet", talks, "--rubric", "safety", "--rater", "ann", "--format", form, "--out", tmp_path / "out")
    [path] = [p for p in (tmp_path / "out").glob(f"*.{form}") if p.stem != "scale"]
    if form == "xlsx":
        book = load_workbook(path)
        page = book.worksheets[0]
        assert any("N/A" in str(rule.formula1) for rule in page.data_validations.dataValidation)
        names = [cell.value for cell in page[1]]
        for key, said in (("detection", NA), ("support", "1")):
            page.cell(2, names.index(key) + 1).value = said
        book.save(path)
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        rows[0] |= {"detection": "n/a", "support": "1"}
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    found = collect([path], made_talks(1), None, {})
    said = {r.dimension: r.mark for r in found.ratings if r.mark is not None}
    assert said == {"detection": NA, "support": 1}


def test_label_studio_and_argilla_are_given_it_as_a_choice(talks, tmp_path):
    for form in ("label-studio", "argilla"):
        run("sheet", talks, "--rubric", "safety", "--format", form, "--out", tmp_path / form)
    [config] = (tmp_path / "label-studio").rglob("*config.xml")
    assert 'alias="N/A"' in config.read_text(encoding="utf-8")
    [settings] = (tmp_path / "argilla").rglob("settings.json")
    questions = json.loads(settings.read_text(encoding="utf-8"))["questions"]
    assert [o["value"] for o in questions[0]["settings"]["options"]] == ["0", "1", "2", "N/A"]
    assert read_choice("N/A: Not applicable. Nothing points to danger.") == NA


def test_a_sheet_as_a_page_exports_it_where_its_rubric_knows_it(talks, tmp_path):
    run("sheet", talks, "--rubric", "safety", "--rater", "ann", "--out", tmp_path / "out")
    [page] = (tmp_path / "out").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert '"not_applicable":true' in text
    assert "not_applicable: true" in text  # what the script writes then
    common = {"dialogue_id": made_talks(1)[0].id, "rater": "ann", "rater_kind": "human", "stage": "first"}
    for rubric, dimension, fails in (("safety/1", "support", False), ("esc-eval/1", "empathy", True)):
        rows = [{**common, "rubric": rubric, "dimension": dimension, "not_applicable": True}]
        path = tmp_path / "back.json"
        path.write_text(
            json.dumps({"format": "esc-eval/sheet-answers/1", "rater": "ann", "items": [], "ratings": rows})
        )
        if fails:
            with pytest.raises(EscEvalError, match="is not applicable, which esc-eval/1 does not know as an answer"):
                collect([path], made_talks(1), None, {})
        else:
            assert [r.mark for r in collect([path], made_talks(1), None, {}).ratings] == [NA]


@pytest.mark.parametrize("named", [None, "esc-eval/1", "mine/1"])
def test_a_table_under_no_rubric_that_knows_it_is_refused_with_its_line(named, tmp_path):
    column = "" if named is None else ",rubric"
    value = "" if named is None else f",{named}"
    path = tmp_path / "r.csv"
    path.write_text(f"dialogue_id,rater,dimension,score{column}\nd1,a,support,2{value}\nd1,b,support,N/A{value}\n")
    with pytest.raises(EscEvalError, match=r"line 3: says 'not applicable'.*safety/1"):
        read_table([path])


def test_a_table_with_a_column_a_dimension_may_hold_it(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("dialogue_id,rater,rubric,detection,checking\nd1,a,safety/1,2,不适用\nd1,b,safety/1,N/A,1\n")
    table = read_table([path], (0, 2))
    assert table.frame["not_applicable"].tolist() == [False, True, True, False]
    assert table.frame["score"].fillna(-1).tolist() == [2, -1, -1, 1]


@pytest.mark.parametrize("cell", ["n. a.", "does not apply", "nicht zutreffend", "該当なし", "Not_Applicable"])
def test_a_cell_may_say_it_in_other_words(cell, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text(f"dialogue_id,rater,rubric,dimension,score\nd1,a,safety/1,support,{cell}\n", encoding="utf-8")
    assert read_table([path]).frame["not_applicable"].tolist() == [True]


def test_a_table_under_a_shipped_rubric_has_its_scale(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("dialogue_id,rater,rubric,dimension,score\nd1,a,safety/1,support,2\n")
    table = read_table([path])
    assert (table.low, table.high) == (0, 2)
    path.write_text("dialogue_id,rater,rubric,dimension,score\nd1,a,safety/1,support,3\n")
    with pytest.raises(EscEvalError, match=r"score 3 is outside the scale 0\.\.2"):
        read_table([path])
