"""Figures of a classifier of named classes, from counts of true and told class by cluster."""

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.bootstrap import Bootstrap, draw_weights
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate

Codes = npt.NDArray[np.intp]


def tabulate_confusion(truth: Codes, told: Codes, clusters: Codes, classes: int) -> Array:
    """Counts of true and told class, shape (clusters, classes, classes).

    Args:
        truth, told: Shape (n,); told -1 = left out.
        clusters: Shape (n,), of each row.
        classes: Number of classes.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    table = np.zeros((len(names), classes, classes))
    known = told >= 0
    np.add.at(table, (codes[known], truth[known], told[known]), 1)
    return table


def judge_confusion(table: Array) -> dict[str, Array]:
    """Accuracy, macro-F1, Cohen's kappa, and of each class precision, recall and F1.

    Args:
        table: Counts, shape (..., classes, classes), rows the truth. Macro-F1 is over the classes that are there or
            told; precision is NaN where a class is never told, recall where it is not there.

    >>> figures = judge_confusion(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    >>> [round(float(figures[key]), 3) for key in ("accuracy", "macro_f1", "kappa")]
    [0.75, 0.733, 0.5]
    """
    total = table.sum((-1, -2))
    right = np.diagonal(table, axis1=-2, axis2=-1)
    true, told = table.sum(-1), table.sum(-2)
    accuracy = ratio(right.sum(-1), total)
    chance = ratio((true * told).sum(-1), total**2)
    f1 = ratio(2 * right, true + told)
    there = ~np.isnan(f1)
    return {
        "accuracy": accuracy,
        "macro_f1": ratio(np.nansum(f1, axis=-1), there.sum(-1)),
        "kappa": ratio(accuracy - chance, 1 - chance),
        "precision": ratio(right, told),
        "recall": ratio(right, true),
        "f1": f1,
    }


def estimate_confusion(table: Array, boot: Bootstrap) -> dict[str, list[Estimate]]:
    """The figures of ``judge_confusion`` with intervals that draw clusters: lists of one, or of one for each class.

    Args:
        table: Shape (clusters, classes, classes).
        boot: Draws and seed.
    """
    clusters, n = len(table), int(table.sum())
    one = judge_confusion(table.sum(0))
    weights = draw_weights(clusters, boot.draws, np.random.default_rng(boot.seed)) if clusters else np.zeros((0, 0))
    flat = table.reshape(clusters, -1)
    drawn = [
        judge_confusion((weights[i : i + 100] @ flat).reshape(-1, *table.shape[1:]))
        for i in range(0, len(weights), 100)
    ]
    found = {}
    for key, value in one.items():
        draws = np.concatenate([part[key] for part in drawn]) if drawn else np.zeros((0, *value.shape))
        found[key] = [
            boot.estimate(float(v), d, n, clusters, "the class is not there")
            for v, d in zip(np.atleast_1d(value), np.atleast_2d(draws.T), strict=True)
        ]
    return found
