"""What a Label Studio server exported comes back; see ``recorded/README.md``."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_sheets import MODELS, lay_talks, talks
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.offline.collect import collect

KEYS = load_rubric().keys
RECORDED = Path(__file__).parent / "recorded"
IDS = [talk.id for talk in talks()]
WHOLE = dict(zip(KEYS, (0, 1, 2, 3, 4, 0, 1), strict=True))
BLANK = {**dict.fromkeys(KEYS, 4), "empathy": "left blank"}
REFUSED = dict.fromkeys(KEYS, "cannot rate: broken off")
SKIPPED = dict.fromkeys(KEYS, "skipped in Label Studio")


def said(found):
    by_dialogue = {one: {} for one in IDS}
    for r in found.ratings:
        by_dialogue[r.dialogue_id][r.dimension] = r.score if r.problem is None else r.problem
    return [by_dialogue[one] for one in IDS]


@pytest.mark.parametrize(
    ("name", "last"), [("label-studio.json", SKIPPED), ("label-studio-min.json", {}), ("label-studio.csv", {})]
)
def test_every_form_that_the_server_exports_comes_back(name, last):
    found = collect([RECORDED / name], talks(), None, {"1": "anna"})
    assert said(found) == [WHOLE, BLANK, REFUSED, last]
    first = [r for r in found.ratings if r.dialogue_id == IDS[0]]
    assert {r.note for r in first} == {"Gentle.\nAnd short."}
    assert {r.rater for r in found.ratings} == {"anna"}
    assert sum(r.seconds for r in first) == pytest.approx(70)
    assert all(r.time.startswith("2026-11-26T") for r in first)


def test_the_same_export_in_two_forms_is_refused_with_both_places():
    files = [RECORDED / "label-studio.json", RECORDED / "label-studio.csv"]
    why = r"label-studio.csv, line 2: 1 on fluency .* stands in .*label-studio.json, task 0, annotation 1 too"
    with pytest.raises(EscEvalError, match=why):
        collect(files, talks(), None, {})


def altered(tmp_path, change):
    content = json.loads((RECORDED / "label-studio.json").read_text())
    change(content)
    (tmp_path / "export.json").write_text(json.dumps(content))
    return tmp_path / "export.json"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c[0]["data"].update(dialogue_id="x:1"), "task 0, annotation 1: no dialogue 'x:1'"),
        (lambda c: c[0]["annotations"][0]["result"][0]["value"].update(choices=["9"]), "fluency is 9"),
        (lambda c: c[0]["annotations"][0]["result"][0]["value"].update(choices=["1", "2"]), "one level of fluency"),
        (
            lambda c: c[0]["annotations"][0]["result"][0]["value"].update(choices=["fine"]),
            "fluency: 'fine' is not a number",
        ),
        (lambda c: c[2]["annotations"][0]["result"].append(c[0]["annotations"][0]["result"][0]), "has levels and says"),
        (lambda c: c[0]["annotations"].append(c[0]["annotations"][0]), "stands in .* too"),
        (lambda c: c[0].update(annotations=3), "task 0: expected data and a list of annotations"),
        (lambda c: c[0]["annotations"][0].update(completed_by=None), "expected annotator"),
    ],
)
def test_what_does_not_fit_is_refused_with_task_and_annotation(tmp_path, change, why):
    with pytest.raises(EscEvalError, match=why):
        collect([altered(tmp_path, change)], talks(), None, {})


def test_a_project_made_by_hand_is_read_by_the_rubric_that_is_named(tmp_path):
    def by_hand(content):
        for task in content:
            del task["data"]["rubric"], task["data"]["dimensions"]
        content[0]["annotations"][0]["completed_by"] = {"id": 7, "email": "a@example.org"}

    found = collect([altered(tmp_path, by_hand)], talks(), "esc-eval", {})
    assert said(found)[0] == WHOLE
    assert {r.rater for r in found.ratings} == {"1", "7"}


def test_tasks_and_their_configuration_name_no_model_and_offer_the_words_of_every_level(tmp_path):
    done = CliRunner().invoke(
        app, ["sheet", str(lay_talks(tmp_path)), "--format", "label-studio", "--language", "zh", "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    tasks = json.loads((tmp_path / "label-studio-tasks.json").read_text())
    config = ElementTree.fromstring((tmp_path / "label-studio-config.xml").read_text())
    assert not any(name in json.dumps(tasks) for name in MODELS)
    assert [one.get("name") for one in config.iter("Choices")] == list(KEYS)
    offered = [[choice.get("alias") for choice in one] for one in config.iter("Choices")]
    assert offered == [["0", "1", "2", "3", "4"]] * 7
    words = load_rubric().texts["zh"].dimensions["empathy"].levels[4]
    assert any(words in choice.get("value") for choice in config.iter("Choice"))
    assert {one.get("value") for one in config.iter("Paragraphs")} == {"$dialogue"}
    assert len(tasks) == 4
