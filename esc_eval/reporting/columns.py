"""What tables need of dialogues and ratings, as columns: made in one pass over either, of which none is held.

Dialogues that say the same of what tables count have one ``About`` together, ratings one ``Said``; a column holds which
of them each has. A dialogue takes its id and 30 bytes, a rating 5 bytes, 13 where it has an expected level; of ids and
of what ratings take, no more than a fixed part is in memory (``files.scratch``).
"""

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from esc_eval.files.chosen import pick_records
from esc_eval.files.scratch import CHUNK, Column, blocks, let_go, select
from esc_eval.schema import NOT_APPLICABLE, Dialogue, Mark, Played, Rating, Turn, number_repeats
from esc_eval.scoring.training_range import is_outside

Places = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T")
DERIVED = ("ensemble ", "calibration ")
"""How the parser of ratings begins that were made of other judges' ratings: these are no judges of their own."""
LOW_MASS = 0.5
"""Probability of all levels together under which a scorer wanted to say something else."""


class Speaker(NamedTuple):
    """Turns of one side that no protocol wrote: how many, how many of them without all that came before, and the most
    turns that were left out.
    """

    name: str
    turns: int
    less: int
    most: int


class About(NamedTuple):
    """What tables count of a dialogue, beside its card and its tokens.

    Attributes:
        language, seeker, protocol, problem: As of the ``Dialogue``.
        supporter: Its name, or ``unknown``.
        category: As the dialogue says it, whatever its card says.
        rounds: Turns of the seeker that the supporter answered.
        unanswered: Whether it ended early with a problem, or the supporter says no word of its own.
        unfinished: Whether it ended early: with a problem, or because a model could read no further.
        replies, told_replies, cut_replies, empty_replies: The supporter's, see ``Row``.
        seeker_turns, told_seeker_turns, cut_seeker_turns: The seeker's.
        speakers: Sides in order of their first turn.
        served: Side, model and fingerprint of each server that answered, in order.
        adapted: Side and what was not sent as it was asked for, each once.
    """

    language: str
    supporter: str
    seeker: str | None
    protocol: str | None
    problem: str | None
    category: str | None
    rounds: int
    unanswered: bool
    unfinished: bool
    replies: int
    told_replies: int
    cut_replies: int
    empty_replies: int
    seeker_turns: int
    told_seeker_turns: int
    cut_seeker_turns: int
    speakers: tuple[Speaker, ...]
    served: tuple[tuple[str, str | None, str | None], ...]
    adapted: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, dialogue: Dialogue) -> "About":
        """What tables count of a dialogue."""
        supporter = dialogue.supporter or "unknown"
        replies = dialogue.replies
        asked = [turn for turn in dialogue.turns if turn.role == "seeker"]
        left_out: dict[str, list[int]] = {}
        served: dict[tuple[str, str | None, str | None], None] = {}
        adapted: dict[tuple[str, str], None] = {}
        for turn in dialogue.turns:
            who = f"supporter {supporter}" if turn.role == "supporter" else "seeker"
            if turn.finish_reason != "scripted":
                left_out.setdefault(who, []).append(turn.left_out or 0)
            if turn.served:
                served[who, turn.served.model, turn.served.fingerprint] = None
                adapted |= {(who, f"{name} {done}"): None for name, done in (turn.served.adapted or {}).items()}
        return cls(
            dialogue.language,
            supporter,
            dialogue.seeker,
            dialogue.protocol,
            dialogue.problem,
            dialogue.category,
            dialogue.rounds,
            dialogue.problem is not None or not any(turn.text.strip() for turn in replies),
            bool(dialogue.problem or dialogue.too_long),
            len(replies),
            *_count_ends(replies),
            sum(not turn.text.strip() for turn in replies),
            len(asked),
            *_count_ends(asked),
            tuple(Speaker(who, len(gone), sum(map(bool, gone)), max(gone)) for who, gone in left_out.items()),
            tuple(served),
            tuple(adapted),
        )


def _count_ends(turns: Sequence[Turn]) -> tuple[int, int]:
    """Turns of which it is known why they ended, and those that ended at the token cap."""
    return sum(t.finish_reason is not None for t in turns), sum(t.finish_reason == "length" for t in turns)


class Said(NamedTuple):
    """What a rating says, beside whose dialogue it is of and the expected level.

    Attributes:
        rater, rater_kind, rubric, dimension, stage, score, problem, way, left_out, unscored, unsupported: As of the
            ``Rating``.
        not_applicable: Whether it says that the dimension does not apply.
        probabilities: How many levels have a probability.
        low_mass: Whether its scorer gave all levels together less than ``LOW_MASS``.
        outside: Whether its dialogue lies outside what its scorer was fitted to; ``flagged``: and is scored.
        quote, strange: Whether there is a quote, and whether that stands nowhere in the dialogue.
        derived: Whether it was made of other judges' ratings.
        model, fingerprint, adapted: Of the server that answered.
    """

    rater: str
    rater_kind: str
    rubric: str
    dimension: str
    stage: str | None
    score: int | None
    not_applicable: bool
    problem: str | None
    unscored: bool
    unsupported: bool
    way: str | None
    left_out: int
    probabilities: int
    low_mass: bool
    outside: bool
    flagged: bool
    quote: bool
    strange: bool
    derived: bool
    model: str | None
    fingerprint: str | None
    adapted: tuple[tuple[str, str], ...]

    @property
    def mark(self) -> Mark | None:
        """As of the ``Rating``."""
        return NOT_APPLICABLE if self.not_applicable else self.score

    @classmethod
    def of(cls, rating: Rating) -> "Said":
        """What a rating says."""
        evidence, served = rating.evidence, rating.served
        return cls(
            rating.rater,
            rating.rater_kind,
            rating.rubric,
            rating.dimension,
            rating.stage,
            rating.score,
            bool(rating.not_applicable),
            rating.problem,
            rating.unscored,
            rating.unsupported,
            rating.way,
            rating.left_out or 0,
            len(rating.probabilities or ()),
            rating.mass is not None and rating.mass < LOW_MASS,
            is_outside(rating),
            bool(rating.outside),
            bool(evidence and evidence.kind == "quote"),
            bool(evidence and evidence.is_strange),
            (rating.parser or "").startswith(DERIVED),
            served.model if served else None,
            served.fingerprint if served else None,
            tuple(((served and served.adapted) or {}).items()),
        )


@dataclass(frozen=True, eq=False)
class Kinds(Generic[T]):
    """Many things of few kinds.

    Attributes:
        kinds: What they can be.
        kind: Of each thing, its place in ``kinds``.
    """

    kinds: Sequence[T]
    kind: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.kind)

    def counted(self, where: Mask | None = None) -> list[tuple[T, int]]:
        """The kinds that occur, in order of first appearance, and how often.

        Args:
            where: Which of the things count; None = all.
        """
        own = self.kind if where is None else select(self.kind, where)
        counts, first = np.zeros(len(self.kinds), dtype=np.intp), self._first(own)
        for part in blocks(own):
            counts += np.bincount(own[part], minlength=len(counts))
        there = np.flatnonzero(counts)
        return [(self.kinds[i], int(counts[i])) for i in there[np.argsort(first[there], kind="stable")]]

    def _first(self, own: npt.NDArray[np.integer]) -> Places:
        """The place at which each kind first occurs; 0 of one that does not."""
        first = np.zeros(len(self.kinds), dtype=np.int32)
        for start in reversed(range(0, len(own), CHUNK)):
            part = own[start : start + CHUNK][::-1]
            first[part] = np.arange(start + len(part) - 1, start - 1, -1, dtype=np.int32)  # what is written last stays
            let_go(own)
        return first

    def first_places(self) -> list[int]:
        """Where each kind that occurs does so first, in order."""
        there = sorted({code for part in blocks(self.kind) for code in np.unique(self.kind[part]).tolist()})
        return sorted(self._first(self.kind)[there].tolist())

    def each(self, what: Callable[[T], Any], dtype: Any = None) -> npt.NDArray[Any]:
        """Something of the kind of each thing."""
        return gather(np.array([what(kind) for kind in self.kinds], dtype=dtype), self.kind)

    def having(self, what: Callable[[T], Any]) -> Mask:
        """Which things are of a kind of which something holds."""
        return self.each(lambda kind: bool(what(kind)), np.bool_)

    def where(self, what: Callable[[T], Any], value: object) -> Mask:
        """Which things are of a kind of which something is a value."""
        return self.having(lambda kind: what(kind) == value)


class Ids(Sequence[str]):
    """Ids, of which each is made anew when it is asked for: what is kept is their UTF-8, one after the other.

    Args:
        text: Of all.
        ends: Where each ends there.
        places: Which of them these are, in order; None = all.
    """

    def __init__(
        self,
        text: npt.NDArray[np.uint8],
        ends: npt.NDArray[np.int64],
        places: npt.NDArray[np.integer] | None = None,
    ) -> None:
        self._text, self._ends, self._places = text, ends, places

    @classmethod
    def of(cls, names: Iterable[str]) -> "Ids":
        """One pass over ids."""
        text, ends, end = Column(np.uint8), Column(np.int64), 0
        for name in names:
            encoded = name.encode("utf-8", "surrogatepass")
            end += len(encoded)
            text.extend(encoded)
            ends.append(end)
        return cls(text.done(), ends.done())

    def __len__(self) -> int:
        return len(self._ends if self._places is None else self._places)

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), CHUNK):
            for at in range(start, min(start + CHUNK, len(self))):
                yield self[at]
            self.let_go()

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        place = int(range(len(self))[at] if self._places is None else self._places[at])
        begin = int(self._ends[place - 1]) if place else 0
        return self._text[begin : self._ends[place]].tobytes().decode("utf-8", "surrogatepass")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def let_go(self) -> None:
        """Take those that were looked at out of memory, where they stand in a file."""
        let_go(self._text, self._ends)

    def take(self, which: npt.NDArray[Any]) -> "Ids":
        """Some of them, by a mask or by places."""
        chosen = np.arange(len(self), dtype=np.int32) if self._places is None else self._places
        return Ids(self._text, self._ends, chosen[which])

    def order(self) -> Places:
        """Their places as ``sorted`` has them: by eight bytes at a time, as long as some are alike so far."""
        chosen = np.arange(len(self._ends), dtype=np.int32) if self._places is None else self._places
        order = np.arange(len(chosen), dtype=np.int32)
        group = np.zeros(len(chosen), dtype=np.int32)
        longest = max((int(sizes.max(initial=0)) for sizes in self._words(chosen, None)), default=0)
        for step in (*range(0, longest, 8), None):  # in the end by length: one may be another and bytes of zero
            if len(order) and group[-1] == len(order) - 1:
                break
            word = np.zeros(len(order), dtype=np.uint64)
            for start, found in zip(range(0, len(order), CHUNK), self._words(chosen, step), strict=True):
                word[start : start + CHUNK] = found
            word = word[order]
            by = np.lexsort((word, group))
            order, word, group = order[by], word[by], group[by]
            del by
            apart = (group[1:] != group[:-1]) | (word[1:] != word[:-1])
            group = np.concatenate([np.zeros(min(1, len(order)), dtype=np.int32), np.cumsum(apart, dtype=np.int32)])
        return order

    def _words(self, chosen: npt.NDArray[np.integer], step: int | None) -> Iterator[npt.NDArray[np.uint64]]:
        """Of some ids, a block at a time, eight bytes from a place on as a number, or their lengths."""
        raw = self._text if len(self._text) else np.frombuffer(b"-", dtype=np.uint8)
        for start in range(0, len(chosen), CHUNK):
            own = chosen[start : start + CHUNK]
            ends = self._ends[own]
            begins = np.where(own > 0, self._ends[own - 1], 0)
            word = np.zeros(len(own), dtype=np.uint64) if step is not None else (ends - begins).astype(np.uint64)
            for at in () if step is None else range(step, step + 8):
                there = begins + at
                byte = np.where(there < ends, raw[np.minimum(there, len(raw) - 1)], np.uint8(0))
                word = word << np.uint64(8) | byte
            yield word
            self.let_go()


@dataclass(frozen=True, eq=False)
class DialogueColumns(Kinds[About]):
    """Dialogues.

    Attributes:
        ids: Of each.
        cards, card: Names of cards, and of each dialogue the place of its own there; -1 where it has none.
        tokens: That its own replies and the seeker's turns took; -1 where none says it.
        repeat: Which repeat it says it is; 0 where it does not say.
        source: What they are of: gone through again where words are counted.
        places: Of each, its place in the source.
    """

    ids: Ids
    cards: Sequence[str]
    card: Places
    tokens: npt.NDArray[np.integer]
    repeat: npt.NDArray[np.integer]
    source: Sequence[Dialogue] = ()
    places: Places = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    @classmethod
    def of(cls, dialogues: "Iterable[Dialogue] | DialogueColumns") -> "DialogueColumns":
        """One pass over dialogues; columns as they are."""
        if isinstance(dialogues, DialogueColumns):
            return dialogues
        dialogues = dialogues if isinstance(dialogues, Sequence) else tuple(dialogues)
        kinds: dict[About, int] = {}
        cards: dict[str, int] = {}
        kind, card, repeat, tokens = array("i"), array("i"), array("i"), array("q")

        def note(one: Dialogue) -> str:
            about = About.of(one)
            kind.append(kinds.setdefault(about, len(kinds)))
            card.append(-1 if one.card_id is None else cards.setdefault(one.card_id, len(cards)))
            repeat.append(min(one.repeat or 0, 2**31 - 1))
            turns = (*one.replies, *(turn for turn in one.turns if turn.role == "seeker"))
            used = [turn.completion_tokens for turn in turns if turn.completion_tokens is not None]
            tokens.append(sum(used) if used else -1)
            return one.id

        ids = Ids.of(map(note, dialogues))
        return cls(
            list(kinds),
            _shrink(_as_numbers(kind)),
            ids,
            list(cards),
            _as_numbers(card),
            _shrink(_as_numbers(tokens)),
            _shrink(_as_numbers(repeat)),
            dialogues,
            np.arange(len(ids), dtype=np.int32),
        )

    @cached_property
    def by_id(self) -> Places:
        """Places of the dialogues in the order of their ids."""
        return self.ids.order()

    def finder(self) -> Callable[[str], int]:
        """What tells the place of a dialogue by its id, -1 where there is none; quick in the order of ids."""
        ids, order = self.ids, self.by_id
        following = 0

        def find(name: str) -> int:
            nonlocal following
            at = following
            if at >= len(order) or ids[order[at]] != name:
                at = bisect_left(order, name, key=ids.__getitem__)
            if at >= len(order) or ids[order[at]] != name:
                return -1
            following = at + 1
            return int(order[at])

        return find

    def take(self, where: Mask) -> Self:
        """Some of them, in their order."""
        if where.all():
            return self
        some = replace(
            self,
            kind=self.kind[where],
            ids=self.ids.take(where),
            card=self.card[where],
            tokens=self.tokens[where],
            repeat=self.repeat[where],
            places=self.places[where],
        )
        if "by_id" in self.__dict__:
            some.__dict__["by_id"] = (np.cumsum(where, dtype=np.int32) - 1)[self.by_id[where[self.by_id]]]
        return some

    @property
    def by_card(self) -> bool:
        """Whether every dialogue has a card."""
        return bool((self.card >= 0).all())

    @property
    def cluster(self) -> Places:
        """What intervals draw, of each, as a number: its card where all have one, else itself."""
        return self.card if self.by_card else np.arange(len(self), dtype=np.int32)

    @property
    def clusters(self) -> list[str]:
        """The same by name."""
        return [self.cards[i] for i in self.card] if self.by_card else list(self.ids)

    def pick(self, places: Sequence[int]) -> list[Dialogue]:
        """The dialogues at some places."""
        return pick_records(self.source, [int(self.places[i]) for i in places])

    @cached_property
    def repeats(self) -> dict[str, int]:
        """Which repeat each dialogue is, by id, as ``number_repeats`` tells; empty where each is the first."""
        if self.repeat.max(initial=0) < 2:
            sides = {who: i for i, who in enumerate({(a.supporter, a.seeker, a.protocol) for a in self.kinds})}
            side = self.each(lambda about: sides[about.supporter, about.seeker, about.protocol], np.int64)
            cell = (self.card * np.int64(len(sides)) + side)[self.card >= 0]
            if len(np.unique(cell)) == len(cell):
                return {}
        return number_repeats(self.each_played())

    def each_played(self) -> Iterator[Played]:
        """Who played which card with whom, of each."""
        for i, (name, code) in enumerate(zip(self.ids, self.kind, strict=True)):
            about, card = self.kinds[code], int(self.card[i])
            who = None if card < 0 else self.cards[card]
            yield Played(name, who, about.supporter, about.seeker, about.protocol, int(self.repeat[i]) or None)

    def each_source(self) -> Iterator[Dialogue]:
        """Every dialogue, by one more pass over what they are of."""
        return (one for _, one in self.each_dialogue())

    def each_dialogue(self) -> Iterator[tuple[int, Dialogue]]:
        """Every dialogue with its place among these, by one more pass over what they are of."""
        place = np.full(int(self.places.max(initial=-1)) + 1, -1, dtype=np.int32)
        place[self.places] = np.arange(len(self))
        for at, one in enumerate(self.source):
            if at < len(place) and place[at] >= 0:
                yield int(place[at]), one


@dataclass(frozen=True, eq=False)
class RatingColumns(Kinds[Said]):
    """Ratings.

    Attributes:
        dialogue: Of each, the place of its dialogue; -1 of one that is not there.
        expected: Expected level; NaN where there is none. None = none has one.
        unknown: The dialogue of the first rating whose dialogue is not there.
        source: What they are of, where they are all of it.
    """

    dialogue: Places
    expected: npt.NDArray[np.float64] | None = None
    unknown: str | None = None
    source: Sequence[Rating] = ()

    @classmethod
    def of(
        cls, ratings: "Iterable[Rating] | RatingColumns", dialogues: DialogueColumns | None = None
    ) -> "RatingColumns":
        """One pass over ratings; columns as they are.

        Args:
            ratings: Of any raters.
            dialogues: What they are of; None = dialogues are told apart, and it is not known which they are.
        """
        if isinstance(ratings, RatingColumns):
            return ratings
        ratings = ratings if isinstance(ratings, Sequence) else tuple(ratings)
        kinds: dict[Said, int] = {}
        names: dict[str, int] = {}
        kind, dialogue, expected = Column(np.int32), Column(np.int32), Column(np.float64)
        find = dialogues.finder() if dialogues is not None else lambda name: names.setdefault(name, len(names))
        last, at, unknown = None, -1, None
        for one in ratings:
            if one.dialogue_id != last:
                last = one.dialogue_id
                at = find(last)
                unknown = last if at < 0 and unknown is None else unknown
            kind.append(kinds.setdefault(Said.of(one), len(kinds)))
            dialogue.append(at)
            if one.expected is not None and not len(expected):
                for _ in range(len(kind) - 1):
                    expected.append(np.nan)
            if len(expected) or one.expected is not None:
                expected.append(np.nan if one.expected is None else one.expected)
        if dialogues is not None:
            dialogues.ids.let_go()
        known = expected.done() if len(expected) else None
        return cls(list(kinds), _shrink(kind.done()), dialogue.done(), known, unknown, ratings)

    def take(self, where: Mask) -> Self:
        """Some of them, in their order."""
        if where.all():
            return self
        return replace(
            self,
            kind=select(self.kind, where),
            dialogue=select(self.dialogue, where),
            expected=None if self.expected is None else select(self.expected, where),
            source=(),
        )

    def renumber(self, new: Places) -> Self:
        """The same, of dialogues whose places are others now."""
        found = Column(np.int32)
        for part in blocks(self.dialogue):
            found.extend(new[self.dialogue[part]])
        return replace(self, dialogue=found.done())

    def levels(self, expected: bool) -> npt.NDArray[np.float64]:
        """Level of each, or expected level; NaN where there is none, infinite where its dimension does not apply."""
        if not expected:
            return self.each(
                lambda one: np.inf if one.not_applicable else np.nan if one.score is None else one.score, np.float64
            )
        plain = np.full(len(self), np.nan) if self.expected is None else self.expected
        return np.where(self.having(lambda said: said.not_applicable), np.inf, plain)

    def marks(self, dialogues: DialogueColumns) -> dict[tuple[str, str, str], Mark | None]:
        """What each rater said of each dialogue, by dialogue, rater and dimension; see ``risk.Marks``."""
        kinds = [(one.rater, one.dimension, one.mark) for one in self.kinds]
        found: dict[tuple[str, str, str], Mark | None] = {}
        for code, place in zip(self.kind.tolist(), self.dialogue.tolist(), strict=True):
            rater, dimension, mark = kinds[code]
            found[dialogues.ids[place], rater, dimension] = mark
        return found

    @classmethod
    def join(cls, parts: Sequence["RatingColumns"], source: Sequence[Rating]) -> "RatingColumns":
        """Ratings of the same dialogues, one after the other.

        Args:
            parts: Their columns.
            source: What these are of.
        """
        kinds: dict[Said, int] = {}
        kind, dialogue, expected = Column(np.int32), Column(np.int32), Column(np.float64)
        for one in parts:
            code = np.array([kinds.setdefault(said, len(kinds)) for said in one.kinds], dtype=np.int32)
            for part in blocks(one.kind, one.dialogue):
                kind.extend(code[one.kind[part]])
                dialogue.extend(one.dialogue[part])
                none = np.full(part.stop - part.start, np.nan)
                expected.extend(none if one.expected is None else one.expected[part])
        return cls(
            list(kinds),
            kind.done(),
            dialogue.done(),
            None if all(part.expected is None for part in parts) else expected.done(),
            next((part.unknown for part in parts if part.unknown is not None), None),
            source,
        )

    @cached_property
    def by_dialogue(self) -> tuple[Places, Places]:
        """Places of the ratings in the order of their dialogues, and where those of each dialogue begin there."""
        order = np.argsort(self.dialogue, kind="stable").astype(np.int32)
        last = int(self.dialogue.max(initial=-1))
        return order, np.searchsorted(self.dialogue[order], np.arange(last + 2)).astype(np.int32)

    def places_of(self, dialogue: int) -> Places:
        """Places of the ratings of a dialogue, in their order."""
        order, begins = self.by_dialogue
        return order[begins[dialogue] : begins[dialogue + 1]] if dialogue + 1 < len(begins) else order[:0]

    @cached_property
    def examples(self) -> list[Rating]:
        """The first rating of each kind, in their order: what holds of the levels and names of these holds of all."""
        return pick_records(self.source, self.first_places())

    def find_dialogues(self, what: Callable[[Said], Any]) -> Places:
        """The dialogues of which some rating is such that something holds, each once."""
        return np.flatnonzero(self.are_rated(self.having(what))).astype(np.int32)

    def are_rated(self, where: Mask | None = None, many: int = 0) -> Mask:
        """Of each dialogue whether it has ratings.

        Args:
            where: Which of the ratings count; None = all.
            many: How many dialogues there are; 0 = up to the last that has ratings.
        """
        places = self.dialogue if where is None else select(self.dialogue, where)
        there = np.zeros(many or 1 + max((int(places[part].max()) for part in blocks(places)), default=-1), np.bool_)
        for part in blocks(places):
            there[places[part]] = True
        return there


def gather(values: npt.NDArray[Any], places: npt.NDArray[np.integer]) -> npt.NDArray[Any]:
    """``values[places]`` of one dimension; for the places themselves, numpy makes a copy of eight bytes each."""
    found = np.empty(len(places), dtype=values.dtype)
    for part in blocks(places):
        found[part] = values[places[part]]
    return found


def _shrink(numbers: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """Whole numbers in the smallest type that has them all."""
    low = min((int(numbers[part].min()) for part in blocks(numbers)), default=0)
    high = max((int(numbers[part].max()) for part in blocks(numbers)), default=0)
    dtype = np.result_type(*map(np.min_scalar_type, (min(low, 0), max(high, 0))))
    found = Column(dtype)
    for part in blocks(numbers):
        found.extend(numbers[part].astype(dtype))
    return found.done()


def _as_numbers(numbers: "array[Any]") -> npt.NDArray[Any]:
    return np.frombuffer(numbers, dtype=numbers.typecode) if numbers else np.zeros(0, dtype=numbers.typecode)


def add_up(counted: Iterable[tuple[T, int]], what: Callable[[T], Any]) -> Counter[Any]:
    """How often each value of something occurs, in order of first appearance; None is no value.

    Args:
        counted: As ``Kinds.counted`` gives it.
        what: Of a kind.
    """
    found: Counter[Any] = Counter()
    for kind, n in counted:
        if (value := what(kind)) is not None:
            found[value] += n
    return found
