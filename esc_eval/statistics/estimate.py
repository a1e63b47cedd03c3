"""A printed number: value, interval, n, and, where it has no value, the sentence that says why."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from esc_eval.errors import EscEvalError
from esc_eval.statistics.bootstrap import draw_weights, percentile_levels

Array = npt.NDArray[np.float64]
Totals = Mapping[str, Array]

CHUNK = 4_000_000
"""Numbers held at once by one block of bootstrap draws."""
UNDEFINED_SHARE = 0.05
"""An interval is withheld where more than this share of the draws has no value."""


@dataclass(frozen=True)
class Measure:
    """An estimate that may be undefined.

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

    def scaled(self, factor: float) -> "Measure":
        """The same estimate in other units, e.g. x 25."""

        def times(x: float | None) -> float | None:
            return None if x is None else x * factor

        return Measure(times(self.value), times(self.low), times(self.high), self.n, self.clusters, self.undefined)


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: whole clusters drawn, percentiles expanded for few clusters.

    Attributes:
        draws: Bootstrap draws.
        seed: Seed of the draws.
        confidence: Coverage aimed at.
    """

    draws: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.draws < 100:
            raise EscEvalError(f"{self.draws} bootstrap draws are too few for an interval: use 100 or more")
        if not 0.5 <= self.confidence < 1:
            raise EscEvalError(f"confidence must lie between 0.5 and 1, not {self.confidence}")

    def interval(self, draws: npt.ArrayLike, clusters: int) -> tuple[float | None, float | None, str | None]:
        """Ends of the interval of drawn values, or the reason why there is none."""
        values = np.asarray(draws, dtype=float)
        if clusters < 2:
            return None, None, "no interval: one cluster only, so nothing says how much clusters differ"
        missing = float(np.isnan(values).mean())
        if missing > UNDEFINED_SHARE:
            return None, None, f"no interval: undefined in {missing:.0%} of the bootstrap draws"
        low, high = np.nanquantile(values, percentile_levels(clusters, self.confidence))
        return float(low), float(high), None

    def measure(self, value: float, draws: npt.ArrayLike, n: int, clusters: int, why: str) -> Measure:
        """A ``Measure`` from a point estimate (NaN = undefined, for the reason ``why``) and its draws."""
        if not np.isfinite(value):
            return Measure(None, n=n, clusters=clusters, undefined=why)
        low, high, problem = self.interval(draws, clusters)
        return Measure(float(value), low, high, n, clusters, problem)


@dataclass(frozen=True)
class ClusterTables:
    """Additive tables: one row a cluster, several named blocks of columns.

    Attributes:
        rows: Shape (clusters, columns).
        blocks: Name -> (first column, trailing shape of the block).
    """

    rows: sparse.csr_array
    blocks: dict[str, tuple[int, tuple[int, ...]]]

    @classmethod
    def build(cls, parts: Mapping[str, tuple[sparse.csr_array | Array, tuple[int, ...]]]) -> "ClusterTables":
        """From name -> (matrix of shape (clusters, prod(shape)), shape)."""
        blocks, start = {}, 0
        for name, (matrix, shape) in parts.items():
            blocks[name] = (start, shape)
            start += matrix.shape[1]
        return cls(sparse.csr_array(sparse.hstack([sparse.csr_array(m) for m, _ in parts.values()])), blocks)

    def split(self, columns: Array) -> Totals:
        """Named totals with leading batch dimensions from rows of column sums, shape (..., columns)."""
        out = {}
        for name, (start, shape) in self.blocks.items():
            width = int(np.prod(shape, dtype=int))
            out[name] = columns[..., start : start + width].reshape((*columns.shape[:-1], *shape))
        return out

    def totals(self) -> Totals:
        """Totals of the sample itself."""
        return self.split(np.asarray(self.rows.sum(axis=0), dtype=float).ravel())

    def draw(
        self, statistic: Callable[[Totals], Mapping[str, Array]], boot: Bootstrap
    ) -> tuple[Mapping[str, Array], dict[str, Array]]:
        """A statistic of the sample and of ``boot.draws`` bootstrap samples of whole clusters.

        Args:
            statistic: Totals with any batch shape -> named values of that shape.
            boot: Number of draws and seed.

        Returns:
            Values of the sample, and draws of shape (draws,) each; memory does not grow with ``boot.draws``.
        """
        point = statistic(self.totals())
        clusters, width = self.rows.shape
        rng = np.random.default_rng(boot.seed)
        step = max(1, CHUNK // max(clusters, width))
        parts: list[Mapping[str, Array]] = []
        transposed = self.rows.T.tocsr()
        for start in range(0, boot.draws, step):
            weights = draw_weights(clusters, min(step, boot.draws - start), rng)
            parts.append(statistic(self.split(np.ascontiguousarray((transposed @ weights.T).T))))
        return point, {name: np.concatenate([part[name] for part in parts]) for name in point}
