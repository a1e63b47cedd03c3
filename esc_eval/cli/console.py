"""The streams of a command line: stdout is data, stderr is talk, and every way in which a verb can end."""

import codecs
import errno
import io
import json
import os
import shutil
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from esc_eval.chat.stopping import EVERYTHING
from esc_eval.cli.extras import find_install
from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_terminal, put_on_one_line
from esc_eval.files.cell_tables import Guess
from esc_eval.hub import plans as hub
from esc_eval.schema import escape_halves

UNWRITABLE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "choose a place that you may use",
    errno.EPERM: "choose a place that you may use",
    errno.EROFS: "choose a place that can be written to",
    errno.ENAMETOOLONG: "choose a shorter name",
}
PLAIN = dict(zip("─━│┃…–—‘’“”•", "--||~--''\"\"*", strict=True))
"""What stands for characters of tables and typography on a terminal that lacks them; each is as wide as the other."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to ``exit_on_user_error``; rich would end with code 1."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


talk = _Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


class Voice:
    """How much is said on stderr, and the file that it is written into as well; of one command line.

    Attributes:
        quiet: Whether nothing but errors is said.
        verbose: Whether each item that is finished is said, and where an error comes from.
    """

    def __init__(self) -> None:
        self.quiet = self.verbose = False
        self._log: TextIO | None = None

    def reset(self) -> None:
        """Speak as usual again, into no file."""
        if self._log is not None:
            self._log.close()
        self.__init__()  # type: ignore[misc]

    def open_log(self, path: Path) -> None:
        """Write all that is said from now on at the end of a file too, each line with its time (UTC).

        Raises:
            EscEvalError: It cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._log = path.open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise EscEvalError(f"--log-file {path}: {error.strerror}; name a file that can be written") from error

    @property
    def has_log(self) -> bool:
        """Whether what is said goes into a file too."""
        return self._log is not None

    def write(self, text: str) -> None:
        """Write into the file alone, if there is one."""
        if self._log is not None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._log.writelines(f"{now} {line}\n" for line in escape_terminal(text).strip().splitlines())


voice = Voice()


def print_progress(line: str) -> None:
    """Print a line of progress on stderr, unless it is to be quiet there."""
    voice.write(line)
    if not voice.quiet:
        talk.print(escape_terminal(line), markup=False)


def print_data(found: object) -> None:
    """Print what a verb found on stdout: one line, or a text of several, JSON too."""
    sys.stdout.write(escape_terminal(f"{found}").removesuffix("\n") + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, ruled: bool = False) -> None:
    """Print a table on stdout, as wide as the terminal or COLUMNS; 80 in a pipe, whatever terminal started it.

    Args:
        columns: Their titles.
        rows: The cells of each.
        ruled: Whether lines part the rows.
    """
    table = Table(*columns, show_lines=ruled)
    for row in rows:
        table.add_row(*(Text(put_on_one_line(cell)) for cell in row))
    _Console(width=shutil.get_terminal_size((80, 24)).columns).print(table)


@contextmanager
def show_guesses() -> Iterator[None]:
    """Print what was guessed of a file as a line on stderr, each once; other warnings stay as they are."""
    usual, said = warnings.showwarning, set[str]()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if not issubclass(category, Guess):
            usual(message, category, *where, **more)
        elif str(message) not in said:
            said.add(str(message))
            print_progress(f"note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", Guess)
        warnings.showwarning = show
        yield


def prepare_streams() -> None:
    """Let stdout and stderr show every character, escaped where their encoding lacks it; a closed stdout is none."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="esc_eval.plain")


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """End the process with a sentence and the exit code of what happened; anything else is a fault of ours and raises.

    Raises:
        SystemExit: With 2 for what the user can put right, 1 where a check found something, 130 after Ctrl-C, 141
            where nobody reads the output.
    """
    try:
        yield
    except EscEvalError as error:
        if voice.verbose:
            _say_plainly(traceback.format_exc())
        _end(error.exit_code, "\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
    except KeyboardInterrupt as error:
        kept = getattr(error, "__notes__", ["What a run folder holds is kept; the same command goes on from there."])
        _end(130, f"\nstopped. {' '.join(kept)}")
    except ModuleNotFoundError as error:
        install = find_install(error.name or "")
        if install is None:
            raise
        _end(2, f"error: {error.name} is missing: {install}")
    except UnicodeEncodeError as error:
        given = [argument for argument in sys.argv[1:] if escape_halves(argument) != argument]
        if not given or error.encoding != "utf-8":
            raise
        what = f"{' or '.join(given)}: is no text in UTF-8, as a name must be"
        _end(2, f"error: {what}; choose another, or set PYTHONUTF8=1 where the terminal speaks UTF-8.")
    except BrokenPipeError:
        _discard(sys.stdout)
        _discard(sys.stderr)
        sys.exit(141)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = error.filename or "the output"
        remedy = UNWRITABLE[error.errno]
        _end(2, f"error: {where}: {error.strerror}. What was finished is kept; {remedy} and run the command again.")


@contextmanager
def stop_at_interrupt() -> Iterator[None]:
    """Make the first Ctrl-C stop all that is asked of servers before anything else happens, and the second end at once.

    Raises:
        KeyboardInterrupt: At the first.
    """
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def stop(*_: object) -> NoReturn:
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
        EVERYTHING.ask()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        if not EVERYTHING.asked:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _say_plainly(text: str, style: str | None = None) -> None:
    with suppress(OSError):  # a full disk may hold stderr too
        voice.write(text)
        talk.print(escape_terminal(text), style=style, markup=False)


def _end(code: int, message: str) -> NoReturn:
    _say_plainly(message, "red" if code in (1, 2) else None)
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)
    sys.exit(code)


def _discard(stream: object) -> None:
    """Send what waits in a stream nowhere, so that the end of the process does not stumble over it again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]


def _show_plainly(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: a plain one of the same width, or an escape as in JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_plain(character) for character in error.object[error.start : error.end]), error.end


def _plain(character: str) -> str:
    if character in PLAIN:
        return PLAIN[character]
    return "+" if "\u2500" <= character <= "\u257f" else json.dumps(character)[1:-1]


codecs.register_error("esc_eval.plain", _show_plainly)


def end_with_problems(folder: Path, problems: Sequence[object]) -> NoReturn:
    """Print what a check found wrong with a folder, and end: with 1 where there is anything, else with 0."""
    for problem in problems:
        print_data(problem)
    print_progress(f"{folder}: {len(problems)} problems" if problems else f"{folder}: sound")
    raise typer.Exit(1 if problems else 0)


def carry_out(plans: list[hub.Plan], really: bool, private: bool, flag: str = "--push") -> None:
    """Show plans and, where it is meant, carry them out; prints each commit."""
    for what in plans:
        for line in what.lines():
            print_data(line)
    if not really:
        print_progress(f"dry run: nothing was changed on the Hub. Add {flag} to carry it out.")
        return
    for what, commit in zip(plans, hub.publish_plans(plans, private=private, progress=print_progress), strict=True):
        print_data(f"{what.repo} {commit}")
