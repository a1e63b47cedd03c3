"""Is a scorer better than a constant? Every figure from one confusion table, beside baselines on the same rows.

Rows of a confusion table are labels, columns predictions. All functions take leading batch dimensions.
"""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from esc_eval.statistics import coefficients as co
from esc_eval.statistics.bootstrap import Totals
from esc_eval.statistics.calibration import binned_error
from esc_eval.statistics.estimate import Array, Estimate

STATISTICS = {
    "accuracy": "ACC",
    "accuracy_soft": "ACC_soft",
    "quadratic_kappa": "quadratic kappa",
    "macro_f1": "macro-F1",
    "spearman": "Spearman",
    "mean_error": "mean error",
}
ONE_DIALOGUE = "cannot be judged: one dialogue shows nothing"
WHY = {
    "quadratic_kappa": "labels and predictions are one and the same level throughout",
    "spearman": "labels or predictions are constant",
    "kappa_within": "labels and predictions are one and the same level throughout every dimension",
    "kappa_gain": "labels and predictions are one and the same level throughout",
    "macro_f1": "nothing to compare",
}


def macro_f1(confusion: Array) -> Array:
    """Mean F1 over the levels that occur among labels or predictions."""
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(-1) + confusion.sum(-2)
    f1 = np.where(both > 0, 2 * hit / np.where(both > 0, both, 1), 0.0)
    return co.ratio(f1.sum(-1), (both > 0).sum(-1))


def confusion_statistics(confusion: Array, levels: Array) -> dict[str, Array]:
    """Accuracy, within one, quadratic kappa, macro-F1, Spearman, mean error (prediction - label).

    Args:
        confusion: Shape (..., q, q), labels in rows.
        levels: Shape (q,).
    """
    n = confusion.sum((-1, -2))
    difference = levels[None, :] - levels[:, None]
    return {
        "accuracy": co.ratio(np.trace(confusion, axis1=-2, axis2=-1), n),
        "accuracy_soft": co.ratio((confusion * (np.abs(difference) <= 1)).sum((-1, -2)), n),
        "quadratic_kappa": co.weighted_kappa(confusion, co.agreement_weights(levels)),
        "macro_f1": macro_f1(confusion),
        "spearman": co.table_spearman(confusion),
        "mean_error": co.ratio((confusion * difference).sum((-1, -2)), n),
    }


def marginal_table(labels: Array) -> Array:
    """What the table is on average when levels are drawn at random from the labels' own distribution.

    Args:
        labels: Shape (..., dimensions, q), how often each level is a label, by dimension.

    Returns:
        Shape (..., q, q), all dimensions together.
    """
    n = np.maximum(labels.sum(-1), 1)[..., None, None]
    table: Array = (labels[..., :, None] * labels[..., None, :] / n).sum(-3)
    return table


def entropy(counts: Array) -> Array:
    """Entropy in bits of the distribution over the last axis."""
    p = co.ratio(counts, counts.sum(-1)[..., None])
    bits: Array = np.where(p > 0, -p * np.log2(np.where(p > 0, p, 1)), 0.0).sum(-1)
    return bits


def length_baseline(length: Array, label: np.ndarray, groups: np.ndarray, folds: int = 5) -> np.ndarray | None:
    """Predict levels from the length of the supporter's text alone, out of fold.

    A multinomial logistic regression on log length; no fold sees a group (card) that it predicts.

    Args:
        length: Shape (n,), characters.
        label: Shape (n,), level indices.
        groups: Shape (n,), cluster labels.
        folds: Number of folds, fewer where there are fewer groups.

    Returns:
        Shape (n,), level indices; None with fewer than two groups.
    """
    folds = min(folds, len(np.unique(groups)))
    if folds < 2:
        return None
    x = np.log1p(length)[:, None]
    out = np.empty(len(label), dtype=np.intp)
    for train, test in GroupKFold(folds).split(x, label, groups):
        if len(np.unique(label[train])) < 2:
            out[test] = label[train][0]
            continue
        centre, scale = x[train].mean(), x[train].std() or 1.0
        model = LogisticRegression(max_iter=1000).fit((x[train] - centre) / scale, label[train])
        out[test] = model.predict((x[test] - centre) / scale)
    return out


def health_statistic(levels: Array) -> Callable[[Totals], dict[str, Array]]:
    """The statistic that one bootstrap evaluates: scorer, baselines, and paired differences from the majority.

    Blocks of the totals: ``scorer``, ``majority``, ``constant`` and, where there are lengths, ``length_only``:
    confusion tables (q, q); ``labels`` (dimensions, q); with several dimensions ``by_dimension``, the scorer's tables
    (dimensions, q, q), for the mean of the kappas within a dimension: a pooled kappa is also won by knowing that one
    dimension is rated higher than another, which a constant for each dimension knows too; where there are
    probabilities, ``bins`` and ``uncertainty``.
    """

    def statistic(t: Totals) -> dict[str, Array]:
        names = ("scorer", "majority", "constant", "length_only")
        tables = {name: t[name] for name in names if name in t} | {"marginal_random": marginal_table(t["labels"])}
        out = {f"{name}.{k}": v for name, c in tables.items() for k, v in confusion_statistics(c, levels).items()}
        predicted = t["scorer"].sum(-2)
        out["modal_share"] = co.ratio(predicted.max(-1), predicted.sum(-1))
        out["entropy"] = entropy(predicted)
        out["gain"] = out["scorer.accuracy"] - out["majority.accuracy"]
        out["kappa_gain"] = out["scorer.quadratic_kappa"] - np.nan_to_num(out["majority.quadratic_kappa"])
        if "by_dimension" in t:
            each = co.weighted_kappa(t["by_dimension"], co.agreement_weights(levels))
            known = np.isfinite(each)
            out["kappa_within"] = co.ratio(np.where(known, each, 0.0).sum(-1), known.sum(-1))
        if "bins" in t:
            out["calibration_error"] = binned_error(t["bins"])
            out["uncertainty"] = co.ratio(t["uncertainty"], t["bins"][..., 0].sum(-1))
        return out

    return statistic


def give_verdict(kappa: Estimate, gain: Estimate, constant: bool, dialogues: int) -> str:
    """One plain sentence on whether a scorer can be told from a constant (in each dimension).

    Args:
        kappa: Quadratic kappa above that of the majority level (which is 0 within one dimension).
        gain: ACC above that of the majority level.
        constant: Whether the scorer gives one level throughout each dimension.
        dialogues: How many were compared.
    """
    if dialogues < 2:
        return ONE_DIALOGUE
    if constant:
        return f"is a constant: it gives the same to each of the {dialogues} dialogues"
    if kappa.value is None or kappa.low is None or kappa.high is None:
        return "cannot be judged: " + (kappa.undefined or "no interval for quadratic kappa")
    if kappa.high < 0:
        return (
            f"is worse than a constant: its quadratic kappa is {kappa.value:+.2f} [{kappa.low:+.2f}, "
            f"{kappa.high:+.2f}] from that of the majority level"
        )
    if kappa.low <= 0:
        return (
            f"cannot be told from a constant: its quadratic kappa is {kappa.value:+.2f} [{kappa.low:+.2f}, "
            f"{kappa.high:+.2f}] from that of the majority level, which does not exclude 0"
        )
    if gain.low is None or gain.high is None or gain.value is None:
        return "orders dialogues better than a constant does"
    change = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    if gain.low > 0:
        return f"is better than a constant: ACC {change} against the majority level, quadratic kappa above it too"
    if gain.high < 0:
        return (
            "orders dialogues better than a constant does (quadratic kappa), but is exactly right less often than the "
            f"majority level: ACC {change}"
        )
    return (
        "orders dialogues better than a constant does (quadratic kappa); its ACC cannot be told from that "
        "of the majority "
        f"level: {change}"
    )
