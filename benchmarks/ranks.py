"""How often intervals of ranks hold for all models together, beside ranks of bootstrap draws as they were before 0.2.

    python -m benchmarks.ranks [--simulations 1000] [--json FILE]

Levels 0..4 are drawn for models on the same cards: a card has its ease, a model its quality, and the level is their sum
with noise, rounded and cut to the scale. The true ranks are those of the means over very many cards. An interval holds
where it has every place that the model's true mean leaves it (equal models share places), and a table holds where all
of its intervals do. ``bootstrap``: the central 95% of the ranks of the models' own means in draws of whole cards.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from esc_eval.files.writing import write_json
from esc_eval.statistics.bootstrap import Bootstrap, draw_weights
from esc_eval.statistics.estimate import Array
from esc_eval.statistics.ranking import Board, rank_models

BOOT = Bootstrap(draws=200)
DRAWS = 500
SITUATIONS: dict[str, tuple[Sequence[float], int, str]] = {
    "all equal": ([2.0] * 6, 40, "none"),
    "close": (list(np.linspace(2.0, 2.25, 6)), 40, "none"),
    "close, 10 cards": (list(np.linspace(2.0, 2.25, 6)), 10, "none"),
    "close, 120 cards": (list(np.linspace(2.0, 2.25, 6)), 120, "none"),
    "close, at the top of the scale": (list(np.linspace(4.2, 4.5, 6)), 40, "none"),
    "apart": (list(np.linspace(1.0, 3.0, 6)), 40, "none"),
    "close, 20% unscored at random": (list(np.linspace(2.0, 2.25, 6)), 40, "random"),
    "close, two unscored on the hard third": (list(np.linspace(2.0, 2.25, 6)), 40, "hard"),
}
"""Quality of each model, cards, and what is unscored."""


def draw_levels(quality: Sequence[float], cards: int, missing: str, rng: np.random.Generator) -> Array:
    """Levels of shape (cards, models), NaN where unscored."""
    ease = rng.normal(0, 0.7, (cards, 1))
    levels = np.clip(np.round(np.asarray(quality) + ease + rng.normal(0, 0.7, (cards, len(quality)))), 0, 4)
    if missing == "random":
        levels[rng.random(levels.shape) < 0.2] = np.nan
    if missing == "hard":
        levels[ease[:, 0] < np.quantile(ease, 1 / 3), :2] = np.nan
    return levels


def true_places(quality: Sequence[float]) -> list[tuple[int, int]]:
    """The first and the last place of each model by its mean over very many cards."""
    levels = draw_levels(quality, 400_000, "none", np.random.default_rng(1))
    mean = np.array([levels[:, [i for i, q in enumerate(quality) if q == own]].mean() for own in quality])
    return [(1 + int((mean > m).sum()), len(mean) - int((mean < m).sum())) for m in mean]


def holm_ranks(levels: Array) -> list[tuple[int, int]]:
    """The package's intervals."""
    rows = [
        (f"{card:03}-{model}", f"{model}", f"{card:03}", "overall", "judge", float(level))
        for card, own in enumerate(levels)
        for model, level in enumerate(own)
    ]
    ranks = rank_models(Board.build(rows, ["overall"], (0, 4)), BOOT, flips=1999).ranks.values()
    return [(rank.low or 1, rank.high or levels.shape[1]) if rank else (1, levels.shape[1]) for rank in ranks]


def bootstrap_ranks(levels: Array, rng: np.random.Generator) -> list[tuple[int, int]]:
    """The central 95% of ranks over draws of cards."""
    weights = draw_weights(len(levels), DRAWS, rng)
    there = np.isfinite(levels)
    means = (weights @ np.where(there, levels, 0)) / np.maximum(weights @ there, 1)
    ranks = 1 + (means[:, None, :] > means[:, :, None]).sum(-1)
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="closest_observation")
    return [(int(a), int(b)) for a, b in zip(low, high, strict=True)]


def measure(name: str, simulations: int, seed: int = 0) -> dict[str, float]:
    """Of a situation: how often all intervals of a table hold, and how many places an interval has on average."""
    quality, cards, missing = SITUATIONS[name]
    rng, truth = np.random.default_rng(seed), true_places(quality)
    found = {"holm": [0.0, 0.0], "bootstrap": [0.0, 0.0]}
    for _ in range(simulations):
        levels = draw_levels(quality, cards, missing, rng)
        for way, places in (("holm", holm_ranks(levels)), ("bootstrap", bootstrap_ranks(levels, rng))):
            held = all(low <= a and b <= high for (low, high), (a, b) in zip(places, truth, strict=True))
            found[way][0] += held / simulations
            found[way][1] += float(np.mean([high - low + 1 for low, high in places])) / simulations
    return {f"{way} {what}": v[i] for way, v in found.items() for i, what in enumerate(("coverage", "places"))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = {name: measure(name, options.simulations) for name in SITUATIONS}
    print("| six models | all intervals hold | places | bootstrap: all hold | places |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, row in found.items():
        values = (row["holm coverage"], row["holm places"], row["bootstrap coverage"], row["bootstrap places"])
        print(f"| {name} | {values[0]:.3f} | {values[1]:.1f} | {values[2]:.3f} | {values[3]:.1f} |", flush=True)
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
