"""``power --repeats``: whether another repeat of the cards, or another card, makes a difference surer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import RatingsTable
from esc_eval.reporting.plan import single_scores
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.reporting.repeats import name_rows, pair_tables, split_seekers
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.ranking import Board
from esc_eval.statistics.repeats import Spread, best_repeats, spread_of_difference
from esc_eval.statistics.scale import FULL
from esc_eval.statistics.variance import Codes

BOTH = 2
"""Dialogues of a repeat: one by each model."""
PLAY_AGAIN = (
    "power --repeats needs two supporters that played some of the same cards twice or more: with one dialogue of a "
    "card nothing tells what is of the card from what is of the seed. Play the cards again: the command that made the "
    "run, with --repeats 2"
)


def repeats_report(
    table: RatingsTable, repeats: Sequence[int], card_cost: float, *, dimension: str | None = None
) -> Report:
    """Standard errors of every difference with more repeats or more cards, and how many repeats pay.

    Args:
        table: Ratings of a run with repeats.
        repeats: Numbers of repeats to try.
        card_cost: What another card costs beside its dialogues, in dialogues.
        dimension: One dimension; None = the average over dimensions.

    Raises:
        EscEvalError: No two supporters have two repeats of a card in common, or a number of repeats is below 1.
    """
    if wrong := [k for k in repeats if k < 1]:
        raise EscEvalError(f"--repeats are whole numbers from 1, not {wrong[0]}")
    what = dimension or "average"
    spreads = _spreads(table, dimension, what)
    errors: list[dict[str, Any]] = []
    best: list[dict[str, Any]] = []
    for (first, second), spread in spreads.items():
        for k in repeats:
            errors.append(
                {
                    "first": first,
                    "second": second,
                    "repeats": k,
                    "dialogues": BOTH * spread.cards * k,
                    "same_cards": spread.error(spread.cards, k),
                    "more_cards": spread.error(spread.cards * k, 1),
                }
            )
        ratio = spread.ratio()
        a_repeat = card_cost / BOTH
        low, high = best_repeats(ratio.low, a_repeat), best_repeats(ratio.high, a_repeat)
        best.append(
            {
                "first": first,
                "second": second,
                "cards": spread.cards,
                "pairs": spread.pairs,
                "sd_card": float(np.sqrt(spread.card)),
                "sd_repeat": float(np.sqrt(spread.repeat)),
                "ratio": ratio,
                "repeats": {
                    name: None if np.isinf(k) else k
                    for name, k in (("value", best_repeats(ratio.value, a_repeat)), ("low", low), ("high", high))
                },
            }
        )
    tables = [
        Table(
            f"Standard error of a difference ({what})",
            ["models", "repeats", "dialogues", "same cards", "more cards, once each"],
            [
                [f"{e['first']} - {e['second']}", e["repeats"], e["dialogues"], e["same_cards"], e["more_cards"]]
                for e in errors
            ],
            2,
            "in points; dialogues: of both models; the last column has as many dialogues on as many times the cards",
        ),
        Table(
            f"How many repeats pay ({what})",
            ["models", "cards", "pairs", "sd of cards", "sd of repeats", "repeat by card", "repeats that pay"],
            [_row(one) for one in best],
            2,
            "of the difference: sd of cards, sd of one repeat of a card, and the ratio of the two variances; repeats "
            f"that pay: for the smallest error, where another card costs {card_cost:g} dialogues beside its own",
        ),
    ]
    notes = [
        "More cards are always surer than as many more repeats of the same ones. Repeats pay where a further card "
        "costs more than its dialogues, or where there are no more cards.",
        "Repeats of one number (and seeker) are paired; where several seekers played, a card counts as one for each. "
        "Intervals of errors: modified large-sample; of the ratio: F.",
    ]
    if any(one["ratio"].value is None for one in best):
        notes.append(
            "Where no ratio is printed, cards do not differ beyond chance, and a repeat says as much as a card."
        )
    data = {"dimension": what, "card_cost": card_cost, "errors": errors, "best": best}
    sign = report_signature("power", table.sha256, dimension=what, repeats=list(repeats), card_cost=f"{card_cost:g}")
    return Report("power", data, tables, notes, sign)


def _spreads(table: RatingsTable, dimension: str | None, what: str) -> dict[tuple[str, str], Spread]:
    rows = single_scores(table, dimension)
    each = rows.groupby(["dialogue_id", "model", "card"], sort=False)["score"].mean().reset_index()
    known = table.frame.drop_duplicates("dialogue_id").set_index("dialogue_id")
    for column in ("repeat", "seeker"):
        if column in known:
            each[column] = each["dialogue_id"].map(known[column])
    board = Board.build(
        [
            (str(dialogue), str(model), str(card), what, "all", float(score))
            for dialogue, model, card, score in each[["dialogue_id", "model", "card", "score"]].to_numpy().tolist()
        ],
        [what],
        (0, FULL),
        even=True,
    )
    found: dict[tuple[str, str], Spread] = {}
    if not board.dimensions:
        return found
    occasions = name_rows(each)
    for first, second, gaps in pair_tables(split_seekers(board, occasions), occasions, what):
        values, card = _flat(gaps)
        if (spread := spread_of_difference(values, card)) is not None:
            found[first, second] = spread
    if not found:
        names = [] if dimension else table.frame["dimension"].unique().tolist()
        if others := [name for name in names if _has_spreads(table, name)]:
            raise EscEvalError(
                "power --repeats: the average needs a score in every dimension, and too few dialogues have one (a "
                f"dimension is unscored, or does not apply). Name one: --dimension {others[0]}, one of "
                f"{', '.join(others)}"
            )
        raise EscEvalError(PLAY_AGAIN)
    if all(np.isclose(spread.between.value + spread.within.value, 0) for spread in found.values()):
        raise EscEvalError("power --repeats needs scores that vary: here all differences are the same")
    return found


def _has_spreads(table: RatingsTable, dimension: str) -> bool:
    try:
        return bool(_spreads(table, dimension, dimension))
    except EscEvalError:
        return False


def _flat(gaps: Array) -> tuple[Array, Codes]:
    at = np.argwhere(np.isfinite(gaps)).astype(np.intp)
    return gaps[tuple(at.T)], at[:, 0]


def _row(one: dict[str, Any]) -> list[Cell]:
    k = one["repeats"]
    shown = "no limit" if k["value"] is None else f"{k['value']:.1f}"
    low = "no limit" if k["low"] is None else f"{k['low']:.1f}"
    shown += f" [{low}, {'no limit' if k['high'] is None else format(k['high'], '.1f')}]"
    ratio: Estimate = one["ratio"]
    ends = f"[{ratio.low or 0:.2f}, {'no limit' if ratio.high is None else format(ratio.high, '.2f')}]"
    said = f"- {ends}" if ratio.value is None else f"{ratio.value:.2f} {ends}"
    models = f"{one['first']} - {one['second']}"
    return [models, one["cards"], one["pairs"], one["sd_card"], one["sd_repeat"], said, shown]
