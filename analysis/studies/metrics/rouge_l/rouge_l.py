"""ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

from rouge_score.rouge_scorer import RougeScorer

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class Segmenter:
    """The tokenizer interface of rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text."""
        return segment_words(text)


class RougeL(text_metric.TextMetric):
    """ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

    inputs = text_metric.PAIRS

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, object]:
        scorer = RougeScorer(["rougeL"], tokenizer=Segmenter())
        scores = [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references, strict=True)]
        return text_metric.summarise_scores("rouge_l", scores)
