"""Pages in a browser: what serves them, in a process of its own or in a thread, and Debian's Chromium on it."""

import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 60
"""Seconds that a server has to end."""


@contextmanager
def open_chromium() -> Iterator[Any]:
    """The browser, by playwright."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise SystemExit("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serve_verb(*arguments: str | Path) -> Iterator[str]:
    """Run a verb of ``esc-eval`` that serves on loopback; yields the line that it prints with its address."""
    command = [sys.executable, "-m", "esc_eval", *map(str, arguments)]
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stderr is not None
        said: list[str] = []
        try:
            for line in process.stderr:
                said.append(line)
                if "http://" in line:
                    yield line.strip()
                    break
            else:
                raise SystemExit("".join(said))
        finally:
            process.terminate()


@contextmanager
def serve_in_thread(app: Any) -> Iterator[str]:
    """Serve an application on a free port of loopback; yields its address."""
    import uvicorn

    from esc_eval.web.serving import listen

    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def describe_machine() -> dict[str, Any]:
    """What the figures are of: processor, cores, and how busy it was."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "load": [round(load, 2) for load in os.getloadavg()]}
