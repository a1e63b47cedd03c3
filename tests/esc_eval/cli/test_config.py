"""``--config``: a file gives any option of a verb, the command line wins, and a misspelt name is refused."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from esc_eval.cli.app import app
from esc_eval.files.records import read_dialogues, read_ratings


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(verb, config, *more, name="my.yaml"):
        (tmp_path / name).write_text(json.dumps(config) if name.endswith("json") else yaml.safe_dump(config))
        return CliRunner().invoke(app, [verb, "--config", name, *map(str, more)])

    return run


@pytest.fixture
def settings(script):
    return {
        "supporter": [script(["Yes."], "m"), f"other={script(['No.'], 'n')}"],
        "seeker": script(["I am sad."], "s"),
        "scorer": script(["2"], "j"),
        "language": "zh",
        "limit": 3,
        "rounds": 1,
        "max-new-tokens": 9,
        "out": "run",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["my.yaml", "my.json"])
def test_a_file_gives_every_option_and_the_command_line_wins(call, settings, tmp_path, name):
    done = call("evaluate", settings, "--limit", 2, name=name)
    assert done.exit_code == 0, done.stderr
    dialogues = read_dialogues(tmp_path / "run")
    assert {(d.supporter, d.language, d.rounds) for d in dialogues} == {("m", "zh", 1), ("other", "zh", 1)}
    assert len(dialogues) == 4
    assert {r.score for r in read_ratings(tmp_path / "run")} == {2}


def test_models_may_be_given_by_their_labels(call, settings, tmp_path):
    named = dict(zip("ab", settings.pop("supporter"), strict=True)) | {"b": settings["seeker"]}
    del settings["scorer"]
    done = call("simulate", {**settings, "supporter": named})
    assert done.exit_code == 0, done.stderr
    assert {d.supporter: d.turns[-1].text for d in read_dialogues(tmp_path / "run")} == {"a": "Yes.", "b": "I am sad."}


def test_one_value_does_for_an_option_that_may_be_repeated(call, settings, tmp_path):
    del settings["scorer"]
    done = call("simulate", {**settings, "supporter": settings["supporter"][0]}, "--out", "other")
    assert done.exit_code == 0, done.stderr
    assert len(read_dialogues(tmp_path / "other")) == 3
    done = call("score", {"dialogues": "other", "scorer": settings["seeker"], "by": "text"})
    assert done.exit_code == 1, "a judge that scores nothing"
    assert {r.score for r in read_ratings(tmp_path / "other")} == {None}


@pytest.mark.parametrize(
    ("verb", "config", "complaint"),
    [
        (
            "evaluate",
            {"rubirc": "ieval"},
            "my.yaml, for evaluate: there is no setting 'rubirc'; did you mean rubric",
        ),
        ("simulate", {"rubric": "ieval"}, "my.yaml, for simulate: there is no setting 'rubric'"),
        ("simulate", ["limit"], "my.yaml, the whole file: expected options by name"),
        ("simulate", False, "my.yaml, the whole file: expected options by name"),
        ("simulate", {"limit": 0, "out": "x"}, "Invalid value for '--limit'"),
        ("simulate", {"limit": [1, 2], "out": "x"}, "--limit"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(call, verb, config, complaint):
    done = call(verb, config)
    assert done.exit_code == 2
    assert complaint in " ".join(done.stderr.split())


def test_a_missing_or_broken_file_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.yaml").write_text("a: [")
    for name, complaint in (("none.yaml", "no such file"), ("broken.yaml", "not readable as YAML")):
        done = CliRunner().invoke(app, ["evaluate", "--config", name])
        assert (done.exit_code, complaint in done.stderr) == (2, True), done.stderr
