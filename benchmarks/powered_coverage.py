"""How often prediction-powered intervals hold the human mean, where scores spread and where nearly all are alike.

    python -m benchmarks.powered_coverage --runs 2000
    python -m benchmarks.powered_coverage --runs 1000 --people people/ieval --people people/duo-ed-en

By simulation: human levels 0 to 4 are drawn with the shares named, cards shift them, and predictions are as good as
said; where rows say so, the scorer leaves a share unscored, which people rate lower. Of ratings that people gave
(folders of `python -m analysis convert`): all are taken for the truth, a random part of the cards for the rated one,
and the predictor is the number of words that the supporter says.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_dialogues
from esc_eval.statistics.prediction_powered import PredictionPowered, ppi_mean
from esc_eval.statistics.scores import human_scores

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
PARTLY = {"a tenth unscored": 0.1, "half unscored": 0.5, "nine tenths unscored": 0.9}
LOWER = 1.5
"""Levels by which people rate unscored dialogues lower."""


def draw(shape: tuple[float, ...], n: int, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Human levels and predictions of ``n`` cards with ``each`` dialogues, shapes (n, each): half of it is the card."""
    edges = np.cumsum(shape)[:-1]
    hidden = np.sqrt(0.5) * rng.normal(size=(n, 1)) + np.sqrt(0.5) * rng.normal(size=(n, each))
    from scipy.stats import norm

    human = np.searchsorted(edges, norm.cdf(hidden)).astype(float)
    guess = QUALITY * hidden + np.sqrt(1 - QUALITY**2) * rng.normal(size=(n, each))
    return human, guess


def draw_partly(share: float, n: int, each: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """As ``draw``, about the middle of the scale, with a share left unscored (nan) that people rate lower."""
    hidden = np.sqrt(0.5) * rng.normal(size=(n, 1)) + np.sqrt(0.5) * rng.normal(size=(n, each))
    unscored = rng.random(hidden.shape) < share
    guess = QUALITY * hidden + np.sqrt(1 - QUALITY**2) * rng.normal(size=(n, each))
    human = np.clip(np.round(2.5 + hidden - LOWER * unscored), LEVELS[0], LEVELS[-1])
    return human, np.where(unscored, np.nan, guess)


def simulate(
    study: Callable[[int, int, np.random.Generator], tuple[np.ndarray, np.ndarray]],
    n: int,
    each: int,
    rng: np.random.Generator,
) -> list[PredictionPowered]:
    """One study, read without and with the ends of the scale."""
    human, guess = study(n + OTHERS // each, each, rng)
    card = np.repeat(np.arange(len(human)), each).reshape(human.shape)
    seen = (human[:n].ravel(), guess[:n].ravel(), guess[n:].ravel())
    clusters = {"cluster_labelled": card[:n].ravel(), "cluster_unlabelled": card[n:].ravel()}
    return [ppi_mean(*seen, bounds=bounds, **clusters) for bounds in (None, (0.0, 4.0))]


@dataclass(frozen=True)
class People:
    """What people gave one model on one dimension, shapes (n,): their scores, a prediction, the card."""

    name: str
    score: np.ndarray
    guess: np.ndarray
    card: np.ndarray
    ends: tuple[float, float]

    def study(self, n: int, rng: np.random.Generator) -> list[PredictionPowered]:
        """Both intervals from ``n`` of the cards, at most half."""
        cards = np.unique(self.card)
        rated = np.isin(self.card, rng.choice(cards, min(n, len(cards) // 2), replace=False))
        given = (self.score[rated], self.guess[rated], self.guess[~rated])
        clusters = {"cluster_labelled": self.card[rated], "cluster_unlabelled": self.card[~rated]}
        return [ppi_mean(*given, bounds=bounds, **clusters) for bounds in (None, self.ends)]


def read_people(folder: Path) -> Iterator[People]:
    """The models and dimensions of a folder."""
    table = read_table([folder])
    words = {d.id: float(sum(len(turn.text.split()) for turn in d.replies)) for d in read_dialogues(folder)}
    for (model, dimension), rows in human_scores(table.scored()).groupby(["model", "dimension"], sort=False):
        guess = np.log1p(rows["dialogue_id"].map(words).to_numpy(dtype=float))
        score, card = rows["score"].to_numpy(dtype=float), rows["card"].to_numpy(dtype=str)
        yield People(f"{model}, {dimension}", score, guess, card, (float(table.low), float(table.high)))


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
    studies: list[tuple[str, Callable[..., tuple[np.ndarray, np.ndarray]], float]] = []
    studies += [(name, partial(draw, shape), float(np.dot(shape, LEVELS))) for name, shape in SHAPES.items()]
    for name, share in PARTLY.items():
        many, _ = draw_partly(share, 1_000_000, 1, np.random.default_rng(1))
        studies.append((name, partial(draw_partly, share), float(many.mean())))
    for name, study, truth in studies if not options.people else ():
        for each in (1, 3):
            for n in SIZES:
                found = [simulate(study, n, each, rng) for _ in range(options.runs)]
                hits = np.mean([[r.low <= truth <= r.high for r in pair] for pair in found], axis=0)
                show(f"{name}, {each} a card", n, hits, np.mean([[r.high - r.low for r in p] for p in found], axis=0))
    for folder in options.people or ():
        every = list(read_people(folder))
        for n in SIZES[1:]:
            held = []
            for people in every:
                found = [people.study(n, rng) for _ in range(options.runs)]
                truth = people.score.mean()
                inside = np.mean([[r.low <= truth <= r.high for r in pair] for pair in found], axis=0)
                held.append((inside, np.mean([[r.high - r.low for r in pair] for pair in found], axis=0)))
            hits, widths = (np.array(part) for part in zip(*held, strict=True))
            show(f"{folder.name}, mean of {len(every)} models x dimensions", n, hits.mean(0), widths.mean(0))
            show(f"{folder.name}, lowest of them", n, hits.min(0), widths.mean(0))


if __name__ == "__main__":
    main()
