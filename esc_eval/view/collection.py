"""What is looked at: run folders, joined where their dialogues were made alike, kept apart where they were not."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from esc_eval.environment import measure_memory
from esc_eval.errors import EscEvalError
from esc_eval.files.preferences import read_preferences
from esc_eval.files.records import Joined, Unheld, read_dialogues
from esc_eval.files.run_folder import DIALOGUES, PREFERENCES, RATINGS, read_run_cards, read_run_ratings
from esc_eval.prompts.rubric import Rubric
from esc_eval.reading import is_file
from esc_eval.reporting.course import course_report, estimate_courses
from esc_eval.reporting.find import fold
from esc_eval.reporting.making import HOW_OPENED
from esc_eval.reporting.pictures import Picture, board_pictures, rounds_pictures
from esc_eval.reporting.render import Report
from esc_eval.reporting.rounds import Rounds, estimate_rounds
from esc_eval.reporting.seekers import find_pools, seekers_report
from esc_eval.reporting.signature import dialogue_parts, join_signature
from esc_eval.reporting.strategies import word_replies
from esc_eval.reporting.summary import Leaderboard, Statistic, Summary, summarise_ratings
from esc_eval.schema import Dialogue, Mark, Preference, Rating, RoleCard, digest, number_repeats
from esc_eval.scoring.rating_checks import find_rubrics
from esc_eval.scoring.strategies import StrategyClassifier
from esc_eval.simulation.identity import find_differences
from esc_eval.simulation.run import (
    PLAYED,
    PREFERRING,
    find_faults,
    find_simulations,
    is_partly_foreign,
)
from esc_eval.simulation.seekers import SEEKERS, seekers_of
from esc_eval.simulation.unfinished import ASKED, describe_stage, read_run
from esc_eval.statistics.bootstrap import Bootstrap

HUMAN = "human"
"""Name of the supporter where people talked with people: such dialogues stand beside those of any protocol."""
IN_MEMORY = 30
"""Bytes of memory that a byte of dialogues.jsonl takes, about (docs/scaling.md)."""
KEY = 16
"""Characters of a dialogue's address."""
_JUDGED = ("scoring/", PREFERRING)
"""How the steps of judges begin."""


@dataclass(frozen=True, eq=False)
class Source:
    """A run folder, or dialogues and ratings from elsewhere.

    Attributes:
        name: What it is called on the pages.
        dialogues, ratings: Held or not.
        cards: Role cards by id.
        rubrics: By the name and version that ratings carry.
        run: Content of its run.json; empty where there is none.
        preferences: Between two of its dialogues.
    """

    name: str
    dialogues: Sequence[Dialogue]
    ratings: Sequence[Rating] = ()
    cards: Mapping[str, RoleCard] = field(default_factory=dict)
    rubrics: Mapping[str, Rubric] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    preferences: tuple[Preference, ...] = ()

    @classmethod
    def read(cls, folder: Path, rubric: str | None = None) -> "Source":
        """A run folder.

        Raises:
            EscEvalError: There is none, or a file of it is broken or under a rubric that is not known.
        """
        if not folder.is_dir():
            raise EscEvalError(f"{folder}: no such run folder")
        card = read_run(folder)
        _refuse_too_large(folder)
        ratings = read_run_ratings(folder)
        return cls(
            str(folder),
            tuple(read_dialogues(folder)),
            tuple(ratings),
            {card.id: card for card in read_run_cards([folder])},
            find_rubrics(ratings, rubric, folder) if ratings else {},
            card,
            tuple(one.preference for one in read_preferences(folder)) if is_file(folder / PREFERENCES) else (),
        )

    @cached_property
    def is_human(self) -> bool:
        """Whether all its supporters are people."""
        return all(dialogue.supporter == HUMAN for dialogue in self.dialogues)

    @property
    def making(self) -> list[Mapping[str, Any]]:
        """Protocols, settings, seekers and supporters that its dialogues were played with, wherever the models ran;
        empty for dialogues from elsewhere. The seed and the cards are no part of it.
        """
        found = []
        for simulation in find_simulations(self.run):
            parts = {key: simulation[key] for key in ("protocol", "generation")}
            supporters = {name: _model(identity) for name, identity in simulation["supporters"].items()}
            seekers = {name: _model(identity) for name, identity in seekers_of(simulation).items()}
            who = {SEEKERS: seekers} if SEEKERS in simulation else seekers
            found.append({**parts, **who, "supporters": supporters})
        return list({digest(each): each for each in found}.values())


@dataclass(frozen=True, eq=False)
class Group:
    """Sources whose dialogues may share a leaderboard.

    Attributes:
        sources: In the order in which they were named.
        reasons: Why they stand apart from the groups before, a sentence each.
        overlap: Whether a dialogue or rating may stand in several of them.
    """

    sources: tuple[Source, ...]
    reasons: tuple[str, ...] = ()
    overlap: bool = True

    @property
    def name(self) -> str:
        """Names of its sources."""
        return " + ".join(source.name for source in self.sources)

    @cached_property
    def dialogues(self) -> dict[str, Dialogue]:
        """Each once, by id."""
        return {dialogue.id: dialogue for source in self.sources for dialogue in source.dialogues}

    @cached_property
    def ratings(self) -> list[Rating]:
        """Each once."""
        if len(self.sources) == 1:
            return list(self.sources[0].ratings)
        found = list(self.sources[0].ratings)
        known = {_place(rating) for rating in found}
        for source in self.sources[1:]:
            new = [(place, rating) for rating in source.ratings if (place := _place(rating)) not in known]
            found += [rating for _, rating in new]
            known.update(place for place, _ in new)
        return found

    @property
    def records(self) -> tuple[Sequence[Dialogue], Sequence[Rating]]:
        """Dialogues and ratings, each once; where no source has those of another, none of a large file is held."""
        if self.overlap or not any(isinstance(one.dialogues, Unheld) for one in self.sources):
            return list(self.dialogues.values()), self.ratings
        return Joined(one.dialogues for one in self.sources), Joined(one.ratings for one in self.sources)

    def preferences_on(self, one: Dialogue, other: Dialogue) -> list[Preference]:
        """What judges and people say of two dialogues, each verdict once."""
        found = [given for source in self.sources for given in source.preferences]
        both = {one.id, other.id}
        return list({digest(each): each for each in found if {each.dialogue_a, each.dialogue_b} == both}.values())

    @cached_property
    def cards(self) -> dict[str, RoleCard]:
        """By id."""
        return {name: card for source in self.sources for name, card in source.cards.items()}

    @cached_property
    def rubrics(self) -> dict[str, Rubric]:
        """By the name and version that ratings carry."""
        return {name: rubric for source in self.sources for name, rubric in source.rubrics.items()}

    @cached_property
    def run(self) -> Mapping[str, Any]:
        """What a run.json of all of them would say."""
        if len(self.sources) == 1:
            return self.sources[0].run
        runs = [source.run for source in self.sources]
        simulations = [identity for run in runs for identity in find_simulations(run)]
        foreign = any(is_partly_foreign(run) or not find_simulations(run) for run in runs)
        scorings = {step: part for run in runs for step, part in run.items() if step.startswith(_JUDGED)}
        every = list({digest(identity): identity for identity in simulations}.values())
        asked = {ASKED: {name: one for run in runs for name, one in run.get(ASKED, {}).items()}}
        played = {PLAYED: {"identity": {"simulations": every, "foreign": foreign}}} if every else {}
        return {**scorings, **played, **asked}

    @property
    def is_human(self) -> bool:
        """Whether all its supporters are people."""
        return all(source.is_human for source in self.sources)


def _refuse_too_large(folder: Path) -> None:
    """Refuse a run folder whose dialogues and ratings do not go into memory, which holds all that is shown.

    Raises:
        EscEvalError: They do not.
    """
    size = sum(path.stat().st_size for name in (DIALOGUES, RATINGS) if is_file(path := folder / name))
    needed, there = IN_MEMORY * size, measure_memory()
    if there is not None and needed > there:
        raise EscEvalError(
            f"{folder}: its dialogues and ratings take about {needed / 2**30:.0f} GiB in memory, and there are "
            f"{there / 2**30:.0f}. esc-eval report reads it all the same, and its page shows the first dialogues; to "
            "read more, take a part: some lines of its dialogues.jsonl, scored into another folder"
        )


def _model(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in HOW_OPENED}


def _place(rating: Rating) -> tuple[str | None, ...]:
    return rating.dialogue_id, rating.dimension, rating.rater, rating.rubric, rating.stage


class _Joining:
    """A group while sources join it: digests of what it holds so far, so that every source is gone through once.

    Args:
        source: The first.
        reasons: As of ``Group``.
    """

    def __init__(self, source: Source, reasons: Sequence[str]) -> None:
        self.sources: list[Source] = []
        self.is_human = True
        self.reasons = tuple(reasons)
        self.noted = 0
        self.overlap = False
        self.dialogues: dict[str, str] = {}
        self.ratings: dict[tuple[str | None, ...], str] = {}
        self.cards: dict[str, RoleCard] = {}
        self.rubrics: dict[str, Rubric] = {}
        self.steps: dict[str, Any] = {}
        self.preferences: dict[Any, Preference] = {}
        self.makings: dict[str, Mapping[str, Any]] = {}
        self.add(source)

    def add(self, source: Source) -> None:
        """Let a source join."""
        self.sources.append(source)
        self.is_human &= source.is_human
        self.cards.update(source.cards)
        self.rubrics.update(source.rubrics)
        self.steps.update({step: part for step, part in source.run.items() if step.startswith(_JUDGED)})
        self.preferences.update({one.place: one for one in source.preferences})
        self.makings.update({digest(one): one for one in ([] if source.is_human else source.making)})

    def _note(self) -> None:
        """Remember what the sources say that joined since somebody asked."""
        for source in self.sources[self.noted :]:
            self.dialogues.update((dialogue.id, dialogue.content) for dialogue in source.dialogues)
            self.ratings.update((_place(rating), digest(rating)) for rating in source.ratings)
        self.noted = len(self.sources)

    @property
    def group(self) -> Group:
        """As it is now."""
        return Group(tuple(self.sources), self.reasons, self.overlap)

    def explain_apart(self, other: Source) -> str | None:
        """Why a source cannot join, in a sentence; None where it can."""

        def say(why: str) -> str:
            return f"{other.name} stands apart from {self.group.name}, as {why}."

        if not self.is_human and not other.is_human and (why := self._compare_makings(other)):
            return say(f"its dialogues were made otherwise: {why}")
        self._note()
        for dialogue in other.dialogues:
            known = self.dialogues.get(dialogue.id)
            self.overlap |= known is not None
            if known and known != dialogue.content:
                return say(f"dialogue {dialogue.id!r} says other words there")
        for name, card in other.cards.items():
            if self.cards.get(name, card).text != card.text:
                return say(f"card {name!r} has another text there")
        for name, rubric in other.rubrics.items():
            if self.rubrics.get(name, rubric).sha256 != rubric.sha256:
                return say(f"its rubric {name} is worded otherwise")
        for step in sorted(step for step in other.run if step in self.steps):
            if differences := find_differences(self.steps[step]["identity"], other.run[step]["identity"]):
                return say(f"{step.partition('/')[2]} rates otherwise: {differences[0]}")
        for rating in other.ratings:
            known = self.ratings.get(_place(rating))
            self.overlap |= known is not None
            if known and known != digest(rating):
                what = f"{rating.dimension} of dialogue {rating.dialogue_id!r}"
                return say(f"{rating.rater} rated {what} otherwise there")
        for one in other.preferences:
            if self.preferences.get(one.place, one).turned != one.turned:
                return say(f"{one.rater} compared {one.dialogue_a!r} and {one.dialogue_b!r} otherwise there")
        return None

    def _compare_makings(self, other: Source) -> str | None:
        makings = other.making
        for each in makings:
            if not self.makings:
                return "nothing says how those were made"
            for one in self.makings.values():
                if differences := find_differences(one, each):
                    return "; ".join(differences[:3])
        return "nothing says how they were made" if self.makings and not makings else None


@dataclass(frozen=True, eq=False)
class Entry:
    """A dialogue with what belongs to it.

    Attributes:
        key: Its address: the same whenever and wherever it is looked at.
        number: Its place among all.
        group: The group it is of.
        ratings: In the order of the file.
        repeat: Which dialogue of its card and models it is, from 1; None where none of the collection is a second.
    """

    key: str
    number: int
    group: Group
    dialogue: Dialogue
    card: RoleCard | None
    ratings: tuple[Rating, ...]
    repeat: int | None = None

    @property
    def supporter(self) -> str:
        """The model's name."""
        return self.dialogue.supporter or "unknown"

    @property
    def seeker(self) -> str:
        """The name of who plays the card."""
        return self.dialogue.seeker or "unknown"

    @property
    def name(self) -> str:
        """What a list calls it: its card, else its own id."""
        return self.dialogue.card_id or self.dialogue.id

    @property
    def category(self) -> str | None:
        """Of the problem, where the dialogue or its card says it."""
        return self.dialogue.category or (self.card.category if self.card else None)

    @cached_property
    def said(self) -> dict[str, str]:
        """What each side said and what stands in the role card, folded for finding."""
        sides: dict[str, str] = {
            role: fold("\n\n".join(turn.text for turn in self.dialogue.turns if turn.role == role))
            for role in ("seeker", "supporter")
        }
        return {**sides, "card": fold(self.card.text) if self.card else ""}

    def marks(self, rubric: str, dimension: str, rater: str | None = None) -> list[Mark | None]:
        """The levels that raters gave it, N/A where they say that the dimension does not apply, None for unscored.

        Args:
            rubric: Name and version.
            dimension: Of the rubric.
            rater: One of them; None = all.
        """
        return [
            rating.mark
            for rating in self.ratings
            if (rating.rubric, rating.dimension) == (rubric, dimension) and rater in (None, rating.rater)
        ]


@dataclass(frozen=True, eq=False)
class Board:
    """A leaderboard and where it belongs.

    Attributes:
        key: Its address.
    """

    key: str
    group: Group
    table: Leaderboard

    @cached_property
    def by_seeker(self) -> Report | None:
        """Results by seeker; None where one seeker played all dialogues."""
        talks = list(self.group.dialogues.values())
        pools = find_pools(talks, self.group.ratings)
        rubric = self.table.rubric or next(iter(self.group.rubrics))
        own = pools.get((self.table.language, self.table.rater, rubric))
        if not own:
            return None
        return seekers_report(talks, own, self.group.rubrics[rubric], Bootstrap(), self.table.statistic)

    @cached_property
    def pictures(self) -> list[Picture]:
        """Drawn when they are asked for."""
        return board_pictures(self.table)


class Collection:
    """All that the pages show.

    Args:
        groups: At least one.
        statistic: Whether tables show mean levels or mean expected levels.
        notes: Sentences on what was read.
        classifier: That tells the strategies of replies; None = they are not shown.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        statistic: Statistic = "level",
        notes: Iterable[str] = (),
        classifier: StrategyClassifier | None = None,
    ) -> None:
        self.groups, self.statistic, self.notes = tuple(groups), statistic, tuple(notes)
        self._classifier = classifier
        self.entries = self._make_entries()
        self.by_key = {entry.key: entry for entry in self.entries}
        self.by_card: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.dialogue.card_id is not None:
                self.by_card[entry.dialogue.card_id].append(entry)

    @classmethod
    def open(
        cls,
        folders: Sequence[Path],
        rubric: str | None = None,
        statistic: Statistic = "level",
        classifier: StrategyClassifier | None = None,
    ) -> "Collection":
        """Run folders, joined where they may be.

        Raises:
            EscEvalError: One cannot be read, is named twice, or ratings and dialogues do not fit.
        """
        sources = read_sources(folders, rubric)
        notes = [fault for folder in folders for fault in find_faults(folder)]
        for source in sources:
            stage = describe_stage(source.run, (dialogue.id for dialogue in source.dialogues))
            notes += [f"{source.name}: {sentence}" for sentence in stage]
        return cls(join_sources(sources), statistic, notes, classifier)

    @property
    def strategies(self) -> Callable[[Dialogue], Mapping[int, str]] | None:
        """Which strategies the replies of a dialogue use, in words, by place of the turn; None = not shown."""
        return None if self._classifier is None else partial(_tell_strategies, self._classifier)

    def _make_entries(self) -> list[Entry]:
        same: dict[str, Dialogue] = {}
        several = {
            id_ for group in self.groups for id_, talk in group.dialogues.items() if same.setdefault(id_, talk) != talk
        }
        entries: dict[str, Entry] = {}
        numbers = [number_repeats(group.dialogues.values()) for group in self.groups]
        repeated = any(number > 1 for own in numbers for number in own.values())
        for group, repeats in zip(self.groups, numbers, strict=True):
            ratings: dict[str, list[Rating]] = defaultdict(list)
            for rating in group.ratings:
                ratings[rating.dialogue_id].append(rating)
            for dialogue in group.dialogues.values():
                # of an id that is several dialogues' the words decide too
                named = [dialogue.id, dialogue] if dialogue.id in several else [dialogue.id]
                key = digest(named)[:KEY]
                card = group.cards.get(dialogue.card_id or "")
                own, repeat = tuple(ratings[dialogue.id]), repeats[dialogue.id] if repeated else None
                if (known := entries.get(key)) is not None:  # the same, in groups that stand apart for their ratings
                    more = [rating for rating in own if rating not in known.ratings]
                    both = (*known.ratings, *more)
                    entries[key] = Entry(key, known.number, known.group, dialogue, known.card or card, both, repeat)
                else:
                    entries[key] = Entry(key, len(entries), group, dialogue, card, own, repeat)
        return list(entries.values())

    @cached_property
    def boards(self) -> list[Board]:
        """The leaderboards of each group, as ``report`` has them.

        Raises:
            EscEvalError: Ratings and dialogues do not fit.
        """
        found = []
        for group in self.groups:
            for table in self._summarise(group).tables:
                rubric = table.rubric or next(iter(group.rubrics))
                key = digest([group.name, table.language, table.rater, rubric])[:KEY]
                found.append(Board(key, group, table))
        return found

    def _summarise(self, group: Group) -> Summary:
        if not group.ratings:
            return Summary(tables=())
        try:
            return summarise_ratings(
                list(group.dialogues.values()), group.ratings, group.rubrics, group.run, statistic=self.statistic
            )
        except ValueError as error:
            raise EscEvalError(f"{group.name}: ratings and dialogues do not fit: {error}") from error

    @cached_property
    def rounds(self) -> list[tuple[Group, list[Rounds], list[Picture]]]:
        """Figures by round of each group, with their pictures."""
        found = []
        for number, group in enumerate(self.groups):
            talks = list(group.dialogues.values())
            rounds = [*estimate_rounds(talks), *(course.as_rounds() for course in estimate_courses(talks))]
            signature = join_signature(dialogue_parts(group.run))
            pictures = rounds_pictures(rounds, signature)
            found.append((group, rounds, pictures if number == 0 else [_renamed(p, number) for p in pictures]))
        return found

    @cached_property
    def courses(self) -> dict[int, Report]:
        """The seekers' courses of each group that has one, by its number from 0."""
        found = {n: course_report(list(g.dialogues.values()), g.cards) for n, g in enumerate(self.groups)}
        return {number: report for number, report in found.items() if report}

    def find_picture(self, name: str) -> Picture | None:
        """A picture by its address: of a board, ``KEY-NAME``, else of the rounds."""
        key, _, rest = name.partition("-")
        for board in self.boards:
            if board.key == key:
                return next((picture for picture in board.pictures if picture.name == rest), None)
        found = (picture for _, _, pictures in self.rounds for picture in pictures)
        return next((picture for picture in found if picture.name == name), None)

    @cached_property
    def rubrics(self) -> dict[str, Rubric]:
        """By the name and version that ratings carry."""
        return {name: rubric for group in self.groups for name, rubric in group.rubrics.items()}

    @cached_property
    def raters(self) -> list[str]:
        """Whoever rated, by name."""
        return sorted({rating.rater for entry in self.entries for rating in entry.ratings})

    def choices(self) -> dict[str, list[str]]:
        """What lists can be filtered by, and the values that occur."""
        entries = self.entries
        return {
            "model": sorted({entry.supporter for entry in entries}),
            "seeker": sorted({entry.seeker for entry in entries}),
            "spoken": sorted({entry.dialogue.language for entry in entries}),
            "category": sorted({entry.category for entry in entries if entry.category}),
            "rater": self.raters,
            "repeat": [str(number) for number in sorted({entry.repeat for entry in entries if entry.repeat})],
        }


def _tell_strategies(classifier: StrategyClassifier, dialogue: Dialogue) -> Mapping[int, str]:
    return word_replies(classifier.file.strategies, classifier.read(dialogue))


def _renamed(picture: Picture, number: int) -> Picture:
    return Picture(f"{picture.name}-{number + 1}", picture.title, picture.words, picture.draw, picture.signature)


def read_sources(folders: Sequence[Path], rubric: str | None = None) -> list[Source]:
    """Run folders, each once.

    Raises:
        EscEvalError: One cannot be read, or is named twice.
    """
    check_named_once(folders)
    return [Source.read(folder, rubric) for folder in folders]


def check_named_once(folders: Iterable[Path]) -> None:
    """Refuse a folder that is named twice, however it is spelt.

    Raises:
        EscEvalError: One is.
    """
    resolved = [folder.resolve() for folder in folders]
    if twice := [str(folder) for folder, times in Counter(resolved).items() if times > 1]:
        raise EscEvalError(f"{twice[0]}: named twice")


def join_all(sources: Sequence[Source]) -> Group:
    """All sources as one group.

    Raises:
        EscEvalError: One stands apart; the message says why.
    """
    first, *others = join_sources(sources)
    if others:
        reasons = "\n  ".join(dict.fromkeys(reason for group in others for reason in group.reasons))
        raise EscEvalError(
            f"these are not runs of one protocol that can be joined:\n  {reasons}\nNothing was written. "
            "esc-eval view shows them beside each other, each with its own leaderboard."
        )
    return first


def join_sources(sources: Sequence[Source]) -> list[Group]:
    """Sources in groups that may share a leaderboard; each joins the first that takes it."""
    groups: list[_Joining] = []
    for source in sorted(sources, key=lambda source: source.is_human):
        reasons = []
        joined = False
        for group in groups:
            if why := group.explain_apart(source):
                reasons.append(why)
            else:
                group.add(source)
                joined = True
                if not source.is_human:  # people's dialogues stand in every group, a model's in one
                    break
        if not joined:
            groups.append(_Joining(source, reasons))
    return [group.group for group in groups]
