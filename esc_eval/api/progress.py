"""How long work tells where it stands: a callable gets a record; the command line draws bars of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock


@dataclass(frozen=True)
class Progress:
    """Where some work stands, or a sentence about it.

    Attributes:
        what: What is counted, such as ``turns``; empty where there is a message.
        done: How many are finished, those of earlier calls included.
        total: How many there will be.
        tokens: Written by models in this call, where they are counted.
        message: A sentence; empty where something is counted.
        ahead: Work of the same call that begins after this is done, in items like these: a judge's question counts
            like a turn, a dialogue for the next judge like one for this.
    """

    what: str = ""
    done: int = 0
    total: int = 0
    tokens: int = 0
    message: str = ""
    ahead: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return self.message or f"{self.done} of {self.total} {self.what}"


OnProgress = Callable[[Progress], None]


def stay_quiet(_: Progress) -> None:
    """Tell nobody."""


def pass_on_notes(model: object, on_progress: OnProgress) -> None:
    """Tell, as messages, what a model notes that the user should read; models that note nothing are left alone."""
    if hasattr(model, "on_note"):
        model.on_note = lambda text: on_progress(Progress(message=text))


class Counter:
    """Counts finished items and tells of each; threads may share it.

    Args:
        on_progress: Who is told, first of all where the count begins.
        what: What is counted.
        total: How many there will be.
        done: How many are finished already.
        ahead: See ``Progress``.
    """

    def __init__(self, on_progress: OnProgress, what: str, total: int, done: int, ahead: int = 0) -> None:
        self._tell, self._now, self._lock = on_progress, Progress(what, done, total, ahead=ahead), Lock()
        self._tell(self._now)

    @property
    def done(self) -> int:
        """How many are finished now."""
        return self._now.done

    def advance(self, tokens: int = 0, items: int = 1) -> None:
        """Count one more item, or several, written with so many tokens."""
        with self._lock:
            now = self._now
            self._now = replace(now, done=now.done + items, tokens=now.tokens + tokens)
            self._tell(self._now)
