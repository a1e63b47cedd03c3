"""Who rates where the user names nobody: what was shown to be of use, and a reason in place of every other number."""

from collections.abc import Iterator, Sequence
from typing import Any

from esc_eval.prompts.rubric import Rubric
from esc_eval.schema import NO_VALID_SCORER, Dialogue
from esc_eval.scoring import text_scorer
from esc_eval.scoring.rater import DialogueRater


class NoScorer:
    """A ``DialogueRater`` for rubrics that no shipped scorer was fitted to: it gives no level, and says why."""

    name, parallel = "nobody", 64

    def __init__(self, rubric: Rubric) -> None:
        self.identity: dict[str, Any] = {"kind": "none", "model": "none"}
        self.why = f"{NO_VALID_SCORER}none that is shipped was fitted to ratings under {rubric.id}"

    def check(self, rubric: Rubric) -> None:
        """It refuses none."""

    def verdicts(self, dialogues: Sequence[Dialogue]) -> Iterator[str]:
        """The reason, once a dialogue."""
        for _ in dialogues:
            yield self.why


def open_default(rubric: Rubric) -> DialogueRater:
    """The scorer that is shipped for a rubric, on those dimensions alone for which it was shown to be of use.

    Raises:
        EscEvalError: What it needs is not installed.
    """
    name = text_scorer.shipped_for(rubric)
    if name is None:
        return NoScorer(rubric)
    return text_scorer.TextScorer(text_scorer.SCORERS / name, supported_only=True)
