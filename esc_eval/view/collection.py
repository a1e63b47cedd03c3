"""What is looked at: the dialogues of run folders, their leaderboards and figures."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import Rubric
from esc_eval.reporting.columns import Mask
from esc_eval.reporting.course import course_report, estimate_courses
from esc_eval.reporting.pictures import Picture, board_pictures, rounds_pictures
from esc_eval.reporting.render import Report
from esc_eval.reporting.rounds import Rounds, estimate_rounds
from esc_eval.reporting.seekers import find_pools, seekers_report
from esc_eval.reporting.signature import dialogue_parts, join_signature
from esc_eval.reporting.strategies import word_replies
from esc_eval.reporting.summary import Leaderboard, Statistic, Summary, summarise_ratings
from esc_eval.schema import Dialogue, digest
from esc_eval.scoring.strategies import StrategyClassifier
from esc_eval.simulation.run import find_faults
from esc_eval.simulation.unfinished import describe_stage
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.view.entries import KEY, Entry, make_entries
from esc_eval.view.search import Part, find_entries
from esc_eval.view.sources import Group, join_sources, read_sources

SEARCHES = 32
"""How many searches are remembered: the pages of a list and the dialogues on it ask the same again."""


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
        """Results by seeker; None where one seeker played all dialogues. Where several did, all are read and held."""
        if len({about.seeker or "unknown" for about, _ in self.group.talks.counted()}) < 2:
            return None
        talks = list(self.group.dialogues)
        pools = find_pools(talks, list(self.group.ratings))
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
        self.entries = make_entries(self.groups)
        self.by_key = {entry.key: entry for entry in self.entries}
        self.by_card: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if (card := entry.card_id) is not None:
                self.by_card[card].append(entry)
        self.find: Callable[[tuple[str, ...], tuple[Part, ...]], Mask] = lru_cache(SEARCHES)(
            partial(find_entries, self.entries)
        )

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
            stage = describe_stage(source.run, source.talks.ids)
            notes += [f"{source.name}: {sentence}" for sentence in stage]
        return cls(join_sources(sources), statistic, notes, classifier)

    @property
    def strategies(self) -> Callable[[Dialogue], Mapping[int, str]] | None:
        """Which strategies the replies of a dialogue use, in words, by place of the turn; None = not shown."""
        return None if self._classifier is None else partial(_tell_strategies, self._classifier)

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
        if not len(group.given):
            return Summary(tables=())
        try:
            return summarise_ratings(group.talks, group.given, group.rubrics, group.run, statistic=self.statistic)
        except ValueError as error:
            raise EscEvalError(f"{group.name}: ratings and dialogues do not fit: {error}") from error

    @cached_property
    def rounds(self) -> list[tuple[Group, list[Rounds], list[Picture]]]:
        """Figures by round of each group, with their pictures."""
        found = []
        for number, group in enumerate(self.groups):
            rounds = [*estimate_rounds(group.talks), *(course.as_rounds() for course in estimate_courses(group.talks))]
            signature = join_signature(dialogue_parts(group.run))
            pictures = rounds_pictures(rounds, signature)
            found.append((group, rounds, pictures if number == 0 else [_renamed(p, number) for p in pictures]))
        return found

    @cached_property
    def courses(self) -> dict[int, Report]:
        """The seekers' courses of each group that has one, by its number from 0."""
        found = {n: course_report(group.talks, group.cards) for n, group in enumerate(self.groups)}
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
        return sorted({rater for rater, _ in self._rated})

    def choose_rubric(self, rater: str) -> str | None:
        """Name and version of the rubric of most ratings, of a rater's where one is named; None where there are none.

        Args:
            rater: By name; empty = all.
        """
        times: Counter[str] = Counter()
        for (who, rubric), n in self._rated.items():
            if not rater or who == rater:
                times[rubric] += n
        return max(times, key=times.__getitem__, default=None)

    @cached_property
    def _rated(self) -> Counter[tuple[str, str]]:
        """How often each rater rated under each rubric, in the order of the entries."""
        return Counter((said.rater, said.rubric) for entry in self.entries for said in entry.verdicts)

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """What lists can be filtered by, and the values that occur."""
        entries = self.entries
        return {
            "model": sorted({entry.supporter for entry in entries}),
            "seeker": sorted({entry.seeker for entry in entries}),
            "spoken": sorted({entry.about.language for entry in entries}),
            "category": sorted({category for entry in entries if (category := entry.category)}),
            "rater": self.raters,
            "repeat": [str(number) for number in sorted({entry.repeat for entry in entries if entry.repeat})],
        }


def _tell_strategies(classifier: StrategyClassifier, dialogue: Dialogue) -> Mapping[int, str]:
    return word_replies(classifier.file.strategies, classifier.read(dialogue))


def _renamed(picture: Picture, number: int) -> Picture:
    return Picture(f"{picture.name}-{number + 1}", picture.title, picture.words, picture.draw, picture.signature)
