"""How often the printed 95% intervals hold the true value, by number of cards, saturation and missing ratings.

python -m benchmarks.coverage [--simulations N] [--out docs/statistics.md]

Scores are drawn from distributions of which a share ("saturation") lies on one level, the top or a middle one, and the
rest on its neighbours, evenly on all other levels, or on the level furthest away. What is printed is the lowest
coverage over these shapes, with the bootstrap of before (percentiles of whole cards drawn with replacement) beside it.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from esc_eval.files.writing import write_whole
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals, estimate_gaps, estimate_group_means
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.estimate import Array, Estimate

CARDS = (5, 10, 20, 50, 100)
SATURATION = (0.5, 0.8, 0.9, 0.97, 1.0)
MISSING = (0.0, 0.1, 0.3, 0.5)
LEVELS = np.arange(5) * 25.0
ORDINARY = {"bell": (0.1, 0.2, 0.4, 0.2, 0.1), "skew": (0.03, 0.07, 0.15, 0.3, 0.45), "even": (0.2,) * 5}
BEGIN, END = "<!-- python -m benchmarks.coverage -->", "<!-- end of benchmarks.coverage -->"


def shapes(saturation: float) -> Iterator[Array]:
    """Distributions over five levels with this share on one of them."""
    for level in (4, 3):
        others = [i for i in range(5) if i != level]
        near = [i for i in others if abs(i - level) == 1]
        for rest in (near, others, [0]):
            share = np.zeros(5)
            share[level] = saturation
            share[rest] += (1 - saturation) / len(rest)
            yield share


def draw_scores(
    share: Array, cards: int, simulations: int, missing: float, rng: np.random.Generator, each: int = 1
) -> tuple[Array, list[int]]:
    """Scores of shape (cards x each, simulations), and their cards; half of a card's scores are one and the same."""
    scores = rng.choice(LEVELS, (cards * each, simulations), p=share)
    clusters = np.repeat(np.arange(cards), each)
    if each > 1:
        common = rng.choice(LEVELS, (cards, simulations), p=share)[clusters]
        scores = np.where(rng.random(scores.shape) < 0.5, common, scores)
    scores[rng.random(scores.shape) < missing] = np.nan
    return scores, clusters.tolist()


def holds(found: list[Estimate], truth: float) -> float:
    """Share of intervals with the true value inside; one that is withheld is none."""
    inside = [e.low - 1e-9 <= truth <= e.high + 1e-9 for e in found if e.low is not None and e.high is not None]
    return float(np.mean(inside)) if inside else float("nan")


def width(found: list[Estimate]) -> float:
    """Mean width."""
    return float(np.mean([e.high - e.low for e in found if e.low is not None and e.high is not None]))


def now(scores: Array, clusters: list[int], boot: Bootstrap) -> list[Estimate]:
    """One mean a column, as every report prints it."""
    return estimate_group_means(scores, clusters, [0] * len(scores), boot).each[0]


def before(scores: Array, clusters: list[int], boot: Bootstrap) -> list[Estimate]:
    """The same means with percentile intervals."""
    code = np.array(clusters)
    sums, counts = np.zeros((2, code.max() + 1, scores.shape[1]))
    np.add.at(sums, code, np.nan_to_num(scores))
    np.add.at(counts, code, ~np.isnan(scores))
    columns = (scores.shape[1],)

    def mean(t: Totals) -> dict[str, Array]:
        return {"mean": ratio(t["sum"], t["n"])}

    one, many = ClusterTables.build({"sum": (sums, columns), "n": (counts, columns)}).draw(mean, boot)
    there = (counts > 0).sum(0)
    return [boot.estimate(v, many["mean"][:, j], 0, int(there[j]), "") for j, v in enumerate(one["mean"])]


Way = Callable[[Array, list[int], Bootstrap], list[Estimate]]


def coverage_of_means(
    way: Way, cards: int, saturation: float, missing: float, simulations: int, each: int = 1
) -> float:
    """Lowest coverage over the shapes."""
    rng = np.random.default_rng([cards, round(100 * saturation), round(100 * missing), each])
    boot = Bootstrap(seed=1)
    found = []
    for share in shapes(saturation):
        scores, clusters = draw_scores(share, cards, simulations, missing, rng, each)
        found.append(holds(way(scores, clusters, boot), float(share @ LEVELS)))
    return min(found)


def coverage_of_gaps(cards: int, first: float, second: float, simulations: int) -> float:
    """Lowest coverage of the difference of two models on the same cards over the shapes."""
    rng = np.random.default_rng([cards, round(100 * first), round(100 * second)])
    found = []
    for one, two in zip(shapes(first), shapes(second), strict=True):
        gaps = draw_scores(one, cards, simulations, 0, rng)[0] - draw_scores(two, cards, simulations, 0, rng)[0]
        intervals = estimate_gaps(gaps, list(range(cards)), Bootstrap(seed=1))
        found.append(holds(intervals, float((one - two) @ LEVELS)))
    return min(found)


def widths(cards: int, simulations: int) -> dict[str, float]:
    """Mean width of the interval against that of Student's t (of means of five levels, and of differences)."""
    from scipy import stats

    rng, boot = np.random.default_rng(cards), Bootstrap(seed=1)

    def against(found: list[Estimate], values: Array) -> float:
        t = 2 * stats.t.ppf(0.975, cards - 1) * values.std(0, ddof=1) / np.sqrt(cards)
        return width(found) / float(t.mean())

    out = {}
    for name, share in ORDINARY.items():
        scores, clusters = draw_scores(np.array(share), cards, simulations, 0, rng)
        out[name] = against(now(scores, clusters, boot), scores)
    narrow = np.clip(rng.normal(70, 10, (cards, simulations)), 0, 100)
    out["average of dimensions, sd 10"] = against(now(narrow, list(range(cards)), boot), narrow)
    gaps = rng.normal(0, 12, (cards, simulations))
    out["difference, sd 12"] = against(estimate_gaps(gaps, list(range(cards)), boot), gaps)
    return out


def coverage_of_agreement(cards: int, saturation: float, simulations: int) -> dict[str, tuple[float, float]]:
    """Coverage of coefficients of three raters, and the share of tables in which they have an interval."""
    names = ("gwet_ac2", "within_one", "exact", "krippendorff_alpha_ordinal", "quadratic_kappa", "icc_2_1")
    rng = np.random.default_rng([cards, round(100 * saturation)])
    share = np.array([(1 - saturation) / 4] * 4 + [saturation])

    def rate(n: int) -> Ratings:
        true = rng.choice(5, n, p=share)[:, None]
        other = np.clip(true + rng.choice([-1, 1], (n, 3)), 0, 4)
        scores = np.where(rng.random((n, 3)) < 1 - (1 - saturation) / 2, true, other)
        return Ratings.from_matrix(scores, range(5))

    truth = estimate_agreement(rate(50_000), Bootstrap(draws=100)).measures
    tries = [estimate_agreement(rate(cards), Bootstrap(draws=500, seed=i)).measures for i in range(simulations)]
    found = {}
    for name in names:
        own = [measures[name] for measures in tries]
        found[name] = holds(own, float(truth[name].value or 0.0)), float(np.mean([e.low is not None for e in own]))
    return found


def as_table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(simulations: int) -> str:
    """All tables."""

    def shown(share: float) -> str:
        return "-" if np.isnan(share) else f"{share:.2f}".replace("0.", ".", 1) if share < 0.995 else "1"

    by_saturation = [
        [str(n)]
        + [
            f"{shown(coverage_of_means(now, n, s, 0.0, simulations))} "
            f"({shown(coverage_of_means(before, n, s, 0.0, simulations))})"
            for s in SATURATION
        ]
        for n in CARDS
    ]
    by_missing = [
        [str(n)]
        + [shown(min(coverage_of_means(now, n, s, gone, simulations, each=3) for s in SATURATION)) for gone in MISSING]
        for n in CARDS
    ]
    pairs = ((0.5, 0.5), (0.5, 0.8), (0.8, 0.9), (0.9, 0.97), (0.97, 0.97), (1.0, 0.8), (1.0, 0.97))
    of_gaps = [[str(n)] + [shown(coverage_of_gaps(n, *pair, simulations)) for pair in pairs] for n in CARDS]
    wide = {n: widths(n, simulations) for n in CARDS}
    of_widths = [[str(n)] + [f"{value:.2f}" for value in wide[n].values()] for n in CARDS]
    few = max(20, simulations // 5)
    agreement = {(n, s): coverage_of_agreement(n, s, few) for n in CARDS for s in (0.5, 0.9, 0.97)}
    names = list(next(iter(agreement.values())))
    of_agreement = [
        [str(n), f"{s:.0%}"] + [f"{shown(found[k][0])} ({found[k][1]:.0%})" for k in names]
        for (n, s), found in agreement.items()
    ]
    return "\n".join(
        [
            BEGIN,
            f"`python -m benchmarks.coverage --simulations {simulations}` wrote these tables. Coverage of 95% "
            "intervals of a mean, the lowest over six distributions, one rating a card, by saturation (in brackets: "
            "percentile bootstrap, as before 0.2.0):",
            "",
            as_table(["cards", *(f"{s:.0%} on one level" for s in SATURATION)], by_saturation),
            "",
            "Three ratings a card that are alike by half, some missing at random; the lowest over distributions and "
            "saturations:",
            "",
            as_table(["cards", *(f"{gone:.0%} missing" for gone in MISSING)], by_missing),
            "",
            "Differences of two models on the same cards, by the saturation of the two; the lowest over distributions:",
            "",
            as_table(["cards", *(f"{a:.0%}, {b:.0%}" for a, b in pairs)], of_gaps),
            "",
            "Width against Student's t where nothing is saturated (two further columns: values on a fine scale):",
            "",
            as_table(["cards", *next(iter(wide.values()))], of_widths),
            "",
            f"Agreement of three raters, {few} tables each (in brackets: share of tables in which there is an "
            "interval; the others have one level only and say so):",
            "",
            as_table(["cards", "saturation", *names], of_agreement),
            END,
        ]
    )


def main() -> None:
    """Run and write the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000, help="tables of each kind")
    parser.add_argument("--out", type=Path, default=Path("docs/statistics.md"), help="page that holds the tables")
    arguments = parser.parse_args()
    page = arguments.out.read_text(encoding="utf-8")
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{arguments.out}: no lines {BEGIN} and {END} to write between")
    head, tail = page.split(BEGIN)[0], page.split(END)[1]
    write_whole(arguments.out, [head + report(arguments.simulations) + tail])


if __name__ == "__main__":
    main()
