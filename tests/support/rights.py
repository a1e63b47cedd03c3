"""A process that may do what permissions say, also where the tests run as root."""

import os
import shutil
import subprocess
import sys

import pytest

DROP = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
"""Takes away from root that permissions do not hold for it."""


def run_by_permissions(*arguments, **settings):
    """Run ``esc-eval`` in a process of its own, as a user for whom permissions hold; returns what it said."""
    root = os.geteuid() == 0
    if root and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere here")
    code = "from esc_eval.cli.app import app; app()"
    command = [*(DROP if root else []), sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300, **settings)


def forbid_writing(folder):
    """Take the right to write away from a folder and all that it holds."""
    for path in [*folder.rglob("*"), folder]:
        path.chmod(path.stat().st_mode & ~0o222)
