"""Classifier two-sample test (Lopez-Paz & Oquab 2017): can a classifier tell simulated from real seekers?"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Array, Estimate

FOLDS = 5


@dataclass(frozen=True)
class TwoSample:
    """Out-of-fold performance on equally many texts of both kinds; chance is 0.5.

    Attributes:
        accuracy: With a binomial p-value beside it.
        auc: Area under the ROC curve with bootstrap interval.
        p: One-sided p-value of the accuracy against chance.
    """

    accuracy: Estimate
    auc: Estimate
    p: float | None


def two_sample_test(first: list[str], second: list[str], boot: Bootstrap, *, length_only: bool = False) -> TwoSample:
    """Tell two sets of texts apart.

    Args:
        first, second: One text a dialogue, so that no dialogue is in train and test; the larger set is thinned.
        boot: Seed of folds and thinning, and draws of the interval.
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
    score = np.empty(2 * n)
    features = np.log1p([[len(t)] for t in texts])
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=boot.seed).split(features, label):
        if length_only:
            model = make_pipeline(StandardScaler(), LogisticRegression())
            score[test] = model.fit(features[train], label[train]).decision_function(features[test])
        else:
            model = make_pipeline(
                TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), min_df=2, sublinear_tf=True),
                LogisticRegression(C=10.0, max_iter=1000),
            )
            model.fit([texts[i] for i in train], label[train])
            score[test] = model.decision_function([texts[i] for i in test])
    correct = (score > 0) == label
    hits = int(correct.sum())
    low, high = stats.binomtest(hits, 2 * n).proportion_ci(boot.confidence, method="wilson")
    accuracy = Estimate(hits / (2 * n), float(low), float(high), 2 * n)
    return TwoSample(accuracy, _auc(score, label, boot), float(stats.binom.sf(hits - 1, 2 * n, 0.5)))


def _auc(score: Array, label: Array, boot: Bootstrap) -> Estimate:
    rng = np.random.default_rng(boot.seed)
    kinds = [np.flatnonzero(label == k) for k in (0, 1)]
    draws = np.empty(boot.draws)
    for i in range(boot.draws):
        rows = np.concatenate([rng.choice(k, len(k)) for k in kinds])
        draws[i] = roc_auc_score(label[rows], score[rows])
    return boot.estimate(float(roc_auc_score(label, score)), draws, len(label), len(label), "no texts")
