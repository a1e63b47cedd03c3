"""Progress: bars on a terminal, lines elsewhere, and how much is said."""

import sys
from importlib import import_module
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from esc_eval.api.progress import Progress
from esc_eval.cli.app import app
from esc_eval.cli.progress import show_progress
from esc_eval.cli.runner import make_app


def test_a_bar_that_is_full_stands_above_what_is_said_next_and_another_count_has_a_bar_of_its_own():
    console = Console(file=StringIO(), force_terminal=True, width=100)
    with show_progress(console) as draw:
        for done in range(3):
            draw(Progress("turns", done, 2))
        draw(Progress(message="all was said"))
        draw(Progress("dialogues", 0, 1))
        draw(Progress("dialogues", 1, 1))
    before, _, after = console.file.getvalue().partition("all was said")
    assert "2/2" in before
    assert "turns" not in after
    assert "1/1" in after


def lines_of(told, seconds):
    """What is said where there is no terminal, each record told after so many seconds."""
    console, clock = Console(file=StringIO(), width=200), iter(seconds)
    with show_progress(console, lambda: next(clock)) as tell:
        for now in told:
            tell(now)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_now_and_then_and_the_time_left_counts_the_rating():
    told = [Progress("turns", done, 10, 50 * done, ahead=10) for done in range(11)]
    assert lines_of(told, range(0, 110, 10)) == [
        "turns: 0 of 10, 0%",
        "turns: 3 of 10, 30%, 5 tokens/s, 0:00:30 gone, about 0:02:50 left with rating",
        "turns: 6 of 10, 60%, 5 tokens/s, 0:01:00 gone, about 0:02:20 left with rating",
        "turns: 9 of 10, 90%, 5 tokens/s, 0:01:30 gone, about 0:01:50 left with rating",
        "turns: 10 of 10, 100%, 5 tokens/s, 0:01:40 gone, about 0:01:40 left with rating",
    ]


def test_a_count_that_goes_on_is_timed_from_where_it_went_on():
    told = [Progress("turns", 8, 10), Progress("turns", 9, 10)]
    assert lines_of(told, [0, 60])[-1] == "turns: 9 of 10, 90%, 0:01:00 gone, about 0:01:00 left"


@pytest.mark.parametrize(
    ("how", "said"),
    [((), ["loud: 0 of 3, 0%", "done."]), (("--quiet",), []), (("--verbose",), 4 * ["loud"] + ["done."])],
)
@pytest.mark.parametrize("before", [True, False])
def test_how_much_is_said_and_where_is_one_choice_for_every_verb(tmp_path, monkeypatch, how, said, before):
    package = tmp_path / "loud_verbs"
    package.mkdir()
    (package / "__init__.py").write_text('"""Try."""\n')
    (package / "count.py").write_text(
        "from esc_eval.cli.console import print_progress\nfrom esc_eval.cli.progress import count_items\n"
        "from esc_eval.errors import EscEvalError\nEXAMPLES = ('x count',)\n\n"
        "def command(fail: bool = False) -> None:\n    '''Count.'''\n"
        "    with count_items('loud', 3) as advance:\n        [advance() for _ in range(3)]\n"
        "    if fail:\n        raise EscEvalError('it failed')\n    print_progress('done.')\n"
    )
    (package / "other.py").write_text("EXAMPLES = ('x other',)\n\ndef command() -> None:\n    '''No.'''\n")
    monkeypatch.syspath_prepend(tmp_path)
    trial = make_app(import_module("loud_verbs"))
    words = [*how, "--log-file", str(tmp_path / "logs" / "log")]
    told = CliRunner().invoke(trial, [*words, "count"] if before else ["count", *words])
    assert told.exit_code == 0, told.output
    assert len(told.stderr.splitlines()) == (3 if said and not how else len(said))
    assert all(any(line.startswith(start) for line in told.stderr.splitlines()) for start in said)
    log = (tmp_path / "logs" / "log").read_text().splitlines()
    assert log[-1].endswith("+00:00 done.")
    failed = CliRunner().invoke(trial, [*words, "count", "--fail"])
    assert failed.stderr.splitlines()[-1] == "error: it failed", "errors are always said"
    assert ("Traceback" in failed.stderr) == ("--verbose" in how)
    again = (tmp_path / "logs" / "log").read_text().splitlines()
    assert again[: len(log)] == log
    assert again[-1].endswith(" error: it failed")
    assert CliRunner().invoke(trial, ["count"]).stderr.endswith("done.\n"), "the next call speaks as usual"
    del sys.modules["loud_verbs"], sys.modules["loud_verbs.count"], sys.modules["loud_verbs.other"]


def test_a_log_file_that_cannot_be_written_is_said(tmp_path):
    told = CliRunner().invoke(app, ["cite", "--log-file", str(tmp_path)])
    assert told.exit_code == 2
    assert "--log-file" in told.stderr
