"""What repeats of cards say beside a leaderboard: other seeds, what a score is made of, cards whose verdict flips."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from esc_eval.reporting.columns import DialogueColumns
from esc_eval.reporting.render import Cell, Table
from esc_eval.schema import Dialogue
from esc_eval.simulation.plan import repetition_of
from esc_eval.statistics import CONFIDENCE
from esc_eval.statistics.estimate import Array, Estimate, StoredEstimate
from esc_eval.statistics.ranking import AVERAGE, Board
from esc_eval.statistics.scale import FULL

if TYPE_CHECKING:
    import pandas as pd

STEPS = 2
"""Levels that the repeats of a card must lie apart to be called fragile; one on a scale of two levels."""
SHOWN = 12
"""Cards that a table lists by id; JSON has all."""
BY = " by "
"""Between a card and the seeker that played it."""
Occasion = tuple[str, int]
"""Which repeat a dialogue is: its seeker, and its number."""


class Fragility(BaseModel):
    """Cards whose verdict is not the same in all repeats.

    Attributes:
        cards: Their ids.
        share: Their share of the cards with two repeats or more, with the exact interval.
        by_noise: Share expected were every card as noisy as the average card.
        by_chance: Share expected if cards said nothing: repeats dealt out over the cards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cards: tuple[str, ...]
    share: StoredEstimate
    by_noise: float | None
    by_chance: float | None


class Parts(BaseModel):
    """What the scores of a supporter are made of: standard deviations in points.

    Attributes:
        card, repeat, judge, rest: Of cards, of a card's repeats, of raters' severity, and of a single rating beyond.
        repeat_share: Part of the repeat in the variance of a single rating.
        notes: What could not be told apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    card: StoredEstimate
    repeat: StoredEstimate
    judge: StoredEstimate
    rest: StoredEstimate
    repeat_share: float | None
    notes: tuple[str, ...] = ()


class OfSupporter(BaseModel):
    """What the repeats of one supporter say.

    Attributes:
        cards, dialogues: Scored ones; ``most`` repeats of a card.
        mean: In the column that ranks, with the interval for other cards and seeds.
        same_cards: The same mean with the interval for other seeds on these very cards.
        parts: By column.
        fragile: By dimension: cards whose levels lie ``STEPS`` or more apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    cards: int
    dialogues: int
    most: int
    mean: StoredEstimate
    same_cards: StoredEstimate
    parts: dict[str, Parts]
    fragile: dict[str, Fragility]


class OfPair(BaseModel):
    """On which cards it differs between repeats which of two supporters is better, in the column that ranks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    first: str
    second: str
    fragile: Fragility


class Repeats(BaseModel):
    """What the repeats of a board say.

    Attributes:
        column: What ranks: a dimension, or ``average``.
        steps: Levels apart that make a card fragile for a supporter.
        by_seeker: Whether a card counts as one for each of several seekers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    column: str
    steps: int
    by_seeker: bool = Field(default=False, exclude=True)  # the dialogues say it too
    supporters: dict[str, OfSupporter] = Field(default_factory=dict)
    pairs: tuple[OfPair, ...] = ()


def name_occasions(dialogues: Iterable[Dialogue] | DialogueColumns) -> dict[str, Occasion]:
    """Which repeat each dialogue is, by its id: seeker and number, by which those of two supporters are paired."""
    talks = DialogueColumns.of(dialogues)
    seekers = talks.each(lambda about: about.seeker or "", object)
    return {name: (seeker, talks.repeats.get(name, 1)) for name, seeker in zip(talks.ids, seekers, strict=True)}


def _has_repeats(board: Board) -> bool:
    """Whether a supporter has two scored dialogues on one card."""
    if not board.even or not board.dimensions:
        return False
    scored = board.scored
    cell = board.card[scored] * np.intp(len(board.models)) + board.model[scored]
    return bool(len(cell)) and np.bincount(cell).max() > 1


def name_rows(rows: "pd.DataFrame") -> dict[str, Occasion]:
    """The same of the rows of a table of ratings: from its columns ``repeat`` and ``seeker``, else by the ids."""
    if "repeat" not in rows:
        return {str(name): ("", repetition_of(str(name))) for name in rows["dialogue_id"].unique()}
    each = rows.drop_duplicates("dialogue_id")
    seekers = each["seeker"].fillna("").astype(str) if "seeker" in each else [""] * len(each)
    numbers = each["repeat"].fillna(1).astype(int)
    return {
        str(name): (seeker, int(number))
        for name, seeker, number in zip(each["dialogue_id"], seekers, numbers, strict=True)
    }


def find_repeats(
    board: Board,
    occasions: Mapping[str, Occasion] | Callable[[], Mapping[str, Occasion]],
    scale: tuple[int, int],
    column: str,
    means: Mapping[str, Mapping[str, Estimate]],
    confidence: float = CONFIDENCE,
) -> Repeats | None:
    """What the repeats of a board say; None where no supporter has two scored dialogues on one card with one seeker.

    Where several seekers played, a card counts as one for each: what another seeker changes is no luck of the seed.

    Args:
        board: Whose clusters are cards.
        occasions: Which repeat each dialogue is, by its id, or what tells it where it must be known; of others, in
            order of their ids.
        scale: Lowest and highest level.
        column: What ranks.
        means: Means with their intervals, by supporter and column.
        confidence: Of the intervals.
    """
    if not _has_repeats(board):  # told by seeker there are fewer
        return None
    occasions = occasions() if callable(occasions) else occasions
    board = split_seekers(board, occasions)
    if not _has_repeats(board):
        return None
    scored = board.scored
    from esc_eval.statistics.repeats import find_fragile, seed_interval, split_variance, tabulate_cells

    steps = min(STEPS, scale[1] - scale[0])
    a_step = FULL / (scale[1] - scale[0])
    cards, card = board.cards, board.card
    columns = _columns(board)
    found = {}

    def fragility(table: Array, steps: float | None) -> Fragility:
        one = find_fragile(table, steps, confidence=confidence)
        return Fragility(
            cards=tuple(cards[i] for i in one.cards), share=one.share, by_noise=one.noise, by_chance=one.shuffled
        )

    for at, name in enumerate(board.models):
        own = scored & (board.model == at)
        if not own.any() or np.bincount(card[own]).max() < 2:
            continue
        parts = {}
        for key, (row, rater, points) in columns.items():
            here = board.model[row] == at
            if here.any():
                split = split_variance(points[here], card[row[here]], row[here], rater[here], confidence)
                parts[key] = Parts(
                    card=_root(split.card),
                    repeat=_root(split.repeat),
                    judge=_root(split.judge),
                    rest=_root(split.rest),
                    repeat_share=split.repeat_share,
                    notes=split.notes,
                )
        fragile = {}
        for j, key in enumerate(board.dimensions):
            here = own & np.isfinite(board.scores[:, j])
            levels = board.scores[here, j] / a_step
            fragile[key] = fragility(tabulate_cells(levels, card[here], len(cards)), steps)
        values = _values(board, column)
        here = own & np.isfinite(values)
        found[name] = OfSupporter(
            cards=len(np.unique(card[own])),
            dialogues=int(own.sum()),
            most=int(np.bincount(card[own]).max()),
            mean=means[name][column],
            same_cards=seed_interval(
                tabulate_cells(values[here], card[here], len(cards)), (0.0, float(FULL)), confidence
            ),
            parts=parts,
            fragile=fragile,
        )
    pairs = [
        OfPair(first=first, second=second, fragile=fragility(table, None))
        for first, second, table in pair_tables(board, occasions, column)
        if (np.isfinite(table).sum(1) > 1).any()
    ]
    seekers = {occasions[name][0] for name in board.dialogue if name in occasions}
    return Repeats(column=column, steps=steps, by_seeker=len(seekers) > 1, supporters=found, pairs=tuple(pairs))


def split_seekers(board: Board, occasions: Mapping[str, Occasion]) -> Board:
    """The board with cards as each seeker played them, where there are several."""
    seekers = [occasions[name][0] if name in occasions else "" for name in board.dialogue]
    if len(set(seekers)) < 2:
        return board
    names = [f"{board.cards[card]}{BY}{seeker}" for card, seeker in zip(board.card.tolist(), seekers, strict=True)]
    code = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return replace(board, cards=tuple(code), card=np.array([code[name] for name in names], dtype=np.int32))


def pair_tables(board: Board, occasions: Mapping[str, Occasion], column: str) -> list[tuple[str, str, Array]]:
    """Of every two supporters the differences in the repeats of each card that both have.

    Returns:
        First, second, and a table of shape (cards, repeats): the first's score less the second's, high where the first
        is better; NaN where a card has fewer.
    """
    from esc_eval.statistics.repeats import tabulate_cells

    values = _values(board, column) * (-1 if column in board.turned else 1)
    taken: dict[tuple[int, int, Any], int] = {}
    card_of = board.card
    by_place: dict[int, dict[tuple[int, Any], float]] = {i: {} for i in range(len(board.models))}
    for i in np.flatnonzero(np.isfinite(values)).tolist():
        model, card = int(board.model[i]), int(card_of[i])
        occasion: Any = occasions.get(board.dialogue[i], ("", 0))
        again = taken[model, card, occasion] = taken.get((model, card, occasion), 0) + 1
        by_place[model][card, (occasion, again)] = float(values[i])
    out = []
    for a, b in combinations(range(len(board.models)), 2):
        shared = sorted(key for key in by_place[a] if key in by_place[b])
        gaps = np.round([by_place[a][key] - by_place[b][key] for key in shared], 9)
        code = np.array([key[0] for key in shared], dtype=np.intp)
        out.append((board.models[a], board.models[b], tabulate_cells(gaps, code, len(board.cards))))
    return out


def _values(board: Board, column: str) -> Array:
    """Of each dialogue its score in a column; NaN where there is none."""
    if column != AVERAGE:
        return np.asarray(board.scores[:, board.dimensions.index(column)])
    turned = np.array([d in board.turned for d in board.dimensions])
    scores = np.ascontiguousarray(board.scores)
    return np.asarray(np.where(turned, FULL - scores, scores).mean(1))


def _columns(board: Board) -> dict[str, tuple[Array, Array, Array]]:
    """Of each column dialogue, rater and points of every single score; of the average where all dimensions are."""
    row, column, rater, points = board.given
    found = {key: (row[column == j], rater[column == j], points[column == j]) for j, key in enumerate(board.dimensions)}
    if AVERAGE in board.columns and not board.absent:
        turned = np.array([d in board.turned for d in board.dimensions])[column]
        place = row * len(board.raters) + rater
        total = np.bincount(place, np.where(turned, FULL - points, points), len(board.model) * len(board.raters))
        whole = np.flatnonzero(np.bincount(place, minlength=len(total)) == len(board.dimensions))
        found[AVERAGE] = (whole // len(board.raters), whole % len(board.raters), total[whole] / len(board.dimensions))
    return found


def _root(variance: Estimate) -> Estimate:
    """The standard deviation of a variance, limits too; the most that values on a scale can have is half of it."""

    def root(x: float | None) -> float | None:
        return None if x is None else min(float(np.sqrt(x)), FULL / 2)

    ends = root(variance.low), root(variance.high)
    return Estimate(root(variance.value), *ends, variance.n, variance.clusters, variance.undefined)


def repeats_tables(found: Repeats | None, names: Mapping[str, str]) -> list[Table]:
    """The repeats of a board as tables; none where there are none.

    Args:
        found: What they say.
        names: How each dimension is shown.
    """
    if found is None:
        return []
    shown = {**names, AVERAGE: "Average"}
    column = shown[found.column]
    seeds: list[list[Cell]] = [
        [name, one.cards, one.dialogues, one.most, one.mean, _said(one.same_cards)]
        for name, one in found.supporters.items()
    ]
    gaps = ", of the dialogues that have a score in every dimension." if _differ(found) else "."
    tables = [
        Table(
            f"Repeats: {column}",
            ["Supporter", "cards", "dialogues", "most repeats", "other cards and seeds", "these cards, other seeds"],
            seeds,
            1,
            "Every card counts once, however often it was played. The first interval is that of the leaderboard: it "
            "draws whole cards with their repeats. The second holds for these very cards alone: Student's t with the "
            "variance of repeats within cards" + gaps + AS_PLAYED * found.by_seeker,
        ),
        split_table("Repeats: what a score is made of", found, shown),
        _fragile_table(found, shown),
    ]
    if found.pairs:
        rows: list[list[Cell]] = [
            [f"{pair.first} - {pair.second}", *_fragile_cells(pair.fragile)] for pair in found.pairs
        ]
        tables.append(
            Table(
                f"Fragile cards of pairs: {column}",
                ["models", *FRAGILE],
                rows,
                2,
                "fragile: in one repeat the first is better, in another the second; repeats of one number (and seeker) "
                f"are paired. {EXPECTED}",
                prose=["which"],
            )
        )
    return tables


def _differ(found: Repeats) -> bool:
    """Whether the mean of complete dialogues is another one than that of all."""
    return any(
        one.mean.value is not None
        and one.same_cards.value is not None
        and abs(one.mean.value - one.same_cards.value) > 1e-6
        for one in found.supporters.values()
    )


AS_PLAYED = (
    " With several seekers a card counts as one for each here, and what they change is in the card's part; the results "
    "by seeker tell it."
)
FRAGILE = ("cards", "fragile", "by noise", "by chance", "which")
EXPECTED = (
    "Share of the cards with two repeats or more, exact interval. by noise: expected if every card were as noisy as "
    "the average one; by chance: if cards said nothing."
)


def split_table(title: str, found: Repeats, shown: Mapping[str, str]) -> Table:
    """Standard deviations of card, repeat, rater and rest, one line a supporter and column."""
    rows: list[list[Cell]] = []
    notes: dict[str, list[tuple[str, str]]] = {}
    for name, one in found.supporters.items():
        for key, parts in one.parts.items():
            share = None if parts.repeat_share is None else f"{parts.repeat_share:.0%}"
            cells = [_said(part) for part in (parts.card, parts.repeat, parts.judge, parts.rest)]
            rows.append([name, shown[key], parts.card.n, *cells, share or "-"])
            undefined = [part.undefined for part in (parts.card, parts.repeat) if part.value is not None]
            for why in dict.fromkeys([*parts.notes, *filter(None, undefined)]):
                notes.setdefault(why, []).append((name, shown[key]))
    note = (
        "Standard deviations in points: of cards, of the repeats of a card, of raters' severity, of a single rating "
        "beyond these; share: of the repeat in the variance of a single rating. Least squares, modified large-sample "
        "limits; one that comes out below zero is 0."
    )
    sentences = [f"{_name_lines(where, rows)}{why[0].upper()}{why[1:]}." for why, where in notes.items()]
    head = ["Supporter", "dimension", "n", "card", "repeat", "rater", "rest", "repeat's share"]
    return Table(title, head, rows, 1, " ".join([note, *sentences]), names=2)


def _name_lines(where: Sequence[tuple[str, str]], rows: Sequence[Sequence[Cell]]) -> str:
    """Of which lines of a table a note is; nothing where it is of all."""
    by: dict[str, list[str]] = {}
    for supporter, dimension in where:
        by.setdefault(supporter, []).append(dimension)
    of = "; ".join(f"{supporter}, {' and '.join(dimensions)}" for supporter, dimensions in by.items())
    return "" if len(where) == len(rows) else f"{of}: "


def _said(estimate: Estimate) -> Cell:
    return "-" if estimate.value is None else estimate


def _fragile_table(found: Repeats, shown: Mapping[str, str]) -> Table:
    rows: list[list[Cell]] = [
        [name, shown[key], *_fragile_cells(own)]
        for name, one in found.supporters.items()
        for key, own in one.fragile.items()
        if own.share.value is not None
    ]
    levels = "one level" if found.steps == 1 else f"{found.steps} levels"
    note = f"fragile: repeats of the card lie {levels} or more apart. {EXPECTED}"
    head = ["Supporter", "dimension", *FRAGILE]
    return Table("Fragile cards of supporters", head, rows, 2, note, prose=["which"], names=2)


def _fragile_cells(one: Fragility) -> list[Cell]:
    more = len(one.cards) - SHOWN
    which = ", ".join(one.cards[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    return [one.share.n, one.share, one.by_noise, one.by_chance, which or "none"]
