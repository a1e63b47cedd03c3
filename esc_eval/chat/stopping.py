"""Stopping: what is under way can be dropped all at once, from another thread or a signal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from esc_eval.errors import EscEvalError


class Interrupted(EscEvalError):
    """Work was asked for in a place that has been stopped."""


class Stop:
    """Whether some work was told to stop, and what to do then.

    Safe in a signal handler: nothing here waits for a lock.
    """

    def __init__(self) -> None:
        self.asked = False
        self._drops: dict[object, Callable[[], None]] = {}

    def ask(self) -> None:
        """Stop: from now on nothing begins, and all that is watched is dropped."""
        self.asked = True
        for drop in list(self._drops.values()):
            drop()

    @contextmanager
    def watch(self, drop: Callable[[], None]) -> Iterator[None]:
        """Have ``drop`` called if the stop is asked for meanwhile.

        Raises:
            Interrupted: It has been asked for already.
        """
        token = object()
        self._drops[token] = drop
        try:
            if self.asked:
                raise Interrupted("stopped")
            yield
        finally:
            self._drops.pop(token, None)


EVERYTHING = Stop()
"""Of the whole process; the command line asks for it at Ctrl-C."""
_of_thread = threading.local()


def current_stop() -> Stop:
    """What can stop the work of this thread."""
    found: Stop = getattr(_of_thread, "stop", EVERYTHING)
    return found


def obey(stop: Stop) -> None:
    """Make a stop the one of this thread."""
    _of_thread.stop = stop
