"""How much work something is, counted rather than timed: lines of our code, files opened, steps of SQLite."""

import builtins
import io
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

OURS = tuple(str(Path(__file__).parents[1] / package) for package in ("esc_eval", "dataset_builder"))


@dataclass(frozen=True)
class Operations:
    """What some work took.

    Attributes:
        lines: Lines of this project's code that ran, each turn of a loop or of a comprehension among them.
        files: Files opened by Python.
        steps: Operations of SQLite's machine.
    """

    lines: int
    files: int
    steps: int


def count_operations(work: Callable[[], object]) -> Operations:
    """Do some work, in whatever threads it likes, and count."""
    lines, files, steps = count(), count(), count()
    before = sys.gettrace()
    connect = sqlite3.connect

    def trace_frame(_frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            next(lines)
        return trace_frame

    def trace(frame: FrameType, _event: str, _: Any) -> Any:
        return trace_frame if frame.f_code.co_filename.startswith(OURS) else None

    def open_counted(*given: Any, **named: Any) -> Any:
        next(files)
        return plain(*given, **named)

    def connect_counted(*given: Any, **named: Any) -> sqlite3.Connection:
        made = connect(*given, **named)
        made.set_progress_handler(lambda: next(steps) and 0, 1)
        return made

    plain = io.open
    with (
        patch.object(builtins, "open", open_counted),
        patch.object(io, "open", open_counted),
        patch.object(sqlite3, "connect", connect_counted),
    ):
        threading.settrace(trace)
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(before)
            threading.settrace(before)  # type: ignore[arg-type]
    return Operations(next(lines), next(files), next(steps))
