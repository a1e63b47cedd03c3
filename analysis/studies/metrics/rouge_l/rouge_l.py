"""ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

import datasets
import evaluate
from rouge_score.rouge_scorer import RougeScorer

from analysis.studies.metrics.segment import segment_words


class Segmenter:
    """The tokenizer interface of rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        """Tokens of a text."""
        return segment_words(text)


class RougeL(evaluate.Metric):
    """ROUGE-L F-measure (Lin 2004) by rouge-score, 0 to 1."""

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
        scorer = RougeScorer(["rougeL"], tokenizer=Segmenter())
        scores = [scorer.score(r, p)["rougeL"].fmeasure for p, r in zip(predictions, references, strict=True)]
        return {"rouge_l": sum(scores) / len(scores), "scores": scores}
