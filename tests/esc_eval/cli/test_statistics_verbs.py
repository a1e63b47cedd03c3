"""The verbs on tables of ratings, and that ``python -m analysis`` prints what ``esc-eval`` prints."""

import json
import subprocess
import sys

import numpy as np
import pytest
from analysis_support import write_table
from typer.testing import CliRunner

from analysis.__main__ import app as analysis
from analysis.studies import alpha_check
from benchmarks.viewing import make_run
from esc_eval.cli.app import app as esc_eval
from esc_eval.files import ratings_table, records
from esc_eval.files.writing import write_jsonl
from esc_eval.schema import Dialogue, Turn


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(1)
    people, judge = [], []
    for card in range(12):
        for model in ("a", "b"):
            for dimension in ("empathy", "overall"):
                where = {"dialogue_id": f"{model}{card}", "dimension": dimension, "card": card, "model": model}
                level = int(rng.integers(1, 4))
                people += [{**where, "rater": r, "score": level + int(rng.integers(0, 2))} for r in ("p", "q")]
                judge.append({**where, "rater": "judge", "score": level})
    said = (Turn(role="seeker", text="a"), Turn(role="supporter", text="b"))
    talks = [Dialogue(id=f"{m}{c}", language="en", turns=said, supporter=m, card_id=f"{c}") for m in "ab" for c in "12"]
    write_jsonl(tmp_path / "talks.jsonl", talks)
    return {
        "people": str(write_table(tmp_path / "people.csv", people)),
        "judge": str(write_table(tmp_path / "judge.csv", judge)),
        "talks": str(tmp_path / "talks.jsonl"),
        "out": str(tmp_path / "plan.csv"),
    }


@pytest.mark.parametrize("more", [[], ["--adjust-raters"], ["--rubric", "esc-eval"]])
def test_a_large_run_folder_is_compared_as_one_that_is_held_and_its_records_are_not(tmp_path, monkeypatch, more):
    make_run(tmp_path / "run", cards=8, models=2, rounds=2, raters=2)

    def compare(held):
        monkeypatch.setattr(records, "HELD", held)
        words = ["compare", str(tmp_path / "run"), "--draws", "100", "--json", str(tmp_path / "out.json"), *more]
        done = CliRunner().invoke(esc_eval, words)
        assert done.exit_code == 0, done.stderr
        return done.stdout, (tmp_path / "out.json").read_bytes()

    def refuse(path):
        raise AssertionError(f"{path} was read into memory")

    held = compare(1 << 30)
    for module in (ratings_table, records):
        monkeypatch.setattr(module, "read_ratings", lambda path, *_more: refuse(path))
        monkeypatch.setattr(module, "read_dialogues", refuse)
    assert compare(0) == held


PLAN = "{talks} --rater p --rater q --overlap 0.5 --pilot {people} --out {out}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "former", "arguments"),
    [
        ("agreement", "agreement", "{people} --draws 200 --top 2"),
        ("compare", "leaderboard", "{people} --predictions {judge} --draws 200"),
        ("health", "scorer", "{judge} --labels {people} --draws 200"),
        ("plan", "plan", PLAN),
        ("power", "power", "{people} --cards 10,20 --raters 1 --simulations 100"),
    ],
)
def test_both_command_lines_print_the_same(verb, former, arguments, tables, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    words = arguments.format(**tables).split()
    ours, theirs = (CliRunner().invoke(app, [name, *words]) for app, name in ((esc_eval, verb), (analysis, former)))
    assert (ours.exit_code, theirs.exit_code) == (0, 0), ours.output + theirs.output
    assert ours.stdout == theirs.stdout
    assert "|" in ours.stdout.splitlines()[-1], "the signature"
    assert all(len(line) <= 80 or "|" in line for line in ours.stdout.splitlines())


def test_a_narrow_terminal_loses_no_number(tables, monkeypatch, tmp_path):
    found = {}
    for width in ("60", "200"):
        monkeypatch.setenv("COLUMNS", width)
        shown = CliRunner().invoke(esc_eval, ["agreement", tables["people"], "--draws", "200"]).stdout
        found[width] = {word for word in shown.split() if word.strip("[-").partition(".")[0].isdigit()}
        assert all(len(line) <= int(width) or "|" in line for line in shown.splitlines())
    assert found["60"] == found["200"]


def test_our_alpha_is_held_against_the_library(tables, monkeypatch, tmp_path):
    out = tmp_path / "check.json"
    same = CliRunner().invoke(analysis, ["agreement", tables["people"], "--check", "--json", str(out)])
    assert same.exit_code == 0, same.output
    assert "the same" in same.stdout
    found = json.loads(out.read_text())
    assert len(found["alpha"]) == 9
    assert all(abs(row["ours"] - row["library"]) < 1e-9 for row in found["alpha"])
    monkeypatch.setattr(alpha_check, "library_alpha", lambda ratings, metric: 0.5)
    other = CliRunner().invoke(analysis, ["agreement", tables["people"], "--check"])
    assert other.exit_code == 1
    assert "NOT the same" in other.stdout


@pytest.mark.slow
def test_the_wheel_never_calls_krippendorff():
    code = (
        "import pkgutil, importlib, sys, esc_eval.statistics as s, esc_eval.reporting as r\n"
        "for p in (s, r):\n"
        "    for m in pkgutil.walk_packages(p.__path__, p.__name__ + '.'):\n"
        "        importlib.import_module(m.name)\n"
        "print('krippendorff' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_power_of_repeats_wants_a_run_that_has_some(tables, tmp_path):
    once = CliRunner().invoke(esc_eval, ["power", tables["people"], "--repeats", "1,2"])
    assert once.exit_code == 2
    assert "with --repeats 2" in " ".join(once.stderr.split())
    rows = [
        {
            "dialogue_id": f"{m}{c}.{k}",
            "dimension": "empathy",
            "card": c,
            "model": m,
            "rater": "r",
            "score": (c + k) % 3 + s,
        }
        for c in range(6)
        for m, s in (("a", 0), ("b", 1 + c % 2))
        for k in range(3)
        if (c, m, k) != (2, "a", 1)
    ]
    again = write_table(tmp_path / "again.csv", rows)
    found = CliRunner().invoke(esc_eval, ["power", str(again), "--repeats", "1,2", "--json", str(tmp_path / "p.json")])
    assert found.exit_code == 0, found.output
    assert len(json.loads((tmp_path / "p.json").read_text())["errors"]) == 2
