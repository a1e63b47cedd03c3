"""ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

from dataclasses import dataclass

from rouge_score.rouge_scorer import RougeScorer

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


@dataclass(frozen=True)
class Segmenter:
    """The tokenizer interface of rouge-score."""

    language: str | None

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text."""
        return segment_words(text, self.language)


class RougeL(text_metric.TextMetric):
    """ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

    inputs = f"{text_metric.PAIRS}; {text_metric.LANGUAGE}"

    def _compute(self, predictions: list[str], references: list[str], language: str | None = None) -> dict[str, object]:
        scorer = RougeScorer(["rougeL"], tokenizer=Segmenter(language))
        scores = [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references, strict=True)]
        return text_metric.summarise_scores("rouge_l", scores)
