"""What a coordinator wants to know while people rate: how far each is, how fast, how alike, and where they differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from esc_eval.rate import export
from esc_eval.rate.questions import NOT_APPLYING
from esc_eval.rate.store import Item, Rater, State, Store
from esc_eval.rate.study import finished

FEWEST = 3
"""Finished items from which a pace is told."""
DRAWS = 400
"""Of the intervals on the page; `esc-eval agreement` draws more."""
SHOWN = 10
MEASURES = ("krippendorff_alpha_ordinal", "quadratic_kappa", "exact", "within_one")
TRAITS = ("severity", "drift")


@dataclass(frozen=True)
class Progress:
    """How far somebody is.

    Attributes:
        total, done: Items.
        pace: Median active seconds of a finished item; None before ``FEWEST``.
        last: When their last click was made (ISO 8601).
        cannot: Dimensions that they could not rate.
        checked, failed: Attention checks answered, and answered wrongly.
        repeated, same: Levels given a second time, and how many of them are the same.
        off: Mean distance of the second levels from the first; None without.
    """

    rater: Rater
    total: int
    done: int
    pace: float | None
    last: str | None
    cannot: int
    checked: int = 0
    failed: int = 0
    repeated: int = 0
    same: int = 0
    off: float | None = None

    @property
    def left(self) -> float | None:
        """Active minutes that the rest will take at their pace."""
        return None if self.pace is None else (self.total - self.done) * self.pace / 60


def pace(states: Iterable[State]) -> float | None:
    """Median active seconds of finished items."""
    spent = [sum(state.seconds.values()) for state in states]
    return median(spent) if len(spent) >= FEWEST else None


def progress(store: Store, rater: Rater, dimensions: Sequence[str]) -> Progress:
    """How far a rater is.

    Args:
        store: Of the folder.
        rater: Who.
        dimensions: What is asked of each item.
    """
    items, states = store.items(rater.name), store.states(rater.name)
    whole = finished(dimensions, states)
    done = [item for item in items if item.id in whole]
    clicks = [click for item in items if item.id in states for click in states[item.id].clicks.values()]
    asked = [item for item in done if item.kind == "attention"]
    applying = bool(store.read_study().get("not_applicable"))
    pairs = _repeats(items, states)
    gaps = [abs(a - b) for a, b in pairs]
    return Progress(
        rater,
        len(items),
        len(done),
        pace(states[item.id] for item in done),
        max((click["time"] for click in clicks), default=None),
        sum(click["kind"] == "cannot" and not (applying and click["text"] == NOT_APPLYING) for click in clicks),
        len(asked),
        sum(any(c["value"] != item.level for c in states[item.id].clicks.values()) for item in asked),
        len(gaps),
        gaps.count(0),
        sum(gaps) / len(gaps) if gaps else None,
    )


def _repeats(items: Sequence[Item], states: dict[str, State]) -> list[tuple[int, int]]:
    """First and second level wherever both were given."""
    first = {item.dialogue: states[item.id] for item in items if item.kind == "dialogue" and item.id in states}
    return [
        (first[item.dialogue].clicks[key]["value"], click["value"])
        for item in items
        if item.kind == "repeat" and item.id in states and item.dialogue in first
        for key, click in states[item.id].clicks.items()
        if click["value"] is not None
        and key in first[item.dialogue].clicks
        and first[item.dialogue].clicks[key]["value"] is not None
    ]


@dataclass(frozen=True)
class Agreement:
    """How alike raters rate so far.

    Attributes:
        main: Dimension by dimension, ``MEASURES`` as text and interval.
        raters: By name, ``TRAITS`` as text and interval.
        more: The tables of `esc-eval agreement`.
        notes: Sentences beside them.
        disputed: Dialogue, dimension, and the score of each rater, the widest apart first.
        problem: Why nothing can be told yet; None = it can.
    """

    main: Sequence[tuple[str, int, Sequence[tuple[str, str]]]] = ()
    raters: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    more: Sequence[Any] = ()
    notes: Sequence[str] = ()
    disputed: Sequence[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None


def agree(store: Store, low: int, high: int) -> Agreement:
    """How alike raters rate so far, at the first stage; of preferences, a pair is what is rated.

    Args:
        store: Of the folder.
        low, high: Ends of the scale.
    """
    try:
        import pandas as pd

        from esc_eval.files.ratings_table import RatingsTable
        from esc_eval.reporting.agreement import agreement_report
        from esc_eval.reporting.render import Table
        from esc_eval.statistics.bootstrap import Bootstrap
    except ModuleNotFoundError as error:
        return Agreement(problem=f'{error.name} is missing: pip install "esc-eval[statistics]"')
    rows = _rows(store)
    scored: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        if row["score"] is not None or row.get("not_applicable"):
            scored[row["dialogue_id"], row["dimension"]].add(row["rater"])
    if not any(len(raters) > 1 for raters in scored.values()):
        return Agreement(problem="")
    frame = pd.DataFrame(rows)
    frame["score"] = frame["score"].astype(float)
    if frame["card"].isna().any():
        frame = frame.drop(columns="card")
    table = RatingsTable(frame, tuple(dict.fromkeys(frame["dimension"])), low, high, "")
    stage = "first" if (frame["stage"] == "first").any() else None
    report = agreement_report(table, Bootstrap(DRAWS, 0), stage=stage, top=SHOWN)
    shown = Table("", (), (), 2)

    def say(estimates: Mapping[str, Any], names: Sequence[str]) -> list[tuple[str, str]]:
        return [(shown.show_number(estimates.get(one)), shown.show_interval(estimates.get(one))) for one in names]

    return Agreement(
        [(key, found[MEASURES[0]].n, say(found, MEASURES)) for key, found in report.data["dimensions"].items()],
        {name: say(found, TRAITS) for name, found in report.data["raters"].items()},
        [table for table in report.tables if not table.title.startswith("Most disputed")],
        report.notes,
        report.data["disputed"],
    )


def _rows(store: Store) -> list[dict[str, Any]]:
    if store.read_study().get("mode") == "pairs":
        return [
            {
                "dialogue_id": f"{one.dialogue_a} | {one.dialogue_b}",
                "rater": one.rater,
                "dimension": one.dimension,
                "score": one.preference,
                "card": one.card_id,
                "stage": "first",
                "order": one.order,
            }
            for one, *_ in export.preferences(store)
        ]
    return [
        {
            "dialogue_id": one.dialogue_id,
            "rater": one.rater,
            "dimension": one.dimension,
            "score": one.score,
            "not_applicable": bool(one.not_applicable),
            "card": about["card"],
            "stage": one.stage,
            "order": one.order,
        }
        for one, about in export.ratings(store)
    ]
