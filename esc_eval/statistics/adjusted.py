"""Means of models on equal terms: the same cards for all, and raters of the same severity where that is asked for.

Least squares in score = model + card, or model + card + rater (the additive model of many-facet measurement), in each
dimension. Cards, and raters where they are in it, are fixed effects: a model that was not scored on the hard cards, or
was rated by the mild raters, gains nothing by it. Where every model is scored on every card as often, these are the
plain means, and differences are the mean differences on the cards.
"""

from dataclasses import dataclass
from functools import reduce

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
        leverage: Shape (clusters, models, models): each cluster's share in the variance that the design gives to the
            models' effects; a pair's share is ``[i, i] + [j, j] - 2 [i, j]``. None
            where no cluster holds two models.
        linked: Shape (models, models): whether the difference of two models is determined. Means of models that are
            not linked are not on equal terms.
    """

    value: Array
    influence: Array
    leverage: Array
    linked: npt.NDArray[np.bool_]

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
        share, bears = _shares(share)
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
        share, _ = _shares(np.einsum("kii->ki", self.leverage))
        many = np.maximum((self.influence != 0).sum(0), 1)
        rest = np.maximum(1 - share, NEGLIGIBLE)
        grown = self.influence * np.maximum((1 - 1 / many) / rest, 1.0)
        return np.where(rest > NEGLIGIBLE, grown, np.inf), share

    def turned(self, full: float) -> "Adjusted":
        """The same of ``full`` less the scores."""
        return Adjusted(full - self.value, -self.influence, self.leverage, self.linked)


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


def average_adjusted(parts: list[Adjusted]) -> Adjusted:
    """The mean of several dimensions' means; NaN where one has none."""
    n = len(parts)
    return Adjusted(
        sum((p.value for p in parts), np.zeros_like(parts[0].value)) / n,
        sum((p.influence for p in parts), np.zeros_like(parts[0].influence)) / n,
        sum((p.leverage for p in parts), np.zeros_like(parts[0].leverage)) / n**2,
        reduce(np.logical_and, (p.linked for p in parts)),
    )


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
    rest = centre((score - sum((effects[one] for one in columns), np.zeros(len(score))))[:, None])[:, 0]
    inner, own = np.zeros((clusters, models)), count[:, :models]
    for one in columns:
        np.add.at(inner, cluster, (weight * rest)[:, None] * inverse[one, :models])
    scored = own.sum(0) > 0
    free = (np.eye(p) - inverse @ gram)[:models, :models]
    spread = np.diag(free)[:, None] + np.diag(free)[None, :] - free - free.T
    linked = (spread < 1e-6) & scored[:, None] & scored[None, :]
    leverage = np.zeros((clusters if paired else 0, models, models))
    if paired:
        bearing = np.zeros((len(score), models))
        for one in columns:
            bearing += inverse[one, :models]
        bearing = centre(bearing)
        for i in range(models):
            np.add.at(leverage[:, i], cluster, (weight * bearing[:, i])[:, None] * bearing)
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
    return Adjusted(value, np.where(scored, influence, 0.0), leverage, linked)
