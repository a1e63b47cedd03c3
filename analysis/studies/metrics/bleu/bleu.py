"""Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

from sacrebleu.metrics import BLEU

from analysis.studies.metrics import text_metric
from analysis.studies.metrics.segment import segment_words


class Bleu(text_metric.TextMetric):
    """Sentence BLEU (Papineni et al. 2002; exponential smoothing, effective order) by sacrebleu, 0 to 100."""

    inputs = f"{text_metric.PAIRS}; {text_metric.LANGUAGE}"

    def _compute(self, predictions: list[str], references: list[str], language: str | None = None) -> dict[str, object]:
        metric = BLEU(tokenize="none", effective_order=True)
        scores = [
            metric.sentence_score(" ".join(segment_words(p, language)), [" ".join(segment_words(r, language))]).score
            for p, r in zip(predictions, references, strict=True)
        ]
        return text_metric.summarise_scores("bleu", scores)
