"""How fast is agreement with bootstrap intervals, beside a plain loop over the ``krippendorff`` library.

python -m benchmarks.agreement [--quick] [--json FILE]

The table has the size of the paper's: 8,522 dialogues x 7 dimensions x 3 raters (synthetic scores), 1,000 draws of
whole cards. The loop resamples the same cards by the same weights and calls ``krippendorff.alpha`` (ordinal); a few of
its draws are timed, and checked to give the same alphas as ours.
"""

import argparse
import resource
import time
from pathlib import Path

import krippendorff
import numpy as np

from esc_eval.files.writing import write_json
from esc_eval.statistics import coefficients as co
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap, Totals, draw_weights
from esc_eval.statistics.counts import Ratings, unit_tables
from esc_eval.statistics.estimate import Array

DIALOGUES, DIMENSIONS, RATERS, CARDS = 8522, 7, 3, 655


def synthetic(rng: np.random.Generator, dialogues: int) -> Array:
    """Scores of shape (dialogues, raters)."""
    quality = rng.normal(2.4, 0.8, dialogues)
    return np.clip(np.round(quality[:, None] + rng.normal(0, 0.6, (dialogues, RATERS))), 0, 4)


def with_cards(matrix: Array) -> Ratings:
    """Ratings clustered by card, dialogues dealt to the cards in turn."""
    plain = Ratings.from_matrix(matrix, range(5))
    cards = np.arange(len(matrix)) % CARDS
    return Ratings(plain.unit, plain.rater, plain.level, cards, plain.levels, plain.raters)


def loop(matrix: Array, weights: Array) -> list[float]:
    """Ordinal alpha of each resample, by the library."""
    cards = np.arange(len(matrix)) % CARDS
    return [
        float(krippendorff.alpha(np.repeat(matrix, w[cards].astype(int), axis=0).T, level_of_measurement="ordinal"))
        for w in weights
    ]


def alpha_only(ratings: Ratings, boot: Bootstrap) -> Array:
    """Our draws of ordinal alpha alone: the same work as the loop's."""

    def statistic(t: Totals) -> dict[str, Array]:
        return {"alpha": co.krippendorff_alpha(t["coincidence"], ratings.levels, "ordinal")}

    return unit_tables(ratings).draw(statistic, boot)[1]["alpha"]


def measure(dialogues: int, draws: int, loop_draws: int) -> dict[str, float]:
    """Seconds of both ways, their ratio, and the memory that ours took at most."""
    matrices = [synthetic(np.random.default_rng(d), dialogues) for d in range(DIMENSIONS)]
    boot = Bootstrap(draws=draws)
    start = time.perf_counter()
    for matrix in matrices:
        estimate_agreement(with_cards(matrix), boot)
    everything = time.perf_counter() - start

    start = time.perf_counter()
    ours = [alpha_only(with_cards(matrix), boot) for matrix in matrices]
    alpha = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    weights = draw_weights(CARDS, draws, np.random.default_rng(boot.seed))[:loop_draws]
    start = time.perf_counter()
    theirs = [loop(matrix, weights) for matrix in matrices]
    a_draw = (time.perf_counter() - start) / loop_draws
    gap = max(float(np.abs(a[:loop_draws] - b).max()) for a, b in zip(ours, theirs, strict=True))
    if gap > 1e-9:
        raise SystemExit(f"the two ways differ by {gap}: the comparison would mean nothing")
    return {
        "dialogues": dialogues,
        "draws": draws,
        "seconds_all_coefficients": everything,
        "seconds_alpha": alpha,
        "seconds_loop_alpha_extrapolated": a_draw * draws,
        "ratio_alpha": a_draw * draws / alpha,
        "peak_memory_mib": peak,
        "largest_difference": gap,
    }


def main() -> None:
    """Run and print, or write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the dialogues and draws")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    found = measure(DIALOGUES // 10, 100, 3) if arguments.quick else measure(DIALOGUES, 1000, 5)
    for name, value in found.items():
        print(f"{name:34} {value:.4g}")
    if arguments.json:
        write_json(arguments.json, found)


if __name__ == "__main__":
    main()
