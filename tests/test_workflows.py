"""The workflows do what `.ci/run` does: the same make targets, with the least permission."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
JOBS = [(path.name, name) for path in WORKFLOWS for name in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]]


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(file, job):
    return read(ROOT / ".github" / "workflows" / file)["jobs"][job]["steps"]


def test_there_are_workflows_for_lint_tests_docs_and_wheel():
    assert {"lint", "test", "docs", "wheel"} <= {job for _, job in JOBS}


@pytest.mark.parametrize(("file", "job"), JOBS)
def test_each_command_is_a_make_target_that_ci_runs_too(file, job):
    local = set(re.findall(r"\bmake ([\w-]+)$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [step["run"] for step in steps(file, job) if "run" in step]
    assert commands
    for command in commands:
        make, target = command.split()
        assert make == "make"
        assert target in local
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(("file", "job"), JOBS)
def test_actions_have_a_version_and_each_job_an_end(file, job):
    for step in steps(file, job):
        assert "run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert read(ROOT / ".github" / "workflows" / file)["jobs"][job]["timeout-minutes"] <= 60


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())


def test_tests_run_on_every_python_and_on_two_systems():
    matrix = read(ROOT / ".github" / "workflows" / "checks.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert {name.partition("-")[0] for name in matrix["system"]} == {"ubuntu", "macos"}


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda p: p.name)
def test_issue_forms_ask_for_something_under_names_of_their_own(path):
    form = read(path)
    assert form["name"]
    assert form["description"]
    asked = [field["id"] for field in form["body"] if field["type"] != "markdown"]
    assert asked
    assert len(set(asked)) == len(asked)
    for field in form["body"]:
        assert field["attributes"].get("label" if field["type"] != "markdown" else "value")
