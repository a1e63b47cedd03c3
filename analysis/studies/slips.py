"""Turns in which a simulated seeker slips into the supporter's role, found by a classifier of real turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from analysis.studies.seekers import turns_of
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, Role
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, estimate_share
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Estimate

FALSE_ALARMS = 0.05
"""Share of real seekers' turns that may be called slips."""
FOLDS = 5
WORDS = r"(?u)\b\w+\b|[?!]"


@dataclass(frozen=True)
class SlipDetector:
    """Tells a supporter's words from a seeker's.

    Attributes:
        model: A fitted scikit-learn classifier of texts.
        threshold: Decision value above which a turn is the supporter's.
        conversations: Number of real conversations that it was fitted to.
    """

    model: Any
    threshold: float
    conversations: int

    @classmethod
    def fit(cls, real: Sequence[Dialogue], seed: int = 0) -> "SlipDetector":
        """Learn from real conversations; out of fold, ``FALSE_ALARMS`` of seekers' turns lie above the threshold.

        Raises:
            EscEvalError: Too few conversations.
        """
        if len(real) < 4 * FOLDS:
            raise EscEvalError(f"{len(real)} real conversations are too few to learn who speaks; give {4 * FOLDS}")
        rows = [(t.text, t.role == "supporter", n) for n, d in enumerate(real) for t in d.turns if t.text.strip()]
        texts, speaks, groups = (list(column) for column in zip(*rows, strict=True))
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, token_pattern=WORDS),
            LogisticRegression(C=4.0, max_iter=2000, class_weight="balanced", random_state=seed),
        )
        scores = cross_val_predict(
            model, texts, speaks, groups=groups, cv=GroupKFold(FOLDS), method="decision_function"
        )
        seekers = scores[~np.array(speaks)]
        return cls(model.fit(texts, speaks), float(np.quantile(seekers, 1 - FALSE_ALARMS)), len(real))

    def slips(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which texts read as a supporter's, shape (texts,); one without words does not."""
        words = np.array([bool(text.strip()) for text in texts])
        if not words.any():
            return words
        slipped: npt.NDArray[np.bool_] = words & (self.model.decision_function(list(texts)) > self.threshold)
        return slipped

    def counts(self, dialogues: Sequence[Dialogue], side: Role = "seeker") -> np.ndarray:
        """Slips and turns with words of one side, shape (dialogues, 2)."""
        out = np.zeros((len(dialogues), 2))
        for row, dialogue in zip(out, dialogues, strict=True):
            own = turns_of(dialogue) if side == "seeker" else [t.text for t in dialogue.turns if t.role == side]
            texts = [text for text in own if text.strip()]
            row[:] = self.slips(texts).sum(), len(texts)
        return out

    def rate(self, dialogues: Sequence[Dialogue], boot: Bootstrap, side: Role = "seeker") -> Estimate:
        """Share of one side's turns that read as a supporter's; dialogues are drawn whole."""
        slips, turns = self.counts(dialogues, side).T
        return estimate_share(slips, turns, boot, int(turns.sum()), "nobody says a word")


def slips_above(first: np.ndarray, second: np.ndarray, boot: Bootstrap) -> Estimate:
    """Slip rate of the first seekers less that of the second, who are others; each group's dialogues are drawn whole.

    Args:
        first, second: As ``SlipDetector.counts`` gives them, shapes (n, 2) and (m, 2).
    """
    counts = np.zeros((len(first) + len(second), 2, 2))
    counts[: len(first), 0], counts[len(first) :, 1] = first, second
    one, many = ClusterTables.build({"c": (counts.reshape(len(counts), 4), (4,))}).draw(
        lambda t: {"d": ratio(t["c"][..., 0], t["c"][..., 1]) - ratio(t["c"][..., 2], t["c"][..., 3])}, boot
    )
    n = len(counts)
    return boot.estimate(float(one["d"]), many["d"], n, n, "one of the two says no word")


def slip_ratio(first: np.ndarray, second: np.ndarray, boot: Bootstrap) -> Estimate:
    """Slip rate of the first seekers by that of the second, dialogues paired by row (the same card).

    Args:
        first, second: As ``SlipDetector.counts`` gives them, shape (dialogues, 2) each, in the same order of cards.
    """
    one, many = ClusterTables.build({"a": (first, (2,)), "b": (second, (2,))}).draw(
        lambda t: {"r": ratio(ratio(t["a"][..., 0], t["a"][..., 1]), ratio(t["b"][..., 0], t["b"][..., 1]))}, boot
    )
    return boot.estimate(float(one["r"]), many["r"], len(first), len(first), "the second seekers never slip")
