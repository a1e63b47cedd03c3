"""Bars of progress on stderr, one for each thing that is counted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from esc_eval.api.progress import OnProgress, Progress
from esc_eval.cli.console import print_data, talk
from esc_eval.errors import Incomplete
from esc_eval.escaping import escape_terminal, put_on_one_line


@contextmanager
def show_progress(console: Console = talk) -> Iterator[OnProgress]:
    """Draw what is told on a console until the end; yields whom to tell."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    bars = Bars(*columns, console=console, refresh_per_second=4)
    tasks: dict[str, TaskID] = {}

    def draw(now: Progress) -> None:
        if now.message:
            console.print(escape_terminal(now.message), markup=False)
            return
        if now.what not in tasks:
            bars.start()
            tasks[now.what] = bars.add_task(put_on_one_line(now.what), total=now.total, completed=now.done, rate="")
        task = tasks[now.what]
        seconds = next(one.elapsed for one in bars.tasks if one.id == task) or 0
        rate = f"{now.tokens / seconds:.0f} tokens/s" if now.tokens and seconds else ""
        bars.update(task, completed=now.done, rate=rate)
        if bars.finished:  # drawn for the last time, above what is said from now on
            bars.stop()
            for name in list(tasks):
                bars.remove_task(tasks.pop(name))

    try:
        yield draw
    finally:
        if tasks:
            bars.stop()


@contextmanager
def show_what_there_is() -> Iterator[None]:
    """Print the report of a call that is incomplete before it ends with the reason."""
    try:
        yield
    except Incomplete as error:
        if error.results.ratings:
            print_data(error.results.render())
        raise


@contextmanager
def count_items(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Draw one bar on stderr; yields what to call after each item."""
    done = count(1)
    with show_progress() as draw:
        draw(Progress(what, 0, total))
        yield lambda: draw(Progress(what, next(done), total))
