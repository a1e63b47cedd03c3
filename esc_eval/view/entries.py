"""The dialogues that are looked at, with what belongs to each; what was said is read when it is asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from esc_eval.files.chosen import pick_records
from esc_eval.reporting.columns import About, Said
from esc_eval.schema import Dialogue, Mark, Rating, RoleCard, digest
from esc_eval.view.sources import Group

KEY = 16
"""Characters of a dialogue's address."""
Rated = tuple[Group, tuple[int, ...]]
"""A group, and places of ratings in it."""


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """A dialogue with what belongs to it.

    Attributes:
        key: Its address: the same whenever and wherever it is looked at.
        number: Its place among all.
        group: The group it is of.
        place: Its place there.
        card: The role card that was played.
        repeat: Which dialogue of its card and models it is, from 1; None where none of the collection is a second.
        more: Its ratings in other groups that hold it too, of which the group has none like them.
    """

    key: str
    number: int
    group: Group
    place: int
    card: RoleCard | None
    repeat: int | None = None
    more: tuple[Rated, ...] = ()

    @property
    def dialogue(self) -> Dialogue:
        """What was said, read anew.

        Raises:
            FileChanged: Its file is not what it was.
        """
        return self.group.talks.pick([self.place])[0]

    @property
    def ratings(self) -> tuple[Rating, ...]:
        """In the order of the file, read anew.

        Raises:
            FileChanged: As ``dialogue``.
        """
        return tuple(rating for group, places in self._rated for rating in pick_records(group.ratings, places))

    @property
    def verdicts(self) -> list[Said]:
        """What is counted of its ratings, in their order."""
        return [
            group.given.kinds[kind] for group, places in self._rated for kind in group.given.kind[list(places)].tolist()
        ]

    @property
    def _rated(self) -> Iterator[Rated]:
        yield self.group, self.group.given.places_of(self.place).tolist()
        yield from self.more

    @property
    def about(self) -> About:
        """What is counted of it."""
        talks = self.group.talks
        return talks.kinds[int(talks.kind[self.place])]

    @property
    def id(self) -> str:
        """Of the dialogue."""
        name: str = self.group.talks.ids[self.place]
        return name

    @property
    def card_id(self) -> str | None:
        """Of the card that was played, whether it is there or not."""
        talks = self.group.talks
        at = talks.card[self.place]
        return None if at < 0 else talks.cards[at]

    @property
    def supporter(self) -> str:
        """The model's name."""
        return self.about.supporter

    @property
    def seeker(self) -> str:
        """The name of who plays the card."""
        return self.about.seeker or "unknown"

    @property
    def name(self) -> str:
        """What a list calls it: its card, else its own id."""
        return self.card_id or self.id

    @property
    def category(self) -> str | None:
        """Of the problem, where the dialogue or its card says it."""
        return self.about.category or (self.card.category if self.card else None)

    def marks(self, rubric: str, dimension: str, rater: str | None = None) -> list[Mark | None]:
        """The levels that raters gave it, N/A where they say that the dimension does not apply, None for unscored.

        Args:
            rubric: Name and version.
            dimension: Of the rubric.
            rater: One of them; None = all.
        """
        return [
            said.mark
            for said in self.verdicts
            if (said.rubric, said.dimension) == (rubric, dimension) and rater in (None, said.rater)
        ]


def make_entries(groups: Sequence[Group]) -> list[Entry]:
    """The dialogues of some groups, each once; one that several groups hold has the ratings of all."""
    several = _find_several(groups)
    entries: dict[str, Entry] = {}
    numbers = [group.talks.repeats for group in groups]
    repeated = any(numbers)
    for group, repeats in zip(groups, numbers, strict=True):
        for place, name in enumerate(group.talks.ids):
            # of an id that is several dialogues' the words decide too
            key = digest([name, group.dialogues[place]] if name in several else [name])[:KEY]
            at = group.talks.card[place]
            card = group.cards.get(group.talks.cards[at]) if at >= 0 else None
            repeat = repeats.get(name, 1) if repeated else None
            if (known := entries.get(key)) is None:
                entries[key] = Entry(key, len(entries), group, place, card, repeat)
            else:  # the same, in groups that stand apart for their ratings
                more = _find_new(known.ratings, group, place)
                entries[key] = replace(known, card=known.card or card, repeat=repeat, more=(*known.more, *more))
    return list(entries.values())


def _find_several(groups: Sequence[Group]) -> set[str]:
    """Ids that are not the same dialogue's in all groups."""
    times = Counter(name for group in groups for name in group.talks.ids)
    twice = {name for name, n in times.items() if n > 1}
    same: dict[str, str] = {}
    talks = (talk for group in groups if twice for talk in group.dialogues if talk.id in twice)
    return {talk.id for talk in talks if same.setdefault(talk.id, own := digest(talk)) != own}


def _find_new(known: Sequence[Rating], group: Group, dialogue: int) -> list[Rated]:
    """The ratings of a dialogue of a group that are not known from others."""
    places = group.given.places_of(dialogue).tolist()
    given = zip(places, pick_records(group.ratings, places), strict=True)
    new = tuple(place for place, rating in given if rating not in known)
    return [(group, new)] if new else []
