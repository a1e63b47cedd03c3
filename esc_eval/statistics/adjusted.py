"""Means of models on equal terms: the same cards for all, and raters of the same severity where that is asked for.

Least squares in score = model + card, or model + card + rater (the additive model of many-facet measurement), in each
dimension. Cards, and raters where they are in it, are fixed effects: a model that was not scored on the hard cards, or
was rated by the mild raters, gains nothing by it. Where every model is scored on every card as often, these are the
plain means, and differences are the mean differences on the cards.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from esc_eval.statistics.estimate import Array

Codes = npt.NDArray[np.intp]
NEGLIGIBLE = 1e-9


@dataclass(frozen=True)
class Adjusted:
    """Means on equal terms, as sums over clusters.

    Attributes:
        value: Shape (models,): the mean of each, had all been scored on the same cards (by the same raters); NaN where
            a model has no score.
        influence: Shape (clusters, models): what each cluster adds to the error of a mean, to first order; sums to 0.
        leverage: Shape (designs, models, models): the share of a cluster in the variance that the design gives to the
            models' effects, by which models it holds; a pair's share is ``[i, i] + [j, j] - 2 [i, j]``. None where no
            cluster holds two models.
        design: Shape (clusters,): place of each cluster's own in ``leverage``.
        linked: Shape (models, models): whether the difference of two models is determined. Means of models that are
            not linked are not on equal terms.
    """

    value: Array
    influence: Array
    leverage: Array
    design: Codes
    linked: npt.NDArray[np.bool_]

    def __add__(self, other: "Adjusted") -> "Adjusted":
        """The sum of two dimensions' means."""
        one, two, design = self.leverage, other.leverage, self.design
        if not np.array_equal(design, other.design):
            both, design = np.unique(design * np.intp(len(two)) + other.design, return_inverse=True)
            one, two = one[both // len(two)], two[both % len(two)]
        return Adjusted(
            self.value + other.value,
            self.influence + other.influence,
            one + two,
            design,
            self.linked & other.linked,
        )

    def pair(self, first: Codes, second: Codes) -> tuple[Array, Array, Array, Array]:
        """Differences of models.

        Returns:
            Shape (pairs,), the differences. Shape (clusters, pairs), what each cluster says of them: the mean
            difference in it where all models are scored in every cluster as often, else the jackknife's pseudo-value;
            their mean is the difference, and NaN stands where a cluster says nothing. Shape (clusters, pairs), what
            each would add to a difference that is zero in truth, as likely above as below 0: their sum is the
            difference. Shape (clusters, pairs), each cluster's share in a difference's variance, for ``widening``.
        """
        gap = self.value[first] - self.value[second]
        influence = self.influence[:, first] - self.influence[:, second]
        if not len(self.leverage):
            return gap, np.full_like(influence, np.nan), np.zeros_like(influence), np.zeros_like(influence)
        share = (
            self.leverage[:, first, first]
            + self.leverage[:, second, second]
            - self.leverage[:, first, second]
            - self.leverage[:, second, first]
        )
        share, bears = _shares(share[self.design])
        many = np.maximum(bears.sum(0), 1)
        left_out = np.where(bears, influence * (1 - 1 / many) / np.maximum(1 - share, NEGLIGIBLE), 0.0)
        values = np.where(bears, gap + many * left_out - left_out.sum(0), np.nan)
        return gap, values, influence + share * np.nan_to_num(gap), share

    def means(self) -> tuple[Array, Array]:
        """Of the models' means, shape (clusters, models) each: what a cluster adds to the error, grown by what it
        pulled the fit to itself (infinite where the fit hangs on it alone); its share in the variance (``widening``).
        """
        if not len(self.leverage):
            return self.influence, np.zeros_like(self.influence)
        share, _ = _shares(np.einsum("kii->ki", self.leverage)[self.design])
        many = np.maximum((self.influence != 0).sum(0), 1)
        rest = np.maximum(1 - share, NEGLIGIBLE)
        grown = self.influence * np.maximum((1 - 1 / many) / rest, 1.0)
        return np.where(rest > NEGLIGIBLE, grown, np.inf), share

    def turned(self, full: float) -> "Adjusted":
        """The same of ``full`` less the scores."""
        return Adjusted(full - self.value, -self.influence, self.leverage, self.design, self.linked)


def _shares(parts: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Parts of clusters (rows) in a variance as shares of it, and which of them bear on it."""
    total = parts.sum(0)
    share = parts / np.where(total > NEGLIGIBLE, total, 1.0)
    return share, (share > NEGLIGIBLE) & (total > NEGLIGIBLE)


def widening(share: Array, clusters: Array, confidence: float) -> Array:
    """How many times as wide an interval is to be where a few clusters carry most of what is compared; 1 where all do.

    Where two cards of thirty join the raters, a value is as good as those two, and an interval of thirty equal cards
    too narrow. So it grows by Student's t with the effective number of clusters (for cluster-robust variances Carter,
    Schnepel & Steigerwald 2017) against that with the number of clusters less one.

    Args:
        share: Shape (clusters, values), shares of the clusters in the variance that the design gives to a value.
        clusters: Shape (values,), clusters that the interval is made of.
        confidence: Of the interval.
    """
    from scipy.special import stdtrit

    squares = (share**2).sum(0)
    effective = np.where(squares > 0, 1 / np.where(squares > 0, squares, 1.0), clusters)
    level = (1 + confidence) / 2
    wider: Array = np.maximum(stdtrit(effective, level) / stdtrit(np.maximum(clusters - 1, 1), level), 1.0)
    return wider


def average_adjusted(parts: Iterable[Adjusted]) -> Adjusted:
    """The mean of several dimensions' means; NaN where one has none. The parts are gone through once."""
    each, n = iter(parts), 1
    whole = next(each)
    for part in each:
        whole, n = whole + part, n + 1
    return Adjusted(whole.value / n, whole.influence / n, whole.leverage / n**2, whole.design, whole.linked)


def adjust_means(
    score: Array,
    model: Codes,
    cluster: Codes,
    shape: tuple[int, int],
    weight: Array,
    rater: Codes | None = None,
    paired: bool = True,
) -> Adjusted:
    """Least squares means of models with the cards, and the raters, taken out.

    Args:
        score: Shape (n,), finite.
        model, cluster: Shape (n,), codes.
        shape: How many models and clusters there are.
        weight: Shape (n,), positive: of each score.
        rater: Shape (n,), codes; None = raters are not taken out.
        paired: Whether clusters are taken out; not where none holds two models, so that nothing can be compared.
    """
    models, clusters = shape
    columns = [model] if rater is None else [model, models + rater]
    p = models + (0 if rater is None else int(rater.max(initial=-1)) + 1)
    size, gram = np.bincount(cluster, weight, clusters), np.zeros((p, p))
    count, total = np.zeros((clusters, p)), np.zeros((clusters, p))
    for one in columns:
        np.add.at(count, (cluster, one), weight)
        np.add.at(total, (cluster, one), weight * score)
        for other in columns:
            np.add.at(gram, (one, other), weight)

    def centre(values: Array) -> Array:
        """Values of rows, shape (n, columns), less the mean of their cluster."""
        if not paired:
            return values
        sums = np.zeros((clusters, values.shape[1]))
        np.add.at(sums, cluster, weight[:, None] * values)
        return np.asarray(values - (sums / np.where(size > 0, size, 1.0)[:, None])[cluster])

    if paired:
        gram -= count.T @ (count / np.where(size > 0, size, 1.0)[:, None])
    inverse = np.linalg.pinv(gram, rcond=NEGLIGIBLE, hermitian=True)
    centred = centre(score[:, None])[:, 0]
    right = np.zeros(p)
    for one in columns:
        right += np.bincount(one, weight * centred, p)
    effects = inverse @ right
    del centred
    rest = centre((score - sum((effects[one] for one in columns), np.zeros(len(score))))[:, None])[:, 0]
    inner, own = np.zeros((clusters, models)), count[:, :models]
    for one in columns:
        for i in range(models):  # one at a time: all together take memory for each score
            np.add.at(inner[:, i], cluster, weight * rest * inverse[one, i])
    scored = own.sum(0) > 0
    free = (np.eye(p) - inverse @ gram)[:models, :models]
    spread = np.diag(free)[:, None] + np.diag(free)[None, :] - free - free.T
    linked = (spread < 1e-6) & scored[:, None] & scored[None, :]
    leverage, design = np.zeros((0, models, models)), np.zeros(0, dtype=np.intp)
    if paired:  # clusters of one design have the same leverage
        design, firsts = _designs(model, cluster, shape, weight, rater)
        code = np.full(clusters, -1)
        code[firsts] = np.arange(len(firsts))
        some = np.flatnonzero(code[cluster] >= 0)
        at, heavy = code[cluster[some]], weight[some]
        bearing = np.zeros((len(some), models))
        for one in columns:
            bearing += inverse[one[some], :models]
        sums = np.zeros((len(firsts), models))
        np.add.at(sums, at, heavy[:, None] * bearing)
        bearing -= (sums / np.where(size[firsts] > 0, size[firsts], 1.0)[:, None])[at]
        leverage = np.zeros((len(firsts), models, models))
        for i in range(models):
            np.add.at(leverage[:, i], at, (heavy * bearing[:, i])[:, None] * bearing)
    # the level of linked models together: every card that they have counts once, its scores less the models' effects
    theta, reach = effects[:models], linked.astype(float)
    there = (own > 0) @ reach
    per_model = 1 / np.where(there > 0, there, 1.0)
    excess, mass = ((total[:, :models] - own * theta) @ reach) * per_model, (own @ reach) * per_model
    over = np.where(scored, mass.sum(0), 1.0)
    level = excess.sum(0) / over
    place = (own.T @ per_model) * reach / over  # of each model in the level of another
    value = np.where(scored, theta + level, np.nan)
    influence = inner[:, :models] - inner[:, :models] @ place + (excess - mass * level) / over
    return Adjusted(value, np.where(scored, influence, 0.0), leverage, design, linked)


def _designs(
    model: Codes, cluster: Codes, shape: tuple[int, int], weight: Array, rater: Codes | None
) -> tuple[Codes, Codes]:
    """Which clusters hold the same models with the same weights: the number of each one's design, and the first
    cluster of each design. Where raters are taken out, or a model's scores in a cluster differ in weight, every
    cluster is its own.
    """
    models, clusters = shape
    cell = cluster * np.intp(models) + model
    many = np.bincount(cell, minlength=clusters * models)
    own = np.zeros(clusters * models)
    own[cell] = weight
    if rater is not None or not np.array_equal(own[cell], weight):
        return np.arange(clusters), np.arange(clusters)
    del cell
    rows = many.astype(np.min_scalar_type(many.max(initial=0))).reshape(clusters, models)
    if not any(np.array_equal(own, plain) for plain in (many > 0, 1 / np.maximum(many, 1) * (many > 0))):
        rows = np.concatenate([own.reshape(clusters, models), rows], axis=1)
    del own, many
    _, first, code = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return code.reshape(-1), first
