"""Records chosen from several sequences, of which some are files: none is held, and each is read where it stands."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from esc_eval.files.records import Unheld
from esc_eval.schema import Record

R = TypeVar("R", bound=Record)
BLOCK = 1000
"""Records that are held at a time."""


class Chosen(Unheld[R]):
    """Records of several sequences as one.

    Args:
        parts: The sequences.
        part, place: Of each record, the sequence that it is in and its place there.
    """

    def __init__(self, parts: Sequence[Sequence[R]], part: npt.NDArray[Any], place: npt.NDArray[Any]) -> None:
        self._parts, self._part, self._place = parts, part, place

    def __len__(self) -> int:
        return len(self._part)

    def __iter__(self) -> Iterator[R]:
        for begin in range(0, len(self), BLOCK):
            yield from self.pick(range(begin, min(begin + BLOCK, len(self))))

    def pick(self, places: Sequence[int]) -> list[R]:
        """The records at some places, in the order of these."""
        part, place = self._part[list(places)], self._place[list(places)]
        found: dict[int, R] = {}
        for number in np.unique(part).tolist():
            own = np.flatnonzero(part == number)
            found |= zip(own.tolist(), pick_records(self._parts[number], place[own].tolist()), strict=True)
        return [found[i] for i in range(len(part))]


def pick_records(source: Sequence[R], places: Sequence[int]) -> list[R]:
    """Records at some places; those of a file are read there."""
    return source.pick(places) if isinstance(source, Unheld) else [source[i] for i in places]
