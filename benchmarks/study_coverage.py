"""How often intervals of `python -m analysis` hold the truth where they used not to.

    python -m benchmarks.study_coverage --runs 300
    python -m benchmarks.study_coverage --runs 100 --conversations ESConv/train.txt

System level: models' qualities and a metric's are drawn with correlation 0.8, cells get noise, and the truth is the
correlation of what was drawn. Two samples: random halves of one set of seekers, of whom the truth is chance.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.studies.real import read_conversations
from analysis.studies.seekers import turns_of
from analysis.studies.systems import system_correlations
from analysis.studies.two_sample import two_sample_test
from esc_eval.statistics.bootstrap import Bootstrap, draw_weights

SIZES = ((4, 10, 1.0), (5, 10, 1.0), (10, 10, 1.0), (10, 10, 1.5), (10, 50, 1.5), (20, 20, 2.0))
BOOT = Bootstrap(draws=500)


def percentile_ends(people: np.ndarray, metric: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Ends of the interval of cards drawn anew: what stood here before. Cells are (cards, models)."""
    weights = draw_weights(len(people), BOOT.draws, rng)
    x, y = weights @ metric, weights @ people
    x, y = (v - v.mean(1, keepdims=True) for v in (x, y))
    low, high, _ = BOOT.interval((x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1)), len(people))
    return low or 0.0, high or 0.0


def system_coverage(models: int, cards: int, noise: float, runs: int, rng: np.random.Generator) -> list[float]:
    """Coverage of Pearson's interval: of cards drawn anew, and of the one that is printed."""
    hits = []
    card, model = np.divmod(np.arange(cards * models), models)
    for _ in range(runs):
        quality = rng.normal(size=models)
        worth = 0.8 * quality + 0.6 * rng.normal(size=models)
        hard = rng.normal(size=(cards, 1))
        people, metric = (v + hard + noise * rng.normal(size=(cards, models)) for v in (quality, worth))
        true = float(np.corrcoef(quality, worth)[0, 1])
        rows = pd.DataFrame({"card": card, "model": model, "metric_score": metric.ravel(), "score": people.ravel()})
        found = system_correlations(rows, "card", BOOT)["pearson"]
        ends = [percentile_ends(people, metric, rng), (found.low or 0.0, found.high or 0.0)]
        hits.append([low <= true <= high for low, high in ends])
    return [float(share) for share in np.mean(hits, axis=0)]


def halves_coverage(texts: list[str], n: int, runs: int, rng: np.random.Generator) -> list[float]:
    """How often the intervals of two halves hold chance: of the area, of the accuracy; and p below .05."""
    found = []
    for seed in range(runs):
        chosen = [texts[i] for i in rng.permutation(len(texts))[: 2 * n]]
        test = two_sample_test(chosen[:n], chosen[n:], Bootstrap(100, seed))
        inside = [(m.low or 0.0) <= 0.5 <= (m.high or 0.0) for m in (test.auc, test.accuracy)]
        found.append([*inside, (test.p or 0.0) < 0.05])
    return [float(share) for share in np.mean(found, axis=0)]


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--conversations", type=Path, help="real conversations: halves of their seekers")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    if options.conversations:
        texts = ["\n".join(turns_of(talk)) for talk in read_conversations(options.conversations, "en")]
        print("| a side | area | accuracy | p < .05 |\n| ---: | ---: | ---: | ---: |")
        for n in (20, 50):
            print(f"| {n} |" + "".join(f" {share:.2f} |" for share in halves_coverage(texts, n, options.runs, rng)))
        return
    print("| models | cards | noise of a cell | cards drawn anew | printed |\n| ---: | ---: | ---: | ---: | ---: |")
    for size in SIZES:
        shares = system_coverage(*size, options.runs, rng)
        print("|" + "".join(f" {value:g} |" for value in size) + "".join(f" {share:.2f} |" for share in shares))


if __name__ == "__main__":
    main()
