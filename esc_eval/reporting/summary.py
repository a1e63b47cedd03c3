"""The one object that every form of the report is made from."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from operator import itemgetter
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SerializerFunctionWrapHandler, model_serializer

from esc_eval.files.scratch import blocks, select
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.columns import About, DialogueColumns, Mask, Places, RatingColumns, Said, add_up, gather
from esc_eval.reporting.descriptions import describe_replies
from esc_eval.reporting.making import (
    describe_adapted,
    describe_context,
    describe_failures,
    describe_seekers,
    describe_spending,
    describe_validity,
    is_tried_in,
    known_validity,
    levels_only_order,
    warn_of_changed_servers,
    warn_of_no_range,
    warn_of_roles,
    warn_of_seeker,
)
from esc_eval.reporting.render import to_plain_json
from esc_eval.reporting.repeats import Repeats, find_repeats, name_occasions
from esc_eval.reporting.risk import RiskRow, count_risk
from esc_eval.reporting.signature import sign_board
from esc_eval.reporting.standing import standing_json
from esc_eval.schema import NO_VALID_SCORER, Dialogue, Language, Rating, RoleCard, Way, order_stages
from esc_eval.scoring.text_scorer import Validity
from esc_eval.simulation.unfinished import count_asked
from esc_eval.statistics.bootstrap import Bootstrap, code_clusters
from esc_eval.statistics.estimate import Array, Estimate, StoredEstimate
from esc_eval.statistics.ranking import AVERAGE, Board, Given, Standing, estimate_means, rank_models
from esc_eval.statistics.scale import describe_scale

StoredStanding = Annotated[
    Standing, PlainSerializer(lambda standing: to_plain_json(standing_json(standing)), return_type=dict)
]
"""A standing that a file holds as an object."""
Statistic = Literal["level", "expected"]
UNANSWERED_SHARE = 0.1
"""A supporter of whose dialogues more than this share is unanswered is listed and not ranked."""


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
        validity: What is known of the numbers of the others, by key, of a scorer whose file says it.
        levels_mean: ``order`` where that file says that levels order dialogues and are no points of people's.
        lower_is_better: Keys of the dimensions of which a low level is good; turned round in the average.
        harmful: The level that means harm, of rubrics that have one.
        risk: Worst case and share of harm, then, which stand before any mean.
        clustered_by: What the intervals draw: cards, or single dialogues where cards are unknown.
        warnings: Sentences on how its numbers were made.
        rows: As they stand, best first; those that are not ranked last.
        standing: Order, ranks, paired differences, and what is missing.
        repeats: What the repeats of cards say, where there are any.
    """

    sparse = ("validity", "levels_mean", "risk", "repeats")
    language: Language
    rater: str
    rubric: str | None = Field(default=None, exclude=True)  # the signature says it too
    statistic: Statistic
    names: dict[str, str]
    unsupported: dict[str, tuple[str, str]] = Field(default_factory=dict)
    validity: dict[str, Validity] = Field(default_factory=dict)
    levels_mean: Literal["order"] | None = None
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


def warn_of_cards(
    summary: Summary, cards: Iterable[RoleCard], dialogues: Iterable[Dialogue] | DialogueColumns
) -> Summary:
    """The tables with what readers of the cards that were played are told before, each sentence once."""
    if not (warned := [card for card in cards if card.warning]):
        return summary
    talks = DialogueColumns.of(dialogues)
    language = np.empty(len(talks.cards), dtype=object)
    language[talks.card[talks.card >= 0]] = talks.each(lambda about: about.language, object)[talks.card >= 0]
    played = dict(zip(talks.cards, language.tolist(), strict=True))
    said = [(played[card.id], card.warning) for card in warned if card.id in played]
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
    dialogues: Iterable[Dialogue] | DialogueColumns,
    ratings: Iterable[Rating] | RatingColumns,
    rubric: Rubric | Mapping[str, Rubric],
    run: Mapping[str, Any] | None = None,
    *,
    statistic: Statistic = "level",
    seed: int = 0,
) -> Summary:
    """Tables of means with intervals and ranks: one a language, rater and rubric, one row a supporter.

    Where several people rated, there is also a table of all of them, averaged.

    Args:
        dialogues: What was rated; or their columns, in which nothing that was said is held.
        ratings: Of dimensions of their rubric; those of other dialogues are an error. Or their columns.
        rubric: Gives the order and names of dimensions and the levels; or several, by the name and version that
            ratings carry.
        run: Content of the run's run.json, for the signatures.
        statistic: Whether rows are ordered and read by the mean level, as the paper does, or by the mean expected
            level of scorers that give probabilities.
        seed: Of the bootstrap.

    Raises:
        ValueError: A rating of an unknown dialogue or dimension.
    """
    run, talks = run or {}, DialogueColumns.of(dialogues)
    given = RatingColumns.of(ratings, talks)
    _refuse_strange(given, rubric)
    groups: dict[tuple[Language, str, str], Callable[[Said], bool]] = {}
    for language in dict.fromkeys(about.language for about in talks.kinds):
        here = _find_ratings(given, talks, language)
        people: dict[str, set[str]] = defaultdict(set)
        for said, _ in given.counted(here):
            groups[language, said.rater, said.rubric] = partial(_is_by, rater=said.rater, rubric=said.rubric)
            if said.rater_kind == "human":
                people[said.rubric].add(said.rater)
        for rubric_id, raters in people.items():
            if len(raters) > 1:
                groups[language, name_raters(raters), rubric_id] = partial(_is_by, kind="human", rubric=rubric_id)
    several = len({rubric_id for _, _, rubric_id in groups}) > 1
    boot = Bootstrap(seed=seed)
    boards = []
    for (language, rater, rubric_id), is_own in sorted(groups.items(), key=itemgetter(0)):
        own = given.take(_find_ratings(given, talks, language) & given.having(is_own))
        boards.append(
            _make_board(talks, own, choose_rubric(rubric, rubric_id), language, rater, several, run, statistic, boot)
        )
    return Summary(tables=tuple(boards))


def _find_ratings(given: RatingColumns, talks: DialogueColumns, language: Language) -> Mask:
    """Which ratings are of dialogues in a language."""
    return gather(talks.where(lambda about: about.language, language), given.dialogue)


def _is_by(said: Said, rubric: str, rater: str | None = None, kind: str | None = None) -> bool:
    """Whether a rating is under a rubric and by a rater, or by one of a kind."""
    return said.rubric == rubric and rater in (None, said.rater) and kind in (None, said.rater_kind)


def _refuse_strange(given: RatingColumns, rubric: Rubric | Mapping[str, Rubric]) -> None:
    """Refuse the first rating of an unknown dialogue or dimension."""
    known = given.having(lambda said: said.dimension in choose_rubric(rubric, said.rubric).keys)
    each = ((part.start, (given.dialogue[part] < 0) | ~known[part]) for part in blocks(given.dialogue))
    strange = next((start + int(found.argmax()) for start, found in each if found.any()), None)
    if strange is None:
        return
    if given.dialogue[strange] < 0:
        raise ValueError(f"a rating of dialogue {given.unknown!r}, which is not among the dialogues")
    said = given.kinds[given.kind[strange]]
    raise ValueError(
        f"a rating of {said.dimension!r}, which is no dimension of rubric {choose_rubric(rubric, said.rubric).id}"
    )


def name_raters(raters: Collection[str]) -> str:
    """Whose ratings a table shows, where those of several people are averaged."""
    return next(iter(raters)) if len(raters) == 1 else f"{len(raters)} raters, averaged"


def name_clusters_of(dialogues: Sequence[Dialogue]) -> list[str]:
    """What intervals draw, of each dialogue: its card where all have one, else itself."""
    by_card = all(dialogue.card_id is not None for dialogue in dialogues)
    return [str(dialogue.card_id) if by_card else dialogue.id for dialogue in dialogues]


def count_unanswered(dialogues: Iterable[Dialogue] | DialogueColumns) -> Counter[str]:
    """Dialogues of each supporter that ended early with a problem, or in which it says no word of its own."""
    counted = DialogueColumns.of(dialogues).counted()
    return add_up(counted, lambda about: about.supporter if about.unanswered else None)


def leave_unranked(dialogues: Iterable[Dialogue] | DialogueColumns) -> set[str]:
    """Supporters of whose dialogues more than ``UNANSWERED_SHARE`` are unanswered: they are listed and not ranked."""
    talks = DialogueColumns.of(dialogues)
    played = add_up(talks.counted(), lambda about: about.supporter)
    return {name for name, n in count_unanswered(talks).items() if n > UNANSWERED_SHARE * played[name]}


def find_unsupported(ratings: Iterable[Rating | Said]) -> dict[str, str]:
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
    return list(compress(ratings, find_last_word(RatingColumns.of(ratings))))


def find_last_word(given: RatingColumns) -> Mask:
    """Which ratings ``keep_last_word`` keeps."""
    stages = order_stages(said.stage for said, _ in given.counted() if said.stage is not None)
    if len(stages) < 2:
        return np.ones(len(given), dtype=np.bool_)
    place: dict[str | None, int] = {None: -1, **{stage: i for i, stage in enumerate(stages)}}
    at = given.each(lambda said: -2 if said.unscored else place[said.stage], np.intp)
    code, many = _code_dimensions(given)
    cell = given.dialogue * np.intp(many) + code
    last = np.full(int(cell.max(initial=-1)) + 1, -2)
    np.maximum.at(last, cell, at)
    return np.asarray(at == last[cell])


def _code_dimensions(given: RatingColumns) -> tuple[npt.NDArray[np.integer], int]:
    """Of each rating the place of its dimension among those that occur, and how many occur."""
    names = {name: i for i, name in enumerate(dict.fromkeys(said.dimension for said in given.kinds))}
    return given.each(lambda said: names[said.dimension], np.int32), len(names)


def _build_board(
    talks: DialogueColumns, given: RatingColumns, rubric: Rubric, expected: bool, left_out: Collection[str]
) -> Board:
    """The scores of dialogues, all of which are rated, as ``Board.build`` has them."""
    models = sorted({about.supporter for about, _ in talks.counted()})
    model = talks.each(lambda about: bisect_left(models, about.supporter), np.int32)
    rank = np.empty(len(talks), dtype=np.int32)
    rank[talks.by_id] = np.arange(len(talks), dtype=np.int32)
    cards = {name: i for i, name in enumerate(sorted(talks.cards))}
    number = np.array([cards[name] for name in talks.cards], dtype=np.int32)
    order = np.lexsort((rank, gather(number, talks.card) if talks.by_card else rank, model)).astype(np.int32)
    place = np.empty(len(talks), dtype=np.int32)
    place[order] = np.arange(len(talks), dtype=np.int32)
    dimensions = tuple(sorted({said.dimension for said, _ in given.counted()}))
    raters = tuple(sorted({said.rater for said, _ in given.counted()}))
    card, there = code_clusters(talks.cluster[order])
    first = np.zeros(there, dtype=np.int32)
    first[card[::-1]] = order[::-1]  # what is written last stays

    def of(dimension: str) -> tuple[Places, Array]:
        own = given.take(given.where(lambda said: said.dimension, dimension))
        return gather(place, own.dialogue), own.levels(expected)

    def whole() -> Given:
        return (
            gather(place, given.dialogue),
            given.each(lambda said: bisect_left(dimensions, said.dimension), np.int32),
            given.each(lambda said: bisect_left(raters, said.rater), np.int32),
            given.levels(expected),
        )

    return Board.tabulate(
        of,
        whole,
        (dimensions, raters),
        tuple(models),
        model[order],
        [talks.cards[i] for i in talks.card[first]] if talks.by_card else talks.ids.take(first),
        card.astype(np.int32),
        talks.ids.take(order),
        rubric.keys,
        (min(rubric.levels), max(rubric.levels)),
        rubric.lower_is_better,
        left_out,
        even=talks.by_card,
    )


def _make_board(
    every: DialogueColumns,
    given: RatingColumns,
    rubric: Rubric,
    language: Language,
    rater: str,
    several: bool,
    run: Mapping[str, Any],
    statistic: Statistic,
    boot: Bootstrap,
) -> Leaderboard:
    """The table of one language, rater (or people together) and rubric."""
    first = given.kinds[given.kind[0]]
    carried, by_people = first.rubric, first.rater_kind == "human"
    ratings = given.take(find_last_word(given)) if by_people else given
    rated = ratings.are_rated(many=len(every))
    talks = every.take(rated)
    if talks is not every:
        ratings = ratings.renumber(np.cumsum(rated, dtype=np.int32) - 1)
    _refuse_repeated(ratings, talks)
    clustered_by: Literal["card", "dialogue"] = "card" if talks.by_card else "dialogue"
    scale = describe_scale(rubric.levels)
    said = ratings.counted()
    unsupported = find_unsupported(one for one, _ in said)
    some = {one.dimension for one, _ in said} - unsupported.keys()  # a board needs a column, if of no score
    unanswered = count_unanswered(talks)
    unranked = leave_unranked(talks)
    of: dict[bool, dict[str, dict[str, Estimate]]] = {}
    for what in (statistic == "level", statistic != "level"):  # the one that is shown stays
        shown = _build_board(talks, ratings, rubric, what, unsupported if some else ())
        of[what] = estimate_means(shown, boot)
    means, expectations = of[False], of[True]
    chosen = expectations if statistic == "expected" else means
    asked = {} if by_people else count_asked(run, language)
    standing = rank_models(shown, boot, unranked=unranked, every_column=False, means=chosen)
    descriptions = describe_replies(talks, language, boot) if unsupported else {}
    rows = []
    for name in standing.order:
        own_talks = talks.where(lambda about: about.supporter, name)
        own = ratings.take(gather(own_talks, ratings.dialogue))
        cells = {
            key: _cell(
                rubric.levels,
                own.take(own.where(lambda one: one.dimension, key)),
                means[name][key],
                expectations[name][key],
                standing.sizes[name].dialogues,
            )
            for key in shown.dimensions
            if key in some
        }
        row = _row(
            name,
            cells,
            chosen[name][AVERAGE],
            talks.take(own_talks),
            own.take(own.having(lambda one: one.dimension not in unsupported)),
            talks.by_card,
            standing,
            unanswered[name],
            name in unranked,
            descriptions.get(name, {}),
        )
        rows.append(row.model_copy(update={"asked": asked.get(name, 0)}))
    adapted = describe_adapted(talks, (dict(one.adapted) for one, _ in said))
    ways = add_up(said, lambda one: str(one.way) if one.way and not one.unscored else None)
    played = add_up(talks.counted(), lambda about: about.supporter)
    there = every.counted(every.where(lambda about: about.language, language))
    over = add_up(there, lambda about: about.supporter)
    harm: tuple[RiskRow, ...] = ()
    if rubric.harmful is not None:
        harm = count_risk(
            ratings.marks(talks),
            rubric,
            dict(zip(talks.ids, talks.each(lambda about: about.supporter).tolist(), strict=True)),
            dict(zip(talks.ids, talks.clusters, strict=True)),
        )
    tried = is_tried_in(run, rater, language)
    return Leaderboard(
        language=language,
        rater=rater,
        rubric=carried if several else None,
        statistic=statistic,
        names={d.key: d.paper for d in rubric.dimensions if d.key in some},
        unsupported={d.key: (d.paper, unsupported[d.key]) for d in rubric.dimensions if d.key in unsupported},
        validity={key: one for key, one in known_validity(run, rater).items() if tried and key in some},
        levels_mean="order" if some and tried and levels_only_order(run, rater) else None,
        lower_is_better=shown.turned,
        levels=rubric.levels,
        harmful=rubric.harmful,
        risk=harm,
        clustered_by=clustered_by,
        signature=sign_board(run, rater, carried, statistic, scale, boot, clustered_by, language, adapted, ways),
        warnings=(
            *describe_failures(run),
            *warn_of_seeker(run, language),
            *describe_seekers(talks),
            *describe_context(talks, ratings),
            *describe_unfinished(rater, asked, played, over),
            *warn_of_roles(run, rater, [language]),
            *warn_of_no_range(run, rater),
            *(describe_validity(run, rater) if tried else ()),
            *warn_of_changed_servers(talks, ratings),
            *describe_spending(run, ["simulation", f"scoring/{rater}"]),
        ),
        rows=tuple(rows),
        standing=count_all(standing, asked),
        repeats=find_repeats(
            shown,
            lambda: name_occasions(talks),
            (min(rubric.levels), max(rubric.levels)),
            standing.ranked_by,
            standing.means,
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
    rater: str, asked: Mapping[str, int], rated: Mapping[str, int], over: Mapping[str, int]
) -> list[str]:
    """A sentence where a run is to have more dialogues than a rater has rated; none where it has rated all.

    Args:
        rater: Its name.
        asked: How many dialogues each supporter is to have.
        rated: How many of each have ratings.
        over: How many of each are over.
    """
    if not (missing := {name: n for name, n in asked.items() if rated.get(name, 0) < n}):
        return []
    each = [
        f"{name} {rated.get(name, 0)} of {n}" + (f" ({over.get(name, 0)} are over)" if over.get(name, 0) < n else "")
        for name, n in missing.items()
    ]
    return [f"Not all dialogues of the run are rated by {rater}: {', '.join(each)}. The rest is not in these numbers."]


def _refuse_repeated(given: RatingColumns, talks: DialogueColumns) -> None:
    found = []
    for rater, dimension in dict.fromkeys((said.rater, said.dimension) for said, _ in given.counted()):
        here = given.where(lambda said: (said.rater, said.dimension), (rater, dimension))
        rated = select(given.dialogue, here)
        if np.any(twice := np.bincount(rated) > 1):
            found.append((int(np.flatnonzero(here)[twice[rated]][0]), rater, dimension))
    if found:
        at, rater, dimension = min(found)
        where = talks.ids[given.dialogue[at]]
        raise ValueError(f"rater {rater!r} rated {dimension!r} of dialogue {where!r} more than once")


def _cell(levels: Sequence[int], given: RatingColumns, mean: Estimate, expected: Estimate, dialogues: int) -> Cell:
    """A dimension of a supporter."""
    said = given.counted()
    scores = add_up(said, lambda one: one.score)
    exempt = np.setdiff1d(
        given.find_dialogues(lambda one: one.not_applicable), given.find_dialogues(lambda one: one.score is not None)
    )
    counts = tuple(scores[level] for level in levels)
    most = max(range(len(counts)), key=counts.__getitem__)
    total = sum(counts)
    return Cell(
        mean=_defined(mean),
        expected=_defined(expected),
        weighed=0 if given.expected is None else int(np.isfinite(given.expected).sum()),
        unscored=dialogues - mean.n - len(exempt),
        not_applicable=sum(n for one, n in said if one.not_applicable),
        modal_level=levels[most] if total else None,
        modal_share=counts[most] / total if total else None,
        counts=counts,
    )


def _row(
    supporter: str,
    cells: dict[str, Cell],
    average: Estimate,
    talks: DialogueColumns,
    given: RatingColumns,
    by_card: bool,
    standing: Standing,
    unanswered: int,
    unranked: bool,
    descriptions: dict[str, Estimate],
) -> Row:
    said, played = given.counted(), talks.counted()
    used = talks.tokens[talks.tokens >= 0]

    def sum_up(what: Callable[[About], int]) -> int:
        return sum(n * what(about) for about, n in played)

    return Row(
        supporter=supporter,
        cells=cells,
        average=_defined(average),
        dialogues=standing.sizes[supporter].dialogues,
        scored=standing.sizes[supporter].scored,
        unanswered=unanswered,
        ranked=not unranked,
        problems=dict(add_up(said, lambda one: one.problem or None).most_common()),
        cards=len(np.unique(talks.card)) if by_card else None,
        replies=sum_up(lambda about: about.replies),
        cut_replies=sum_up(lambda about: about.cut_replies),
        cut_seeker_turns=sum_up(lambda about: about.cut_seeker_turns),
        empty_replies=sum_up(lambda about: about.empty_replies),
        unfinished=sum_up(lambda about: about.unfinished),
        tokens=int(used.sum()) if len(used) else None,
        told_replies=sum_up(lambda about: about.told_replies),
        told_seeker_turns=sum_up(lambda about: about.told_seeker_turns),
        low_mass=sum(n for one, n in said if one.low_mass),
        outside=len(given.find_dialogues(lambda one: one.outside)),
        flagged=len(given.find_dialogues(lambda one: one.flagged)),
        quotes=sum(n for one, n in said if one.quote),
        strange_quotes=sum(n for one, n in said if one.strange),
        ways=dict(add_up(said, lambda one: one.way if one.way and not one.unscored else None)),
        descriptions=descriptions,
    )


def _defined(estimate: Estimate) -> Estimate | None:
    return None if estimate.value is None else estimate
