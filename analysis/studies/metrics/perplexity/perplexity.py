"""Perplexity of a text under a causal language model (the embedded one by default; its Chinese is poor)."""

import datasets
import evaluate

from analysis.studies.metrics.language_model import LanguageModel


class Perplexity(evaluate.Metric):
    """Perplexity of a text under a causal language model (the embedded one by default; its Chinese is poor)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions: texts; model: folder or name of a causal language model",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str], model: str | None = None) -> dict[str, object]:
        language_model = LanguageModel.load(model)
        scores = [language_model.perplexity(text) for text in predictions]
        defined = [s for s in scores if s is not None]
        return {"perplexity": sum(defined) / len(defined) if defined else None, "scores": scores}
