"""A Space starts in a new virtual environment from its own requirements.txt, serves its pages, and takes a run."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import httpx
import pytest
from browser import PATIENCE, assert_accessible
from made_runs import make_run, zip_run

from esc_eval import __version__
from release.space import write_space

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out / f"esc_eval-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def served(wheel, tmp_path_factory):
    """The address of a Space that was installed as its README says; only what it needs beside the wheel is shared."""
    folder = tmp_path_factory.mktemp("space")
    run = make_run(folder)
    space = folder / "space"
    write_space(space, [], [run], wheel)
    assert f"./{wheel.name}[pages,data]" in (space / "requirements.txt").read_text()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    # what the wheel needs stands in this environment, at versions that requirements.txt allows; pip takes it from there
    beside = folder / "venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "beside.pth"
    beside.write_text(f"import site; site.addsitedir({str(Path(pytest.__file__).parents[1])!r})\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "-r", "requirements.txt"]
    done = subprocess.run(install, cwd=space, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = subprocess.run(
        [python, "-c", "import esc_eval; print(esc_eval.__file__)"], capture_output=True, text=True, cwd=space
    )
    assert str(folder / "venv") in found.stdout, found
    port = str(40_000 + os.getpid() % 20_000)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PORT": port}
    with subprocess.Popen([python, "app.py"], cwd=space, env=environment, stderr=subprocess.PIPE, text=True) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address, process)
            yield address, space, run
        finally:
            process.terminate()
    shutil.rmtree(folder / "venv")


def _wait(address, process):
    end = time.monotonic() + 2 * PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr.read()
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the Space does not answer")


def test_a_space_in_a_new_environment_serves_its_pages_and_takes_a_run(served, page):
    address, space, run = served
    with httpx.Client(base_url=address, timeout=60) as client:
        for path in ("/", "/dialogues", "/side-by-side", "/rounds", "/submit"):
            assert client.get(path).status_code == 200, path
        assert "warm" in client.get("/").text
        assert client.get("/space.json").status_code == 404
        assert client.get("/static/../space.json").status_code == 404
        bad = {"files": ("run.zip", b"no zip", "application/zip")}
        assert client.post("/submit", data={"agreed": "yes"}, files=bad).status_code == 422
    page.goto(f"{address}/submit")
    assert_accessible(page)
    page.set_input_files("#files", {"name": "run.zip", "mimeType": "application/zip", "buffer": zip_run(run)})
    page.get_by_label("I may pass on these dialogues").check()
    page.get_by_role("button", name="Check and submit").click()
    page.get_by_text("waits for a maintainer").wait_for()
    assert_accessible(page)
    [kept] = (space / "pending").iterdir()
    assert (kept / "submission.json").is_file()
    page.goto(address)
    assert kept.name not in page.content()
