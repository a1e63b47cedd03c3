"""What repeats of a card say: how much of a score is the card, the repeat and the judge, and which verdicts flip.

A repeat is one more dialogue of a supporter on a card, with another seed (or another seeker). Intervals of means and
differences draw whole cards, which carries the repeats along: see docs/statistics.md, "Repeats".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.risk import exact_limits
from esc_eval.statistics.variance import NEGLIGIBLE, Codes, LeastSquares

NO_REPEATS = "no card has scores of two repeats, so what is of the card and what of the repeat cannot be told apart"
ONE_CARD = "one card alone, so nothing says how much cards differ"
ONE_JUDGE = "one rater alone, so its own error is in that of the repeat"
NOT_LINKED = "no dialogue has two raters, so raters cannot be told from what they rated"
NEVER_DIFFER = "no interval: none of these ever differ here, which is no certainty that they never do"
LESS_THAN_CHANCE = "no interval: these differ less than chance alone makes them"
NO_ERROR = "raters leave nothing unexplained, as where nothing was rated twice"
SHUFFLES = 500
"""Draws of what is expected of fragile cards by chance."""


@dataclass(frozen=True)
class MeanSquare:
    """A mean square, its degrees of freedom, and the factor with which it enters a variance."""

    value: float
    freedom: float
    factor: float

    def times(self, factor: float) -> "MeanSquare":
        """The same, entering with another factor."""
        return MeanSquare(self.value, self.freedom, factor)


def mean_square(squares: Array, freedom: int) -> MeanSquare:
    """A mean square from the sums of squares of cards, with degrees of freedom that know how unlike cards are.

    Levels are no normal distribution: where a few cards hold most of the squares, as where most repeats agree wholly, a
    mean square varies more than chi-square says. Its degrees of freedom are Satterthwaite's, 2 MS^2 by its variance
    over cards, and never more than there are.

    Args:
        squares: Shape (cards,): what each adds.
        freedom: Degrees of freedom of all.
    """
    if freedom < 1:
        return MeanSquare(0.0, 0, 1.0)
    value, cards = max(0.0, float(squares.sum())) / freedom, len(squares)
    variance = cards / max(cards - 1, 1) * float(((squares - squares.mean()) ** 2).sum()) / freedom**2
    own = 2 * value**2 / variance if variance > 0 else np.inf
    return MeanSquare(value, min(float(freedom), max(1.0, own)), 1.0)


def combine_squares(parts: Sequence[MeanSquare], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """A weighted sum of mean squares with the limits of the modified large-sample method.

    Graybill & Wang (1980) where all factors are positive, Ting, Burdick, Graybill, Jeyaratnam & Lu (1990) where some
    are not (without the small terms between positive parts). A limit below zero is zero: a variance has none lower.

    Args:
        parts: Mean squares, independent of each other and each of the spread of a chi-square.
        confidence: Of the interval.

    Returns:
        Value (it may be negative), lower and upper limit.
    """
    tail = (1 - confidence) / 2
    own = [(abs(p.factor) * p.value, p.freedom, p.factor > 0) for p in parts if p.factor and p.freedom]
    value = sum(size if positive else -size for size, _, positive in own)

    def spread(upper: bool) -> float:
        """Square of the distance of a limit from the value."""
        level = 1 - tail if upper else tail
        total = 0.0
        for size, df, positive in own:
            if positive == upper:  # it may be larger than it is here: chi-square's lower quantile
                total += ((df / special.chdtri(df, 1 - tail) - 1) * size) ** 2
            else:
                total += ((1 - df / special.chdtri(df, tail)) * size) ** 2
        for size, df, _ in (each for each in own if each[2]):
            for other, df_other, _ in (each for each in own if not each[2]):
                f = special.fdtri(df, df_other, 1 - level)
                if upper:
                    high, low = df / special.chdtri(df, 1 - tail) - 1, 1 - df_other / special.chdtri(df_other, tail)
                    cross = ((1 - f) ** 2 - high**2 * f**2 - low**2) / f
                else:
                    low, high = 1 - df / special.chdtri(df, tail), df_other / special.chdtri(df_other, 1 - tail) - 1
                    cross = ((f - 1) ** 2 - low**2 * f**2 - high**2) / f
                total += cross * size * other
        return max(0.0, total)

    low, high = value - np.sqrt(spread(False)), value + np.sqrt(spread(True))
    return float(value), max(0.0, float(low)), max(0.0, float(high))


@dataclass(frozen=True)
class Split:
    """What the scores of one supporter are made of.

    Attributes:
        card: Variance of cards.
        repeat: Variance of the dialogues of one card; with one rater that rater's error is in it.
        judge: Variance of raters' severity; no value with one rater.
        rest: Variance of a single rating beyond all of these; no value with one rater.
        cards, repeats: How many cards there are, and dialogues of one on average.
        notes: What could not be told, a sentence each.
    """

    card: Estimate
    repeat: Estimate
    judge: Estimate
    rest: Estimate
    cards: int
    repeats: float
    notes: tuple[str, ...] = ()

    @property
    def repeat_share(self) -> float | None:
        """Part of the repeat in the variance of one dialogue's score; None where it is not known."""
        if self.card.value is None or self.repeat.value is None:
            return None
        total = self.card.value + self.repeat.value + (self.judge.value or 0.0) + (self.rest.value or 0.0)
        return self.repeat.value / total if total > 0 else None


def split_variance(
    scores: Array, card: Codes, dialogue: Codes, rater: Codes | None = None, confidence: float = CONFIDENCE
) -> Split:
    """Variances of cards, of repeats within cards, of raters and of the rest, by least squares.

    score = card + dialogue of the card + rater + rest, all but the mean random. Every sum of squares is what one
    factor explains beyond those above it (Henderson's method III: unbiased with missing repeats and ratings; the usual
    nested analysis of variance, and REML where no variance is at zero, in complete tables). Limits by the modified
    large-sample method. A variance that comes out negative is zero, with its upper limit.

    Args:
        scores: Shape (n,), finite.
        card, dialogue: Shape (n,), codes from 0; a dialogue is of one card.
        rater: Shape (n,), codes from 0; None = one.
        confidence: Of the intervals.
    """
    n, cards = len(scores), len(np.unique(card))
    dialogues = len(np.unique(dialogue))
    repeats = dialogues / max(cards, 1)
    rater = np.zeros(n, dtype=np.intp) if rater is None else rater
    judges = len(np.unique(rater))

    def none(why: str) -> Estimate:
        return Estimate(None, n=dialogues, clusters=cards, undefined=why)

    def nothing(why: str) -> Split:
        return Split(none(why), none(why), none(why), none(why), cards, repeats, (why,))

    if dialogues == cards or cards < 2:
        return nothing(ONE_CARD if cards < 2 else NO_REPEATS)
    single = judges < 2 or n == dialogues
    notes: list[str] = []
    whole, by_card, by_dialogue = (
        LeastSquares.fit(scores, absorbed, [rater]) for absorbed in (np.zeros(n, dtype=np.intp), card, dialogue)
    )
    df_error = 0 if single else n - by_dialogue.rank
    if single:
        notes.append(ONE_JUDGE if judges < 2 else NOT_LINKED)
    weight, df_repeat = by_card.weight_of(dialogue), by_dialogue.rank - by_card.rank
    of_card, df_card = whole.weight_of(card), by_card.rank - whole.rank
    if df_repeat < 1 or df_card < 1 or weight < NEGLIGIBLE or of_card < NEGLIGIBLE:
        return nothing(NO_REPEATS)
    there = np.unique(card)
    of_whole, of_card_fit, left = (_sums(card, fit.residuals**2)[there] for fit in (whole, by_card, by_dialogue))
    of_cards_square, of_repeats = (
        mean_square(of_whole - of_card_fit, df_card),
        mean_square(of_card_fit - left, df_repeat),
    )
    of_rest = mean_square(left, df_error)
    k_repeat, k_card, m = weight / df_repeat, of_card / df_card, (whole.weight_of(dialogue) - weight) / df_card

    def estimate(parts: Sequence[MeanSquare]) -> Estimate:
        if parts[0].value <= NEGLIGIBLE:
            return Estimate(0.0, None, None, dialogues, cards, NEVER_DIFFER)
        value, low, high = combine_squares(parts, confidence)
        if high <= 0:
            return Estimate(0.0, None, None, dialogues, cards, LESS_THAN_CHANCE)
        return Estimate(max(0.0, value), low, high, dialogues, cards)

    repeat = estimate([of_repeats.times(1 / k_repeat), of_rest.times(-1 / k_repeat)])
    ratio = m / k_repeat  # E(ms_card) = rest + m repeat + k_card card
    of_cards = estimate(
        [
            of_cards_square.times(1 / k_card),
            of_repeats.times(-ratio / k_card),
            of_rest.times(-(1 - ratio) / k_card),
        ]
    )
    if single:
        return Split(of_cards, repeat, none(notes[0]), none(notes[0]), cards, repeats, tuple(notes))
    if df_error < 1:
        return Split(of_cards, repeat, none(NO_ERROR), none(NO_ERROR), cards, repeats, (NO_ERROR,))
    alone = LeastSquares.fit(scores, dialogue, [np.zeros(n, dtype=np.intp)])
    df_judge, k_judge = by_dialogue.rank - alone.rank, 0.0
    judge = none(NOT_LINKED)
    if df_judge > 0 and (k_judge := alone.weight_of(rater) / df_judge) > NEGLIGIBLE:
        ms_judge = max(0.0, alone.squares - by_dialogue.squares) / df_judge
        judge = estimate([MeanSquare(ms_judge, df_judge, 1 / k_judge), of_rest.times(-1 / k_judge)])
    rest = estimate([of_rest])
    return Split(of_cards, repeat, judge, rest, cards, repeats, tuple(notes))


def _sums(code: Codes, values: Array) -> Array:
    """Sums of values by code."""
    return np.bincount(code, values).astype(np.float64)


@dataclass(frozen=True)
class Spread:
    """How a difference of two supporters varies over cards and over the repeats of a card.

    Attributes:
        card, repeat: Variances of the difference: over cards, and of one repeat of a card.
        cards: Cards on which both have a repeat; ``pairs``: pairs of repeats on them.
        between, within: Mean squares: of the cards' means over repeats, and of repeats.
        size: Harmonic mean of the number of repeats of a card.
    """

    card: float
    repeat: float
    cards: int
    pairs: int
    between: MeanSquare
    within: MeanSquare
    size: float

    def error(self, cards: int, repeats: int, confidence: float = CONFIDENCE) -> Estimate:
        """Standard error of the mean difference with so many cards and repeats of each, with its interval."""
        parts = [
            self.between.times(1 / cards),
            self.within.times((1 / repeats - 1 / self.size) / cards),
        ]
        value, low, high = combine_squares(parts, confidence)
        least, lowest, _ = combine_squares([self.within.times(1 / repeats / cards)], confidence)
        value, low = max(value, least), max(low, lowest)  # as if cards did not differ at all
        return Estimate(
            float(np.sqrt(value)),
            float(np.sqrt(low)),
            float(np.sqrt(max(value, high))),
            self.pairs,
            self.cards,
        )

    def ratio(self, confidence: float = CONFIDENCE) -> Estimate:
        """Variance of a repeat by that of cards, with the exact limits of the balanced design (F), infinity as None."""
        if self.within.value <= 0:
            return Estimate(0.0, 0.0, None, self.pairs, self.cards)
        f = self.between.value * self.size / self.within.value
        tail = (1 - confidence) / 2
        ends = [f / special.fdtri(self.between.freedom, self.within.freedom, level) for level in (1 - tail, tail)]
        low, middle, high = (max(0.0, (end - 1) / self.size) for end in (ends[0], f, ends[1]))  # card by repeat

        def turn(x: float) -> float | None:
            return 1 / x if x > 0 else None

        return Estimate(turn(middle), turn(high) or 0.0, turn(low), self.pairs, self.cards)


def spread_of_difference(gaps: Array, card: Codes) -> Spread | None:
    """How a difference varies over cards and repeats: one-way analysis of variance of cards' unweighted means.

    Args:
        gaps: Shape (n,): a difference of two supporters in one repeat of a card.
        card: Shape (n,), codes.

    Returns:
        None where no card has two repeats, or there is one card.
    """
    names, code = np.unique(card, return_inverse=True)
    counts = np.bincount(code).astype(float)
    df_within = len(gaps) - len(names)
    if df_within < 1 or len(names) < 2:
        return None
    means = _sums(code, gaps) / counts
    within = mean_square(_sums(code, (gaps - means[code]) ** 2), df_within)
    between = mean_square((means - means.mean()) ** 2, len(names) - 1)
    size = float(len(names) / (1 / counts).sum())
    variance = max(0.0, between.value - within.value / size)
    return Spread(variance, within.value, len(names), len(gaps), between, within, size)


def best_repeats(ratio: float | None, card_cost: float) -> float:
    """Repeats of a card for the smallest error at a cost, where a card costs as much as so many repeats beside its own.

    The error's variance is (card + repeat / k) / cards at a cost of cards (card_cost + k): least at
    k = sqrt(card_cost repeat / card) (Cochran 1977, section 10.6), and never less than 1.

    >>> best_repeats(4.0, 1.0), best_repeats(4.0, 0.0)
    (2.0, 1.0)
    """
    if card_cost == 0:
        return 1.0
    return float("inf") if ratio is None else max(1.0, float(np.sqrt(card_cost * ratio)))


Table = npt.NDArray[np.float64]


def tabulate_cells(values: Array, card: Codes, cards: int) -> Table:
    """Values of repeats as a table: shape (cards, most repeats), NaN where a card has fewer."""
    counts = np.bincount(card, minlength=cards)
    out = np.full((cards, int(counts.max(initial=1))), np.nan)
    order = np.argsort(card, kind="stable")
    place = np.arange(len(card)) - np.repeat(np.cumsum(counts) - counts, counts)
    out[card[order], place] = values[order]
    return out


def flips_verdict(table: Table) -> npt.NDArray[np.bool_]:
    """Of each card (row), whether one repeat says more than 0 and another less. Shape (..., cards)."""
    with np.errstate(invalid="ignore"):
        return np.asarray((table > NEGLIGIBLE).any(-1) & (table < -NEGLIGIBLE).any(-1))


def moves_far(table: Table, steps: float) -> npt.NDArray[np.bool_]:
    """Of each card (row), whether its repeats lie so many steps or more apart. Shape (..., cards)."""
    high = np.where(np.isnan(table), -np.inf, table).max(-1)
    low = np.where(np.isnan(table), np.inf, table).min(-1)
    return np.asarray(high - low >= steps - NEGLIGIBLE)


@dataclass(frozen=True)
class Fragile:
    """Cards whose verdict is not the same in all repeats.

    Attributes:
        cards: Indices of those that are fragile, of ``n`` cards with two repeats or more.
        share: Of them, with Clopper and Pearson's exact interval, cards being independent of each other.
        noise: Share expected were every card as noisy as the average card (repeats drawn from all cards' deviations).
        shuffled: Share expected if cards said nothing: repeats dealt out over the cards at random.
    """

    cards: tuple[int, ...]
    n: int
    share: Estimate
    noise: float | None
    shuffled: float | None


def find_fragile(
    table: Table, steps: float | None = None, draws: int = SHUFFLES, seed: int = 0, confidence: float = CONFIDENCE
) -> Fragile:
    """Cards whose verdict differs between repeats, how many there would be by chance, and the exact interval.

    Args:
        table: Shape (cards, repeats), NaN = none.
        steps: Steps of the scale that repeats must lie apart; None = values are differences, and it is their sign that
            must differ.
        draws, seed: Of what is expected by chance.
        confidence: Of the interval.
    """

    def judge(values: Table) -> npt.NDArray[np.bool_]:
        return flips_verdict(values) if steps is None else moves_far(values, steps)

    there = np.isfinite(table)
    several = np.flatnonzero(there.sum(1) > 1)
    n = len(several)
    if not n:
        return Fragile((), 0, Estimate(None, undefined=NO_REPEATS), None, None)
    own, mask = table[several], there[several]
    found = judge(own)
    count = int(found.sum())
    share = Estimate(count / n, *exact_limits(count, n, confidence), n, n)
    rng = np.random.default_rng(seed)
    size = mask.sum(1)
    means = np.nanmean(own, axis=1)
    deviations = ((own - means[:, None]) * np.sqrt(size / (size - 1))[:, None])[mask]
    within = float(((own - means[:, None])[mask] ** 2).sum() / (size - 1).sum())
    between = float(means.var(ddof=1)) if n > 1 else 0.0
    left = max(0.0, between - within * float((1 / size).mean()))
    shrunk = means.mean() + np.sqrt(left / between if between > 0 else 0.0) * (means - means.mean())
    values = own[mask]
    whole = bool(np.allclose(values, np.round(values))) and steps is not None
    noise, shuffled, done = 0.0, 0.0, 0
    step = max(1, 2_000_000 // own.size)
    while done < draws:
        many = min(step, draws - done)
        drawn = shrunk[:, None] + rng.choice(deviations, (many, *own.shape))
        if whole:
            drawn = np.clip(np.round(drawn), values.min(), values.max())
        noise += float(judge(np.where(mask, drawn, np.nan)).mean(-1).sum())
        dealt = np.full((many, *own.shape), np.nan)
        dealt[:, mask] = rng.permuted(np.tile(values, (many, 1)), axis=1)
        shuffled += float(judge(dealt).mean(-1).sum())
        done += many
    return Fragile(tuple(int(i) for i in several[found]), n, share, noise / draws, shuffled / draws)


def seed_interval(table: Table, scale: tuple[float, float], confidence: float = CONFIDENCE) -> Estimate:
    """Mean over these very cards, each counted once, with an interval for other seeds: the cards are not drawn anew.

    The variance is that of repeats within cards, pooled, with Student's t on its degrees of freedom (``mean_square``).

    Args:
        table: Shape (cards, repeats), NaN = none; cards without any are left out.
        scale: Lowest and highest value that there can be; the interval keeps to it.
        confidence: Of the interval.
    """
    there = np.isfinite(table)
    own, mask = table[there.any(1)], there[there.any(1)]
    if not len(own):
        return Estimate(None, undefined="no score")
    size = mask.sum(1)
    means = np.nanmean(own, axis=1)
    value, n, cards = float(means.mean()), int(mask.sum()), len(own)
    df = int((size - 1).sum())
    if df < 1:
        return Estimate(value, None, None, n, cards, NO_REPEATS)
    within = mean_square(np.nansum((own - means[:, None])[size > 1] ** 2, axis=1), df)
    if within.value <= NEGLIGIBLE:
        return Estimate(value, None, None, n, cards, "no interval: repeats of a card never differ here")
    t = special.stdtrit(within.freedom, (1 + confidence) / 2)
    half = float(t * np.sqrt(within.value * (1 / size).sum()) / cards)
    return Estimate(value, max(scale[0], value - half), min(scale[1], value + half), n, cards)
