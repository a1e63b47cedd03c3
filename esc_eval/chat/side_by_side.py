"""Calls side by side, in threads that nobody has to wait for."""

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TypeVar

from esc_eval.chat.stopping import Stop, current_stop, obey

T = TypeVar("T")


def call_side_by_side(calls: Iterable[Callable[[], T]], workers: int) -> Iterator[T]:
    """Yield what calls return, as they return it.

    The next call is taken from ``calls`` when a thread is free for it. After the first that fails no other begins, and
    those under way are waited for. Ctrl-C waits for none: nobody can interrupt a call in another thread, and an answer
    may take minutes; requests to servers that the threads wait for are dropped, and they send no more.

    Raises:
        BaseException: What the first call that failed raised.
    """
    waiting, guard, enough, stop = iter(calls), Lock(), Event(), Stop()
    returned: SimpleQueue[tuple[list[T], BaseException | None]] = SimpleQueue()

    def work() -> None:
        error: BaseException | None = None
        obey(stop)
        try:
            while not (enough.is_set() or stop.asked):
                with guard:
                    call = next(waiting, None)
                if call is None:
                    break
                returned.put(([call()], None))
        except BaseException as raised:  # noqa: BLE001  raised again below
            enough.set()
            error = raised
        returned.put(([], error))

    with current_stop().watch(stop.ask):
        for _ in range(workers):
            Thread(target=work, daemon=True).start()
        try:
            failures: list[BaseException] = []
            while workers:
                found, error = returned.get()
                workers -= not found
                failures += [error] if error else []
                yield from found
            if failures:
                raise failures[0]
        finally:
            enough.set()
            if workers:  # left in the middle: by Ctrl-C, or by who reads the results
                stop.ask()
