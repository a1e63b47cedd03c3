"""ACC and ACC_soft of the paper, beside quadratic kappa and the majority baseline."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from esc_eval.statistics.health import confusion_statistics


class EscAccuracy(evaluate.Metric):
    """ACC and ACC_soft of the paper, beside quadratic kappa and the majority baseline.

    Args:
        low, high: Ends of the scale, for ``evaluate.load(..., low=1, high=5)``; ``compute`` takes them too.
    """

    def __init__(self, *arguments: Any, low: int = 0, high: int = 4, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if low >= high:
            raise ValueError(f"a scale from {low} to {high} has fewer than two levels")
        self.low, self.high = low, high

    def _info(self) -> evaluate.MetricInfo:
        number = datasets.Value("float64")
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions, references: levels; low, high: ends of the scale (0, 4)",
            features=datasets.Features({"predictions": number, "references": number}),
        )

    def compute(self, *, predictions: Any = None, references: Any = None, **options: Any) -> Any:
        """The figures of these levels, or of those that were added before.

        Raises:
            ValueError: There are none, they are not of one length, or one is no level.
        """
        given = {"predictions": predictions, "references": references}
        if self.writer is None and all(levels is None or len(levels) == 0 for levels in given.values()):
            raise ValueError("no levels are given: predictions and references are empty")
        for name, levels in given.items():
            if levels is not None and any(level is None for level in levels):
                raise ValueError(f"{name} holds None: leave out pairs that are not scored, and say how many they are")
        return super().compute(predictions=predictions, references=references, **options)

    def _compute(
        self, predictions: Sequence[float], references: Sequence[float], low: int | None = None, high: int | None = None
    ) -> dict[str, float | None]:
        low, high = self.low if low is None else low, self.high if high is None else high
        levels = np.arange(low, high + 1)
        scores = np.array([references, predictions], dtype=float)
        wrong = scores[~(np.isfinite(scores) & (scores == np.round(scores)))]
        if wrong.size:
            raise ValueError(
                f"{wrong[0]:g} is no level, which are whole numbers; for means take a correlation or a mean error"
            )
        if scores.min() < low or scores.max() > high:
            raise ValueError(f"levels {scores.min():g}..{scores.max():g} are outside the scale {low}..{high}")
        table = np.zeros((len(levels), len(levels)))
        places = scores.astype(int) - low
        np.add.at(table, (places[0], places[1]), 1)
        found = confusion_statistics(table, levels.astype(float))
        out = {k: float(v) if np.isfinite(v) else None for k, v in found.items()}
        return {**out, "majority_accuracy": float(table.sum(1).max() / table.sum()), "n": int(table.sum())}
