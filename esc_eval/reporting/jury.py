"""A jury: several judges of one run as one. Their median, how far they agree, and how each lies above or below it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.render import Cell, Report, Table, report_signature, undefined_notes
from esc_eval.reporting.repeats import Repeats, find_repeats, split_table
from esc_eval.reporting.summary import Statistic, name_clusters_of
from esc_eval.schema import Dialogue, Rating, digest
from esc_eval.statistics.bootstrap import Bootstrap, bootstrap_mean
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.ranking import AVERAGE, Board, estimate_means
from esc_eval.statistics.scale import FULL, describe_scale, points_per_level

MEASURES = {
    "krippendorff_alpha_ordinal": "alpha (ordinal)",
    "quadratic_kappa": "quadratic kappa",
    "spearman": "Spearman",
    "exact": "same level",
}
DERIVED = ("ensemble ", "calibration ")
"""How the parser of ratings begins that were made of other judges' ratings: these are no judges of their own."""
TWO = "Of two judges the median is their mean, so that one's bias is the other's turned round."
Items = dict[tuple[str, str], dict[str, Rating]]


def find_juries(dialogues: Sequence[Dialogue], ratings: Sequence[Rating]) -> dict[tuple[str, str], list[Rating]]:
    """The ratings of two models or more, by language of the dialogues and rubric."""
    language = {dialogue.id: dialogue.language for dialogue in dialogues}
    groups: dict[tuple[str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        if rating.rater_kind == "model" and not (rating.parser or "").startswith(DERIVED):
            groups[language[rating.dialogue_id], rating.rubric].append(rating)
    return {key: own for key, own in groups.items() if len({rating.rater for rating in own}) > 1}


def jury_report(
    dialogues: Sequence[Dialogue],
    ratings: Sequence[Rating],
    rubric: Rubric,
    boot: Bootstrap,
    statistic: Statistic = "level",
    place: str = "",
) -> Report:
    """Median of the judges by supporter, their agreement, and each judge's bias: its mean minus the jury's.

    All is of the dialogues and dimensions that every judge scored; a judge that scored nothing is no member, and is
    named.

    Args:
        dialogues: What was rated, and more.
        ratings: Of two judges or more under one rubric.
        rubric: Of the ratings.
        boot: Of the intervals, which draw cards where all dialogues have one, else dialogues.
        statistic: Whether the judges' levels are taken, or their expected levels where they give them.
        place: Of the jury, for titles.
    """
    judges = list(dict.fromkeys(rating.rater for rating in ratings))
    heard = {rating.rater for rating in ratings if not rating.unscored}
    silent = [name for name in judges if name not in heard]
    judges = [name for name in judges if name in heard]
    items: Items = defaultdict(dict)
    for rating in ratings:
        items[rating.dialogue_id, rating.dimension][rating.rater] = rating
    whole = {
        key: own for key, own in items.items() if all(name in own and own[name].score is not None for name in judges)
    }
    rated = {dialogue_id for dialogue_id, _ in whole}
    talks = {dialogue.id: dialogue for dialogue in dialogues if dialogue.id in rated}
    clusters = dict(zip(talks, name_clusters_of(list(talks.values())), strict=True))
    low, high = min(rubric.levels), max(rubric.levels)
    a_level = points_per_level(low, high)
    points = {
        key: {name: (_value(own[name], statistic) - low) * a_level for name in judges} for key, own in whole.items()
    }
    middle = {key: median(own.values()) for key, own in points.items()}

    def mean(values: Mapping[tuple[str, str], float], scale: tuple[float, float] | None = None) -> Estimate:
        if not values:
            return Estimate(None, undefined="no dialogue that every judge scored")
        return bootstrap_mean(
            list(values.values()),
            [clusters[dialogue_id] for dialogue_id, _ in values],
            confidence=boot.confidence,
            draws=boot.draws,
            seed=boot.seed,
            scale=scale,
        )

    supporters = sorted({talks[dialogue_id].supporter or "unknown" for dialogue_id in rated})
    by_supporter: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
    by_dimension: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    for at, v in middle.items():
        by_supporter[talks[at[0]].supporter or "unknown", at[1]][at] = v
        by_dimension[at[1]][at] = v
    medians = {
        name: {key: mean(by_supporter[name, key], (0.0, float(FULL))) for key in rubric.keys} for name in supporters
    }
    bias = {
        name: {key: mean({at: points[at][name] - v for at, v in by_dimension[key].items()}) for key in rubric.keys}
        for name in judges
    }
    agreement, notes = _agreement(whole, judges, clusters, rubric, boot) if len(judges) > 1 and whole else ({}, [])
    data: dict[str, Any] = {
        "judges": judges,
        "median": medians,
        "bias": bias,
        "agreement": agreement,
        "scored_by_all": len(whole),
        "ratings_of_a_judge": len(items),
    }
    repeats = _split_by_judge(whole, talks, clusters, rubric, statistic, boot)
    if repeats:
        parts = {
            name: {key: p.model_dump(mode="json") for key, p in o.parts.items()}
            for name, o in repeats.supporters.items()
        }
        data["repeats"] = parts
    scale = describe_scale(rubric.levels)
    shown = "expected levels where a judge gives them" if statistic == "expected" else "levels"
    report = Report("jury", data, signature=report_signature("jury", digest(list(ratings)), boot, statistic=statistic))
    head = f"Jury{place}"
    report.tables = [
        _table(f"{head}: median of {len(judges)} judges", "supporter", medians, rubric, f"mean of {shown} {scale}"),
        *([_agreement_table(head, agreement)] if agreement else []),
        _table(f"{head}: bias of each judge", "judge", bias, rubric, f"its mean minus the jury's, {shown} {scale}"),
    ]
    if repeats:
        names = {**dict(zip(rubric.keys, rubric.keys, strict=True)), AVERAGE: "average"}
        report.tables.append(split_table(f"{head}: what a score is made of", repeats, names))
    report.notes = [
        f"The jury is {', '.join(judges)}; {len(whole)} of {len(items)} dialogues x dimensions are scored by all of "
        "them, and all of this is of these.",
        *([f"{', '.join(silent)} scored nothing and is no member."] if silent else []),
        *([TWO] if len(judges) == 2 else []),
        "That judges agree does not make them right: they may share a bias. People's ratings beside them: --human.",
        *notes,
    ]
    return report


def _split_by_judge(
    whole: Items,
    talks: Mapping[str, Dialogue],
    clusters: Mapping[str, str],
    rubric: Rubric,
    statistic: Statistic,
    boot: Bootstrap,
) -> Repeats | None:
    """How much of a score is the card, the repeat and the judge; None where no card was played more than once."""
    rows = [
        (at, talks[at].supporter or "unknown", clusters[at], key, name, _value(rating, statistic))
        for (at, key), by in whole.items()
        for name, rating in by.items()
        if rating.score is not None
    ]
    if not rows:
        return None
    scale = (min(rubric.levels), max(rubric.levels))
    by_card = all(talk.card_id is not None for talk in talks.values())
    board = Board.build(rows, rubric.keys, scale, rubric.lower_is_better, even=by_card)
    return find_repeats(board, {}, scale, board.dimensions[-1], estimate_means(board, boot), boot.confidence)


def _value(rating: Rating, statistic: Statistic) -> float:
    expected = rating.expected if statistic == "expected" else None
    return float(rating.score or 0) if expected is None else expected


def _agreement(
    whole: Items, judges: Sequence[str], clusters: Mapping[str, str], rubric: Rubric, boot: Bootstrap
) -> tuple[dict[str, dict[str, Estimate]], list[str]]:
    """Coefficients of the judges' levels by dimension, and what to know of them."""
    try:
        from esc_eval.statistics.agreement import estimate_agreement
        from esc_eval.statistics.counts import Ratings
    except ModuleNotFoundError as error:
        return {}, [f'How far they agree needs {error.name}: pip install "esc-eval[statistics]"']
    levels = sorted(rubric.levels)
    found = {}
    for key in rubric.keys:
        own = [(dialogue_id, given) for (dialogue_id, dimension), given in whole.items() if dimension == key]
        if not own:
            continue
        n, size = len(own), len(judges)
        code = np.unique([clusters[dialogue_id] for dialogue_id, _ in own], return_inverse=True)[1]
        given = np.array([[levels.index(by[name].score or 0) for name in judges] for _, by in own], dtype=np.intp)
        table = Ratings(
            unit=np.repeat(np.arange(n), size),
            rater=np.tile(np.arange(size), n),
            level=given.ravel(),
            cluster=code,
            levels=np.array(levels, dtype=float),
            raters=tuple(judges),
        )
        measures = estimate_agreement(table, boot).measures
        found[key] = {name: measures[name] for name in MEASURES}
    return found, undefined_notes(found)


def _agreement_table(head: str, agreement: Mapping[str, Mapping[str, Estimate]]) -> Table:
    rows: list[list[Cell]] = [[key, own["exact"].n, *own.values()] for key, own in agreement.items()]
    return Table(f"{head}: agreement of the judges", ["dimension", "n", *MEASURES.values()], rows, digits=2)


def _table(title: str, first: str, found: Mapping[str, Mapping[str, Estimate]], rubric: Rubric, note: str) -> Table:
    rows: list[list[Cell]] = [[name, max((e.n or 0) for e in by.values()), *by.values()] for name, by in found.items()]
    return Table(title, [first, "n", *rubric.keys], rows, digits=1, note=f"{note}; n: dialogues")
