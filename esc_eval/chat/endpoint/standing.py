"""Whose trouble a failure is: one conversation's, which ends, or everybody's, which stops the run."""

import asyncio
from collections.abc import Hashable

MOST_IN_A_ROW = 3
"""Conversations given up without one that was answered between them; then no other is asked."""


class Standing:
    """Counts who was given up since the last answer; belongs to one event loop.

    Attributes:
        open: Requests that wait or are under way.
    """

    def __init__(self) -> None:
        self.open = 0
        self._answered = 0
        self._waiting = 0
        self._given_up: set[Hashable] = set()
        self._changed = asyncio.Event()

    def begin(self) -> None:
        """A request waits from now on."""
        self.open += 1

    def end(self) -> None:
        """It does no more."""
        self.open -= 1
        self._notify()

    def answered(self) -> None:
        """A conversation was answered: the server works."""
        self._answered += 1
        self._given_up.clear()
        self._notify()

    async def is_everybodys(self, whose: Hashable) -> bool:
        """Whether a conversation that was given up is one of several in a row.

        Waits until another one is answered, enough are given up, or nobody is left who could tell.

        Args:
            whose: The conversation.
        """
        before = self._answered
        self._given_up.add(whose)
        self._waiting += 1
        self._notify()
        try:
            while self._answered == before and len(self._given_up) < MOST_IN_A_ROW and self.open > self._waiting:
                self._changed.clear()
                await self._changed.wait()
            return self._answered == before and len(self._given_up) >= MOST_IN_A_ROW
        finally:
            self._waiting -= 1

    def _notify(self) -> None:
        self._changed.set()
