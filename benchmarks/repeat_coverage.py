"""How often intervals hold the true value where cards are played several times.

python -m benchmarks.repeat_coverage [--simulations N] [--out docs/statistics.md]

Levels 0 to 4 are rounded from card + repeat, in the middle of the scale or near its top; repeats are complete, or 30%
are missing. Three ways to the interval of a mean and of a difference: whole cards drawn (what is printed), cards and
then repeats within them drawn, and Student's t on the cards' means.
"""

import argparse
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.coverage import as_table
from esc_eval.files.writing import write_whole
from esc_eval.statistics.bootstrap import Bootstrap, estimate_gaps, estimate_group_means
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.repeats import seed_interval, split_variance, spread_of_difference

CARDS, REPEATS, MISSING = (5, 10, 20, 50), (2, 3, 5), (0.0, 0.3)
CENTRES = {"middle": (2.0, 2.3), "near the top": (3.6, 3.9)}
CARD, INTERACTION, REPEAT = 0.7, 0.3, 0.6
STEP, FULL = 25.0, 100.0
BOOT = Bootstrap(draws=400)
BEGIN, END = "<!-- python -m benchmarks.repeat_coverage -->", "<!-- end of benchmarks.repeat_coverage -->"
Ends = tuple[float, float]
Interval = Callable[[Array, Array, np.random.Generator], Ends]
"""Of scores of two supporters, shape (cards, repeats), NaN = missing."""


def play(centres: Ends, cards: int, repeats: int, rng: np.random.Generator) -> Array:
    """Scores of two supporters in points: shape (2, cards, repeats)."""
    card = CARD * rng.normal(size=(1, cards, 1))
    own = np.array(centres)[:, None, None] + card + INTERACTION * rng.normal(size=(2, cards, 1))
    return np.asarray(STEP * np.clip(np.round(own + REPEAT * rng.normal(size=(2, cards, repeats))), 0, 4))


@cache
def truth(centres: Ends) -> dict[str, float]:
    """Mean, difference, and variances of card, repeat and of the difference, from many cards."""
    many = play(centres, 400_000, 2, np.random.default_rng(0))
    (first, again), gap = many[0].T, many[0] - many[1]
    card, gap_card = float(np.cov(first, again)[0, 1]), float(np.cov(*gap.T)[0, 1])
    whole, gap_whole = float(many[0].var()), float(gap.var())
    return {
        "mean": float(many[0].mean()),
        "difference": float(gap.mean()),
        "card": card,
        "repeat": whole - card,
        "gap_card": gap_card,
        "gap_repeat": gap_whole - gap_card,
    }


def _means(table: Array) -> Array:
    return np.asarray(np.nanmean(table, axis=-1))


def by_card_mean(first: Array, _second: Array, _rng: np.random.Generator) -> Ends:
    """What ``report`` prints."""
    rows, clusters = first.reshape(-1, 1), np.repeat(np.arange(len(first)), first.shape[1]).tolist()
    return _ends(estimate_group_means(rows, clusters, [0] * len(rows), BOOT, even=True).each[0][0])


def by_card_gap(first: Array, second: Array, _rng: np.random.Generator) -> Ends:
    """What ``report`` prints."""
    gaps = _means(first) - _means(second)
    return _ends(estimate_gaps(gaps[:, None], range(len(gaps)), BOOT, FULL)[0])


def _ends(found: Estimate) -> Ends:
    return (np.nan if found.low is None else found.low), (np.nan if found.high is None else found.high)


def _draw_twice(table: Array, drawn: Array, rng: np.random.Generator) -> Array:
    """Means of drawn cards over repeats that are drawn within them: shape of ``drawn``."""
    counts = np.isfinite(table).sum(1)
    packed = np.sort(table, axis=1)  # NaN last
    place = (rng.random((*drawn.shape, table.shape[1])) * counts[drawn][..., None]).astype(int)
    values = packed[drawn[..., None], place]
    there = np.arange(table.shape[1]) < counts[drawn][..., None]
    return np.asarray((values * there).sum(-1) / there.sum(-1))


def two_level_mean(first: Array, _second: Array, rng: np.random.Generator) -> Ends:
    """Cards drawn, then repeats within each: percentiles."""
    drawn = rng.integers(0, len(first), (BOOT.draws, len(first)))
    low, high = np.quantile(_draw_twice(first, drawn, rng).mean(1), (0.025, 0.975))
    return float(low), float(high)


def two_level_gap(first: Array, second: Array, rng: np.random.Generator) -> Ends:
    """Cards drawn, then repeats within each of both supporters: percentiles."""
    drawn = rng.integers(0, len(first), (BOOT.draws, len(first)))
    gap = _draw_twice(first, drawn, rng) - _draw_twice(second, drawn, rng)
    low, high = np.quantile(gap.mean(1), (0.025, 0.975))
    return float(low), float(high)


def student_mean(first: Array, _second: Array, _rng: np.random.Generator) -> Ends:
    """Student's t on cards' means, the analytic interval of two levels where repeats are complete."""
    return _student(_means(first))


def student_gap(first: Array, second: Array, _rng: np.random.Generator) -> Ends:
    """Student's t on the cards' mean differences."""
    return _student(_means(first) - _means(second))


def _student(values: Array) -> Ends:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


WAYS: dict[str, tuple[Interval, Interval]] = {
    "cards drawn": (by_card_mean, by_card_gap),
    "cards, then repeats": (two_level_mean, two_level_gap),
    "Student's t": (student_mean, student_gap),
}


def draw(centres: Ends, cards: int, repeats: int, missing: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Scores of two supporters of which each card keeps one repeat at least."""
    scores = play(centres, cards, repeats, rng)
    gone = rng.random(scores.shape) < missing
    gone[..., 0] = False
    scores[gone] = np.nan
    return scores[0], scores[1]


def coverage_of_ways(centres: Ends, cards: int, repeats: int, missing: float, simulations: int) -> Array:
    """Shape (ways, 2, 2): coverage and mean width of the interval of the mean, and of the difference."""
    rng = np.random.default_rng([cards, repeats, round(10 * missing)])
    known = truth(centres)["mean"], truth(centres)["difference"]
    out = np.zeros((len(WAYS), 2, 2))
    for _ in range(simulations):
        first, second = draw(centres, cards, repeats, missing, rng)
        for i, ways in enumerate(WAYS.values()):
            for j, way in enumerate(ways):
                low, high = way(first, second, rng)
                out[i, j] += (low - 1e-9 <= known[j] <= high + 1e-9, high - low)
    return np.asarray(out / simulations)


def coverage_of_parts(centres: Ends, cards: int, repeats: int, missing: float, simulations: int) -> Array:
    """Coverage of the variances of card and repeat, of the error with one repeat and with five, and of other seeds."""
    rng = np.random.default_rng([cards, repeats, round(10 * missing), 1])
    known, hits, told = truth(centres), np.zeros(5), np.zeros(5)
    for _ in range(simulations):
        first, second = draw(centres, cards, repeats, missing, rng)
        at = np.argwhere(np.isfinite(first))
        split = split_variance(first[tuple(at.T)], at[:, 0], np.arange(len(at)))
        gap = first - second
        pairs = np.argwhere(np.isfinite(gap))
        spread = spread_of_difference(gap[tuple(pairs.T)], pairs[:, 0])
        errors = [
            (
                spread.error(cards, k) if spread else Estimate(None),
                (known["gap_card"] + known["gap_repeat"] / k) / cards,
            )
            for k in (1, 5)
        ]
        found = [
            (split.card, known["card"]),
            (split.repeat, known["repeat"]),
            *((error, float(np.sqrt(square))) for error, square in errors),
        ]
        for i, (one, value) in enumerate(found):
            if one.low is not None and one.high is not None:
                hits[i] += one.low <= value <= one.high
                told[i] += 1
    return np.asarray(hits[:4] / np.maximum(told[:4], 1))


def coverage_of_seeds(centre: float, cards: int, repeats: int, missing: float, simulations: int) -> float:
    """Coverage of the interval for other seeds on these very cards, where there is one."""
    rng = np.random.default_rng([cards, repeats, round(10 * missing), 2])
    edges = np.array([0.5, 1.5, 2.5, 3.5])
    hits = told = 0
    for _ in range(simulations):
        mean = centre + np.hypot(CARD, INTERACTION) * rng.normal(size=(cards, 1))
        true = STEP * stats.norm.sf((edges - mean) / REPEAT).sum(1).mean()
        scores = STEP * np.clip(np.round(mean + REPEAT * rng.normal(size=(cards, repeats))), 0, 4)
        gone = rng.random(scores.shape) < missing
        gone[:, 0] = False
        found = seed_interval(np.where(gone, np.nan, scores), (0.0, FULL))
        low, high = _ends(found)
        hits += low <= true <= high
        told += found.low is not None
    return hits / max(told, 1)


def report(simulations: int) -> str:
    """Tables as Markdown."""

    def shown(share: float) -> str:
        return "1" if share > 0.9995 else f"{share:.2f}".lstrip("0")

    designs = list(product(CARDS, REPEATS, MISSING))
    ways: list[list[str]] = []
    parts: list[list[str]] = []
    for cards, repeats, missing in designs:
        each = [coverage_of_ways(centres, cards, repeats, missing, simulations) for centres in CENTRES.values()]
        lowest = np.min([one[..., 0] for one in each], axis=0)
        width = np.mean([one[..., 1] / one[-1:, :, 1] for one in each], axis=0)
        head = [str(cards), str(repeats), f"{missing:.0%}"]
        ways.append([*head, *(f"{shown(lowest[i, j])} ({width[i, j]:.2f})" for j in (0, 1) for i in range(len(WAYS)))])
        own = np.min([coverage_of_parts(c, cards, repeats, missing, simulations) for c in CENTRES.values()], axis=0)
        seeds = min(coverage_of_seeds(c[0], cards, repeats, missing, simulations) for c in CENTRES.values())
        parts.append([*head, *map(shown, own), shown(seeds)])
    head = ["cards", "repeats", "missing"]
    return "\n\n".join(
        [
            f"`python -m benchmarks.repeat_coverage --simulations {simulations}` wrote these tables. Coverage of 95% "
            "intervals of a mean and of a difference of two supporters, the lower of two distributions of levels "
            "(middle of the scale, near its top), and in brackets the width against Student's t:",
            as_table(
                [*head, *(f"{what}: {way}" for what in ("mean", "difference") for way in WAYS)],
                ways,
            ),
            "Coverage of the variances of card and repeat, of the standard error of a difference with one and five "
            "repeats (`power --repeats`), and of the mean for other seeds on the same cards, the lower of two too:",
            as_table([*head, "card", "repeat", "error, 1 repeat", "error, 5 repeats", "other seeds"], parts),
        ]
    )


def main() -> None:
    """Print the tables, or write them between their marks in a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=300)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    text = report(given.simulations)
    if given.out is None:
        print(text)
        return
    page = given.out.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    behind = rest.split(END)[1]
    write_whole(given.out, [f"{before}{BEGIN}\n{text}\n{END}{behind}"])


if __name__ == "__main__":
    main()
