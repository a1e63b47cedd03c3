"""The one object that every form of the report is made from."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.signature import join_signature, scoring_parts, simulation_parts
from esc_eval.schema import Dialogue, Language, Rating
from esc_eval.statistics.bootstrap import Estimate, bootstrap_means

Statistic = Literal["level", "expected"]

FULL = 100
DRAWS = 2000
CONFIDENCE = 0.95


def describe_scale(levels: Sequence[int]) -> str:
    """How levels become 0..100 in tables: the paper's "x 25" for 0..4; others are stretched from their own ends."""
    low, high = min(levels), max(levels)
    return f"x {FULL // high}" if low == 0 and FULL % high == 0 else f"of {low}..{high} stretched"


class Part(BaseModel):
    """A frozen piece of the summary."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Mean(Part):
    """A mean on the scale of the paper's tables (0..100) and its 95% interval, None with fewer than two clusters."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int


class Cell(Part):
    """One dimension of one row.

    Attributes:
        mean: Mean level, from 0 (the lowest) to 100 (the highest level); None where nothing was scored.
        expected: Mean expected level on the same scale, of scorers that give probabilities.
        unscored: Ratings without a score.
        modal_level: The level given most often; the lowest of several.
        modal_share: Its share of the scored ratings, 0..1. Near 1 the scorer does not tell dialogues apart.
        counts: Ratings at each level, lowest first.
    """

    mean: Mean | None
    expected: Mean | None
    unscored: int
    modal_level: int | None
    modal_share: float | None
    counts: tuple[int, ...]

    def of(self, statistic: Statistic) -> Mean | None:
        """The mean that a table of this statistic shows."""
        return self.mean if statistic == "level" else self.expected


class Row(Part):
    """A supporter's line of the leaderboard.

    Attributes:
        cells: By dimension, in the rubric's order.
        average: Mean of the dimensions' means, those where lower is better turned round; None where one has no score.
        cut_replies: Supporter's replies that ended at the token cap, of ``replies``.
        empty_replies: Supporter's replies without a word.
        unfinished: Dialogues that stopped early because a model could read no further.
    """

    supporter: str
    cells: dict[str, Cell]
    average: Mean | None
    dialogues: int
    cards: int | None
    replies: int
    cut_replies: int
    cut_seeker_turns: int
    empty_replies: int
    unfinished: int
    tokens: int | None


class Table(Part):
    """Rows that may be compared: same language, rater and making, as the signature tells.

    Attributes:
        names: The paper's name of each dimension by key.
        clustered_by: What the intervals draw: cards, or single dialogues where cards are unknown.
    """

    language: Language
    rater: str
    statistic: Statistic
    names: dict[str, str]
    levels: tuple[int, ...]
    clustered_by: Literal["card", "dialogue"]
    signature: str
    rows: tuple[Row, ...]


class Summary(Part):
    """All tables of a report."""

    tables: tuple[Table, ...]


def summarise_ratings(
    dialogues: Sequence[Dialogue],
    ratings: Iterable[Rating],
    rubric: Rubric,
    run: Mapping[str, Any] | None = None,
    *,
    statistic: Statistic = "level",
    seed: int = 0,
) -> Summary:
    """Tables of means with intervals: one a language and rater, one row a supporter.

    Args:
        dialogues: What was rated.
        ratings: Of dimensions of the rubric; those of other dialogues are an error.
        rubric: Gives the order and names of dimensions and the levels.
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
        if rating.dimension not in rubric.keys:
            raise ValueError(f"a rating of {rating.dimension!r}, which is no dimension of rubric {rubric.id}")
        dialogue = by_id[rating.dialogue_id]
        tables[dialogue.language, rating.rater, rating.rubric][dialogue.supporter or "unknown"].append(rating)

    simulation = run.get("simulation")
    made = []
    for (language, rater, rubric_id), supporters in sorted(tables.items()):
        rated = {rating.dialogue_id for group in supporters.values() for rating in group}
        known_cards = all(by_id[i].card_id is not None for i in rated)
        scoring = run.get(f"scoring/{rater}")
        parts = {
            **simulation_parts(simulation["identity"] if simulation else None),
            **scoring_parts(scoring["identity"] if scoring else None, rater, rubric_id),
            "statistic": f"{statistic} {describe_scale(rubric.levels)}",
            "interval": f"{CONFIDENCE:.0%} bootstrap by {'card' if known_cards else 'dialogue'}, "
            f"{DRAWS} draws, seed {seed}",
        }
        rows = [
            _row(
                name,
                [by_id[d] for d in dict.fromkeys(r.dialogue_id for r in group)],
                group,
                rubric,
                known_cards,
                statistic,
                seed,
            )
            for name, group in supporters.items()
        ]
        made.append(
            Table(
                language=language,
                rater=rater,
                statistic=statistic,
                names={d.key: d.paper for d in rubric.dimensions},
                levels=rubric.levels,
                clustered_by="card" if known_cards else "dialogue",
                signature=join_signature(parts),
                rows=tuple(sorted(rows, key=lambda row: -row.average.value if row.average else 1)),
            )
        )
    return Summary(tables=tuple(made))


def _row(
    supporter: str,
    dialogues: list[Dialogue],
    ratings: list[Rating],
    rubric: Rubric,
    by_card: bool,
    statistic: Statistic,
    seed: int,
) -> Row:
    seen = [(rating.dialogue_id, rating.dimension) for rating in ratings]
    if len(set(seen)) < len(seen):
        twice = next(item for item, count in Counter(seen).items() if count > 1)
        raise ValueError(f"rater {ratings[0].rater!r} rated {twice[1]!r} of dialogue {twice[0]!r} more than once")
    place = {dialogue.id: i for i, dialogue in enumerate(dialogues)}
    column = {key: j for j, key in enumerate(rubric.keys)}
    levels = np.full((len(dialogues), len(column)), np.nan)
    expected = np.full_like(levels, np.nan)
    for rating in ratings:
        cell = place[rating.dialogue_id], column[rating.dimension]
        if rating.score is not None:
            levels[cell] = rating.score
        if rating.expected is not None:
            expected[cell] = rating.expected
    clusters = [dialogue.card_id if by_card else dialogue.id for dialogue in dialogues]
    bootstrap = partial(bootstrap_means, clusters=clusters, confidence=CONFIDENCE, draws=DRAWS, seed=seed)
    low, high = min(rubric.levels), max(rubric.levels)
    levels, expected = ((matrix - low) * (FULL / (high - low)) for matrix in (levels, expected))
    means, by_level = bootstrap(levels)
    expectations, by_expectation = bootstrap(expected)
    if turned := [j for j, dimension in enumerate(rubric.dimensions) if dimension.lower_is_better]:
        for matrix in (levels, expected):
            matrix[:, turned] = FULL - matrix[:, turned]
        (_, by_level), (_, by_expectation) = bootstrap(levels), bootstrap(expected)
    unscored = Counter(rating.dimension for rating in ratings if rating.score is None)
    given = Counter((rating.dimension, rating.score) for rating in ratings)
    cells = {}
    for j, key in enumerate(rubric.keys):
        counts = tuple(given[key, level] for level in rubric.levels)
        most = max(range(len(counts)), key=counts.__getitem__)
        total = sum(counts)
        cells[key] = Cell(
            mean=_mean(means[j]),
            expected=_mean(expectations[j]),
            unscored=unscored[key],
            modal_level=rubric.levels[most] if total else None,
            modal_share=counts[most] / total if total else None,
            counts=counts,
        )
    turns = [turn for dialogue in dialogues for turn in dialogue.turns if turn.finish_reason != "scripted"]
    replies = [turn for turn in turns if turn.role == "supporter"]
    used = [turn.completion_tokens for turn in turns if turn.completion_tokens is not None]
    return Row(
        supporter=supporter,
        cells=cells,
        average=_mean(by_level if statistic == "level" else by_expectation),
        dialogues=len(dialogues),
        cards=len(set(clusters)) if by_card else None,
        replies=len(replies),
        cut_replies=sum(turn.finish_reason == "length" for turn in replies),
        cut_seeker_turns=sum(turn.role == "seeker" and turn.finish_reason == "length" for turn in turns),
        empty_replies=sum(not turn.text.strip() for turn in replies),
        unfinished=sum(any(turn.finish_reason == "context" for turn in d.turns) for d in dialogues),
        tokens=sum(used) if used else None,
    )


def _mean(estimate: Estimate | None) -> Mean | None:
    if estimate is None:
        return None
    return Mean(value=estimate.value, low=estimate.low, high=estimate.high, n=estimate.n, clusters=estimate.clusters)
