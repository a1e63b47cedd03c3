"""What comes back is put together, or refused with file and row."""

import csv
import json

import pytest
from made_sheets import HOSTILE, lay_talks, talk, talks
from openpyxl import load_workbook
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.rating_plan import hide_id
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.offline.collect import collect
from esc_eval.rate.offline.page import ANSWERS

KEYS = load_rubric().keys
IDS = [one.id for one in talks()]


def run(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


def sheet(folder, *words):
    run("sheet", lay_talks(folder), "--out", folder / "out", *words)
    return folder / "out"


def row(rater, dialogue, dimension, score, **more):
    return {
        "dialogue_id": dialogue,
        "dimension": dimension,
        "rater": rater,
        "rater_kind": "human",
        "rubric": "esc-eval/1",
        **({} if score is None else {"score": score}),
        "stage": "first",
        **more,
    }


def exported(path, rater, rows):
    content = {
        "format": ANSWERS,
        "rater": rater,
        "items": [hide_id(i) for i in IDS],
        "dimensions": KEYS,
        "ratings": rows,
    }
    path.write_text(json.dumps(content))
    return path


def book(path, fill):
    found = load_workbook(path)
    columns = {cell.value: cell.column for cell in found.active[1]}
    for number, cells in fill.items():
        for name, value in cells.items():
            found.active.cell(number, columns[name]).value = value
    found.save(path)
    return path


def test_a_workbook_offers_levels_holds_no_formula_and_comes_back(tmp_path):
    path = sheet(tmp_path, "--rater", "=anna", "--format", "xlsx") / "=anna.xlsx"
    found = load_workbook(path)
    assert found.sheetnames == ["Sheet", "Dialogues", "Scale"]
    assert all(cell.data_type in ("s", "n") for one in found for line in one.iter_rows() for cell in line)
    [offered] = {one.formula1 for one in found.active.data_validations.dataValidation}
    assert offered == '"0,1,2,3,4"'
    said = [line[3].value for line in found["Dialogues"].iter_rows(min_row=2)]
    assert any("<script>document.title" in text for text in said)
    assert not any("\u202e" in text for text in said)
    assert not any(
        name in str(cell.value)
        for one in found
        for line in one.iter_rows()
        for cell in line
        for name in ("llama", "glm")
    )
    levels = dict.fromkeys(KEYS, 3)
    book(path, {2: {**levels, "note": "=1+1 she said"}, 3: {"cannot_rate": "cut off"}, 4: {**levels, "empathy": None}})
    book(path, {2: {"note": "fine"}})
    collected = collect([path], talks(), None, {"=anna": "anna"})
    assert collected.work == {"anna": (3, 0, 4)}
    by_row = [{r.dimension: (r.score, r.problem) for r in collected.ratings if r.order == n} for n in range(3)]
    assert by_row[0] == dict.fromkeys(KEYS, (3, None))
    assert by_row[1] == dict.fromkeys(KEYS, (None, "cannot rate: cut off"))
    assert by_row[2]["empathy"] == (None, "left blank")
    assert {r.note for r in collected.ratings if r.order == 0} == {"fine"}
    assert {r.dialogue_id for r in collected.ratings} <= set(IDS)


def test_a_csv_sheet_has_the_words_in_it_and_comes_back(tmp_path):
    write_jsonl(tmp_path / "talks.jsonl", [talk("a:1", "a", "1", "=2+2"), talk("b:1", "b", "1", "so " * 30_000)])
    run("sheet", tmp_path / "talks.jsonl", "--rater", "anna", "--format", "csv", "--out", tmp_path)
    path = tmp_path / "anna.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    words = [
        "".join(cell for name, cell in one.items() if name.startswith("dialogue") and name != "dialogue_id")
        for one in rows
    ]
    assert {len(text) > 90_000 for text in words} == {True, False}
    assert all(len(cell) <= 32_767 for one in rows for cell in one.values())
    assert any("Supporter: =2+2" in text for text in words)
    assert "Not to be told from a caring person." in (tmp_path / "scale.csv").read_text(encoding="utf-8-sig")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")  # as a spreadsheet of another country saves it
        writer.writeheader()
        writer.writerows({**one, **dict.fromkeys(KEYS, "4")} for one in rows)
    run("collect", path, "--dialogues", tmp_path / "talks.jsonl", "--out", tmp_path / "ratings.csv")
    ratings = read_ratings(tmp_path / "ratings.csv")
    assert [(r.dialogue_id in ("a:1", "b:1"), r.score) for r in ratings] == [(True, 4)] * 14


def test_a_rater_called_as_the_file_of_levels_has_a_sheet_of_their_own(tmp_path):
    out = sheet(tmp_path, "--rater", "Scale", "--rater", "ben", "--format", "csv")
    held = {path.name: path.read_text("utf-8-sig").partition(",")[0] for path in out.glob("*.csv")}
    assert held.pop("scale.csv") == "dimension"
    assert held.pop("ben.csv") == "dialogue_id"
    assert list(held.values()) == ["dialogue_id"]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_sheet_that_may_be_filled_in_is_not_written_over(form, tmp_path):
    out = sheet(tmp_path, "--rater", "anna", "--format", form)
    before = (out / f"anna.{form}").read_bytes()
    again = ("sheet", tmp_path / "talks.jsonl", "--rater", "ben", "--rater", "anna", "--format", form, "--out", out)
    assert f"anna.{form} is there, and may be filled in" in " ".join(run(*again, code=2).output.split())
    assert (out / f"anna.{form}").read_bytes() == before
    assert not (out / f"ben.{form}").exists()


def test_a_role_card_that_no_cell_holds_is_refused(tmp_path):
    card = {"id": "long", "language": "en", "text": "x" * 33_000, "source": "mine"}
    (tmp_path / "cards.jsonl").write_text(json.dumps(card))
    lay_talks(tmp_path)
    write_jsonl(tmp_path / "talks.jsonl", [one.model_copy(update={"card_id": "long"}) for one in talks()])
    words = ("--cards", tmp_path / "cards.jsonl", "--rater", "anna", "--format", "csv", "--out", tmp_path)
    assert "longer than the 32,000 characters of a cell" in " ".join(
        run("sheet", tmp_path / "talks.jsonl", *words, code=2).output.split()
    )


def test_two_raters_are_merged_into_a_table_that_every_command_reads(tmp_path):
    files = []
    for n, rater in enumerate(("anna", "ben")):
        rows = [
            row(rater, i, key, (at + n * (at == 1)) % 5, time="2026-11-01T10:00:00Z", seconds=4.5, order=at)
            for at, i in enumerate(IDS)
            for key in KEYS
        ]
        files.append(exported(tmp_path / f"{rater}.json", rater, rows))
    out = tmp_path / "ratings.jsonl"
    done = run("collect", *files, "--dialogues", lay_talks(tmp_path), "--out", out)
    assert "anna: 4 of 4 dialogues rated\nben: 4 of 4 dialogues rated\n56 ratings" in done.output
    assert {(r.seconds, r.stage) for r in read_ratings(out)} == {(4.5, "first")}
    table = read_table([out], dialogues=[tmp_path / "talks.jsonl"])
    assert (table.raters, len(table.scored()), table.has("model")) == (("anna", "ben"), 56, True)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([row("anna", "nobody:9", "empathy", 3)], r"a.json, answer 1: no dialogue 'nobody:9' is in --dialogues"),
        ([row("anna", IDS[0], "kindness", 3)], r"a.json, answer 1: esc-eval/1 has no dimension 'kindness'"),
        ([row("anna", IDS[0], "empathy", 5)], r"a.json, answer 1: empathy is 5, which is no level of esc-eval/1"),
        ([row("anna", IDS[0], "empathy", 2.5)], r"a.json, answer 1: score 2.5 is not a level"),
        ([row("anna", IDS[0], "empathy", -1)], r"a.json, answer 1: empathy is -1, which is no level"),
        (
            [row("anna", IDS[0], "empathy", 3)] * 2,
            r"a.json, answer 2: anna on empathy .* stands in .*a.json, answer 1 too",
        ),
        (
            [row("anna", IDS[0], "empathy", 3), row("anna", hide_id(IDS[0]), "empathy", 1)],
            r"a.json, answer 2: anna on empathy .* is 1, and 3 in .*a.json, answer 1",
        ),
        ([row("anna", IDS[0], "empathy", 3) | {"rubric": "mine/1"}], r"is under mine/1, which is no shipped rubric"),
        ([row("judge", IDS[0], "empathy", 3) | {"rater_kind": "model"}], r"only people's ratings"),
        ([row("anna", IDS[0], "empathy", 3, seconds=-1)], r"a.json, answer 1: seconds"),
        ([3], r"a.json, answer 1: expected an object"),
        ([], r"nobody has answered anything yet"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(tmp_path, rows, why):
    with pytest.raises(EscEvalError, match=why):
        collect([exported(tmp_path / "a.json", "anna", rows)], talks(), None, {})


def test_the_same_answer_in_two_files_names_both(tmp_path):
    files = [exported(tmp_path / f"{n}.json", "anna", [row("anna", IDS[0], "empathy", n)]) for n in (2, 3)]
    with pytest.raises(EscEvalError, match=r"3.json, answer 1: .* is 3, and 2 in .*2.json, answer 1"):
        collect(files, talks(), None, {})


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.html", "<html>", "is a sheet, whose answers are in the browser"),
        ("a.json", "{}", "holds no answers that are known"),
        ("a.json", "[]", "holds no answers that are known"),
        ("a.json", "{", "broken JSON"),
        ("a.csv", "a,b\n1,2\n", "has none of the columns that are known"),
        ("a.xlsx", "no zip", "cannot be read as XLSX"),
        ("a.json", json.dumps({"format": ANSWERS, "ratings": 3}), "expected rater, items and ratings"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with pytest.raises(EscEvalError, match=why):
        collect([tmp_path / name], talks(), None, {})


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({"fluency": 3, "cannot_rate": "cut"}, "row 2: has levels and says in cannot_rate"),
        ({"fluency": "good"}, "row 2: fluency: 'good' is not a number"),
        ({"fluency": "=1+1"}, "row 2: '=1.1' is a formula"),
        ({"fluency": 3, "rater": None}, "row 2: rater is empty"),
        ({"fluency": 7}, "row 2: fluency is 7"),
    ],
)
def test_a_filled_sheet_that_says_two_things_is_refused_with_its_row(tmp_path, cells, why):
    path = sheet(tmp_path, "--rater", "anna", "--format", "xlsx") / "anna.xlsx"
    with pytest.raises(EscEvalError, match=why):
        collect([book(path, {2: cells})], talks(), None, {})


def test_without_the_dialogues_hidden_ids_are_not_guessed(tmp_path):
    path = exported(tmp_path / "a.json", "anna", [row("anna", hide_id(IDS[0]), "empathy", 3)])
    with pytest.raises(EscEvalError, match="its id was hidden, so --dialogues is needed"):
        collect([path], [], None, {})
    plain = exported(tmp_path / "b.json", "anna", [row("anna", "d1", "empathy", 3)])
    assert [r.dialogue_id for r in collect([plain], [], None, {}).ratings] == ["d1"]


def test_a_plan_gives_each_rater_their_own_in_its_order(tmp_path):
    run("plan", lay_talks(tmp_path, 6), "--rater", "anna", "--rater", "ben", "--out", tmp_path / "plan.csv")
    run("sheet", tmp_path / "talks.jsonl", "--plan", tmp_path / "plan.csv", "--format", "csv", "--out", tmp_path)
    planned = [
        one for one in csv.DictReader((tmp_path / "plan.csv").open(encoding="utf-8-sig")) if one["rater"] == "anna"
    ]
    with (tmp_path / "anna.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [one["dialogue_id"] for one in csv.DictReader(file)] == [one["dialogue_id"] for one in planned]
    refused = run(
        *("sheet", tmp_path / "talks.jsonl", "--plan", tmp_path / "plan.csv", "--rater", "eve", "--out", tmp_path),
        code=2,
    )
    assert "assigns nothing to 'eve'" in refused.output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ([], "give --rater NAME for everybody who rates, or --plan FILE"),
        (["--rater", "anna", "--rater", "anna"], "named twice"),
        (["--rater", "a\nb"], "is no name of a rater"),
        (["--rater", "anna", "--format", "argilla"], "leave --rater and --plan out"),
        (["--rater", "anna", "--language", "fr"], "--language fr: pages are worded in en, zh, de, ja"),
        (["--rater", "anna", "--dimensions", "kindness"], "has no 'kindness'"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused(tmp_path, words, why):
    done = run("sheet", lay_talks(tmp_path), "--out", tmp_path / "out", *words, code=2)
    assert why in " ".join(done.output.split())


def test_a_rubric_of_ones_own_with_two_levels_goes_out_and_comes_back(tmp_path):
    keep_wording(load_rubric("esconv-survey"), tmp_path / "mine.yaml")
    text = (tmp_path / "mine.yaml").read_text().replace("esconv-survey", "mine")
    (tmp_path / "mine.yaml").write_text(text)
    out = sheet(tmp_path, "--rater", "anna", "--format", "xlsx", "--rubric", tmp_path / "mine.yaml")
    path = book(out / "anna.xlsx", {2: {"empathy": 5, "relevance": 1}})
    with pytest.raises(EscEvalError, match="no shipped rubric; give yours"):
        collect([path], talks(), None, {})
    found = collect([path], talks(), tmp_path / "mine.yaml", {})
    assert [(r.dimension, r.score, r.rubric) for r in found.ratings] == [
        ("empathy", 5, "mine/1"),
        ("relevance", 1, "mine/1"),
    ]


def test_hostile_words_do_not_break_out_of_any_sheet(tmp_path):
    out = sheet(tmp_path, "--rater", "anna")
    text = (out / "anna.html").read_text(encoding="utf-8")
    assert HOSTILE.partition(" ")[0] not in text
