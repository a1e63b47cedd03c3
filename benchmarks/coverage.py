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
import pandas as pd

from esc_eval.files.ratings_table import RatingsTable
from esc_eval.files.writing import write_whole
from esc_eval.reporting.health import dimension_health, match_labels
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals, estimate_gaps, estimate_group_means
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.counts import Codes, Ratings
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.power import annotation_plan
from esc_eval.statistics.ranking import Board, rank_models

CARDS = (5, 10, 20, 50, 100)
SATURATION = (0.5, 0.8, 0.9, 0.97, 1.0)
MISSING = (0.0, 0.1, 0.3, 0.5)
BAD = (0.02, 0.05, 0.1)
LEVELS = np.arange(5) * 25.0
ORDINARY = {"bell": (0.1, 0.2, 0.4, 0.2, 0.1), "skew": (0.03, 0.07, 0.15, 0.3, 0.45), "even": (0.2,) * 5}
BEGIN, END = "<!-- python -m benchmarks.coverage -->", "<!-- end of benchmarks.coverage -->"

CUTS = (-1.2, -0.4, 0.4, 1.2)
MODELS = 3
Design = tuple[int, int, float]
"""Cards, ratings of a shared dialogue, share of cards that are shared."""
DESIGNS: tuple[Design, ...] = ((10, 2, 0.5), (20, 2, 0.4), (40, 2, 0.2), (40, 2, 0.4), (40, 3, 0.2), (100, 2, 0.2))
PLANNED = (
    "kappa",
    "quadratic_kappa",
    "krippendorff_alpha_ordinal",
    "fleiss_kappa",
    "gwet_ac2",
    "icc_2_1",
    "exact",
    "within_one",
)
JOINED = ((30, 2, False), (30, 3, False), (30, 6, False), (12, 4, False), (30, 1, True), (30, 2, True), (30, 5, True))
JUDGED = ("accuracy", "accuracy_soft", "quadratic_kappa", "mean_error", "gain_over_majority", "kappa_gain", "macro_f1")


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


def coverage_with_bad_cards(cards: int, share: float, simulations: int) -> tuple[float, float]:
    """Coverage of a mean of values about 80, sd 3, where this share of cards has 10: as printed, and by Student's t."""
    from scipy import stats

    rng = np.random.default_rng([cards, round(100 * share)])
    fine = np.clip(rng.normal(80, 3, (cards, simulations)), 0, 100)
    values = np.where(rng.random(fine.shape) < share, 10.0, fine)
    truth = 80 - 70 * share
    half = stats.t.ppf(0.975, cards - 1) * values.std(0, ddof=1) / np.sqrt(cards)
    found = now(values, list(range(cards)), Bootstrap(seed=1))
    return holds(found, truth), float((np.abs(values.mean(0) - truth) <= half).mean())


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


def rate_by_people(rng: np.random.Generator, unit: Codes, rater: Codes, card: Codes, severity: Array) -> Ratings:
    """Ratings of units, half alike on a card, by raters who are severe and err."""
    quality = rng.normal(0, 0.5, card.max() + 1)[card] + rng.normal(0, 0.7, len(card))
    level = np.searchsorted(CUTS, quality[unit] + severity[rater] + rng.normal(0, 0.6, len(unit)))
    names = tuple(f"r{i}" for i in range(len(severity)))
    return Ratings(unit, rater, level.astype(np.intp), card, np.arange(5.0), names)


def rate_as_planned(rng: np.random.Generator, design: Design, severity: Array) -> Ratings:
    """Ratings of three models by ten raters, as ``esc-eval plan`` assigns them."""
    cards, each, overlap = design
    names = [[f"{i:03}" for i in range(n)] for n in (cards, MODELS, len(severity))]
    plan = annotation_plan(*names, each, overlap, rng)
    unit = (plan["card"].astype(int) * MODELS + plan["model"].astype(int)).to_numpy()
    return rate_by_people(
        rng, unit, plan["rater"].astype(int).to_numpy(), np.arange(cards * MODELS) // MODELS, severity
    )


def coverage_of_plans(design: Design, simulations: int, groups: int = 4) -> dict[str, tuple[float, float]]:
    """Coverage of coefficients in the design that ``plan`` writes, and their bias, over several sets of ten raters.

    What is true of a set of raters is what they have when all rate thousands of units.
    """
    rng = np.random.default_rng([design[0], design[1], round(100 * design[2])])
    inside: dict[str, list[float]] = {name: [] for name in PLANNED}
    off: dict[str, list[float]] = {name: [] for name in PLANNED}
    for _ in range(groups):
        severity = rng.normal(0, 0.3, 10)
        unit, rater = np.nonzero(np.ones((3000, 10)))
        truth = estimate_agreement(rate_by_people(rng, unit, rater, np.arange(3000) // 3, severity), Bootstrap(100))
        tries = [
            estimate_agreement(rate_as_planned(rng, design, severity), Bootstrap(400, seed=i)).measures
            for i in range(max(1, simulations // groups))
        ]
        for name in PLANNED:
            value = float(truth.measures[name].value or 0.0)
            inside[name].append(holds([one[name] for one in tries], value))
            off[name] += [(one[name].value or 0.0) - value for one in tries]
    return {name: (float(np.mean(inside[name])), float(np.mean(off[name]))) for name in PLANNED}


SEVERITY = {"mild": -8.0, "fair": 0.0, "harsh": 10.0}


def rate_with_severity(rng: np.random.Generator, cards: int, joined: int, each: bool) -> tuple[Board, Array]:
    """Four models, each by its own rater, but for some cards that one rater (or each of three) rates for all models.

    Returns:
        Board of points; true means of the models, up to a constant.
    """
    quality, ease = np.linspace(48, 56, 4), rng.integers(-8, 9, cards)
    suits, names = rng.normal(0, 6, (4, cards)), list(SEVERITY)
    rows = []
    for model in range(4):
        for card in range(cards):
            own = [names[min(model, 2)]]
            raters = own if card >= joined else names if each else [names[card % 3]]
            for rater in raters:
                level = quality[model] + ease[card] + suits[model, card] - SEVERITY[rater] + rng.normal(0, 8)
                level = float(np.clip(level, 0, 100))
                rows.append((f"m{model}c{card:02}", f"m{model}", f"c{card:02}", "overall", rater, level))
    return Board.build(rows, ["overall"], (0, 100)), quality


def coverage_of_adjusted(cards: int, joined: int, each: bool, simulations: int) -> tuple[float, float, float]:
    """Coverage of severity-adjusted differences of models, their mean width, and coverage of the adjusted means.

    The true mean of a model is the mean of what the simulations estimate.
    """
    rng = np.random.default_rng([cards, joined, each])
    hits, wide, means = [], [], []
    for seed in range(simulations):
        board, quality = rate_with_severity(rng, cards, joined, each)
        standing = rank_models(board, Bootstrap(400, seed=seed), flips=1, by_rater=True)
        for row in standing.differences["overall"]:
            one = row["difference"]
            truth = quality[int(row["first"][1])] - quality[int(row["second"][1])]
            if one.low is not None:
                hits.append(one.low <= truth <= one.high)
                wide.append(one.high - one.low)
        means.append([standing.equal[f"m{i}"] for i in range(4)])
    truths = [float(np.mean([row[i].value for row in means])) for i in range(4)]
    of_means = float(np.mean([holds([row[i] for row in means], truths[i]) for i in range(4)]))
    return float(np.mean(hits)), float(np.mean(wide)), of_means


def judge_labels(rng: np.random.Generator, cards: int, share: Array, right: float) -> tuple[Array, Array, Array]:
    """Card, label and prediction of two dialogues a card; what is wrong is mostly near, and some cards are hard."""
    card = np.repeat(np.arange(cards), 2)
    label = rng.choice(5, 2 * cards, p=share)
    ease = np.where(rng.random(2 * cards) < 0.4, rng.random(cards)[card], rng.random(2 * cards))
    near = np.clip(label + rng.choice([-1, 1], 2 * cards), 0, 4)
    wrong = np.where(ease < right + 0.8 * (1 - right), near, rng.integers(0, 5, 2 * cards))
    return card, label, np.where(ease < right, label, wrong)


def judge_health(card: Array, label: Array, guess: Array, boot: Bootstrap) -> dict[str, Estimate]:
    """What ``health`` gives."""
    base = {"dialogue_id": [f"d{i}" for i in range(len(label))], "dimension": "x"}
    labels = pd.DataFrame({**base, "rater": "person", "score": label.astype(float), "card": card.astype(str)})
    guesses = pd.DataFrame({**base, "rater": "judge", "score": guess.astype(float)})
    table = RatingsTable(labels, ("x",), 0, 4, "0")
    return dimension_health(match_labels(guesses, labels), table, "card", boot, None)


def coverage_of_health(cards: int, saturation: float, right: float, simulations: int) -> dict[str, float]:
    """Coverage of a judge's figures; none where there is no interval."""
    share = np.array([(1 - saturation) / 4] * 3 + [saturation, (1 - saturation) / 4])
    rng = np.random.default_rng([cards, round(100 * saturation), round(100 * right)])
    truth = judge_health(*judge_labels(rng, 30_000, share, right), Bootstrap(100))
    tries = [judge_health(*judge_labels(rng, cards, share, right), Bootstrap(400, seed=i)) for i in range(simulations)]
    return {name: holds([one[name] for one in tries], float(truth[name].value or 0.0)) for name in JUDGED}


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
    bad = [
        [
            str(n),
            *(f"{shown(one)} ({shown(t)})" for q in BAD for one, t in [coverage_with_bad_cards(n, q, simulations)]),
        ]
        for n in CARDS
    ]
    few = max(20, simulations // 5)
    agreement = {(n, s): coverage_of_agreement(n, s, few) for n in CARDS for s in (0.5, 0.9, 0.97)}
    names = list(next(iter(agreement.values())))
    of_agreement = [
        [str(n), f"{s:.0%}"] + [f"{shown(found[k][0])} ({found[k][1]:.0%})" for k in names]
        for (n, s), found in agreement.items()
    ]
    plans = {design: coverage_of_plans(design, few) for design in DESIGNS}
    of_plans = [
        [str(cards), str(each), f"{overlap:.0%}"]
        + [f"{shown(share)} ({bias:+.2f})" for share, bias in plans[cards, each, overlap].values()]
        for cards, each, overlap in DESIGNS
    ]
    of_adjusted = [
        [f"{joined} of {cards}", "all three" if each else "one", shown(hits), f"{wide:.1f}", shown(means)]
        for cards, joined, each in JOINED
        for hits, wide, means in [coverage_of_adjusted(cards, joined, each, few)]
    ]
    of_health = [
        [str(n), f"{s:.0%}", f"{right:.0%}", *map(shown, coverage_of_health(n, s, right, few).values())]
        for n in (5, 20, 60)
        for s in (0.5, 0.93)
        for right in (0.6, 0.97)
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
            "What that width is for: values about 80, sd 3, but for a share of cards that have 10 (in brackets: "
            "Student's t):",
            "",
            as_table(["cards", *(f"{q:.0%} of cards" for q in BAD)], bad),
            "",
            f"Agreement of three raters, {few} tables each (in brackets: share of tables in which there is an "
            "interval; the others have one level only and say so):",
            "",
            as_table(["cards", "saturation", *names], of_agreement),
            "",
            f"Agreement in the design that `plan` writes, three models and ten raters, {few} tables each of four sets "
            "of raters (in brackets: bias of the value):",
            "",
            as_table(["cards", "raters of a shared card", "shared cards", *PLANNED], of_plans),
            "",
            "Severity-adjusted differences and means (`--adjust-raters`) of four models, each with a rater of its own "
            f"but for the cards that join them, {few} tables each, every difference alone:",
            "",
            as_table(["cards that join", "raters on them", "differences", "width", "means"], of_adjusted),
            "",
            f"A judge beside labels (`health`), two dialogues a card, {few} tables each, by the labels' saturation and "
            "the share that the judge gets right (-: no interval):",
            "",
            as_table(["cards", "saturation", "right", *JUDGED], of_health),
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
