"""What the metrics of texts share: a score a text, or a pair of text and reference, and the mean of those there are."""

from collections.abc import Sequence

import datasets
import evaluate

TEXTS, PAIRS = "predictions: texts", "predictions, references: texts, one reference each"
LANGUAGE = "language: whose words they are, as a row of the table of languages says (those of English and Chinese)"


class TextMetric(evaluate.Metric):
    """A metric as ``evaluate`` wants it; a subclass has a docstring, and ``_compute``.

    Attributes:
        inputs: What it is given, in words; with references where they begin with ``PAIRS``.
    """

    inputs = TEXTS

    def _info(self) -> evaluate.MetricInfo:
        columns = ("predictions", "references") if self.inputs.startswith(PAIRS) else ("predictions",)
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description=self.inputs,
            features=datasets.Features({column: datasets.Value("string") for column in columns}),
        )


def summarise_scores(name: str, scores: Sequence[float | None]) -> dict[str, object]:
    """The mean under the metric's name (None where no text has a score), and the scores."""
    defined = [score for score in scores if score is not None]
    return {name: sum(defined) / len(defined) if defined else None, "scores": scores}
