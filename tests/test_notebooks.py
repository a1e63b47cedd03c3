"""The notebooks of examples/ run, and show what their cells show now."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(book):
    pytest.importorskip("nbclient", reason="notebooks are run by nbclient: pip install --group test")
    pytest.importorskip("ipykernel", reason="notebooks are run by ipykernel: pip install --group test")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "tools" / "run_notebooks.py", "--check", book]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


@pytest.mark.parametrize(
    ("now", "before", "alike"),
    [
        ("-0.094 [-0.337, 0.175]", "-0.094 [-0.338, 0.175]", True),
        ("35.4 of 12", "35.5 of 12", True),
        ("0.10", "0.12", False),
        ("12 rows", "13 rows", False),
        ("0.5 kept", "0.5 left", False),
        ("0.5", "0.5 and 0.6", False),
        ("0.59", "0.5", False),
        ("0.049", "0.0", False),
        ("#", "0.5", False),
    ],
)
def test_a_decimal_may_differ_by_one_in_its_last_place_and_nothing_else_may(now, before, alike):
    pytest.importorskip("nbclient", reason="notebooks are run by nbclient: pip install --group test")
    tool = runpy.run_path(str(ROOT / "tools" / "run_notebooks.py"))
    assert tool["is_alike"](now, before) is alike


def test_the_notebooks_are_executed_and_there_are_three():
    import json

    assert len(BOOKS) == 3
    for book in BOOKS:
        cells = [cell for cell in json.loads(book.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in cells)
        assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
