"""Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

import datasets
import evaluate
from sacrebleu.metrics import BLEU

from analysis.studies.metrics.segment import segment_words


class Bleu(evaluate.Metric):
    """Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

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
        metric = BLEU(tokenize="none", effective_order=True)
        scores = [
            metric.sentence_score(" ".join(segment_words(p)), [" ".join(segment_words(r))]).score
            for p, r in zip(predictions, references, strict=True)
        ]
        return {"bleu": sum(scores) / len(scores), "scores": scores}
