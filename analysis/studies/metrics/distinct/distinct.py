"""Distinct-n (Li et al. 2016): share of different n-grams among all n-grams of a text."""

import datasets
import evaluate

from analysis.studies.metrics.segment import segment_words


class Distinct(evaluate.Metric):
    """Distinct-n (Li et al. 2016): share of different n-grams among all n-grams of a text."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions: texts; n: length of the n-grams (2)",
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions: list[str], n: int = 2) -> dict[str, object]:
        scores: list[float | None] = []
        for text in predictions:
            tokens = segment_words(text)
            grams = list(zip(*(tokens[i:] for i in range(n)), strict=False))
            scores.append(len(set(grams)) / len(grams) if grams else None)
        defined = [s for s in scores if s is not None]
        return {"distinct": sum(defined) / len(defined) if defined else None, "scores": scores}
