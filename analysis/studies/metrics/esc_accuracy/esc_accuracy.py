"""ACC and ACC_soft of the paper, beside quadratic kappa and the majority baseline."""

import datasets
import evaluate
import numpy as np

from esc_eval.statistics.health import confusion_statistics


class EscAccuracy(evaluate.Metric):
    """ACC and ACC_soft of the paper, beside quadratic kappa and the majority baseline."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions, references: levels; low, high: ends of the scale (0, 4)",
            features=datasets.Features({"predictions": datasets.Value("int32"), "references": datasets.Value("int32")}),
        )

    def _compute(
        self, predictions: list[int], references: list[int], low: int = 0, high: int = 4
    ) -> dict[str, float | None]:
        levels = np.arange(low, high + 1)
        table = np.zeros((len(levels), len(levels)))
        scores = np.array([references, predictions])
        if scores.min() < low or scores.max() > high:
            raise ValueError(f"levels {scores.min()}..{scores.max()} are outside the scale {low}..{high}")
        np.add.at(table, (scores[0] - low, scores[1] - low), 1)
        found = confusion_statistics(table, levels.astype(float))
        out = {k: float(v) if np.isfinite(v) else None for k, v in found.items()}
        return {**out, "majority_accuracy": float(table.sum(1).max() / table.sum())}
