"""A printed number: value, interval, n, and, where it has no value, the sentence that says why."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, PlainSerializer

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, either of which may be undefined.

    Attributes:
        value: Point estimate; None where undefined.
        low, high: Ends of the interval; None where there is none.
        n: Observations behind the value.
        clusters: Clusters that the bootstrap drew from.
        undefined: Why there is no value, or no interval; None where there are both.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int | None = None
    undefined: str | None = None

    def to_json(self) -> dict[str, object]:
        """The fields, without an empty ``undefined``."""
        return {k: v for k, v in asdict(self).items() if v is not None or k in ("value", "low", "high")}

    def scaled(self, factor: float, offset: float = 0.0) -> "Estimate":
        """The same estimate in other units: ``offset`` + ``factor`` x; a negative factor turns the interval round."""

        def move(x: float | None) -> float | None:
            return None if x is None else offset + factor * x

        low, high = (self.low, self.high) if factor >= 0 else (self.high, self.low)
        return Estimate(move(self.value), move(low), move(high), self.n, self.clusters, self.undefined)

    def widened(self, factor: float, lowest: float, highest: float) -> "Estimate":
        """The same value with ends so many times as far from it, within the lowest and highest that there can be."""
        if self.value is None or self.low is None or self.high is None or factor <= 1:
            return self
        low, high = (self.value + factor * (end - self.value) for end in (self.low, self.high))
        return replace(self, low=min(self.low, max(lowest, low)), high=max(self.high, min(highest, high)))


def _read_triple(stored: object) -> object:
    return Estimate(*stored) if isinstance(stored, list | tuple) else stored


StoredTriple = Annotated[
    Estimate, BeforeValidator(_read_triple), PlainSerializer(lambda e: (e.value, e.low, e.high), return_type=tuple)
]
"""An estimate that a fitted file holds as its three numbers: value, low, high."""
StoredEstimate = Annotated[Estimate, PlainSerializer(Estimate.to_json, return_type=dict)]
"""An estimate that a file holds as an object; ``undefined`` is there only where it says something."""
