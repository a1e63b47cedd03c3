"""METEOR (Banerjee & Lavie 2005) by nltk, exact and stem matches only: WordNet is not available offline; 0 to 1."""

from nltk.translate.meteor_score import single_meteor_score

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class NoSynonyms:
    """Stands where nltk asks WordNet for synonyms."""

    def synsets(self, word: str) -> list[object]:  # noqa: ARG002
        """No synonyms of any word."""
        return []


class Meteor(text_metric.TextMetric):
    """METEOR (Banerjee & Lavie 2005) by nltk, exact and stem matches only: WordNet is not available offline; 0 to 1."""

    inputs = f"{text_metric.PAIRS}; {text_metric.LANGUAGE}"

    def _compute(self, predictions: list[str], references: list[str], language: str | None = None) -> dict[str, object]:
        scores = [
            float(single_meteor_score(segment_words(r, language), segment_words(p, language), wordnet=NoSynonyms()))
            for p, r in zip(predictions, references, strict=True)
        ]
        return text_metric.summarise_scores("meteor", scores)
