"""Cosine of two texts' mean last hidden states under a causal language model (default: the embedded)."""

import datasets
import evaluate

from analysis.studies.metrics.language_model import LanguageModel


class EmbeddingSimilarity(evaluate.Metric):
    """Cosine of two texts' mean last hidden states under a causal language model (default: the embedded)."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions, references: texts, one reference each; model: folder or name "
            "of a causal language model",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str], model: str | None = None) -> dict[str, object]:
        language_model = LanguageModel.load(model)
        scores = [language_model.similarity(p, r) for p, r in zip(predictions, references, strict=True)]
        defined = [s for s in scores if s is not None]
        return {"embedding_similarity": sum(defined) / len(defined) if defined else None, "scores": scores}
