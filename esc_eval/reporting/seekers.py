"""Results by seeker, beside the pooled table: means of each, their differences, and whether the order changes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.making import MOST_SEEKERS, describe_seekers, list_seekers, name_seeker
from esc_eval.reporting.render import Cell, Report, Table, report_signature, shown_p
from esc_eval.reporting.summary import Statistic, find_unsupported, keep_last_word, name_clusters_of, name_raters
from esc_eval.schema import Dialogue, Rating, digest
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.ranking import AVERAGE, Board
from esc_eval.statistics.scale import FULL, describe_scale
from esc_eval.statistics.seekers import BySeeker, Gap, compare_seekers

Key = tuple[str, str, str]


def find_pools(dialogues: Sequence[Dialogue], ratings: Sequence[Rating]) -> dict[Key, list[Rating]]:
    """Ratings of dialogues of two seekers or more, by language, rater (people together) and rubric."""
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    groups: dict[Key, list[Rating]] = defaultdict(list)
    people = {(by_id[r.dialogue_id].language, r.rubric): {r.rater for r in ratings if r.rater_kind == "human"}
              for r in ratings if r.rater_kind == "human"}  # fmt: skip
    for rating in ratings:
        language = by_id[rating.dialogue_id].language
        human = rating.rater_kind == "human"
        rater = name_raters(people[language, rating.rubric]) if human else rating.rater
        groups[language, rater, rating.rubric].append(rating)
    return {
        key: own
        for key, own in groups.items()
        if 1 < len(list_seekers(by_id[r.dialogue_id] for r in own)) <= MOST_SEEKERS
        and any(r.score is not None for r in own)
    }


def seekers_report(
    dialogues: Sequence[Dialogue],
    ratings: Sequence[Rating],
    rubric: Rubric,
    boot: Bootstrap,
    statistic: Statistic = "level",
    place: str = "",
) -> Report:
    """Each supporter's mean by seeker, what changes with the seeker, and whether the order of supporters does.

    All is of what ranks: the average, or each dimension where no dialogue can have one.

    Args:
        dialogues: What was rated, and more; of one language where the ratings are.
        ratings: Of one rater, or of people together, under one rubric.
        rubric: Of the ratings.
        boot: Of the intervals, which draw cards where all dialogues have one, else dialogues.
        statistic: Whether levels are taken, or expected levels.
        place: Of the report, for titles.
    """
    own = keep_last_word(ratings) if ratings[0].rater_kind == "human" else list(ratings)
    rated = {rating.dialogue_id for rating in own}
    talks = {dialogue.id: dialogue for dialogue in dialogues if dialogue.id in rated}
    clusters = dict(zip(talks, name_clusters_of(list(talks.values())), strict=True))
    seekers, supporters = list_seekers(talks.values()), sorted({d.supporter or "unknown" for d in talks.values()})
    pairs = {f"{i}/{j}": (i, j) for i in range(len(supporters)) for j in range(len(seekers))}
    code = {
        d.id: f"{supporters.index(d.supporter or 'unknown')}/{seekers.index(name_seeker(d))}" for d in talks.values()
    }
    rows = [
        (r.dialogue_id, code[r.dialogue_id], clusters[r.dialogue_id], r.dimension, r.rater, _value(r, statistic))
        for r in own
    ]
    ends = (min(rubric.levels), max(rubric.levels))
    by_card = all(dialogue.card_id is not None for dialogue in talks.values())
    board = Board.build(rows, rubric.keys, ends, rubric.lower_is_better, find_unsupported(own), even=by_card)
    place_of = np.array([pairs[board.models[m]] for m in board.model], dtype=np.intp)
    names = {**{d.key: d.paper for d in rubric.dimensions}, AVERAGE: "Average"}
    columns = [AVERAGE] if AVERAGE in board.columns and not board.absent else list(board.dimensions)
    head = f"By seeker{place}"
    scale = f"mean {'expected ' if statistic == 'expected' else ''}level {describe_scale(rubric.levels)}"
    data: dict[str, Any] = {"seekers": seekers, "supporters": supporters, "columns": {}}
    signature = report_signature("seekers", digest(own), boot, statistic=statistic)
    report = Report("seekers", data, notes=describe_seekers(list(talks.values())), signature=signature)
    for column in columns:
        found = compare_seekers(
            _points(board, column), board.card, place_of[:, 0], place_of[:, 1], boot, even=board.even
        )
        data["columns"][column] = _as_data(found, seekers, supporters)
        what = names.get(column, column)
        report.tables += _tables(f"{head}: {what}", found, seekers, supporters, scale)
        report.notes += _conclude(what, found, seekers, supporters)
    return report


def _value(rating: Rating, statistic: Statistic) -> float:
    if rating.not_applicable:
        return np.inf
    level = rating.expected if statistic == "expected" else rating.score
    return np.nan if level is None else float(level)


def _points(board: Board, column: str) -> Any:
    """Points of each dialogue in a column; for the average in every dimension, turned where low is good."""
    if column != AVERAGE:
        return board.scores[:, board.dimensions.index(column)]
    turned = np.array([key in board.turned for key in board.dimensions])
    return np.where(turned, FULL - board.scores, board.scores)


def _tables(title: str, found: BySeeker, seekers: Sequence[str], supporters: Sequence[str], scale: str) -> list[Table]:
    rows: list[list[Cell]] = []
    for i, name in enumerate(supporters):
        means = [found.means.get((i, j)) for j in range(len(seekers))]
        n = " + ".join(str(mean.n if mean else 0) for mean in means)
        rows.append([name, n, *means, found.spread[i] if i < len(found.spread) else None])
    tables = [
        Table(
            f"{title}, mean of each supporter",
            ["Supporter", "n", *seekers, "SD of these means"],
            rows,
            1,
            f"{scale}; n: dialogues by seeker; SD: of the seekers' means on cards that all played, {len(seekers) - 1} "
            "degree(s) of freedom",
        )
    ]
    gaps: list[list[Cell]] = [
        [
            "all, each once" if len(g.supporters) > 1 else supporters[g.supporters[0]],
            f"{seekers[g.first]} - {seekers[g.second]}",
            g.difference.n,
            g.difference,
            shown_p(g.p_holm),
        ]
        for g in (*found.gaps, *found.together)
    ]
    head = ["seekers", "cards", "difference", "p (Holm)"]
    tables.append(
        Table(f"{title}, differences between seekers, paired by card", ["Supporter", *head], gaps, 2, names=2)
    )
    if found.order:
        changes: list[list[Cell]] = [
            [_pair(g, supporters), f"{seekers[g.first]} - {seekers[g.second]}", g.difference.n, g.difference,
             shown_p(g.p_holm)]
            for g in found.order
        ]  # fmt: skip
        note = "by how much the difference of the supporters is larger with the first seeker than with the second"
        tables.append(Table(f"{title}, change of order", ["supporters", *head], changes, 2, note, names=2))
    return tables


def _pair(gap: Gap, supporters: Sequence[str]) -> str:
    return " - ".join(supporters[i] for i in gap.supporters)


def _conclude(what: str, found: BySeeker, seekers: Sequence[str], supporters: Sequence[str]) -> list[str]:
    """What the differences carry, in sentences."""
    free = len(seekers) - 1
    said = [
        f"{what}: {len(seekers)} seekers leave {free} degree{'s' * (free > 1)} of freedom for the variance between "
        "seekers. The interval of its SD is that of a normal variance, luck of the cards included; the differences "
        "between these seekers are what can be told."
    ]
    known = [gap for gap in found.order if gap.p_holm is not None]
    if not known:
        return said
    apart = [gap for gap in known if gap.p_holm is not None and gap.p_holm < 0.05 and _leaves_out_none(gap)]
    if apart:
        pairs = ", ".join(dict.fromkeys(_pair(gap, supporters) for gap in apart))
        return [*said, f"{what}: a difference of supporters changes with the seeker: {pairs} (p < 0.05, Holm)."]
    ends = [end for gap in known for end in (gap.difference.low, gap.difference.high) if end is not None]
    reach = f"; changes of up to {max(map(abs, ends)):.1f} points are not ruled out" if ends else ""
    return [*said, f"{what}: no difference of two supporters is shown to change with the seeker{reach}."]


def _leaves_out_none(gap: Gap) -> bool:
    """Whether the interval of a difference leaves out that there is none."""
    low, high = gap.difference.low, gap.difference.high
    return low is not None and high is not None and (low > 0 or high < 0)


def _as_data(found: BySeeker, seekers: Sequence[str], supporters: Sequence[str]) -> dict[str, Any]:
    def rows(gaps: Iterable[Gap]) -> list[Mapping[str, Any]]:
        return [
            {
                "supporters": [supporters[i] for i in gap.supporters],
                "seekers": [seekers[gap.first], seekers[gap.second]],
                "difference": gap.difference,
                "p_holm": gap.p_holm,
            }
            for gap in gaps
        ]

    means: dict[str, dict[str, Any]] = {name: {} for name in supporters}
    for (i, j), mean in found.means.items():
        means[supporters[i]][seekers[j]] = mean
    return {
        "means": means,
        "differences": rows(found.gaps),
        "differences_of_all_supporters": rows(found.together),
        "changes_of_order": rows(found.order),
        "sd_of_seekers": dict(zip(supporters, found.spread, strict=False)),
        "degrees_of_freedom": len(seekers) - 1,
    }
