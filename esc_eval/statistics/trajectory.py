"""How something goes over the rounds of dialogues: its mean by round, the area under its curve, and its change."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.bootstrap import Bootstrap, estimate_group_means
from esc_eval.statistics.estimate import Array, Estimate

TOO_FEW = "no dialogue has two readable rounds"


@dataclass(frozen=True)
class Trajectory:
    """What a group of dialogues goes through; n of an estimate are dialogues.

    Attributes:
        rounds: Mean of each round, over the dialogues that reach it and could be read there.
        area: Mean height of the dialogues' curves between their first and last readable round, in units of the scale:
            the area under the curve by the trapezoid rule, divided by its length.
        change: Mean of the last readable round less the first.
        readable: Values that could be read.
        asked: Values that were asked for.
    """

    rounds: Sequence[Estimate]
    area: Estimate
    change: Estimate
    readable: int
    asked: int


def measure_areas(table: npt.ArrayLike) -> Array:
    """Mean height of each row's curve between its first and last value; NaN where it has fewer than two.

    >>> measure_areas([[8, 6, np.nan, 2], [5, np.nan, np.nan, np.nan]])
    array([ 5., nan])
    """
    array = np.asarray(table, dtype=np.float64)
    areas = np.full(len(array), np.nan)
    for number, row in enumerate(array):
        there = np.flatnonzero(~np.isnan(row))
        if len(there) > 1:
            areas[number] = np.trapezoid(row[there], there) / (there[-1] - there[0])
    return areas


def measure_changes(table: npt.ArrayLike) -> Array:
    """Each row's last value less its first; NaN where it has fewer than two.

    >>> measure_changes([[8, 6, np.nan, 4], [5, np.nan, np.nan, np.nan]])
    array([-4., nan])
    """
    array = np.asarray(table, dtype=np.float64)
    changes = np.full(len(array), np.nan)
    for number, row in enumerate(array):
        there = np.flatnonzero(~np.isnan(row))
        if len(there) > 1:
            changes[number] = row[there[-1]] - row[there[0]]
    return changes


def estimate_trajectories(
    table: npt.ArrayLike,
    asked: Sequence[int],
    clusters: Sequence[object] | npt.NDArray[np.integer],
    groups: Sequence[int],
    scale: tuple[float, float],
    boot: Bootstrap,
) -> list[Trajectory]:
    """The trajectory of each group of dialogues.

    Args:
        table: Shape (dialogues, rounds): the value of each round; NaN where there is none, or none could be read.
        asked: Of each dialogue, how many values it was asked for.
        clusters: Of each dialogue what intervals draw, its card.
        groups: Of each dialogue its group, 0 .. groups - 1, none empty.
        scale: Lowest and highest value that there can be; intervals keep to it.
        boot: Draws of clusters.

    Raises:
        ValueError: Values off the scale, or lengths that do not fit.
    """
    array = np.asarray(table, dtype=np.float64)
    group, wide = np.asarray(groups), scale[1] - scale[0]
    areas, changes = measure_areas(array), measure_changes(array)
    levels = estimate_group_means(np.column_stack([array, areas]), clusters, groups, boot, scale=scale)
    moves = estimate_group_means(changes[:, None], clusters, groups, boot, scale=(-wide, wide))
    found = []
    for number in range(int(group.max()) + 1):
        own = group == number
        *rounds, area = levels.each[number]
        found.append(
            Trajectory(
                rounds,
                area if area.value is not None else Estimate(None, n=area.n, undefined=TOO_FEW),
                moves.each[number][0] if area.value is not None else Estimate(None, n=area.n, undefined=TOO_FEW),
                int((~np.isnan(array[own])).sum()),
                int(np.asarray(asked)[own].sum()),
            )
        )
    return found
