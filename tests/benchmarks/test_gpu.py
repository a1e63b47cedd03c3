"""The command that makes all measurements of a GPU: its course, without one."""

import json
import sys
from importlib.util import find_spec

import pytest

from benchmarks import gpu

FOUND = "import json, sys; json.dump({'rate': 3}, open(sys.argv[1], 'w')); print('said')"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run some parts as if there were a GPU; what was printed, and what is in the file."""
    monkeypatch.setattr(gpu, "find_device", lambda: "a card")
    out = tmp_path / "gpu.json"

    def run(parts, *more):
        monkeypatch.setattr(gpu, "PARTS", {name: tuple(words) for name, words in parts.items()})
        monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(out), *more])
        gpu.main()
        return capsys.readouterr().out, json.loads(out.read_text()) if out.exists() else None

    return run


def test_each_part_is_kept_with_what_it_found_and_none_is_run_twice(run):
    _, found = run({"one": ["-c", FOUND, gpu.JSON]})
    assert found["one"]["found"] == {"rate": 3}
    assert (found["one"]["output"], found["one"]["device"]) == ("said\n", "a card")
    said, again = run({"one": ["-c", "raise SystemExit(1)"], "two": ["-c", "print('more')"]})
    assert "one: done before" in said
    assert again["one"] == found["one"]
    assert again["two"]["output"] == "more\n"


def test_a_part_that_fails_says_why_keeps_what_it_found_and_is_tried_again_after_the_others(run):
    failing = FOUND + "; sys.exit('no such module')"
    said, found = run({"bad": ["-c", failing, gpu.JSON], "good": ["-c", "print()"]})
    assert found["bad"]["problem"] == "it ended with code 1"
    assert "no such module" in found["bad"]["output"]
    assert found["bad"]["found"] == {"rate": 3}
    assert "problem" not in found["good"]
    said, found = run({"bad": ["-c", "print()"], "new": ["-c", "print()"]})
    assert said.index("== new") < said.index("== bad")
    assert "problem" not in found["bad"]


def test_a_part_that_is_not_done_in_time_leaves_the_others_their_own(run, monkeypatch):
    monkeypatch.setattr(gpu, "MOST_MINUTES", 0.01)
    slow = "import time; print('begun', flush=True); time.sleep(60)"
    _, found = run({"slow": ["-c", slow], "next": ["-S", "-c", "pass"]})
    assert found["slow"]["problem"] == "it was not done after 1 s"
    assert "next" in found


def test_parts_for_which_no_time_is_left_are_named(run):
    said, found = run({"one": ["-c", "print()"]}, "--minutes", "0")
    assert "one: no time left; run the same command again for the rest" in said
    assert found is None


def test_without_a_gpu_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "find_device", lambda: None)
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path / "gpu.json")])
    with pytest.raises(SystemExit, match="torch sees no GPU here"):
        gpu.main()


def test_every_part_is_a_module_that_there_is():
    assert all(words[0] == "-m" and find_spec(words[1]) for words in gpu.PARTS.values())
