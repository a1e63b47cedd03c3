"""Whether a comparison passes what somebody asks of it: decided by intervals, so that chance alone fails nobody."""

from collections.abc import Iterator, Mapping
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.reporting.render import Report, show_estimate
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.scale import FULL


def find_failures(report: Report, under: float | None = None, worse_than: str | None = None) -> list[str]:
    """What does not pass, a sentence each.

    Args:
        report: Of ``leaderboard_report``.
        under: Points, 0..100: a model fails whose whole interval, of what ranks, lies under it.
        worse_than: A model: another fails where the whole interval of its paired difference from this one says that it
            is worse. What has no interval (too few cards, none in common, nothing scored) fails too: it was not shown
            to pass.

    Raises:
        EscEvalError: No board has a model of that name, or it is alone.
    """
    boards = report.data["boards"]
    if worse_than is not None and not any(worse_than in board["models"] for board in boards.values()):
        known = sorted({name for board in boards.values() for name in board["models"]})
        raise EscEvalError(f"--fail-if-worse {worse_than}: no model is called so; there are {', '.join(known)}")
    if worse_than is not None and all(set(board["models"]) == {worse_than} for board in boards.values()):
        raise EscEvalError(f"--fail-if-worse {worse_than}: it is the only model, so none can be worse")
    found = []
    for name, board in boards.items():
        sign = -1 if board["ranked_by"] in board["lower_is_better"] else 1
        where = f"{name}, rated by {board['rater']}, {board['ranked_by']}"
        if under is not None:
            found += [f"{where}: {what}" for what in _under(board, under, sign)]
        if worse_than is not None:
            found += [f"{where}: {what}" for what in _worse(board, worse_than, sign)]
    return found


def _under(board: Mapping[str, Any], limit: float, sign: int) -> Iterator[str]:
    for model, own in board["models"].items():
        mean: Estimate = own["scores"].get(board["ranked_by"], Estimate(None))
        if mean.low is None or mean.high is None:
            yield f"{model} has no interval to hold against {limit:g}"
        elif (mean.high if sign > 0 else FULL - mean.low) < limit:
            turned = "" if sign > 0 else ", where low is good"
            yield f"{model} is under {limit:g}: {show_estimate(mean)}{turned}"


def _worse(board: Mapping[str, Any], baseline: str, sign: int) -> Iterator[str]:
    differences = {
        (first, second): found
        for row in board["differences"][board["ranked_by"]]
        for first, second, found in (
            (row["first"], row["second"], row["difference"]),
            (row["second"], row["first"], row["difference"].scaled(-1)),
        )
    }
    for model in board["models"]:
        difference: Estimate = differences.get((model, baseline), Estimate(None))
        if model == baseline:
            continue
        if difference.low is None or difference.high is None:
            yield f"{model} cannot be compared with {baseline}: their difference has no interval"
        elif (difference.high if sign > 0 else -difference.low) < 0:
            yield f"{model} is worse than {baseline}: {show_estimate(difference)}"
