"""chrF (Popovic 2015) by sacrebleu, 0 to 100; works on characters, so no segmentation."""

from sacrebleu.metrics import CHRF

from analysis.studies.metrics import text_metric


class ChrF(text_metric.TextMetric):
    """chrF (Popovic 2015) by sacrebleu, 0 to 100; works on characters, so no segmentation."""

    inputs = text_metric.PAIRS

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, object]:
        metric = CHRF()
        scores = [metric.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)]
        return text_metric.summarise_scores("chrf", scores)
