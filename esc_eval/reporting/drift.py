"""``rejudge``: what another judge changes in the scores of the same dialogues."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Cell, Report, Table
from esc_eval.reporting.signature import join_signature, model_tag
from esc_eval.reporting.tables import name_board
from esc_eval.schema import Dialogue, Rating
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap, estimate_gaps, estimate_group_means
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.scale import FULL, describe_scale, to_points

AVERAGE = "average"


def drift_report(
    dialogues: Sequence[Dialogue],
    old: Sequence[Rating],
    new: Sequence[Rating],
    rubric: Rubric,
    boot: Bootstrap,
    run: Mapping[str, Any] | None = None,
) -> Report:
    """Old and new scores of the same dialogues: means, paired differences, agreement, and ranks of supporters.

    All is on the dialogues that both rated on a dimension; what one of them left unscored is counted.

    Args:
        dialogues: What was rated.
        old, new: Ratings by one rater each, on dimensions of the rubric.
        rubric: Of the new ratings.
        boot: Draws of whole cards.
        run: Content of run.json of the new ratings, for the signature.

    Raises:
        EscEvalError: The two have no dimension in common, or an old score is none of the rubric's levels.
    """
    names = old[0].rater, new[0].rater
    shared = [key for key in rubric.keys if all(any(r.dimension == key for r in side) for side in (old, new))]
    if not shared:
        raise EscEvalError(f"{names[0]} and {names[1]} rated no dimension in common, so there is no drift to show")
    if strange := [r for r in old if r.dimension in shared and r.score is not None and r.score not in rubric.levels]:
        raise EscEvalError(
            f"{names[0]} gave {strange[0].score}, which is none of the levels {list(rubric.levels)}: the scales differ"
        )
    data: dict[str, Any] = {"old": names[0], "new": names[1], "languages": {}}
    tables: list[Table] = []
    notes = [
        f"Mean levels {describe_scale(rubric.levels)} (0..100) on dialogues that both scored; differences are new less "
        f"old, with {boot.confidence:.0%} intervals that draw whole cards; kappa has quadratic weights."
    ]
    for language in dict.fromkeys(d.language for d in dialogues):
        here = [d for d in dialogues if d.language == language]
        board = _Paired(here, old, new, rubric, shared)
        if not board.rows:
            continue
        found, views = _compare(board, boot, names, name_board(language, f"{names[0]}, then {names[1]}"))
        data["languages"][language] = found
        tables += views
        if board.missing:
            notes.append(
                f"{name_board(language, names[1])}: {board.missing} ratings are left out that only one of the two "
                "scored."
            )
    if not tables:
        raise EscEvalError(f"no dialogue was scored by both {names[0]} and {names[1]}, so there is no drift to show")
    identities = ((run or {}).get(f"scoring/{name}", {}).get("identity", {}) for name in names)
    tags = [model_tag(one["scorer"]) if "scorer" in one else name for one, name in zip(identities, names, strict=True)]
    signature = join_signature(
        {"drift": f"{tags[0]} -> {tags[1]}", "rubric": rubric.id, "interval": boot.describe("card")}
    )
    return Report("rejudge", data, tables, notes, signature)


class _Paired:
    """Two raters' scores of the same dialogues of one language.

    Attributes:
        rows: Dialogues that both scored on at least one dimension.
        levels: By rater: shape (rows, dimensions), NaN where one of the two has no score.
        missing: Ratings that only one of the two scored.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        old: Sequence[Rating],
        new: Sequence[Rating],
        rubric: Rubric,
        keys: Sequence[str],
    ) -> None:
        self.rubric, self.keys = rubric, list(keys)
        place = {dialogue.id: i for i, dialogue in enumerate(dialogues)}
        column = {key: j for j, key in enumerate(keys)}
        levels = np.full((2, len(dialogues), len(keys)), np.nan)
        for side, ratings in enumerate((old, new)):
            for rating in ratings:
                if rating.dialogue_id in place and rating.dimension in column and rating.score is not None:
                    levels[side, place[rating.dialogue_id], column[rating.dimension]] = rating.score
        scored = ~np.isnan(levels)
        both = scored.all(axis=0)
        self.missing = int((scored.any(axis=0) & ~both).sum())
        levels[:, ~both] = np.nan
        kept = np.flatnonzero(both.any(axis=1))
        self.rows = [dialogues[int(i)] for i in kept]
        self.levels: Array = levels[:, kept]
        self.clusters = [dialogue.card_id or dialogue.id for dialogue in self.rows]
        self.supporters = [dialogue.supporter or "unknown" for dialogue in self.rows]

    @property
    def turned(self) -> dict[int, float]:
        """Dimensions of which a low level is good, for averages."""
        lower = {d.key for d in self.rubric.dimensions if d.lower_is_better}
        return {j: float(FULL) for j, key in enumerate(self.keys) if key in lower}

    @property
    def points(self) -> Array:
        """The levels in points, with each dialogue's average where no dimension is missing: (2, rows, columns)."""
        points = to_points(self.levels, min(self.rubric.levels), max(self.rubric.levels))
        upwards = points.copy()
        for j, full in self.turned.items():
            upwards[..., j] = full - upwards[..., j]
        return np.concatenate([points, upwards.mean(axis=-1, keepdims=True)], axis=-1)

    def ratings(self, key: int) -> Ratings:
        """Both raters' levels on one dimension."""
        pairs = np.argwhere(~np.isnan(self.levels[:, :, key]))
        code: dict[str, int] = {}
        cluster = np.array([code.setdefault(c, len(code)) for c in self.clusters], dtype=np.intp)
        scale = np.array(sorted(self.rubric.levels), dtype=float)
        values = self.levels[pairs[:, 0], pairs[:, 1], key]
        level = np.searchsorted(scale, values).astype(np.intp)
        return Ratings(pairs[:, 1], pairs[:, 0], level, cluster, scale, ("old", "new"))


def _compare(board: _Paired, boot: Bootstrap, names: tuple[str, str], title: str) -> tuple[dict[str, Any], list[Table]]:
    old, new = board.points
    width = old.shape[1]
    both = np.concatenate([old, new], axis=1)
    means = estimate_group_means(both, board.clusters, [0] * len(board.rows), boot).each[0]
    differences = estimate_gaps(new - old, board.clusters, boot)
    found: dict[str, Any] = {}
    rows: list[list[Cell]] = []
    for j, key in enumerate([*board.keys, AVERAGE]):
        difference = differences[j]
        kappa = estimate_agreement(board.ratings(j), boot).measures["quadratic_kappa"] if key != AVERAGE else None
        found[key] = {"old": means[j], "new": means[width + j], "difference": difference, "kappa": kappa}
        label = AVERAGE if kappa is None else next(d.paper for d in board.rubric.dimensions if d.key == key)
        rows.append([label, *(_bare(means[k * width + j]) for k in (0, 1)), difference, kappa, difference.n])
    marked = [d.paper for d in board.rubric.dimensions if d.lower_is_better and d.key in board.keys]
    head = ["Dimension", f"old: {names[0]}", f"new: {names[1]}", "new - old", "kappa", "n"]
    ranks, view = _ranks(board, boot, title)
    data = {"dimensions": found, "supporters": ranks}
    return data, [Table(title, head, rows, 2, "", marked), *view]


def _bare(estimate: Estimate) -> float | None:
    return estimate.value


def _ranks(board: _Paired, boot: Bootstrap, title: str) -> tuple[dict[str, Any], list[Table]]:
    """How supporters stand by each rater's average, where there are several."""
    names = list(dict.fromkeys(board.supporters))
    if len(names) < 2:
        return {}, []
    codes = [names.index(name) for name in board.supporters]
    averages = [
        estimate_group_means(side[:, :-1], board.clusters, codes, boot, board.turned).average for side in board.points
    ]
    ranks = [_rank([a.value for a in side]) for side in averages]
    order = sorted(range(len(names)), key=lambda i: (ranks[0][i] is None, ranks[0][i] or 0))
    rows: list[list[Cell]] = []
    found: dict[str, Any] = {}
    for i in order:
        first, second = ranks[0][i], ranks[1][i]
        change = None if first is None or second is None else first - second
        shown = "-" if change is None else "same" if change == 0 else f"{change:+d}"
        rows.append([names[i], first, averages[0][i], second, averages[1][i], shown, averages[0][i].n])
        found[names[i]] = {"old": averages[0][i], "new": averages[1][i], "rank": [first, second]}
    head = ["Supporter", "rank, old", "average, old", "rank, new", "average, new", "change", "n"]
    return found, [Table(f"Ranks by the average. {title}", head, rows, 1, "change: places won (+) or lost (-)")]


def _rank(values: Sequence[float | None]) -> list[int | None]:
    """1 = highest; equal values share a rank; None where there is none."""
    return [None if v is None else 1 + sum(w is not None and w > v for w in values) for v in values]
