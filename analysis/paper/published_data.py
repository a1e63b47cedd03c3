"""The paper's figures as data: ``expected/*.json``."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from esc_eval.files.text import read_json

EXPECTED = Path(__file__).parent / "expected"


@dataclass(frozen=True)
class LeaderboardRow:
    """A row of the published leaderboard; figures as printed."""

    language: str
    group: str
    model: str
    scores: dict[str, Decimal]
    average: Decimal


@dataclass(frozen=True)
class ScorerRow:
    """A row of the published table of scorers: percentages of the first and second printed column."""

    dimension: str
    scorer: str
    acc: tuple[Decimal, Decimal]
    acc_soft: tuple[Decimal, Decimal]


@cache
def read_expected(name: str) -> Any:
    """The content of ``expected/NAME.json``."""
    return read_json(EXPECTED / f"{name}.json")


def published_leaderboard() -> list[LeaderboardRow]:
    """Human scores x 25 of each model, in printed order."""
    return [
        LeaderboardRow(
            r["language"],
            r["group"],
            r["model"],
            {d: Decimal(s) for d, s in r["scores"].items()},
            Decimal(r["average"]),
        )
        for r in read_expected("leaderboard")["rows"]
    ]


def published_scorers() -> list[ScorerRow]:
    """ACC and ACC_soft of each scorer, the row "average" included."""
    return [
        ScorerRow(
            r["dimension"],
            r["scorer"],
            (Decimal(r["acc"][0]), Decimal(r["acc"][1])),
            (Decimal(r["acc_soft"][0]), Decimal(r["acc_soft"][1])),
        )
        for r in read_expected("scorer")["rows"]
    ]
