"""How long work is shown: bars on a terminal, and in a file or the log of a CI service a line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from esc_eval.api.progress import OnProgress, Progress
from esc_eval.cli.console import print_data, print_progress, talk, voice
from esc_eval.errors import EscEvalError, Incomplete
from esc_eval.escaping import escape_terminal, put_on_one_line
from esc_eval.files.run_folder import DIALOGUES, RATINGS
from esc_eval.simulation.run import CARD, LEDGER

INTERVAL = 30.0
"""Seconds between two lines about one count, where there are no bars."""


@dataclass
class _Count:
    """What is counted, since when, from which number on, and when a line was last written about it."""

    began: float
    first: int
    said: float

    def left(self, now: Progress, clock: float) -> str:
        """Time that is left, what comes after this count included; empty where nothing tells how fast it goes."""
        rate = (now.done - self.first) / (clock - self.began) if clock > self.began else 0
        if not rate or (now.done == now.total and not now.ahead):
            return ""
        seconds = (now.total - now.done + now.ahead) / rate
        return f"about {timedelta(seconds=round(seconds))} left" + (" with rating" if now.ahead else "")

    def tokens(self, now: Progress, clock: float) -> str:
        """Tokens a second, where they are counted."""
        return f"{now.tokens / (clock - self.began):.0f} tokens/s" if now.tokens and clock > self.began else ""


@contextmanager
def show_progress(console: Console = talk, clock: Callable[[], float] = time.monotonic) -> Iterator[OnProgress]:
    """Show what is told until the end; yields whom to tell.

    Args:
        console: Where: with bars if it is a terminal, else with lines.
        clock: Seconds.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    drawn = console.is_terminal and not voice.quiet
    bars = Bars(*columns, console=console, refresh_per_second=4)
    tasks: dict[str, TaskID] = {}
    counts: dict[str, _Count] = {}

    def say(line: str, *, bar: bool = False) -> None:
        voice.write(line)
        if not voice.quiet and not (bar and drawn and not voice.verbose):
            console.print(escape_terminal(line), markup=False)

    def tell(now: Progress) -> None:
        if now.message:
            say(now.message)
            return
        what, moment = put_on_one_line(now.what), clock()
        if fresh := now.what not in counts:
            counts[now.what] = _Count(moment, now.done, moment)
        known = counts[now.what]
        left, rate = known.left(now, moment), known.tokens(now, moment)
        if fresh or now.done >= now.total or voice.verbose or moment - known.said >= INTERVAL:
            known.said = moment
            gone = f"{timedelta(seconds=round(moment - known.began))} gone" if not fresh else ""
            share = f"{now.done / now.total:.0%}" if now.total else ""
            say(", ".join(filter(None, [f"{what}: {now.done} of {now.total}", share, rate, gone, left])), bar=True)
        if drawn:
            draw(now, what, rate, left)
        if now.done >= now.total:
            del counts[now.what]

    def draw(now: Progress, what: str, rate: str, left: str) -> None:
        if now.what not in tasks:
            bars.start()
            tasks[now.what] = bars.add_task(what, total=now.total, completed=now.done, rate="", left="")
        bars.update(tasks[now.what], completed=now.done, rate=rate, left=left)
        if bars.finished:  # drawn for the last time, above what is said from now on
            bars.stop()
            for name in list(tasks):
                bars.remove_task(tasks.pop(name))

    try:
        yield tell
    finally:
        if tasks:
            bars.stop()


@contextmanager
def show_what_there_is(folder: Path) -> Iterator[None]:
    """Print the report of a call that is incomplete before it ends with the reason, and at last, however it ends, where
    everything is.

    Args:
        folder: Of the run.
    """
    try:
        yield
    except EscEvalError as error:
        if isinstance(error, Incomplete) and error.results.is_rated:
            print_data(error.results.render())
        if where := describe_place(folder):
            error.add_note(where)
        raise
    print_progress(describe_place(folder))


def describe_place(folder: Path) -> str:
    """Where everything of a run is, as a terminal can open it; empty where there is nothing yet."""
    page = folder / "report.html"
    there = [name for name in (DIALOGUES, RATINGS, CARD) if (folder / name).is_file()]
    if not there and not (folder / LEDGER).is_file():
        return ""
    first = f"Open {page.resolve().as_uri()} in a browser. " if page.is_file() else ""
    return f"{first}Everything is in {folder.resolve()}" + (f": {', '.join(there)}." if there else ".")


@contextmanager
def count_items(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show one count; yields what to call after each item."""
    done = count(1)
    with show_progress() as draw:
        draw(Progress(what, 0, total))
        yield lambda: draw(Progress(what, next(done), total))
