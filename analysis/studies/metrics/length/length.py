"""Number of tokens of a text."""

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class Length(text_metric.TextMetric):
    """Number of tokens of a text."""

    inputs = f"{text_metric.TEXTS}; {text_metric.LANGUAGE}"

    def _compute(self, predictions: list[str], language: str | None = None) -> dict[str, object]:
        scores = [len(segment_words(text, language)) for text in predictions]
        return text_metric.summarise_scores("length", scores)
