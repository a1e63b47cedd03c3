"""The README's two commands, its paper evaluation with small models, and its tree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs_desk import make_clonable
from faulty_server import FaultyServer

from training.common.toy import CONTEXT, build_toy

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?P<note><!-- not run: .*? -->\n)?```(?P<kind>bash|python)\n(?P<code>.*?)```", re.DOTALL)
BLOCKS = [(m["kind"], m["code"]) for m in BLOCK.finditer(README) if not m["note"]]


def test_make_has_the_two_commands():
    assert [code.strip() for kind, code in BLOCKS if code.startswith("make")] == ["make demo", "make test"]
    for target in ("demo", "test"):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_papers_evaluation_runs_with_small_models_in_the_places_of_the_large(shared, tmp_path):
    [code] = [m["code"] for m in BLOCK.finditer(README) if m["note"]]
    (tmp_path / "judge.json").write_text('["Score: 3"]')
    seeker = build_toy(tmp_path / "seeker", context=CONTEXT)  # An official card has more bytes than 512.
    with FaultyServer() as server:
        stands_in = {
            r"openai:my-judge@http://localhost:\d+/v1": "scripted:judge.json",
            r"hf:haidequanbu/ESC-Role@\w+": f"hf:{seeker}",
            r"http://localhost:\d+/v1": server.url,
        }
        for large, small in stands_in.items():
            code, count = re.subn(large, small, code)
            assert count
        command = code.strip() + " --limit 2 --rounds 1 --max-new-tokens 8"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path} | make_clonable(tmp_path / "upstream", shared)
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, env=environment)
    assert (tmp_path / "runs/my-model/report.html").exists()


def tree():
    """Folder -> names that the README's tree has in it."""
    found, folder = {}, ""
    for line in README.partition("## The tree")[2].partition("```text\n")[2].partition("```")[0].splitlines():
        names = line.strip().split("  ")[0]
        if not line.startswith(" "):
            folder = names
            found[folder] = []
        elif names:
            found[folder] += [name.rstrip("/") for name in names.split(", ")]
    return found


def test_every_file_of_the_tree_is_there():
    for folder, names in tree().items():
        assert (ROOT / folder).is_dir(), folder
        for name in names:
            assert (ROOT / folder / name).exists(), f"{folder}{name}"


def test_the_tree_names_every_folder_and_where_it_looks_inside_every_module():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")
    if tracked == [""]:
        pytest.skip("no git checkout")
    known = tree()
    for path in map(Path, filter(None, tracked)):
        if len(path.parts) == 1 or path.parts[0].startswith("."):
            continue
        folder, name = f"{path.parts[0]}/", path.parts[1]
        assert folder in known, folder
        if known[folder] and not name.startswith("__") and (len(path.parts) > 2 or path.suffix == ".py"):
            assert name in known[folder], f"{folder}{name} is not in the tree of README.md"
