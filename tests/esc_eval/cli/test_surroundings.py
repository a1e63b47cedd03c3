"""Where commands run: names of files that are no text, folders that cannot be written, models that wander off."""

import json
import os
import subprocess
import sys
from functools import partial

import pytest
from rights import run_by_permissions

from esc_eval import evaluate
from esc_eval.checkpoints.convert_once import convert_once
from esc_eval.errors import EscEvalError

LATIN = os.fsdecode(b"caf\xe9")
"""A name as file systems have it that were written in another encoding."""


@pytest.fixture
def run(tmp_path):
    """Runs ``esc-eval`` in a folder; returns what it said."""

    def of(*arguments, **more):
        command = [sys.executable, "-m", "esc_eval", *arguments]
        environment = {**os.environ, **more}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    for name, says in (("supporter", "I hear you."), ("seeker", "Not well."), ("judge", "3")):
        (tmp_path / LATIN).mkdir(exist_ok=True)
        (tmp_path / LATIN / f"{name}.json").write_text(json.dumps({"replies": [says]}))
    return of


ASKED = (
    *("--supporter", f"p=scripted:{LATIN}/supporter.json", "--seeker", f"scripted:{LATIN}/seeker.json"),
    *("--scorer", f"j=scripted:{LATIN}/judge.json", "--limit", "2", "--rounds", "1"),
)


@pytest.mark.slow
@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_folders_may_be_called_what_is_no_text(run, tmp_path, locale):
    done = run("evaluate", *ASKED, "--out", f"{LATIN}/run", **locale)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / LATIN / "run"
    said = json.loads((folder / "run.json").read_text())["calls"][0]["command"]
    assert "caf\\udce9/run" in said
    again = run("evaluate", *ASKED, "--out", f"{LATIN}/run", **locale)
    assert "going on after 4 of 4 turns" in again.stderr
    for command in (("compare", f"{LATIN}/run"), ("report", f"{LATIN}/run", "--out", f"{LATIN}/report")):
        done = run(*command, **locale)
        assert done.returncode == 0, done.stderr
    done = run("score", "--dialogues", f"{LATIN}/run/dialogues.jsonl", *ASKED[4:6], "--out", f"{LATIN}/again", **locale)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_no_text_is_refused_with_what_to_do(run):
    run("simulate", *ASKED[:4], *ASKED[6:], "--out", "run")
    done = run("sheet", "run", "--rater", LATIN, "--out", "sheets")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "caf\\udce9: is no text in UTF-8, as a name must be; choose another" in done.stderr


@pytest.mark.parametrize("place", ["nothing may be written", "a file"])
def test_where_no_model_can_be_kept_the_way_out_is_said(tmp_path, place):
    home = tmp_path / "home"
    if place == "a file":
        home.write_text("")
    else:
        home.mkdir(mode=0o500)
    where = {**os.environ, "ESC_EVAL_CACHE": str(home / "cache" if home.is_dir() else home)}
    (tmp_path / "seeker.json").write_text('{"replies": ["Not well."]}')
    given = ("--seeker", f"scripted:{tmp_path}/seeker.json", "--limit", "1", "--rounds", "1", "--out", tmp_path / "run")
    done = run_by_permissions("simulate", "--supporter", "embedded", *given, env=where)
    assert done.returncode == 2
    assert f"{where['ESC_EVAL_CACHE']}: a converted model cannot be kept there: " in done.stderr
    assert "export ESC_EVAL_CACHE=DIR, a folder that you may write to" in done.stderr


def test_a_disk_that_is_too_small_for_a_model_is_refused_before_it_is_converted(tmp_path, monkeypatch):
    made = []
    monkeypatch.setenv("ESC_EVAL_CACHE", str(tmp_path))
    make = partial(convert_once, tmp_path / "model", "config.json", made.append, needed=1 << 60)
    with pytest.raises(EscEvalError, match=r"GB free, but the converted model takes .*ESC_EVAL_CACHE=DIR on another"):
        make()
    assert made == []


def test_a_run_stays_in_its_folder_where_a_model_changes_that_of_the_process(tmp_path, monkeypatch):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    def wander(messages):
        os.chdir(elsewhere)
        return "3"

    found = evaluate({"m": wander}, seeker=wander, scorer=wander, limit=2, rounds=1, out="runs/one")
    assert len(found.dialogues) == 2
    assert (tmp_path / "runs" / "one" / "report.md").exists()
    assert list(elsewhere.iterdir()) == []
