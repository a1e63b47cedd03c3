"""Synthetic raters with known severity, noise and drift, and the public rating files where they are."""

import csv
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DATA = Path(os.environ.get("ESC_EVAL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def public(*parts: str) -> Path:
    """A public file, or a skip that says which is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there: set ESC_EVAL_TEST_DATA to a folder of the public data")
    return path


def crossed(cards: list[str], models: list[str]) -> pd.DataFrame:
    """Dialogues to plan for: every model on every card."""
    return pd.DataFrame([{"card": card, "model": model} for card in cards for model in models])


def rate(
    rng: np.random.Generator,
    quality: np.ndarray,
    severity: np.ndarray,
    noise: np.ndarray,
    drift: np.ndarray | None = None,
    progress: np.ndarray | None = None,
    whole: bool = True,
) -> np.ndarray:
    """Scores (units, raters): quality less severity, plus drift over the rater's sequence, plus noise."""
    scores = quality[:, None] - severity[None, :] + rng.normal(size=(len(quality), len(severity))) * noise[None, :]
    if drift is not None and progress is not None:
        scores = scores + drift[None, :] * progress
    return np.clip(np.round(scores), 0, 4) if whole else scores


def orders(rng: np.random.Generator, units: int, raters: int) -> np.ndarray:
    """For each rater an own order through the units, -0.5 first to 0.5 last; shape (units, raters)."""
    return np.array([rng.permutation(units) for _ in range(raters)]).T / (units - 1) - 0.5


def write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    """A ratings table as CSV."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def table_rows(
    scores: np.ndarray, dimension: str = "empathy", cards: int | None = None, **extra: object
) -> list[dict[str, object]]:
    """Rows of a ratings table from (units, raters), NaN = blank; units share ``cards`` cards in turn."""
    return [
        {
            "dialogue_id": f"d{i}",
            "rater": f"r{j}",
            "dimension": dimension,
            "score": "" if np.isnan(scores[i, j]) else int(scores[i, j]),
            **({"card": f"c{i % cards}"} if cards else {}),
            **extra,
        }
        for i in range(len(scores))
        for j in range(scores.shape[1])
    ]
