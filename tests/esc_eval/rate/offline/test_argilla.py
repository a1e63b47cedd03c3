"""Argilla itself loads what is written for it, and what it writes comes back."""

import json
from uuid import UUID, uuid5

import pytest
from argilla_desk import open_argilla
from made_sheets import MODELS, lay_talks, talks
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.rate.offline.collect import collect

KEYS = load_rubric().keys
ANNA, BEN = (str(uuid5(UUID(int=0), name)) for name in ("anna", "ben"))


@pytest.fixture(scope="module")
def argilla():
    pytest.importorskip("argilla", reason="argilla is not installed: pip install --group test")
    with open_argilla() as package:
        yield package


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("argilla")
    done = CliRunner().invoke(
        app, ["sheet", str(lay_talks(folder)), "--format", "argilla", "--out", str(folder / "out")]
    )
    assert done.exit_code == 0, done.output
    return folder / "out"


def load(argilla, written):
    """The settings and records, as the package reads them from a folder."""
    from argilla.records._io import JsonIO

    settings = argilla.Settings.from_json(written / ".argilla" / "settings.json")
    settings.validate()
    return settings, JsonIO._records_from_json(written / "records.json")


def respond(argilla, record, user, status="submitted", **said):
    for name, value in said.items():
        record.responses.add(argilla.Response(name, value, user_id=user, status=status))


def test_the_package_loads_settings_and_records_without_names_of_models(argilla, written):
    settings, records = load(argilla, written)
    assert [question.name for question in settings.questions] == [*KEYS, "cannot_rate", "note"]
    assert settings.questions["empathy"].labels == ["0", "1", "2", "3", "4"]
    assert not settings.fields["dialogue"].use_markdown
    assert len(records) == 4
    assert [turn["role"] for turn in records[0].fields["dialogue"]] == ["supporter", "seeker", "supporter"]
    text = "".join(path.read_text() for path in written.rglob("*.json"))
    assert not any(name in text for name in MODELS)
    assert json.loads((written / ".argilla" / "dataset.json").read_text())["name"] == "esc-eval"


@pytest.fixture
def records(argilla, written):
    """What two people answered: one rates two and cannot rate a third, the other rates one and has a draft."""
    _, records = load(argilla, written)
    for n in (0, 1):
        respond(argilla, records[n], ANNA, **dict.fromkeys(KEYS, str(n + 1)), note="a note")
    respond(argilla, records[2], ANNA, cannot_rate="cut off")
    respond(argilla, records[0], BEN, **dict.fromkeys(KEYS, "4"))
    return records


def save(form, records, folder):
    from argilla.records._io import GenericIO, JsonIO

    if form == "records JSON":
        return JsonIO.to_json(records, folder / "records.json")
    made = {
        "list": lambda: GenericIO.to_list(records),
        "flat list": lambda: GenericIO.to_list(records, flatten=True),
        "columns": lambda: GenericIO.to_dict(records),
        "flat columns": lambda: GenericIO.to_dict(records, flatten=True),
        "by id": lambda: GenericIO.to_dict(records, orient="index"),
    }[form]()
    (folder / "export.json").write_text(json.dumps(made))
    return folder / "export.json"


@pytest.mark.parametrize("form", ["records JSON", "list", "flat list", "columns", "flat columns", "by id"])
def test_what_the_package_writes_comes_back(form, records, tmp_path):
    found = collect([save(form, records, tmp_path)], talks(), None, {ANNA: "anna", BEN: "ben"})
    assert found.work == {"anna": (3, 0, 3), "ben": (1, 0, 1)}
    said = {(r.rater, r.dialogue_id): set() for r in found.ratings}
    for r in found.ratings:
        said[r.rater, r.dialogue_id].add(r.score if r.problem is None else r.problem)
    ids = [talk.id for talk in talks()]
    assert said == {
        ("anna", ids[0]): {1},
        ("anna", ids[1]): {2},
        ("anna", ids[2]): {"cannot rate: cut off"},
        ("ben", ids[0]): {4},
    }
    assert {r.note for r in found.ratings if r.rater == "anna" and r.score} == {"a note"}


@pytest.mark.parametrize("form", ["jsonl", "parquet", "folder"])
def test_a_dataset_of_the_hub_comes_back_too(form, records, tmp_path):
    from argilla.records._io import GenericIO
    from datasets import Dataset

    made = Dataset.from_list(GenericIO.to_list(records, flatten=True))
    path = tmp_path / f"export.{form}" if form != "folder" else tmp_path / "export"
    {"jsonl": made.to_json, "parquet": made.to_parquet, "folder": made.save_to_disk}[form](str(path))
    found = collect([path], talks(), None, {})
    assert len(found.ratings) == 28
    assert sum(r.problem is None for r in found.ratings) == 21


def test_drafts_are_left_out_and_told_and_what_is_discarded_has_a_reason(argilla, records, tmp_path):
    respond(argilla, records[1], BEN, "draft", **dict.fromkeys(KEYS, "0"))
    respond(argilla, records[2], BEN, "discarded", **dict.fromkeys(KEYS, "0"))
    found = collect([save("flat list", records, tmp_path)], talks(), None, {BEN: "ben"})
    assert found.notes == [
        f"{tmp_path / 'export.json'}: 1 drafts, which their annotators have not submitted, are left out."
    ]
    ben = {r.dialogue_id: (r.score, r.problem) for r in found.ratings if r.rater == "ben"}
    assert list(ben.values()) == [(4, None), (None, "discarded in Argilla")]


def test_a_record_that_says_two_things_is_refused_with_its_number(argilla, records, tmp_path):
    respond(argilla, records[1], BEN, empathy="3", cannot_rate="no idea")
    with pytest.raises(EscEvalError, match=f"export.json, record 1, user {BEN}: has levels and says in cannot_rate"):
        collect([save("list", records, tmp_path)], talks(), None, {})


def test_a_name_that_no_file_has_is_refused(records, tmp_path):
    with pytest.raises(EscEvalError, match="no rater is called 'eve'"):
        collect([save("list", records, tmp_path)], talks(), None, {"eve": "anna"})
