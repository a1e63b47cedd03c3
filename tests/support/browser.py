"""Pages as people meet them: an application served on loopback, Debian's Chromium, and axe on what it shows."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import browsing

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PATIENCE = 60
"""Seconds that a server has to come up."""


@contextmanager
def open_chromium():
    """Chromium under playwright; where there is none, the test is skipped, or fails under ESC_EVAL_REQUIRE_BROWSER."""
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        _skip("playwright is not installed: pip install --group test")
    if browsing.CHROMIUM is None:
        _skip("there is no Chromium: apt-get install chromium")
    with browsing.open_chromium() as browser:
        yield browser


def _skip(reason: str) -> None:
    if os.environ.get("ESC_EVAL_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


class Served:
    """A verb of ``esc-eval`` that serves pages, in a process of its own.

    Attributes:
        lines: What it has printed so far.
    """

    def __init__(self, *arguments: object, cwd: Path | None = None) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "esc_eval", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "BROWSER": "true", "COLUMNS": "200"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, part: str) -> str:
        """The first line that holds some text, once it is printed."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if found := next((line for line in list(self.lines) if part in line), None):
                return found
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.02)
        raise AssertionError(f"no line with {part!r}; it printed:\n" + "\n".join(self.lines))

    def kill(self) -> None:
        """As kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def interrupt(self) -> int:
        """As Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()


def assert_accessible(page, sizes=(DESKTOP, PHONE)) -> None:
    """Axe finds nothing serious or critical under WCAG 2.2 AA, at each size, and nothing sticks out to the side."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    for size in sizes:
        page.set_viewport_size(size)
        found = Axe().run(page, options={"runOnly": tags, "resultTypes": ["violations"]}).response["violations"]
        grave = [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
        assert not grave, f"{page.url} at {size['width']} px:\n" + "\n".join(grave)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 1, f"{page.url} at {size['width']} px is {wide} px wider than the window"
