"""What dialogues and ratings are from: run folders, joined where their dialogues were made alike, kept apart where they
were not. Those of a large folder are not held.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.files.chosen import Chosen
from esc_eval.files.preferences import read_preferences
from esc_eval.files.records import check_unique_anew, open_dialogues
from esc_eval.files.run_folder import DIALOGUES, PREFERENCES, open_run_ratings, read_run_cards
from esc_eval.prompts.rubric import Rubric
from esc_eval.reading import is_file
from esc_eval.reporting.columns import DialogueColumns, Places, RatingColumns, Said
from esc_eval.reporting.making import HOW_OPENED
from esc_eval.schema import Dialogue, Preference, Rating, RoleCard, digest
from esc_eval.scoring.rating_checks import find_rubrics
from esc_eval.simulation.identity import find_differences
from esc_eval.simulation.run import PLAYED, PREFERRING, find_simulations, is_partly_foreign
from esc_eval.simulation.seekers import SEEKERS, seekers_of
from esc_eval.simulation.unfinished import ASKED, read_run

HUMAN = "human"
"""Name of the supporter where people talked with people: such dialogues stand beside those of any protocol."""
_JUDGED = ("scoring/", PREFERRING)
"""How the steps of judges begin."""


@dataclass(frozen=True, eq=False)
class Source:
    """A run folder, or dialogues and ratings from elsewhere.

    Attributes:
        name: What it is called on the pages.
        talks, given: What is counted of its dialogues and ratings, which are held or not.
        cards: Role cards by id.
        rubrics: By the name and version that ratings carry.
        run: Content of its run.json; empty where there is none.
        preferences: Between two of its dialogues.
    """

    name: str
    talks: DialogueColumns
    given: RatingColumns
    cards: Mapping[str, RoleCard] = field(default_factory=dict)
    rubrics: Mapping[str, Rubric] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    preferences: tuple[Preference, ...] = ()

    @classmethod
    def of(cls, name: str, dialogues: Sequence[Dialogue], ratings: Sequence[Rating] = (), **more: Any) -> "Source":
        """Dialogues and ratings from anywhere.

        Args:
            name, more: As of the class.
            dialogues: Each is told by its id.
            ratings: Of these dialogues or those of another source.
        """
        talks = DialogueColumns.of(dialogues)
        return cls(name, talks, RatingColumns.of(ratings, talks), **more)

    @classmethod
    def read(cls, folder: Path, rubric: str | None = None) -> "Source":
        """A run folder.

        Raises:
            EscEvalError: There is none, or a file of it is broken or under a rubric that is not known.
        """
        if not folder.is_dir():
            raise EscEvalError(f"{folder}: no such run folder")
        card = read_run(folder)
        talks = DialogueColumns.of(open_dialogues(folder))
        check_unique_anew(lambda: talks.ids, "dialogue", str(folder / DIALOGUES))
        given = RatingColumns.of(open_run_ratings(folder), talks)
        return cls(
            str(folder),
            talks,
            given,
            {card.id: card for card in read_run_cards([folder])},
            find_rubrics(given.examples, rubric, folder) if len(given) else {},
            card,
            tuple(one.preference for one in read_preferences(folder)) if is_file(folder / PREFERENCES) else (),
        )

    @property
    def dialogues(self) -> Sequence[Dialogue]:
        """Its dialogues."""
        return self.talks.source

    @property
    def ratings(self) -> Sequence[Rating]:
        """Their ratings."""
        return self.given.source

    @cached_property
    def is_human(self) -> bool:
        """Whether all its supporters are people."""
        return all(about.supporter == HUMAN for about, _ in self.talks.counted())

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
    """

    sources: tuple[Source, ...]
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Names of its sources."""
        return " + ".join(source.name for source in self.sources)

    @cached_property
    def _places(self) -> list[Places]:
        """Of each source, the places of its dialogues among those of the group, each once in order of appearance."""
        known: dict[str, int] = {}
        return [
            np.array([known.setdefault(name, len(known)) for name in source.talks.ids], dtype=np.int32)
            for source in self.sources
        ]

    @cached_property
    def talks(self) -> DialogueColumns:
        """What is counted of its dialogues, each once; of one that several sources have, what the last says."""
        part, place = np.zeros((2, 1 + max(int(own.max(initial=-1)) for own in self._places)), dtype=np.int32)
        if len(self.sources) == 1 and len(part) == len(self._places[0]):
            return self.sources[0].talks
        for number, own in enumerate(self._places):
            part[own], place[own] = number, np.arange(len(own))  # what is written last stays
        return DialogueColumns.of(Chosen([source.dialogues for source in self.sources], part, place))

    @cached_property
    def given(self) -> RatingColumns:
        """What is counted of its ratings, each once; of one that several sources have, what the first says."""
        if self.talks is self.sources[0].talks:
            return self.sources[0].given
        parts = []
        for source, own in zip(self.sources, self._places, strict=True):
            rated = source.given.dialogue
            known = bool((rated >= 0).all())  # else they are looked up among the dialogues of all
            parts.append(source.given.renumber(own) if known else RatingColumns.of(source.ratings, self.talks))
        codes: dict[tuple[str | None, ...], int] = {}
        there = np.zeros(0, dtype=np.int64)
        new = []
        for part in parts:
            what = part.each(lambda said: codes.setdefault(_what(said), len(codes)), np.int64)
            place = (part.dialogue.astype(np.int64) << 32) + what
            new.append((part.dialogue < 0) | ~np.isin(place, there))
            there = np.union1d(there, place)
        number = np.repeat(np.arange(len(parts)), [int(one.sum()) for one in new])
        place = np.concatenate([np.flatnonzero(one) for one in new])
        chosen = Chosen([source.ratings for source in self.sources], number, place)
        return RatingColumns.join([part.take(one) for part, one in zip(parts, new, strict=True)], chosen)

    @property
    def dialogues(self) -> Sequence[Dialogue]:
        """Its dialogues, each once."""
        return self.talks.source

    @property
    def ratings(self) -> Sequence[Rating]:
        """Their ratings, each once."""
        return self.given.source

    def preferences_on(self, one: str, other: str) -> list[Preference]:
        """What judges and people say of two dialogues, each verdict once."""
        found = [given for source in self.sources for given in source.preferences]
        both = {one, other}
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


def _model(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in identity.items() if key not in HOW_OPENED}


def _what(one: Rating | Said) -> tuple[str | None, ...]:
    return one.dimension, one.rater, one.rubric, one.stage


def _place(rating: Rating) -> tuple[str | None, ...]:
    return rating.dialogue_id, *_what(rating)


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
        return Group(tuple(self.sources), self.reasons)

    def explain_apart(self, other: Source) -> str | None:
        """Why a source cannot join, in a sentence; None where it can."""

        def say(why: str) -> str:
            return f"{other.name} stands apart from {self.group.name}, as {why}."

        if not self.is_human and not other.is_human and (why := self._compare_makings(other)):
            return say(f"its dialogues were made otherwise: {why}")
        self._note()
        for dialogue in other.dialogues:
            if (known := self.dialogues.get(dialogue.id)) and known != dialogue.content:
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
            if (known := self.ratings.get(_place(rating))) and known != digest(rating):
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
