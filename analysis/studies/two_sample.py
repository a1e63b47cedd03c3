"""Classifier two-sample test (Lopez-Paz & Oquab 2017): can a classifier tell simulated from real seekers?

The classifier is a ridge regression on tf-idf of character strings, so that its out-of-fold scores are linear in the
labels: a thousand permutations cost one matrix product. They give an exact p-value, and how much more a figure that is
cross-validated varies than the same figure of independent scores, by which the intervals are widened.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold

from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Array, Estimate

FOLDS = 5
PENALTY = 0.1
PERMUTATIONS = 1000


@dataclass(frozen=True)
class TwoSample:
    """Out-of-fold performance on equally many texts of both kinds; chance is 0.5.

    Attributes:
        accuracy: Share of texts put on the right side.
        auc: Area under the ROC curve.
        p: One-sided permutation p-value of the area against chance.
    """

    accuracy: Estimate
    auc: Estimate
    p: float | None


def two_sample_test(first: list[str], second: list[str], boot: Bootstrap, *, length_only: bool = False) -> TwoSample:
    """Tell two sets of texts apart.

    Args:
        first, second: One text a dialogue, so that no dialogue is in train and test; the larger set is thinned.
        boot: Seed of folds, thinning and permutations, and the confidence.
        length_only: Look at nothing but the length.

    Returns:
        Undefined with fewer than ``2 * FOLDS`` texts a side.
    """
    rng = np.random.default_rng(boot.seed)
    n = min(len(first), len(second))
    if n < 2 * FOLDS:
        why = f"the test needs {2 * FOLDS} dialogues a side or more; there are {n}"
        return TwoSample(Estimate(None, n=n, undefined=why), Estimate(None, n=n, undefined=why), None)
    texts = [group[i] for group in (first, second) for i in rng.permutation(len(group))[:n]]
    label = np.repeat([1, 0], n)
    likeness = _length_likeness(texts) if length_only else _word_likeness(texts)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=boot.seed).split(texts, label))
    smoother = np.zeros((2 * n, 2 * n))
    for train, test in folds:
        kernel = likeness[np.ix_(train, train)] + PENALTY * np.eye(len(train))
        smoother[np.ix_(test, train)] = np.linalg.solve(kernel, likeness[np.ix_(train, test)]).T
    shuffled = np.tile(label[:, None], PERMUTATIONS)
    for _, test in folds:  # within folds, which keeps both kinds equally many in each
        shuffled[test] = rng.permuted(shuffled[test], axis=0)
    labels = np.concatenate([label[:, None], shuffled], axis=1)
    scores = smoother @ (2.0 * labels - 1)
    auc, right = _areas(scores, labels), ((scores > 0) == labels).mean(0)
    p = float((1 + (auc[1:] >= auc[0] - 1e-12).sum()) / (1 + PERMUTATIONS))
    independent = (2 * n + 1) / (12 * n * n), 0.25 / (2 * n)
    found = [
        _interval(own, variance, alone, boot.confidence, 2 * n)
        for own, variance, alone in zip((auc, right), (_delong(scores[:, 0], n), None), independent, strict=True)
    ]
    return TwoSample(found[1], found[0], p)


def _word_likeness(texts: list[str]) -> Array:
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=2, sublinear_tf=True).fit_transform(texts)
    products: Array = (vectors @ vectors.T).toarray()
    return products


def _length_likeness(texts: list[str]) -> Array:
    size = np.log1p([len(text) for text in texts])
    size = (size - size.mean()) / (size.std() or 1.0)
    products: Array = np.outer(size, size) + 1.0
    return products


def _areas(scores: Array, labels: Array) -> Array:
    """Area under the ROC curve of each column."""
    n = len(labels) // 2
    areas: Array = ((rankdata(scores, axis=0) * labels).sum(0) - n * (n + 1) / 2) / (n * n)
    return areas


def _delong(score: Array, n: int) -> float:
    """Variance of the area, were the scores independent (DeLong et al. 1988)."""
    ranks = rankdata(score)
    first, second = (ranks[:n] - rankdata(score[:n])) / n, (ranks[n:] - rankdata(score[n:])) / n
    return float((first.var(ddof=1) + second.var(ddof=1)) / n)


def _interval(values: Array, variance: float | None, independent: float, confidence: float, n: int) -> Estimate:
    """A share with its Wilson interval at the size that its variance amounts to.

    Args:
        values: The share, then those under permuted labels.
        variance: Of the share, were scores independent; None = binomial.
        independent: The same at chance.
        confidence: Coverage.
        n: Texts.
    """
    share, chance = float(values[0]), values[1:]
    widening = max(1.0, float(chance.var()) / independent)
    spread = share * (1 - share)
    size = (spread / variance if variance and spread > 0 else n) / widening
    z = float(ndtri(0.5 + confidence / 2))
    middle = (share + z * z / (2 * size)) / (1 + z * z / size)
    half = z * np.sqrt(spread / size + z * z / (4 * size * size)) / (1 + z * z / size)
    short = max(0.0, 0.5 - float(chance.mean()))  # labels of the other folds are balanced against those of the own
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half + short), n)
