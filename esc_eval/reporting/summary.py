"""The one object that every form of the report is made from."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SerializerFunctionWrapHandler, model_serializer

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.descriptions import describe_replies
from esc_eval.reporting.making import (
    describe_adapted,
    describe_context,
    describe_failures,
    describe_seekers,
    describe_spending,
    describe_validity,
    known_validity,
    warn_of_changed_servers,
    warn_of_no_range,
    warn_of_roles,
)
from esc_eval.reporting.render import to_plain_json
from esc_eval.reporting.repeats import Repeats, find_repeats, name_occasions
from esc_eval.reporting.risk import RiskRow, count_risk, find_marks
from esc_eval.reporting.signature import sign_board
from esc_eval.reporting.standing import standing_json
from esc_eval.schema import NO_VALID_SCORER, Dialogue, Language, Rating, RoleCard, Way, order_stages
from esc_eval.scoring.training_range import is_outside
from esc_eval.simulation.unfinished import count_asked
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate, StoredEstimate
from esc_eval.statistics.ranking import AVERAGE, Board, Standing, estimate_means, rank_models
from esc_eval.statistics.scale import describe_scale

StoredStanding = Annotated[
    Standing, PlainSerializer(lambda standing: to_plain_json(standing_json(standing)), return_type=dict)
]
"""A standing that a file holds as an object."""
Statistic = Literal["level", "expected"]
UNANSWERED_SHARE = 0.1
"""A supporter of whose dialogues more than this share is unanswered is listed and not ranked."""
LOW_MASS = 0.5
"""Probability of all levels together under which a scorer wanted to say something else."""


class Part(BaseModel):
    """A frozen piece of the summary."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sparse: ClassVar[tuple[str, ...]] = ()
    """Fields that stand in a file only where they say something."""

    @model_serializer(mode="wrap")
    def _leave_out(self, make: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in make(self).items() if value or key not in self.sparse}


class Cell(Part):
    """One dimension of one row.

    Attributes:
        mean: Mean level, from 0 (the lowest) to 100 (the highest level); None where nothing was scored.
        expected: Mean expected level on the same scale, of scorers that give probabilities.
        weighed: Ratings with an expected level, which ``expected`` is the mean of.
        unscored: Dialogues without a score, and without the word that the dimension does not apply.
        not_applicable: Ratings that the dimension does not apply: a value of its own, in no mean.
        modal_level: The level given most often; the lowest of several.
        modal_share: Its share of the scored ratings, 0..1. Near 1 the scorer does not tell dialogues apart.
        counts: Ratings at each level, lowest first.
    """

    sparse = ("not_applicable",)
    mean: StoredEstimate | None
    expected: StoredEstimate | None
    weighed: int = 0
    unscored: int
    not_applicable: int = 0
    modal_level: int | None
    modal_share: float | None
    counts: tuple[int, ...]

    def of(self, statistic: Statistic) -> StoredEstimate | None:
        """The mean that a table of this statistic shows."""
        return self.mean if statistic == "level" else self.expected

    def n(self, statistic: Statistic) -> int:
        """How many dialogues that mean is of."""
        mean = self.of(statistic)
        return mean.n if mean else 0


class Row(Part):
    """A supporter's line of the leaderboard.

    Attributes:
        cells: By dimension, in the rubric's order.
        average: Mean of the dimensions' means, those where lower is better turned round; None where one has no score.
        scored: Dialogues that have a value on at least one dimension, of ``dialogues``.
        asked: Dialogues that the run is to have, those that are not over or not rated yet included; 0 = nobody says.
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
        outside: Dialogues that lie outside what a fitted scorer was fitted to, of those that it was to rate.
        flagged: Of these, those that it scored all the same.
        quotes: Ratings with a quote of the dialogue.
        strange_quotes: Of these, those whose quote stands nowhere in it.
        ways: Answered ratings by how their level was had, where they say.
        descriptions: What its replies are like, counted, where a dimension has no valid scorer; no scores.
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
    asked: int = Field(default=0, exclude=True)  # the standing says it too
    told_replies: int = 0
    told_seeker_turns: int = 0
    low_mass: int = 0
    outside: int = 0
    flagged: int = 0
    quotes: int = 0
    strange_quotes: int = 0
    ways: dict[Way, int] = Field(default_factory=dict)
    descriptions: dict[str, StoredEstimate] = Field(default_factory=dict)


class Leaderboard(Part):
    """Rows that may be compared: same language, rater and making, as the signature tells.

    Attributes:
        rubric: Name and version, where the report has tables under several.
        names: The paper's name of each dimension by key, of those that the rater was to rate.
        unsupported: The paper's name of each further dimension, which has no valid scorer, and why, by key.
        supported: What is known of the others where some have none, by key.
        lower_is_better: Keys of the dimensions of which a low level is good; turned round in the average.
        harmful: The level that means harm, of rubrics that have one.
        risk: Worst case and share of harm, then, which stand before any mean.
        clustered_by: What the intervals draw: cards, or single dialogues where cards are unknown.
        warnings: Sentences on how its numbers were made.
        rows: As they stand, best first; those that are not ranked last.
        standing: Order, ranks, paired differences, and what is missing.
        repeats: What the repeats of cards say, where there are any.
    """

    sparse = ("risk", "repeats")
    language: Language
    rater: str
    rubric: str | None = Field(default=None, exclude=True)  # the signature says it too
    statistic: Statistic
    names: dict[str, str]
    unsupported: dict[str, tuple[str, str]] = Field(default_factory=dict)
    supported: dict[str, str] = Field(default_factory=dict)
    lower_is_better: tuple[str, ...]
    levels: tuple[int, ...]
    harmful: int | None = Field(default=None, exclude=True)  # the rubric says it too
    risk: tuple[RiskRow, ...] = ()
    clustered_by: Literal["card", "dialogue"]
    signature: str
    warnings: tuple[str, ...] = ()
    rows: tuple[Row, ...]
    standing: StoredStanding
    repeats: Repeats | None = None

    @property
    def has_scores(self) -> bool:
        """Whether anything was scored."""
        return any(sum(cell.counts) for row in self.rows for cell in row.cells.values())


class Summary(Part):
    """All tables of a report."""

    tables: tuple[Leaderboard, ...]


def warn_of_cards(summary: Summary, cards: Iterable[RoleCard], dialogues: Iterable[Dialogue]) -> Summary:
    """The tables with what readers of the cards that were played are told before, each sentence once."""
    played = {dialogue.card_id: dialogue.language for dialogue in dialogues}
    said = [(played[card.id], card.warning) for card in cards if card.warning and card.id in played]
    own = {code: tuple(dict.fromkeys(text for at, text in said if at == code)) for code, _ in said}
    return Summary(
        tables=tuple(
            board.model_copy(
                update={"warnings": (*(f"The cards: {one}" for one in own.get(board.language, ())), *board.warnings)}
            )
            for board in summary.tables
        )
    )


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
    """Tables of means with intervals and ranks: one a language, rater and rubric, one row a supporter.

    Where several people rated, there is also a table of all of them, averaged.

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
    given: dict[tuple[Language, str, str], list[Rating]] = defaultdict(list)
    people: dict[tuple[Language, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        if rating.dialogue_id not in by_id:
            raise ValueError(f"a rating of dialogue {rating.dialogue_id!r}, which is not among the dialogues")
        own = choose_rubric(rubric, rating.rubric)
        if rating.dimension not in own.keys:
            raise ValueError(f"a rating of {rating.dimension!r}, which is no dimension of rubric {own.id}")
        language = by_id[rating.dialogue_id].language
        given[language, rating.rater, rating.rubric].append(rating)
        if rating.rater_kind == "human":
            people[language, rating.rubric].append(rating)
    for (language, rubric_id), group in people.items():
        if len(raters := {rating.rater for rating in group}) > 1:
            given[language, name_raters(raters), rubric_id] = group
    several = len({rubric_id for _, _, rubric_id in given}) > 1
    boot = Bootstrap(seed=seed)
    boards = []
    for (language, rater, rubric_id), group in sorted(given.items()):
        boards.append(
            _make_board(by_id, group, choose_rubric(rubric, rubric_id), language, rater, several, run, statistic, boot)
        )
    return Summary(tables=tuple(boards))


def name_raters(raters: Collection[str]) -> str:
    """Whose ratings a table shows, where those of several people are averaged."""
    return next(iter(raters)) if len(raters) == 1 else f"{len(raters)} raters, averaged"


def name_clusters_of(dialogues: Sequence[Dialogue]) -> list[str]:
    """What intervals draw, of each dialogue: its card where all have one, else itself."""
    by_card = all(dialogue.card_id is not None for dialogue in dialogues)
    return [str(dialogue.card_id) if by_card else dialogue.id for dialogue in dialogues]


def count_unanswered(dialogues: Iterable[Dialogue]) -> Counter[str]:
    """Dialogues of each supporter that ended early with a problem, or in which it says no word of its own."""
    silent = (d for d in dialogues if d.problem is not None or not d.answered)
    return Counter(dialogue.supporter or "unknown" for dialogue in silent)


def leave_unranked(dialogues: Sequence[Dialogue]) -> set[str]:
    """Supporters of whose dialogues more than ``UNANSWERED_SHARE`` are unanswered: they are listed and not ranked."""
    played = Counter(dialogue.supporter or "unknown" for dialogue in dialogues)
    return {name for name, n in count_unanswered(dialogues).items() if n > UNANSWERED_SHARE * played[name]}


def find_unsupported(ratings: Iterable[Rating]) -> dict[str, str]:
    """Dimensions that have no valid scorer, and why: left unscored for that, and scored nowhere."""
    why: dict[str, str] = {}
    scored = set()
    for rating in ratings:
        if not rating.unscored:
            scored.add(rating.dimension)
        elif rating.unsupported:
            why.setdefault(rating.dimension, (rating.problem or "").removeprefix(NO_VALID_SCORER))
    return {key: reason for key, reason in why.items() if key not in scored}


def keep_last_word(ratings: Sequence[Rating]) -> list[Rating]:
    """Of each dialogue and dimension, people's ratings of the latest stage in which it was scored."""
    stages = order_stages(rating.stage for rating in ratings if rating.stage is not None)
    if len(stages) < 2:
        return list(ratings)
    place: dict[str | None, int] = {None: -1, **{stage: i for i, stage in enumerate(stages)}}
    last: dict[tuple[str, str], int] = {}
    position = [-2 if rating.unscored else place[rating.stage] for rating in ratings]
    for rating, at in zip(ratings, position, strict=True):
        key = rating.dialogue_id, rating.dimension
        last[key] = max(last.get(key, -2), at)
    return [r for r, at in zip(ratings, position, strict=True) if at == last[r.dialogue_id, r.dimension]]


def _make_board(
    by_id: Mapping[str, Dialogue],
    given: Sequence[Rating],
    rubric: Rubric,
    language: Language,
    rater: str,
    several: bool,
    run: Mapping[str, Any],
    statistic: Statistic,
    boot: Bootstrap,
) -> Leaderboard:
    """The table of one language, rater (or people together) and rubric."""
    carried = given[0].rubric
    ratings = keep_last_word(given) if given[0].rater_kind == "human" else list(given)
    _refuse_repeated(ratings)
    rated = {rating.dialogue_id for rating in ratings}
    talks = [dialogue for dialogue in by_id.values() if dialogue.id in rated]
    clusters = dict(zip((dialogue.id for dialogue in talks), name_clusters_of(talks), strict=True))
    by_card = all(dialogue.card_id is not None for dialogue in talks)
    clustered_by: Literal["card", "dialogue"] = "card" if by_card else "dialogue"
    scale = describe_scale(rubric.levels)
    turned = tuple(d.key for d in rubric.dimensions if d.lower_is_better)
    unsupported = find_unsupported(ratings)
    some = {rating.dimension for rating in ratings} - unsupported.keys()  # a board needs a column, if of no score

    def board(levels: Iterable[float | None]) -> Board:
        rows = [
            (
                rating.dialogue_id,
                by_id[rating.dialogue_id].supporter or "unknown",
                clusters[rating.dialogue_id],
                rating.dimension,
                rating.rater,
                np.inf if rating.not_applicable else np.nan if level is None else float(level),
            )
            for rating, level in zip(ratings, levels, strict=True)
        ]
        return Board.build(
            rows,
            rubric.keys,
            (min(rubric.levels), max(rubric.levels)),
            turned,
            unsupported if some else (),
            even=by_card,
        )

    levels, expected = (board(getattr(rating, what) for rating in ratings) for what in ("score", "expected"))
    supporters = {name: [d for d in talks if (d.supporter or "unknown") == name] for name in levels.models}
    unanswered = count_unanswered(talks)
    unranked = leave_unranked(talks)
    means, expectations = estimate_means(levels, boot), estimate_means(expected, boot)
    shown, chosen = (levels, means) if statistic == "level" else (expected, expectations)
    asked = count_asked(run, language) if given[0].rater_kind == "model" else {}
    standing = rank_models(shown, boot, unranked=unranked, every_column=False, means=chosen)
    descriptions = describe_replies(talks, [clusters[d.id] for d in talks], language, boot) if unsupported else {}
    rows = []
    for name in standing.order:
        ids = {dialogue.id for dialogue in supporters[name]}
        own = [rating for rating in ratings if rating.dialogue_id in ids]
        average = chosen[name][AVERAGE]
        cells = {
            key: _cell(
                rubric.levels,
                [rating for rating in own if rating.dimension == key],
                means[name][key],
                expectations[name][key],
                levels.sizes[name].dialogues,
            )
            for key in levels.dimensions
            if key in some
        }
        row = _row(
            name,
            cells,
            average,
            supporters[name],
            [rating for rating in own if rating.dimension not in unsupported],
            by_card,
            standing,
            unanswered[name],
            name in unranked,
            descriptions.get(name, {}),
        )
        rows.append(row.model_copy(update={"asked": asked.get(name, 0)}))
    adapted = describe_adapted(talks, (r.served.adapted for r in ratings if r.served))
    ways = Counter(str(rating.way) for rating in ratings if rating.way and not rating.unscored)
    return Leaderboard(
        language=language,
        rater=rater,
        rubric=carried if several else None,
        statistic=statistic,
        names={d.key: d.paper for d in rubric.dimensions if d.key in some},
        unsupported={d.key: (d.paper, unsupported[d.key]) for d in rubric.dimensions if d.key in unsupported},
        supported=known_validity(run, rater) if unsupported else {},
        lower_is_better=levels.turned,
        levels=rubric.levels,
        harmful=rubric.harmful,
        risk=count_risk(find_marks(ratings), rubric, {d.id: d.supporter or "unknown" for d in talks}, clusters),
        clustered_by=clustered_by,
        signature=sign_board(run, rater, carried, statistic, scale, boot, clustered_by, language, adapted, ways),
        warnings=(
            *describe_failures(run),
            *describe_seekers(talks),
            *describe_context(talks, ratings),
            *describe_unfinished(rater, asked, talks, (d for d in by_id.values() if d.language == language)),
            *warn_of_roles(run, rater, [language]),
            *warn_of_no_range(run, rater),
            *describe_validity(run, rater),
            *warn_of_changed_servers(talks, ratings),
            *describe_spending(run, ["simulation", f"scoring/{rater}"]),
        ),
        rows=tuple(rows),
        standing=count_all(standing, asked),
        repeats=find_repeats(
            shown, name_occasions(talks), (min(rubric.levels), max(rubric.levels)), standing.ranked_by, standing.means
        ),
    )


def count_all(standing: Standing, asked: Mapping[str, int]) -> Standing:
    """A standing whose sizes count the dialogues too that a run is to have and that are not rated yet.

    Args:
        standing: Of those that are rated.
        asked: How many each supporter is to have; others stay as they are.
    """
    sizes = {name: replace(n, dialogues=max(n.dialogues, asked.get(name, 0))) for name, n in standing.sizes.items()}
    return replace(standing, sizes=sizes)


def describe_unfinished(
    rater: str, asked: Mapping[str, int], rated: Iterable[Dialogue], there: Iterable[Dialogue]
) -> list[str]:
    """A sentence where a run is to have more dialogues than a rater has rated; none where it has rated all.

    Args:
        rater: Its name.
        asked: How many dialogues each supporter is to have.
        rated: Those that have ratings.
        there: Those that are over.
    """
    have = Counter(dialogue.supporter or "unknown" for dialogue in rated)
    if not (missing := {name: n for name, n in asked.items() if have[name] < n}):
        return []
    over = Counter(dialogue.supporter or "unknown" for dialogue in there)
    each = [
        f"{name} {have[name]} of {n}" + (f" ({over[name]} are over)" if over[name] < n else "")
        for name, n in missing.items()
    ]
    return [f"Not all dialogues of the run are rated by {rater}: {', '.join(each)}. The rest is not in these numbers."]


def _refuse_repeated(ratings: Sequence[Rating]) -> None:
    counts = Counter((rating.rater, rating.dialogue_id, rating.dimension) for rating in ratings)
    for (rater, dialogue_id, dimension), count in counts.items():
        if count > 1:
            raise ValueError(f"rater {rater!r} rated {dimension!r} of dialogue {dialogue_id!r} more than once")


def _cell(levels: Sequence[int], ratings: Sequence[Rating], mean: Estimate, expected: Estimate, dialogues: int) -> Cell:
    """A dimension of a supporter."""
    given = Counter(rating.score for rating in ratings)
    exempt = {rating.dialogue_id for rating in ratings if rating.not_applicable}
    exempt -= {rating.dialogue_id for rating in ratings if rating.score is not None}
    counts = tuple(given[level] for level in levels)
    most = max(range(len(counts)), key=counts.__getitem__)
    total = sum(counts)
    return Cell(
        mean=_defined(mean),
        expected=_defined(expected),
        weighed=sum(rating.expected is not None for rating in ratings),
        unscored=dialogues - mean.n - len(exempt),
        not_applicable=sum(bool(rating.not_applicable) for rating in ratings),
        modal_level=levels[most] if total else None,
        modal_share=counts[most] / total if total else None,
        counts=counts,
    )


def _row(
    supporter: str,
    cells: dict[str, Cell],
    average: Estimate,
    dialogues: Sequence[Dialogue],
    ratings: Sequence[Rating],
    by_card: bool,
    standing: Standing,
    unanswered: int,
    unranked: bool,
    descriptions: dict[str, Estimate],
) -> Row:
    replies = [turn for dialogue in dialogues for turn in dialogue.replies]
    asked = [turn for dialogue in dialogues for turn in dialogue.turns if turn.role == "seeker"]
    turns = [*replies, *asked]
    used = [turn.completion_tokens for turn in turns if turn.completion_tokens is not None]
    return Row(
        supporter=supporter,
        cells=cells,
        average=_defined(average),
        dialogues=standing.sizes[supporter].dialogues,
        scored=standing.sizes[supporter].scored,
        unanswered=unanswered,
        ranked=not unranked,
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
        outside=len({rating.dialogue_id for rating in ratings if is_outside(rating)}),
        flagged=len({rating.dialogue_id for rating in ratings if rating.outside}),
        quotes=sum(bool(rating.evidence and rating.evidence.kind == "quote") for rating in ratings),
        strange_quotes=sum(bool(rating.evidence and rating.evidence.is_strange) for rating in ratings),
        ways=dict(Counter(rating.way for rating in ratings if rating.way and not rating.unscored)),
        descriptions=descriptions,
    )


def _defined(estimate: Estimate) -> Estimate | None:
    return None if estimate.value is None else estimate
