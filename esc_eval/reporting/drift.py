"""``rejudge``: what another judge changes in the scores of the same dialogues."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Cell, Report, Table
from esc_eval.reporting.signature import join_signature, model_tag
from esc_eval.reporting.standing import describe_standing, show_rank
from esc_eval.reporting.summary import find_unsupported, leave_unranked, name_clusters_of
from esc_eval.reporting.tables import name_board
from esc_eval.schema import NO_SCORER, Dialogue, Rating
from esc_eval.statistics.agreement import estimate_agreement
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.counts import Ratings
from esc_eval.statistics.estimate import Array
from esc_eval.statistics.ranking import AVERAGE, Board, rank_models
from esc_eval.statistics.scale import describe_scale

SIDES = ("old", "new")


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
    lacking = [_explain_unsupported(side, rubric) for side in (old, new)]
    shared = [key for key in shared if not any(key in without for without, _ in lacking)]
    if strange := [r for r in old if r.dimension in shared and r.score is not None and r.score not in rubric.levels]:
        raise EscEvalError(
            f"{names[0]} gave {strange[0].score}, which is none of the levels {list(rubric.levels)}: the scales differ"
        )
    data: dict[str, Any] = {"old": names[0], "new": names[1], "languages": {}}
    tables: list[Table] = []
    notes = [
        f"Mean levels {describe_scale(rubric.levels)} (0..100) on dialogues that both scored; differences are new less "
        f"old, with {boot.confidence:.0%} intervals that draw whole cards; kappa has quadratic weights.",
        *(sentence for _, sentences in lacking for sentence in sentences),
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
    if not tables and not any(sentences for _, sentences in lacking):
        raise EscEvalError(f"no dialogue was scored by both {names[0]} and {names[1]}, so there is no drift to show")
    identities = ((run or {}).get(f"scoring/{name}", {}).get("identity", {}) for name in names)
    tags = [model_tag(one["scorer"]) if "scorer" in one else name for one, name in zip(identities, names, strict=True)]
    signature = join_signature(
        {"drift": f"{tags[0]} -> {tags[1]}", "rubric": rubric.id, "interval": boot.describe("card")}
    )
    return Report("rejudge", data, tables, notes, signature)


def _explain_unsupported(ratings: Sequence[Rating], rubric: Rubric) -> tuple[dict[str, str], list[str]]:
    """The dimensions of a rater that have no valid scorer in any language, and a sentence for each reason."""
    without = find_unsupported(ratings)
    alike: dict[str, list[str]] = {}
    for dimension in rubric.dimensions:
        if dimension.key in without:
            alike.setdefault(without[dimension.key], []).append(dimension.paper)
    return without, [f"{ratings[0].rater}: {NO_SCORER} for {', '.join(keys)}: {why}." for why, keys in alike.items()]


class _Paired:
    """Two raters' scores of the same dialogues of one language.

    Attributes:
        rows: Dialogues that both were asked about.
        levels: By rater: shape (rows, dimensions), NaN where one of the two has no score.
        missing: Ratings that only one of the two scored.
        unranked: Supporters of whose dialogues too many are unanswered.
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
        asked: tuple[set[str], set[str]] = set(), set()
        for side, ratings in enumerate((old, new)):
            for rating in ratings:
                if rating.dialogue_id in place and rating.dimension in column:
                    asked[side].add(rating.dialogue_id)
                    level = np.nan if rating.score is None else rating.score
                    levels[side, place[rating.dialogue_id], column[rating.dimension]] = level
        scored = ~np.isnan(levels)
        both = scored.all(axis=0)
        self.missing = int((scored.any(axis=0) & ~both).sum())
        levels[:, ~both] = np.nan
        self.rows = [dialogue for dialogue in dialogues if dialogue.id in asked[0] & asked[1]] if both.any() else []
        self.levels: Array = levels[:, [place[dialogue.id] for dialogue in self.rows]]
        self.clusters = name_clusters_of(self.rows)
        self.unranked = leave_unranked(self.rows)

    def board(self, rows: list[tuple[str, str, str, int, int]]) -> Board:
        """Levels side by side.

        Args:
            rows: Name of the dialogue, its model and its cluster, its place in ``rows``, and whose levels count.
        """
        given = [
            (dialogue, model, cluster, key, "", float(self.levels[side, i, j]))
            for dialogue, model, cluster, i, side in rows
            for j, key in enumerate(self.keys)
        ]
        scale = (min(self.rubric.levels), max(self.rubric.levels))
        return Board.build(given, self.rubric.keys, scale, self.rubric.lower_is_better)

    def of_judges(self) -> Board:
        """The two raters as two models, which meet on every dialogue."""
        return self.board(
            [
                (f"{side}{dialogue.id}", SIDES[side], self.clusters[i], i, side)
                for side in (0, 1)
                for i, dialogue in enumerate(self.rows)
            ]
        )

    def of_supporters(self, side: int) -> Board:
        """The supporters, by one rater's levels."""
        return self.board(
            [
                (dialogue.id, dialogue.supporter or "unknown", self.clusters[i], i, side)
                for i, dialogue in enumerate(self.rows)
            ]
        )

    def ratings(self, key: int) -> Ratings:
        """Both raters' levels on one dimension."""
        pairs = np.argwhere(~np.isnan(self.levels[:, :, key]))
        code: dict[str, int] = {}
        cluster = np.array([code.setdefault(c, len(code)) for c in self.clusters], dtype=np.intp)
        scale = np.array(sorted(self.rubric.levels), dtype=float)
        values = self.levels[pairs[:, 0], pairs[:, 1], key]
        level = np.searchsorted(scale, values).astype(np.intp)
        return Ratings(pairs[:, 1], pairs[:, 0], level, cluster, scale, SIDES)


def _compare(board: _Paired, boot: Bootstrap, names: tuple[str, str], title: str) -> tuple[dict[str, Any], list[Table]]:
    judges = board.of_judges()
    standing = rank_models(judges, boot, flips=1)
    found: dict[str, Any] = {}
    rows: list[list[Cell]] = []
    for key in judges.columns:
        old, new = (standing.means[side][key] for side in SIDES)
        [row] = standing.differences[key]
        difference = row["difference"].scaled(1.0 if row["first"] == SIDES[1] else -1.0)
        difference = replace(difference, n=new.n, clusters=new.clusters)
        kappa = None
        if key != AVERAGE:
            kappa = estimate_agreement(board.ratings(board.keys.index(key)), boot).measures["quadratic_kappa"]
        found[key] = {"old": old, "new": new, "difference": difference, "kappa": kappa}
        label = "Average" if kappa is None else next(d.paper for d in board.rubric.dimensions if d.key == key)
        rows.append([label, old.value, new.value, difference, kappa, difference.n])
    marked = [d.paper for d in board.rubric.dimensions if d.lower_is_better and d.key in board.keys]
    head = ["Dimension", f"old: {names[0]}", f"new: {names[1]}", "new - old", "kappa", "n"]
    note = f"No Average: nobody rated {', '.join(judges.absent)}." if judges.absent else ""
    ranks, view = _ranks(board, boot, names, title)
    data = {"dimensions": found, "supporters": ranks}
    return data, [Table(title, head, rows, 2, note, marked), *view]


def _ranks(board: _Paired, boot: Bootstrap, names: tuple[str, str], title: str) -> tuple[dict[str, Any], list[Table]]:
    """How supporters stand by each rater, where there are several, as a leaderboard of that rater has it."""
    if len({dialogue.supporter for dialogue in board.rows}) < 2:
        return {}, []
    sides = [
        rank_models(board.of_supporters(side), boot, unranked=board.unranked, every_column=False) for side in (0, 1)
    ]
    column, papers = sides[0].ranked_by, {d.key: d.paper for d in board.rubric.dimensions if d.key in board.keys}
    shown = {**papers, AVERAGE: "Average"}[column]
    rows: list[list[Cell]] = []
    found: dict[str, Any] = {}
    for name in sides[0].order:
        old, new = (side.means[name][column] for side in sides)
        ranks = [side.ranks[name] for side in sides]
        change = ranks[0].value - ranks[1].value if ranks[0] and ranks[1] else None
        moved = "-" if change is None else "same" if change == 0 else f"{change:+d}"
        rows.append([name, show_rank(ranks[0]), old, show_rank(ranks[1]), new, moved, old.n])
        found[name] = {"old": old, "new": new, "rank": [rank and vars(rank) for rank in ranks]}
    head = ["Supporter", "rank, old", f"{shown}, old", "rank, new", f"{shown}, new", "change", "n"]
    first, second = (describe_standing(side, papers) for side in sides)
    said = [
        f"By {name}: {' '.join(sentences)}"
        for name, sentences in zip(names, (first, [s for s in second if s not in first]), strict=True)
        if sentences
    ]
    note = " ".join(["change: places won (+) or lost (-).", *said])
    return found, [Table(f"Ranks by {shown}. {title}", head, rows, 1, note)]
