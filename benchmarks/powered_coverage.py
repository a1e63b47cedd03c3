"""How often prediction-powered intervals hold the human mean, where scores spread and where nearly all are alike.

    python -m benchmarks.powered_coverage --runs 2000
    python -m benchmarks.powered_coverage --runs 1000 --people people/ieval --people people/duo-ed-en

By simulation: human levels 0 to 4 are drawn with the shares named, cards shift them, and predictions are as good as
said. Of ratings that people gave (folders of `python -m analysis convert`): all are taken for the truth, a random part
of the cards for the rated one, and the predictor is the number of words that the supporter says.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_dialogues
from esc_eval.statistics.prediction_powered import PredictionPowered, ppi_mean

LEVELS = np.arange(5.0)
SHAPES = {
    "even": (0.2, 0.2, 0.2, 0.2, 0.2),
    "high": (0.02, 0.05, 0.13, 0.3, 0.5),
    "saturated, 85%": (0.03, 0.02, 0.04, 0.06, 0.85),
    "saturated, 95%": (0.02, 0.01, 0.01, 0.01, 0.95),
}
SIZES = (5, 10, 20, 50)
OTHERS = 300
QUALITY = 0.7


def draw(shape: tuple[float, ...], n: int, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Human levels and predictions of ``n`` cards with ``each`` dialogues, shapes (n, each): half of it is the card."""
    edges = np.cumsum(shape)[:-1]
    hidden = np.sqrt(0.5) * rng.normal(size=(n, 1)) + np.sqrt(0.5) * rng.normal(size=(n, each))
    from scipy.stats import norm

    human = np.searchsorted(edges, norm.cdf(hidden)).astype(float)
    guess = QUALITY * hidden + np.sqrt(1 - QUALITY**2) * rng.normal(size=(n, each))
    return human, guess


def simulate(shape: tuple[float, ...], n: int, each: int, rng: np.random.Generator) -> list[PredictionPowered]:
    """One study, read without and with the ends of the scale."""
    human, guess = draw(shape, n + OTHERS // each, each, rng)
    card = np.repeat(np.arange(len(human)), each).reshape(human.shape)
    seen = (human[:n].ravel(), guess[:n].ravel(), guess[n:].ravel())
    clusters = {"cluster_labelled": card[:n].ravel(), "cluster_unlabelled": card[n:].ravel()}
    return [ppi_mean(*seen, bounds=bounds, **clusters) for bounds in (None, (0.0, 4.0))]


def of_people(folder: Path, n: int, rng: np.random.Generator) -> Iterator[tuple[str, float, list[PredictionPowered]]]:
    """Dimension, the mean of all people's scores, and both intervals from ``n`` of the cards."""
    table = read_table([folder], None, (), (), ())
    words = {d.id: float(sum(len(turn.text.split()) for turn in d.replies)) for d in read_dialogues(folder)}
    for dimension in table.dimensions:
        rows = table.scored(dimension).groupby("dialogue_id").agg(score=("score", "mean"), card=("card", "first"))
        cards = rows["card"].unique()
        rated = rows["card"].isin(rng.choice(cards, min(n, len(cards) // 2), replace=False)).to_numpy()
        guess = np.log1p(rows.index.map(words).to_numpy(dtype=float))
        score, card = rows["score"].to_numpy(dtype=float), rows["card"].to_numpy(dtype=str)
        given = (score[rated], guess[rated], guess[~rated])
        clusters = {"cluster_labelled": card[rated], "cluster_unlabelled": card[~rated]}
        ends = (float(table.low), float(table.high))
        yield dimension, float(score.mean()), [ppi_mean(*given, bounds=b, **clusters) for b in (None, ends)]


def show(name: str, n: int, hits: np.ndarray, widths: np.ndarray) -> None:
    """A row: coverage and mean width, without and with the ends of the scale."""
    shares = "".join(f" {h:.3f} | {w:.2f} |" for h, w in zip(hits, widths, strict=True))
    print(f"| {name} | {n} |{shares}")


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--people", type=Path, action="append", help="a folder of `python -m analysis convert`")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print("| scores | rated cards | t interval | width | with the ends | width |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, shape in SHAPES.items() if not options.people else ():
        truth = float(np.dot(shape, LEVELS))
        for each in (1, 3):
            for n in SIZES:
                found = [simulate(shape, n, each, rng) for _ in range(options.runs)]
                hits = np.mean([[r.low <= truth <= r.high for r in pair] for pair in found], axis=0)
                show(f"{name}, {each} a card", n, hits, np.mean([[r.high - r.low for r in p] for p in found], axis=0))
    for folder in options.people or ():
        for n in SIZES[1:]:
            held: dict[str, list[list[float]]] = {}
            for _ in range(options.runs):
                for dimension, truth, pair in of_people(folder, n, rng):
                    held.setdefault(dimension, []).append(
                        [*(float(r.low <= truth <= r.high) for r in pair), *(r.high - r.low for r in pair)]
                    )
            for dimension, rows in held.items():
                mean = np.mean(rows, axis=0)
                show(f"{folder.name}, {dimension}", n, mean[:2], mean[2:])


if __name__ == "__main__":
    main()
