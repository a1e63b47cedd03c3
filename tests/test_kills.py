"""Whatever is killed at whatever moment: nothing half-written is left, and the same command ends in the same files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "support" / "kills.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_hundred_kills_at_random_moments_change_nothing():
    paths = os.pathsep.join([str(SCRIPT.parents[2]), str(SCRIPT.parent)])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "1"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"kills": 100, "problems": []}
