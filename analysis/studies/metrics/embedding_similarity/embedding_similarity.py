"""Cosine of two texts' mean last hidden states under a causal language model (default: the embedded)."""

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.language_model import LanguageModel


class EmbeddingSimilarity(text_metric.TextMetric):
    """Cosine of two texts' mean last hidden states under a causal language model (default: the embedded)."""

    inputs = f"{text_metric.PAIRS}; model: folder or name of a causal language model"

    def _compute(self, predictions: list[str], references: list[str], model: str | None = None) -> dict[str, object]:
        language_model = LanguageModel.load(model)
        scores = [language_model.similarity(p, r) for p, r in zip(predictions, references, strict=True)]
        return text_metric.summarise_scores("embedding_similarity", scores)
