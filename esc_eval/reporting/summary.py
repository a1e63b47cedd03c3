"""The one object that every form of the report is made from."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.making import (
    describe_adapted,
    describe_spending,
    warn_of_changed_servers,
    warn_of_roles,
)
from esc_eval.reporting.signature import sign_board
from esc_eval.schema import Dialogue, Language, Rating, Way
from esc_eval.statistics.bootstrap import Bootstrap, GroupMeans, estimate_group_means
from esc_eval.statistics.estimate import Array, Estimate, StoredEstimate
from esc_eval.statistics.scale import FULL, describe_scale, to_points

Statistic = Literal["level", "expected"]
UNANSWERED_SHARE = 0.1
"""A supporter of whose dialogues more than this share is unanswered is listed and not ranked."""
LOW_MASS = 0.5
"""Probability of all levels together under which a scorer wanted to say something else."""


class Part(BaseModel):
    """A frozen piece of the summary."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cell(Part):
    """One dimension of one row.

    Attributes:
        mean: Mean level, from 0 (the lowest) to 100 (the highest level); None where nothing was scored.
        expected: Mean expected level on the same scale, of scorers that give probabilities.
        weighed: Ratings with an expected level, which ``expected`` is the mean of.
        unscored: Ratings without a score.
        modal_level: The level given most often; the lowest of several.
        modal_share: Its share of the scored ratings, 0..1. Near 1 the scorer does not tell dialogues apart.
        counts: Ratings at each level, lowest first.
    """

    mean: StoredEstimate | None
    expected: StoredEstimate | None
    weighed: int = 0
    unscored: int
    modal_level: int | None
    modal_share: float | None
    counts: tuple[int, ...]

    def of(self, statistic: Statistic) -> StoredEstimate | None:
        """The mean that a table of this statistic shows."""
        return self.mean if statistic == "level" else self.expected

    def n(self, statistic: Statistic) -> int:
        """How many ratings that mean is of."""
        return sum(self.counts) if statistic == "level" else self.weighed


class Row(Part):
    """A supporter's line of the leaderboard.

    Attributes:
        cells: By dimension, in the rubric's order.
        average: Mean of the dimensions' means, those where lower is better turned round; None where one has no score.
        scored: Dialogues that have a value on at least one dimension, of ``dialogues``.
        unanswered: Dialogues that ended early with a problem, or in which the supporter says no word of its own, of
            ``dialogues``; they are not rated.
        ranked: Whether it is ranked: not where more than ``UNANSWERED_SHARE`` of its dialogues are unanswered.
        problems: Why ratings have no score: how often, by reason.
        replies: Supporter's replies; an opening is none.
        told_replies, told_seeker_turns: Of how many it is known why they ended; dialogues from elsewhere do not say it.
        cut_replies: Supporter's replies that ended at the token cap, of ``told_replies``.
        cut_seeker_turns: The seeker's, of ``told_seeker_turns``.
        empty_replies: Supporter's replies without a word.
        unfinished: Dialogues that ended early: with a problem, or because a model could read no further.
        low_mass: Ratings whose scorer gave all levels together less than ``LOW_MASS`` of its probability.
        ways: Scored ratings by how their level was had, where they say.
    """

    supporter: str
    cells: dict[str, Cell]
    average: StoredEstimate | None
    dialogues: int
    scored: int
    unanswered: int
    ranked: bool
    problems: dict[str, int]
    cards: int | None
    replies: int
    cut_replies: int
    cut_seeker_turns: int
    empty_replies: int
    unfinished: int
    tokens: int | None
    told_replies: int = 0
    told_seeker_turns: int = 0
    low_mass: int = 0
    ways: dict[Way, int] = Field(default_factory=dict)


class Leaderboard(Part):
    """Rows that may be compared: same language, rater and making, as the signature tells.

    Attributes:
        rubric: Name and version, where the report has tables under several.
        names: The paper's name of each dimension by key.
        lower_is_better: Keys of the dimensions of which a low level is good; turned round in the average.
        clustered_by: What the intervals draw: cards, or single dialogues where cards are unknown.
        warnings: Sentences on how its numbers were made.
    """

    language: Language
    rater: str
    rubric: str | None = Field(default=None, exclude=True)  # the signature says it too
    statistic: Statistic
    names: dict[str, str]
    lower_is_better: tuple[str, ...]
    levels: tuple[int, ...]
    clustered_by: Literal["card", "dialogue"]
    signature: str
    warnings: tuple[str, ...] = ()
    rows: tuple[Row, ...]

    @property
    def has_scores(self) -> bool:
        """Whether anything was scored."""
        return any(sum(cell.counts) for row in self.rows for cell in row.cells.values())


class Summary(Part):
    """All tables of a report."""

    tables: tuple[Leaderboard, ...]


def choose_rubric(rubric: Rubric | Mapping[str, Rubric], carried: str) -> Rubric:
    """The rubric of ratings that carry this name and version, of one rubric for all or of several."""
    return rubric if isinstance(rubric, Rubric) else rubric[carried]


def summarise_ratings(
    dialogues: Sequence[Dialogue],
    ratings: Iterable[Rating],
    rubric: Rubric | Mapping[str, Rubric],
    run: Mapping[str, Any] | None = None,
    *,
    statistic: Statistic = "level",
    seed: int = 0,
) -> Summary:
    """Tables of means with intervals: one a language, rater and rubric, one row a supporter.

    Args:
        dialogues: What was rated.
        ratings: Of dimensions of their rubric; those of other dialogues are an error.
        rubric: Gives the order and names of dimensions and the levels; or several, by the name and version that
            ratings carry.
        run: Content of the run's run.json, for the signatures.
        statistic: Whether rows are ordered and read by the mean level, as the paper does, or by the mean expected
            level of scorers that give probabilities.
        seed: Of the bootstrap.

    Raises:
        ValueError: A rating of an unknown dialogue or dimension.
    """
    run = run or {}
    by_id = {dialogue.id: dialogue for dialogue in dialogues}
    tables: dict[tuple[Language, str, str], dict[str, list[Rating]]] = defaultdict(lambda: defaultdict(list))
    for rating in ratings:
        if rating.dialogue_id not in by_id:
            raise ValueError(f"a rating of dialogue {rating.dialogue_id!r}, which is not among the dialogues")
        own = choose_rubric(rubric, rating.rubric)
        if rating.dimension not in own.keys:
            raise ValueError(f"a rating of {rating.dimension!r}, which is no dimension of rubric {own.id}")
        dialogue = by_id[rating.dialogue_id]
        tables[dialogue.language, rating.rater, rating.rubric][dialogue.supporter or "unknown"].append(rating)

    several = len({rubric_id for _, _, rubric_id in tables}) > 1
    boot = Bootstrap(seed=seed)
    made = []
    for (language, rater, rubric_id), supporters in sorted(tables.items()):
        own = choose_rubric(rubric, rubric_id)
        rated = {rating.dialogue_id for group in supporters.values() for rating in group}
        known_cards = all(by_id[i].card_id is not None for i in rated)
        clustered_by: Literal["card", "dialogue"] = "card" if known_cards else "dialogue"
        scale = describe_scale(own.levels)
        talks = [by_id[i] for i in by_id if i in rated]
        given = [rating for group in supporters.values() for rating in group]
        adapted = describe_adapted(talks, (r.served.adapted for r in given if r.served))
        ways = Counter(str(rating.way) for rating in given if rating.way and rating.score is not None)
        rows = _rows(supporters, by_id, own, known_cards, statistic, boot)
        made.append(
            Leaderboard(
                language=language,
                rater=rater,
                rubric=rubric_id if several else None,
                statistic=statistic,
                names={d.key: d.paper for d in own.dimensions},
                lower_is_better=tuple(d.key for d in own.dimensions if d.lower_is_better),
                levels=own.levels,
                clustered_by=clustered_by,
                signature=sign_board(
                    run, rater, rubric_id, statistic, scale, boot, clustered_by, language, adapted, ways
                ),
                warnings=(
                    *warn_of_roles(run, rater),
                    *warn_of_changed_servers(talks, given),
                    *describe_spending(run, ["simulation", f"scoring/{rater}"]),
                ),
                rows=tuple(sorted(rows, key=_place)),
            )
        )
    return Summary(tables=tuple(made))


def _place(row: Row) -> tuple[bool, float]:
    """Where a row stands: those that are not ranked last, best average first."""
    return not row.ranked, -row.average.value if row.average and row.average.value is not None else 1


def _rows(
    supporters: Mapping[str, list[Rating]],
    by_id: Mapping[str, Dialogue],
    rubric: Rubric,
    by_card: bool,
    statistic: Statistic,
    boot: Bootstrap,
) -> list[Row]:
    """All supporters' lines, from the same draws of cards."""
    low, high = min(rubric.levels), max(rubric.levels)
    column = {key: j for j, key in enumerate(rubric.keys)}
    place: dict[str, int] = {}
    for group in supporters.values():
        _refuse_repeated(group)
        for rating in group:
            place.setdefault(rating.dialogue_id, len(place))
    levels = np.full((len(place), len(column)), np.nan)
    expected = np.full_like(levels, np.nan)
    for group in supporters.values():
        for rating in group:
            cell = place[rating.dialogue_id], column[rating.dimension]
            levels[cell] = np.nan if rating.score is None else rating.score
            expected[cell] = np.nan if rating.expected is None else rating.expected
    dialogues = [by_id[i] for i in place]
    codes = {name: code for code, name in enumerate(supporters)}
    clusters = [dialogue.card_id if by_card else dialogue.id for dialogue in dialogues]
    groups = [codes[dialogue.supporter or "unknown"] for dialogue in dialogues]
    turned = {j: float(FULL) for j, dimension in enumerate(rubric.dimensions) if dimension.lower_is_better}

    def estimate(matrix: Array) -> GroupMeans:
        return estimate_group_means(to_points(matrix, low, high), clusters, groups, boot, turned)

    means, expectations = estimate(levels), estimate(expected)
    chosen = means if statistic == "level" else expectations
    return [
        _row(
            name,
            [dialogue for dialogue, code in zip(dialogues, groups, strict=True) if code == g],
            group,
            rubric,
            by_card,
            (means.each[g], expectations.each[g]),
            chosen.average[g],
        )
        for g, (name, group) in enumerate(supporters.items())
    ]


def _refuse_repeated(ratings: list[Rating]) -> None:
    counts = Counter((rating.dialogue_id, rating.dimension) for rating in ratings)
    for (dialogue_id, dimension), count in counts.items():
        if count > 1:
            raise ValueError(
                f"rater {ratings[0].rater!r} rated {dimension!r} of dialogue {dialogue_id!r} more than once"
            )


def _row(
    supporter: str,
    dialogues: list[Dialogue],
    ratings: list[Rating],
    rubric: Rubric,
    by_card: bool,
    means: tuple[list[Estimate], list[Estimate]],
    average: Estimate,
) -> Row:
    unscored = Counter(rating.dimension for rating in ratings if rating.score is None)
    given = Counter((rating.dimension, rating.score) for rating in ratings)
    cells = {}
    for key, mean, expected in zip(rubric.keys, *means, strict=True):
        counts = tuple(given[key, level] for level in rubric.levels)
        most = max(range(len(counts)), key=counts.__getitem__)
        total = sum(counts)
        cells[key] = Cell(
            mean=_defined(mean),
            expected=_defined(expected),
            weighed=sum(rating.dimension == key and rating.expected is not None for rating in ratings),
            unscored=unscored[key],
            modal_level=rubric.levels[most] if total else None,
            modal_share=counts[most] / total if total else None,
            counts=counts,
        )
    unanswered = sum(dialogue.problem is not None or not dialogue.answered for dialogue in dialogues)
    replies = [turn for dialogue in dialogues for turn in dialogue.replies]
    asked = [turn for dialogue in dialogues for turn in dialogue.turns if turn.role == "seeker"]
    turns = [*replies, *asked]
    used = [turn.completion_tokens for turn in turns if turn.completion_tokens is not None]
    return Row(
        supporter=supporter,
        cells=cells,
        average=_defined(average),
        dialogues=len(dialogues),
        scored=average.n,
        unanswered=unanswered,
        ranked=unanswered <= UNANSWERED_SHARE * len(dialogues),
        problems=dict(Counter(rating.problem for rating in ratings if rating.problem).most_common()),
        cards=len({dialogue.card_id for dialogue in dialogues}) if by_card else None,
        replies=len(replies),
        cut_replies=sum(turn.finish_reason == "length" for turn in replies),
        cut_seeker_turns=sum(turn.finish_reason == "length" for turn in asked),
        empty_replies=sum(not turn.text.strip() for turn in replies),
        unfinished=sum(bool(d.problem or d.too_long) for d in dialogues),
        tokens=sum(used) if used else None,
        told_replies=sum(turn.finish_reason is not None for turn in replies),
        told_seeker_turns=sum(turn.finish_reason is not None for turn in asked),
        low_mass=sum(rating.mass is not None and rating.mass < LOW_MASS for rating in ratings),
        ways=dict(Counter(rating.way for rating in ratings if rating.way and rating.score is not None)),
    )


def _defined(estimate: Estimate) -> Estimate | None:
    return None if estimate.value is None else estimate
