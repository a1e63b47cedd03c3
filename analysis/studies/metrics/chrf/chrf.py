"""chrF (Popovic 2015) by sacrebleu, 0 to 100; works on characters, so no segmentation."""

import datasets
import evaluate
from sacrebleu.metrics import CHRF


class ChrF(evaluate.Metric):
    """chrF (Popovic 2015) by sacrebleu, 0 to 100; works on characters, so no segmentation."""

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
        metric = CHRF()
        scores = [metric.sentence_score(p, [r]).score for p, r in zip(predictions, references, strict=True)]
        return {"chrf": sum(scores) / len(scores), "scores": scores}
