"""Several scorers' levels beside people's on the same dialogues: every figure, and differences, from one bootstrap."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.health import STATISTICS, WHY, confusion_statistics

Levels = npt.NDArray[np.intp]

FIGURES = tuple(name for name in STATISTICS if name != "mean_error")
BASELINES = ("majority", "length only")
BESIDE = ("length only, shipped setting", "length and distinct bigrams", "rater's own mean")
"""Further baselines, of which quadratic kappa is compared."""
CHOSEN = "chosen on validation"
"""Name of the scorer whose method and settings each fold's own validation part chose."""


def compare_scorers(
    labels: Levels,
    methods: Mapping[str, Levels],
    people: Sequence[str],
    groups: Sequence[str],
    dimensions: Sequence[str],
    levels: Sequence[int],
    boot: Bootstrap,
) -> dict[str, Any]:
    """Figures of every method on the rows that all of them rated.

    A figure is the mean over the dimensions of that dimension's figure. ``within`` is the mean over groups too, where
    there are several: how well a scorer tells one bot's chats apart, without credit for telling bots apart.

    Args:
        labels: People's level indices, shape (dialogues, dimensions); -1 where nobody rated.
        methods: Predicted level indices by name, shaped alike; -1 where there is none.
        people: Who rated each dialogue; intervals draw whole people.
        groups: What each dialogue belongs to (its bot).
        dimensions, levels: Of the rubric.
        boot: Draws.

    Returns:
        ``ratings`` (n), ``dialogues``, ``people``, and by method: each figure, ``within`` (quadratic kappa),
        ``by_dimension`` (quadratic kappa), and ``minus majority``, ``minus length only`` (paired differences of each),
        ``minus`` each of ``BESIDE`` and ``minus chosen on validation`` (of quadratic kappa; what is chosen has them
        ``by_dimension`` too).
    """
    shared = labels >= 0
    for own in methods.values():
        shared &= own >= 0
    rows, columns = np.nonzero(shared)
    q, d = len(levels), len(dimensions)
    person, people_index = pd.factorize(np.array(people, dtype=object)[rows])
    group, group_index = pd.factorize(np.array(groups, dtype=object)[rows])
    g = len(group_index)
    cell = (group * d + columns) * q * q + labels[rows, columns] * q
    parts = {}
    for name, own in methods.items():
        cells = cell + own[rows, columns]
        table = sparse.coo_array((np.ones(len(rows)), (person, cells)), shape=(len(people_index), g * d * q * q))
        parts[name] = (table.tocsr(), (g, d, q, q))
    scale = np.asarray(levels, dtype=float)

    def statistic(totals: Totals) -> dict[str, Array]:
        out: dict[str, Array] = {}
        for name in methods:
            whole = confusion_statistics(totals[name].sum(-4), scale)
            for figure in FIGURES:
                out[f"{name}|{figure}"] = whole[figure].mean(-1)
            for number, dimension in enumerate(dimensions):
                out[f"{name}|by {dimension}"] = whole["quadratic_kappa"][..., number]
            if g > 1:
                out[f"{name}|within"] = confusion_statistics(totals[name], scale)["quadratic_kappa"].mean((-1, -2))
        for name in methods:
            for base in (*BASELINES, *BESIDE, CHOSEN):
                if base in methods and base != name:
                    for figure in (
                        ["quadratic_kappa"] if base not in BASELINES else [*FIGURES, *(["within"] if g > 1 else [])]
                    ):
                        out[f"{name}|minus {base}|{figure}"] = out[f"{name}|{figure}"] - out[f"{base}|{figure}"]
        for base in {*BASELINES, *BESIDE} & set(methods) if CHOSEN in methods else ():
            for key in dimensions:
                out[f"{CHOSEN}|minus {base}|by {key}"] = out[f"{CHOSEN}|by {key}"] - out[f"{base}|by {key}"]
        return out

    one, many = ClusterTables.build(parts).draw(statistic, boot)

    def measure(key: str) -> Estimate:
        figure = key.rpartition("|")[2]
        why = WHY.get(figure, WHY["quadratic_kappa"])
        return boot.estimate(float(one[key]), many[key], len(rows), len(people_index), why)

    found: dict[str, Any] = {}
    for name in methods:
        found[name] = {figure: measure(f"{name}|{figure}") for figure in FIGURES}
        if g > 1:
            found[name]["within"] = measure(f"{name}|within")
        if d > 1:
            found[name]["by_dimension"] = {dimension: measure(f"{name}|by {dimension}") for dimension in dimensions}
        for base in (*BASELINES, *BESIDE, CHOSEN):
            keys = [figure for figure in (*FIGURES, "within") if f"{name}|minus {base}|{figure}" in one]
            if keys:
                found[name][f"minus {base}"] = {figure: measure(f"{name}|minus {base}|{figure}") for figure in keys}
            if d > 1 and name == CHOSEN and base in methods and base != CHOSEN:
                found[name][f"minus {base}"]["by_dimension"] = {
                    key: measure(f"{name}|minus {base}|by {key}") for key in dimensions
                }
    return {
        "ratings": len(rows),
        "dialogues": len(set(rows.tolist())),
        "people": len(people_index),
        "methods": found,
    }


def majority_levels(labels: Levels, folds: Sequence[Levels], aim: int) -> Levels:
    """The commonest level of each dimension, for every row of the part aimed at; -1 elsewhere.

    It knows the distribution of the very labels it is measured on, so it is one constant a dimension, of kappa 0. The
    majority of each fold's training rows would be a worse baseline, below 0: the best bot's is learnt from the others.

    Args:
        labels: Level indices, shape (dialogues, dimensions); -1 where nobody rated.
        folds: Part of each dialogue x dimension, one for each fold.
    """
    wanted = np.any([fold == aim for fold in folds], axis=0)
    common = [np.bincount(own[rows]).argmax() for own, rows in zip(labels.T, wanted.T, strict=True)]
    return np.where(wanted, np.array(common, dtype=np.intp), -1)
