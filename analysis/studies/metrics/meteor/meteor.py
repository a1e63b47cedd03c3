"""METEOR (Banerjee & Lavie 2005) by nltk, exact and stem matches only: WordNet is not available offline; 0 to 1."""

import datasets
import evaluate
from nltk.translate.meteor_score import single_meteor_score

from analysis.studies.metrics.segment import segment_words


class NoSynonyms:
    """Stands where nltk asks WordNet for synonyms."""

    def synsets(self, word: str) -> list[object]:  # noqa: ARG002
        """No synonyms of any word."""
        return []


class Meteor(evaluate.Metric):
    """METEOR (Banerjee & Lavie 2005) by nltk, exact and stem matches only: WordNet is not available offline; 0 to 1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=__doc__ or "",
            citation="",
            inputs_description="predictions, references: texts, one reference each",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, object]:
        scores = [
            float(single_meteor_score(segment_words(r), segment_words(p), wordnet=NoSynonyms()))
            for p, r in zip(predictions, references, strict=True)
        ]
        return {"meteor": sum(scores) / len(scores), "scores": scores}
