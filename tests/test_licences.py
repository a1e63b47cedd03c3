"""The licence of each file: REUSE.toml has it, and LICENSE.data.md says the same in its table."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_for_people_is_that_of_the_machine():
    rows = tomllib.loads((ROOT / "REUSE.toml").read_text(encoding="utf-8"))["annotations"]
    written = re.findall(
        r"^\| `([^`]+)`[^|]*\| ([\w.-]+) \|", (ROOT / "LICENSE.data.md").read_text(encoding="utf-8"), re.M
    )
    assert [(row["path"], row["SPDX-License-Identifier"]) for row in rows] == written
    texts = {path.stem for path in (ROOT / "LICENSES").iterdir()}
    assert texts == {licence for _, licence in written}
    assert (ROOT / "LICENSES" / "Apache-2.0.txt").read_text() == (ROOT / "LICENSE").read_text()


@pytest.mark.slow
def test_every_file_has_a_licence_and_a_holder():
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    reuse = Path(sys.executable).with_name("reuse")
    done = subprocess.run([reuse, "--no-multiprocessing", "lint"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
