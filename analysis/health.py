"""Is a scorer better than a constant? Every figure from one confusion table, beside baselines on the same rows.

Rows of a confusion table are labels, columns predictions. All functions take leading batch dimensions.
"""

from collections.abc import Callable, Mapping

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from analysis import coefficients as co
from analysis.measure import Array, Measure, Totals

STATISTICS = {
    "accuracy": "ACC",
    "accuracy_soft": "ACC_soft",
    "quadratic_kappa": "quadratic kappa",
    "macro_f1": "macro-F1",
    "spearman": "Spearman",
    "mean_error": "mean error",
}
BINS = 10
WHY = {
    "quadratic_kappa": "labels and predictions are one and the same level throughout",
    "spearman": "labels or predictions are constant",
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


def constant_table(confusion: Array, level: int) -> Array:
    """What the table would be, had the scorer always said ``level`` (an index)."""
    out = np.zeros_like(confusion)
    out[..., :, level] = confusion.sum(-1)
    return out


def marginal_table(confusion: Array) -> Array:
    """What the table is on average when levels are drawn at random from the labels' own distribution."""
    labels = confusion.sum(-1)
    n = labels.sum(-1)[..., None, None]
    return co.ratio(labels[..., :, None] * labels[..., None, :], n)


def entropy(counts: Array) -> Array:
    """Entropy in bits of the distribution over the last axis."""
    p = co.ratio(counts, counts.sum(-1)[..., None])
    return np.where(p > 0, -p * np.log2(np.where(p > 0, p, 1)), 0.0).sum(-1)


def calibration_error(bins: Array) -> Array:
    """Expected calibration error (Guo et al. 2017) of the most probable level.

    Args:
        bins: Shape (..., bins, 3): rows, sum of confidences, number correct in each bin of confidence.
    """
    return co.ratio(np.abs(bins[..., 1] - bins[..., 2]).sum(-1), bins[..., 0].sum(-1))


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


def health_statistic(levels: Array, majority: int, soft: int, length: bool) -> Callable[[Totals], dict[str, Array]]:
    """The statistic that one bootstrap evaluates: scorer, baselines, and paired differences from the majority.

    Args:
        levels: Shape (q,).
        majority: Index of the most frequent label.
        soft: Index of the constant with the best share within one.
        length: Whether the totals have a block ``length`` (the length-only baseline's confusion).
    """

    def statistic(t: Totals) -> dict[str, Array]:
        table = t["confusion"]
        tables = {
            "scorer": table,
            "majority": constant_table(table, majority),
            "constant": constant_table(table, soft),
            "marginal_random": marginal_table(table),
            **({"length_only": t["length"]} if length else {}),
        }
        out = {f"{name}.{k}": v for name, c in tables.items() for k, v in confusion_statistics(c, levels).items()}
        predicted = table.sum(-2)
        out["modal_share"] = co.ratio(predicted.max(-1), predicted.sum(-1))
        out["entropy"] = entropy(predicted)
        out["gain"] = out["scorer.accuracy"] - out["majority.accuracy"]
        if "bins" in t:
            out["calibration_error"] = calibration_error(t["bins"])
            out["uncertainty"] = co.ratio(t["uncertainty"], t["bins"][..., 0].sum(-1))
        return out

    return statistic


def verdict(figures: Mapping[str, Measure], gain: Measure, modal_share: float) -> str:
    """One plain sentence on whether a scorer can be told from a constant."""
    kappa = figures["quadratic_kappa"]
    if modal_share == 1.0:
        return "is a constant: it gives one level to everything"
    if kappa.value is None or kappa.low is None:
        return "cannot be judged: " + (kappa.undefined or "no interval for quadratic kappa")
    if kappa.low <= 0:
        return (
            f"cannot be told from a constant: quadratic kappa {kappa.value:.2f} [{kappa.low:.2f}, {kappa.high:.2f}] "
            "does not exclude 0, the value of any constant"
        )
    if gain.low is None or gain.high is None or gain.value is None:
        return "orders dialogues better than a constant does"
    change = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    if gain.low > 0:
        return f"is better than a constant: ACC {change} against the majority level, quadratic kappa above 0"
    if gain.high < 0:
        return (
            f"orders dialogues better than a constant does (quadratic kappa above 0), but is exactly right less often "
            f"than the majority level: ACC {change}"
        )
    return (
        f"orders dialogues better than a constant does (quadratic kappa above 0); its ACC cannot be told from that of "
        f"the majority level: {change}"
    )
