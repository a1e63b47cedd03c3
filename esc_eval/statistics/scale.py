"""Points of printed tables: every scale of levels is stretched to 0..100."""

from collections.abc import Sequence

from esc_eval.statistics.estimate import Array

FULL = 100


def describe_scale(levels: Sequence[int]) -> str:
    """How levels become 0..100 in tables: the paper's "x 25" for 0..4; others are stretched from their own ends."""
    low, high = min(levels), max(levels)
    return f"x {FULL // high}" if low == 0 and FULL % high == 0 else f"of {low}..{high} stretched"


def points_per_level(low: int, high: int) -> float:
    """Points of one level, 25 on 0..4 (the author's answer in issue 4 of the official release)."""
    return FULL / (high - low)


def to_points(scores: Array, low: int, high: int) -> Array:
    """Scores from low .. high as 0..100; NaN stays NaN."""
    return (scores - low) * points_per_level(low, high)
