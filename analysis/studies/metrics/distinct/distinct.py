"""Distinct-n (Li et al. 2016): share of different n-grams among all n-grams of a text."""

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class Distinct(text_metric.TextMetric):
    """Distinct-n (Li et al. 2016): share of different n-grams among all n-grams of a text."""

    inputs = f"{text_metric.TEXTS}; n: length of the n-grams (2); {text_metric.LANGUAGE}"

    def _compute(self, predictions: list[str], n: int = 2, language: str | None = None) -> dict[str, object]:
        scores: list[float | None] = []
        for text in predictions:
            tokens = segment_words(text, language)
            grams = list(zip(*(tokens[i:] for i in range(n)), strict=False))
            scores.append(len(set(grams)) / len(grams) if grams else None)
        return text_metric.summarise_scores("distinct", scores)
