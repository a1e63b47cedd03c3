"""The paper's first claim put to its own table: do models made for emotional support score above general ones?"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.paper.published_data import LeaderboardRow
from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import Estimate

DOMAIN = "domain"
LEFT_OUT = "humanoid"
"""The dimension on which the groups differ most: how little a model sounds like an AI assistant."""


@dataclass(frozen=True)
class GroupDifference:
    """Models made for emotional support against general ones, closed and open, in one language.

    Attributes:
        what: A dimension, ``average``, or ``average without humanoid``.
        domain, general: Mean of the models' scores.
        difference: The first less the second, with Welch's interval over models.
        models: How many of each.
    """

    language: str
    what: str
    domain: float
    general: float
    difference: Estimate
    models: tuple[int, int]


def welch_difference(first: list[float], second: list[float], confidence: float = CONFIDENCE) -> Estimate:
    """Difference of two means with Welch's interval; two values or more each.

    >>> found = welch_difference([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    >>> found.value, found.n
    (-2.0, 6)
    """
    found = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    value = float(np.mean(first) - np.mean(second))
    return Estimate(value, float(found.low), float(found.high), len(first) + len(second))


def compare_groups(rows: list[LeaderboardRow]) -> list[GroupDifference]:
    """The difference on each dimension, on the average, and on the average without the dimension that carries it."""
    out = []
    for language in dict.fromkeys(row.language for row in rows):
        own = [row for row in rows if row.language == language]
        values = {
            "average": {row.model: float(row.average) for row in own},
            **{key: {row.model: float(row.scores[key]) for row in own} for key in own[0].scores},
        }
        if rest := [key for key in own[0].scores if key != LEFT_OUT]:
            values[f"average without {LEFT_OUT}"] = {
                row.model: float(np.mean([float(row.scores[key]) for key in rest])) for row in own
            }
        domain = [row.model for row in own if row.group == DOMAIN]
        general = [row.model for row in own if row.group != DOMAIN]
        for what, of in values.items():
            first, second = [of[m] for m in domain], [of[m] for m in general]
            difference = welch_difference(first, second)
            means = float(np.mean(first)), float(np.mean(second))
            out.append(GroupDifference(language, what, *means, difference, (len(domain), len(general))))
    return out
