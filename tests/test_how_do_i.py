"""The pages of the five users, walked as they say: from the installed wheel, or from a checkout."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import RUN, blocks, runs
from docs_desk import lay_checkout, make_clonable
from installed import build_wheel, install_wheel

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs" / "how_do_i").glob("*.md"))
WHEEL, CHECKOUT = "Needs the installed package", "Needs a checkout"


def start(page):
    """Which of the two a page starts from."""
    [found] = re.findall(f"{WHEEL}|{CHECKOUT}", page.read_text(encoding="utf-8"))
    return found


def test_each_of_the_five_says_where_it_starts_and_leaves_out_little():
    assert len(PAGES) == 5
    for page in PAGES:
        left_out = [mark for kind, _, mark in blocks(page) if kind in RUN and mark]
        assert len(runs(page)) >= len(left_out), page
        if start(page) == WHEEL:
            assert not re.search(r"python -m (?!pip)|make ", "".join(code for _, code in runs(page))), page


def walk(page, folder, environment):
    for kind, code in runs(page):
        command = ["python", "-c", code] if kind == "python" else ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    wheel = build_wheel(tmp_path_factory.mktemp("dist"))
    environment = install_wheel(wheel, tmp_path_factory.mktemp("outside") / "env")
    where = subprocess.run(
        ["python", "-c", "import esc_eval; print(esc_eval.__file__)"],
        env=environment, cwd=wheel.parent, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "outside" in where
    return environment


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if start(p) == WHEEL], ids=lambda page: page.stem)
def test_it_runs_from_the_installed_wheel(page, installed, tmp_path):
    walk(page, tmp_path, installed)


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize("page", [p for p in PAGES if start(p) == CHECKOUT], ids=lambda page: page.stem)
def test_it_runs_from_a_checkout(page, shared, tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    lay_checkout(folder, shared)
    (folder / "ESC-Eval").unlink()  # the page clones it
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    walk(
        page,
        folder,
        os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | make_clonable(tmp_path / "upstream", shared),
    )
