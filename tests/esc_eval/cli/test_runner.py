"""The one runner: every way in which a verb can end, shown on a small package of verbs in processes of their own."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from esc_eval import __version__
from esc_eval.cli.console import exit_on_user_error

ROOT = Path(__file__).resolve().parents[3]
WORDS = "家庭 ─ café 😀 …"
VERBS = {
    "__init__": '"""Try things."""\n\nORDER = ("say",)\n',
    "say": f"""
        from esc_eval.cli.console import print_data, print_progress

        EXAMPLES = ("python -m trial say",)


        def command() -> None:
            '''Say a few words.'''
            print_data({WORDS!r})
            print_progress({WORDS!r})
        """,
    "many": """
        from esc_eval.cli.console import print_data

        EXAMPLES = ("python -m trial many --count 3",)


        def command(count: int = 100_000) -> None:
            '''Count.'''
            for number in range(count):
                print_data(number)
        """,
}


@pytest.fixture
def trial(tmp_path):
    """Runs ``python -m trial``; its verbs are the files of a package."""
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial_verbs").mkdir()
    code = "import trial_verbs\nfrom esc_eval.cli.runner import make_app\n\nmake_app(trial_verbs)()\n"
    (tmp_path / "trial/__main__.py").write_text(code, encoding="utf-8")
    for name, text in VERBS.items():
        lines = (line.removeprefix("        ") for line in text.splitlines())
        (tmp_path / f"trial_verbs/{name}.py").write_text("\n".join(lines), encoding="utf-8")
    path = f"{tmp_path}{os.pathsep}{ROOT}"

    def run(command, **environment):
        words = ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m trial {command}"]
        env = {**os.environ, "PYTHONPATH": path, **environment}
        return subprocess.run(words, cwd=tmp_path, capture_output=True, env=env)

    return run


@pytest.mark.slow
def test_a_verb_is_a_file_and_stands_where_the_package_says(trial):
    shown = trial("-h").stdout.decode()
    assert shown.index("  say ") < shown.index("  many ")
    assert "130 stopped" in shown
    assert trial("--version").stdout.decode() == f"{__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", WORDS),
        ("latin-1", "\\u5bb6\\u5ead - café \\ud83d\\ude00 ~"),
        ("cp1252", "\\u5bb6\\u5ead - café \\ud83d\\ude00 …"),
        ("ascii", "\\u5bb6\\u5ead - caf\\u00e9 \\ud83d\\ude00 ~"),
    ],
)
def test_a_character_that_the_terminal_lacks_is_shown_plainly_or_escaped_as_in_json(trial, encoding, shown):
    done = trial("say", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == f"{shown}\n".encode(encoding)


def test_a_reader_that_goes_away_ends_it_quietly(trial):
    done = trial("many | head -n 1")
    assert (done.returncode, done.stdout, done.stderr) == (141, b"0\n", b"")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["many > /dev/full", "many --count 1 > /dev/full", "--help > /dev/full"])
def test_a_full_disk_under_stdout_is_told(trial, command):
    done = trial(command)
    assert done.returncode == 2
    assert done.stderr.decode() == (
        "error: the output: No space left on device. What was finished is kept; free some space and run the command "
        "again.\n"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EROFS, "Read-only file system. What was finished is kept; choose a place"),
        (errno.EACCES, "Permission denied. What was finished is kept; choose a place"),
        (errno.EPERM, "Operation not permitted. What was finished is kept; choose a place"),
        (errno.EDQUOT, "Disk quota exceeded. What was finished is kept; free some space"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_told(capsys, code, said):
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        raise OSError(code, os.strerror(code), "runs/first")
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: runs/first: {said}")


def test_any_other_failure_of_the_system_is_a_fault_of_ours():
    with pytest.raises(OSError, match="a fault"), exit_on_user_error():
        raise OSError(errno.EDOM, "a fault")


def test_a_closed_stdout_is_no_fault(trial):
    done = trial("say >&-")
    assert (done.returncode, done.stderr.decode()) == (0, f"{WORDS}\n")


@pytest.mark.slow
def test_a_missing_library_names_what_brings_it_and_a_missing_module_of_ours_is_a_fault(tmp_path):
    code = "import sys; sys.modules[sys.argv[1]] = None; sys.path.insert(0, '.'); sys.argv[1:2] = []; "
    code += "from {0}.__main__ import app; app()"

    def run(package, library, *arguments):
        command = [sys.executable, "-c", code.format(package), library, *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)

    (tmp_path / "r.csv").write_text("dialogue_id,rater,dimension,score\nd1,ann,fluency,3\n")
    bare = run("analysis", "pandas", "agreement", "r.csv")
    assert (bare.returncode, bare.stderr) == (2, 'error: pandas is missing: pip install "esc-eval[statistics]"\n')
    ours = run("analysis", "esc_eval.reporting.agreement", "agreement", "r.csv")
    assert ours.returncode == 1
    assert "ModuleNotFoundError" in ours.stderr


SLOW = """
import time
from pathlib import Path

def answer(messages):
    Path("asked").touch()
    time.sleep(0.0 if Path("hurry").exists() else 60.0)
    return "I hear you."
"""


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_a_sentence_and_the_same_command_goes_on(tmp_path, script):
    (tmp_path / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "esc_eval", "simulate", "--supporter", "python:slow:answer", "--limit", "2"]
    command += ["--seeker", script(["I feel low."]), "--rounds", "1", "--out", "run"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as process:
        while not (tmp_path / "asked").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (130, b"")
    assert b"stopped. Kept in run: 0 of 2 dialogues and " in stderr
    assert b"The same command goes on from there." in stderr
    assert b"Traceback" not in stderr
    (tmp_path / "hurry").touch()
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env)
    assert (again.returncode, again.stdout) == (0, "run/dialogues.jsonl\n")
    dialogues = (tmp_path / "run/dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["turns"][-1]["text"] for line in dialogues] == ["I hear you."] * 2


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_a_server_that_says_nothing(tmp_path, script):
    command = [sys.executable, "-m", "esc_eval", "simulate", "--seeker", script(["I feel low."]), "--limit", "4"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        command += ["--supporter", f"openai:toy@http://127.0.0.1:{server.getsockname()[1]}/v1", "--out", "run"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        ) as process:
            server.accept()
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)  # a request is given up after many minutes
    assert process.returncode == 130, stderr
    assert b"stopped." in stderr
    assert b"Traceback" not in stderr
