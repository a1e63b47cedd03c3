"""README and documentation: every code block runs, or says why it does not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from code_blocks import RUN, blocks, runs
from docs_desk import lay

ROOT = Path(__file__).resolve().parents[1]
HOW_DO_I = ROOT / "docs" / "how_do_i"  # walked by test_how_do_i
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WALKED = [page for page in PAGES if page.parent != HOW_DO_I]
WHY = {"network", "GPU", "your data", "a server", "time"}
SHOWN = ("text", "json", "yaml", "toml", "bibtex")
COMMANDS = ("esc-eval ", "python ", "make ", "pip ", "git ")


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_is_of_a_known_kind_and_every_mark_gives_a_known_reason(page):
    for kind, code, mark in blocks(page):
        assert kind in (*RUN, *SHOWN), code
        assert mark is None or mark in WHY, mark
        assert kind in RUN or not code.startswith(COMMANDS), code
        if kind == "python":
            compile(code, name(page), "exec")


@pytest.fixture(scope="module")
def desk(tmp_path_factory, shared):
    folder = tmp_path_factory.mktemp("desk")
    lay(folder, shared)
    return folder


def play(page, folder, kinds):
    """Run a page's blocks in order, as a reader would: in one folder, with the checkout's modules at hand."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    for kind, code in runs(page):
        if kind not in kinds:
            continue
        if all(line.startswith("make ") for line in code.splitlines()):  # CI runs these themselves
            targets = [line.split()[1] for line in code.splitlines()]
            subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)
            continue
        command = [sys.executable, "-c", code] if kind == "python" else ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name(page)}:\n{code}\n{done.stderr[-3000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in WALKED if {kind for kind, _ in runs(p)} == {"python"}], ids=name)
def test_pages_with_python_alone_run(page, tmp_path):
    play(page, tmp_path, ("python",))


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    "page", [p for p in WALKED if "bash" in {k for k, _ in runs(p)} and ".zh" not in p.name], ids=name
)
def test_pages_with_commands_run(page, desk, tmp_path):
    shutil.copytree(desk, tmp_path, symlinks=True, dirs_exist_ok=True)
    play(page, tmp_path, RUN)


CHINESE = [("README.md", "README.zh.md"), ("docs/index.md", "docs/index.zh.md")]
LINK = re.compile(r"\]\((?!http)([^)]+)\)")


@pytest.mark.parametrize(("english", "chinese"), CHINESE)
def test_a_chinese_page_has_the_commands_of_the_english_one(english, chinese):
    both = [blocks(ROOT / page) for page in (english, chinese)]
    first, second = ([block for block in found if block[0] in RUN] for found in both)
    assert first == second


def test_the_chinese_start_page_leads_where_the_english_one_leads():
    first, second = (LINK.findall((ROOT / page).read_text(encoding="utf-8")) for page in CHINESE[1])
    assert first == second


def test_every_picture_of_a_page_is_in_the_gallery():
    shown = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    pictures = {path.name for path in (ROOT / "docs" / "screenshots").glob("*.png")}
    assert pictures == set(re.findall(r"screenshots/([\w-]+\.png)", shown))
