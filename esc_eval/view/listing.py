"""The list of dialogues: which of them are asked for, in which order, and a page of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.find import split_query
from esc_eval.schema import Dialogue, Mark
from esc_eval.statistics.scale import to_points
from esc_eval.view.collection import Collection
from esc_eval.view.entries import Entry
from esc_eval.view.search import Part

Where = Literal["said", "seeker", "supporter", "card", "all"]
WHERE: Mapping[str, tuple[Part, ...]] = {
    "said": ("seeker", "supporter"),
    "seeker": ("seeker",),
    "supporter": ("supporter",),
    "card": ("card",),
    "all": ("seeker", "supporter", "card"),
}
"""What is searched: by default what was said, and no role card."""
SIZE = 50
"""Dialogues on a page."""
SORTS = ("card", "model", "seeker", "language", "category", "rounds", "mean")
"""What a list is sorted by, beside the dimensions."""
UNSCORED = "unscored"
LONGEST = 500
"""Characters of a value that is looked at."""


@dataclass(frozen=True)
class Asked:
    """What a list is asked for. Values that do not occur find nothing; empty ones ask for nothing.

    Attributes:
        find: Words that must all be in what ``where`` names.
        model, seeker, spoken, category, rater: As the collection has them; ``spoken`` is the language of a dialogue,
            where ``language`` is that of the page.
        group: Number of a group, from 1.
        dimension, level: Whom some rater gave this level, or, with ``unscored``, no level; without a dimension in any.
        repeat: Number of a repeat, from 1.
        state: ``ended`` for dialogues that ended early, ``whole`` for the others.
        sort: One of ``SORTS`` or a dimension.
        down: Whether the last come first.
        page: From 1.
    """

    find: str = ""
    where: Where = "said"
    model: str = ""
    seeker: str = ""
    spoken: str = ""
    category: str = ""
    rater: str = ""
    group: str = ""
    dimension: str = ""
    level: str = ""
    repeat: str = ""
    state: str = ""
    sort: str = ""
    down: bool = False
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Asked":
        """From the parameters of an address; whatever they say, it is a question."""
        given = {key: query.get(key, "").strip()[:LONGEST] for key in cls.__dataclass_fields__}
        page = given.pop("page")
        where = given.pop("where")
        down = given.pop("down") == "1"
        return cls(
            **given,
            where=where if where in get_args(Where) else "said",  # type: ignore[arg-type]
            down=down,
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
        )

    def to_query(self, **changed: object) -> dict[str, str]:
        """The parameters of the address that asks this, with changes."""
        values = {**{name: getattr(self, name) for name in self.__dataclass_fields__}, **changed}
        if values["down"] is not True:
            values["down"] = ""
        plain = {"where": "said", "page": 1}
        return {k: "1" if v is True else str(v) for k, v in values.items() if v and v != plain.get(k)}

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What is looked for, folded."""
        return split_query(self.find)

    @property
    def is_narrow(self) -> bool:
        """Whether anything is left out."""
        return bool(self.words or self.model or self.seeker or self.spoken or self.category or self.group or self.level
                    or self.state or self.rater or self.repeat)  # fmt: skip


class Listing:
    """The entries of a collection that are asked for.

    Args:
        collection: Of all.
        asked: Which, and in which order.
    """

    def __init__(self, collection: Collection, asked: Asked) -> None:
        self.collection, self.asked = collection, asked
        self.rubric_id = collection.choose_rubric(asked.rater) or ""
        self.rubric: Rubric | None = collection.rubrics.get(self.rubric_id)
        self._said = collection.find(asked.words, WHERE[asked.where]) if asked.words else None
        self.found = self._sort([entry for entry in collection.entries if self._is_asked(entry)])

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Of the rubric whose levels are shown."""
        return self.rubric.keys if self.rubric else ()

    @property
    def pages(self) -> int:
        """At least one."""
        return max(1, -(-len(self.found) // SIZE))

    @property
    def page(self) -> int:
        """The page that is shown: the last, where a later one is asked for."""
        return min(self.asked.page, self.pages)

    @property
    def shown(self) -> list[Entry]:
        """The entries of the page."""
        return self.found[(self.page - 1) * SIZE : self.page * SIZE]

    @property
    def shown_talks(self) -> list[tuple[Entry, Dialogue]]:
        """These with what was said, each file opened once."""
        talks: dict[Entry, Dialogue] = {}
        for group in self.collection.groups:
            own = [entry for entry in self.shown if entry.group is group]
            talks |= zip(own, group.talks.pick([entry.place for entry in own]), strict=True)
        return [(entry, talks[entry]) for entry in self.shown]

    def marks(self, entry: Entry, dimension: str) -> list[Mark | None]:
        """The levels that are shown of an entry, with N/A and None as ``Entry.marks`` has them."""
        return entry.marks(self.rubric_id, dimension, self.asked.rater or None)

    def levels(self, entry: Entry, dimension: str) -> list[int]:
        """Those of its marks that are levels."""
        return [mark for mark in self.marks(entry, dimension) if isinstance(mark, int)]

    def mean(self, entry: Entry) -> float | None:
        """Mean of its dimensions in points, those where lower is better turned round; None where one has no level."""
        if self.rubric is None:
            return None
        low, high = self.rubric.levels[0], self.rubric.levels[-1]
        given: dict[str, list[int]] = defaultdict(list)
        for said in entry.verdicts:
            if said.rubric == self.rubric_id and said.score is not None and self.asked.rater in ("", said.rater):
                given[said.dimension].append(said.score)
        means = []
        for dimension in self.rubric.dimensions:
            if not (levels := given[dimension.key]):
                return None
            mean = sum(levels) / len(levels)
            means.append(low + high - mean if dimension.lower_is_better else mean)
        return float(to_points(np.array(means), low, high).mean())

    def neighbours(self, entry: Entry) -> tuple[Entry | None, Entry | None, int | None]:
        """The entries before and behind one, and its place from 1; none where it is not among those found."""
        place = next((i for i, each in enumerate(self.found) if each is entry), None)
        if place is None:
            return None, None, None
        before = self.found[place - 1] if place else None
        return before, self.found[place + 1] if place + 1 < len(self.found) else None, place + 1

    def _is_asked(self, entry: Entry) -> bool:
        asked = self.asked
        if self._said is not None and not self._said[entry.number]:
            return False
        if asked.model and entry.supporter != asked.model:
            return False
        if asked.seeker and entry.seeker != asked.seeker:
            return False
        if asked.spoken and entry.about.language != asked.spoken:
            return False
        if asked.category and (entry.category or "unknown") != asked.category:
            return False
        if asked.group and str(self.collection.groups.index(entry.group) + 1) != asked.group:
            return False
        if asked.repeat and str(entry.repeat) != asked.repeat:
            return False
        if asked.state and (asked.state == "ended") != (entry.about.problem is not None):
            return False
        if asked.rater and all(said.rater != asked.rater for said in entry.verdicts):
            return False
        return not asked.level or self._has_level(entry)

    def _has_level(self, entry: Entry) -> bool:
        asked = self.asked
        given = [
            level
            for dimension in ([asked.dimension] if asked.dimension else self.dimensions)
            for level in self.marks(entry, dimension) or [None]
        ]
        if asked.level == UNSCORED:
            return None in given or not given
        return any(level is not None and str(level) == asked.level for level in given)

    def _sort(self, entries: list[Entry]) -> list[Entry]:
        sort, down = self.asked.sort, self.asked.down
        if sort in self.dimensions or sort == "mean":
            value = {entry.key: self._value(entry, sort) for entry in entries}
            there = [entry for entry in entries if value[entry.key] is not None]
            gaps = [entry for entry in entries if value[entry.key] is None]  # last, whichever way
            return sorted(there, key=lambda entry: value[entry.key] or 0.0, reverse=down) + gaps
        if sort not in SORTS:
            return entries[::-1] if down else entries
        keys = {
            "card": lambda entry: (entry.name, entry.number),
            "model": lambda entry: entry.supporter,
            "seeker": lambda entry: entry.seeker,
            "language": lambda entry: entry.about.language,
            "category": lambda entry: entry.category or "\uffff",
            "rounds": lambda entry: entry.about.rounds,
        }
        return sorted(entries, key=keys[sort], reverse=down)

    def _value(self, entry: Entry, sort: str) -> float | None:
        if sort == "mean":
            return self.mean(entry)
        levels = self.levels(entry, sort)
        return float(np.mean(levels)) if levels else None
