"""The notebooks of examples/ run, and show what their cells show now."""

import os
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


def test_the_notebooks_are_executed_and_there_are_three():
    import json

    assert len(BOOKS) == 3
    for book in BOOKS:
        cells = [cell for cell in json.loads(book.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert all(cell["execution_count"] for cell in cells)
        assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
