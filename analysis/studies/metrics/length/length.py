"""Number of tokens of a text."""

import datasets
import evaluate

from analysis.studies.metrics.segment import segment_words


class Length(evaluate.Metric):
    """Number of tokens of a text."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions: texts",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str]) -> dict[str, object]:
        scores = [len(segment_words(text)) for text in predictions]
        return {"length": sum(scores) / len(scores), "scores": scores}
