"""Perplexity of a text under a causal language model (the embedded one by default; its Chinese is poor)."""

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.language_model import LanguageModel


class Perplexity(text_metric.TextMetric):
    """Perplexity of a text under a causal language model (the embedded one by default; its Chinese is poor)."""

    inputs = f"{text_metric.TEXTS}; model: folder or name of a causal language model"

    def _compute(self, predictions: list[str], model: str | None = None) -> dict[str, object]:
        language_model = LanguageModel.load(model)
        scores = [language_model.perplexity(text) for text in predictions]
        return text_metric.summarise_scores("perplexity", scores)
