"""Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

from sacrebleu.metrics import BLEU

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class Bleu(text_metric.TextMetric):
    """Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

    inputs = text_metric.PAIRS

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, object]:
        metric = BLEU(tokenize="none", effective_order=True)
        scores = [
            metric.sentence_score(" ".join(segment_words(p)), [" ".join(segment_words(r))]).score
            for p, r in zip(predictions, references, strict=True)
        ]
        return text_metric.summarise_scores("bleu", scores)
