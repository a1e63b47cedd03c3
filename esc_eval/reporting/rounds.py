"""What happens from round to round: how much each side says, what is asked and cut, and how the seeker seems to feel.

Ratings are of whole dialogues, so there is no score by round.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from esc_eval.languages import get_language
from esc_eval.reporting.columns import DialogueColumns, Places
from esc_eval.reporting.render import Cell, Table
from esc_eval.schema import Dialogue, Language, Role, Turn
from esc_eval.scoring.lexicon import asks, count_distress, find_words, read_lexicon
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables, Totals, code_clusters, estimate_group_means
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Array, Estimate

Count = Callable[[Turn, Language], tuple[float, float] | None]
"""Of a turn: what is counted, and of how many; None where it is not known."""


@dataclass(frozen=True)
class Figure:
    """What is counted by round.

    Attributes:
        name: Part of file names, and key of interface strings.
        title, unit: In tables and pictures.
        role: Whose turns.
        count: Of one turn.
        is_share: Whether it is a share of turns, in percent.
    """

    name: str
    title: str
    unit: str
    role: Role
    count: Count
    is_share: bool = False


def _count_words(turn: Turn, language: Language) -> tuple[float, float]:
    return len(find_words(turn.text, language)), 1


def _count_distress(turn: Turn, language: Language) -> tuple[float, float] | None:
    if read_lexicon(language) is None:
        return None
    found, tokens = count_distress(turn.text, language)
    return 100 * found, tokens


def _is_question(turn: Turn, language: Language) -> tuple[float, float]:
    return 100.0 * asks(turn.text, language), 1


def _is_cut(turn: Turn, _: Language) -> tuple[float, float] | None:
    return None if turn.finish_reason is None else (100.0 * (turn.finish_reason == "length"), 1)


FIGURES = (
    Figure("supporter-words", "Length of replies", "words or characters a reply", "supporter", _count_words),
    Figure("questions", "Replies that ask something", "% of replies", "supporter", _is_question, True),
    Figure("cut", "Replies cut at the token cap", "% of replies", "supporter", _is_cut, True),
    Figure("seeker-words", "Length of what the seeker says", "words or characters a turn", "seeker", _count_words),
    Figure("distress", "Words of distress less words of relief of the seeker", "in 100 tokens", "seeker",
           _count_distress),
)  # fmt: skip


@dataclass(frozen=True)
class Rounds:
    """One figure by round, of the dialogues of one language.

    Attributes:
        figure: What is counted.
        by_supporter: Supporter -> the figure of each round, over the dialogues that reach it; intervals draw cards.
        clustered_by: ``card``, or ``dialogue`` where a card is unknown.
    """

    figure: Figure
    language: Language
    by_supporter: Mapping[str, Sequence[Estimate]]
    clustered_by: str

    @property
    def name(self) -> str:
        """Part of file names."""
        return f"{self.language}-rounds-{self.figure.name}"

    @property
    def title(self) -> str:
        """What it is, with its language."""
        return f"{self.figure.title}, {get_language(self.language).name}"

    @property
    def unit(self) -> str:
        """Of its numbers."""
        word = "characters" if get_language(self.language).unit == "character" else "words"
        return self.figure.unit.replace("words or characters", word)

    @property
    def longest(self) -> int:
        """Rounds of the longest dialogue."""
        return max(map(len, self.by_supporter.values()))

    def to_table(self) -> Table:
        """One line a supporter, one column a round."""
        rows: list[list[Cell]] = [
            [name, *(each if each.value is not None else None for each in means)]
            for name, means in self.by_supporter.items()
        ]
        head = ["Supporter", *(f"round {i + 1}" for i in range(self.longest))]
        return Table(f"{self.title}: {self.unit}", head, rows, 1)


def split_rounds(dialogue: Dialogue) -> list[dict[Role, Turn]]:
    """Who says what in each round: a seeker's turn and the reply to it, where there is one; an opening is in none.

    >>> turns = [Turn(role=role, text=role) for role in ("supporter", "seeker", "supporter", "seeker")]
    >>> [list(each) for each in split_rounds(Dialogue(id="d", language="en", turns=turns))]
    [['seeker', 'supporter'], ['seeker']]
    """
    rounds: list[dict[Role, Turn]] = []
    for turn in dialogue.turns:
        if turn.role == "seeker":
            rounds.append({"seeker": turn})
        elif rounds:
            rounds[-1].setdefault("supporter", turn)
    return rounds


def place_turns(dialogue: Dialogue) -> list[tuple[Turn, int]]:
    """Every turn and its round; 0 for what is said before the seeker speaks.

    >>> turns = [Turn(role=role, text=role) for role in ("supporter", "seeker", "supporter", "seeker")]
    >>> [place for _, place in place_turns(Dialogue(id="d", language="en", turns=turns))]
    [0, 1, 1, 2]
    """
    place, found = 0, []
    for turn in dialogue.turns:
        place += turn.role == "seeker"
        found.append((turn, place))
    return found


def estimate_rounds(dialogues: Iterable[Dialogue] | DialogueColumns, boot: Bootstrap | None = None) -> list[Rounds]:
    """Every figure by round for each language; those that nothing is known of are left out.

    Args:
        dialogues: Of any supporters and languages.
        boot: Draws of the intervals.
    """
    boot, every = boot or Bootstrap(), DialogueColumns.of(dialogues)
    found = []
    for language in dict.fromkeys(about.language for about, _ in every.counted()):
        talks = every.take(every.where(lambda about: about.language, language))
        longest = max(about.seeker_turns for about, _ in talks.counted())
        counts = np.full((len(FIGURES), 2, len(talks), longest), np.nan, dtype=np.float32)  # whole numbers, exactly
        for i, dialogue in talks.each_dialogue():
            for j, pair in enumerate(split_rounds(dialogue)):
                for figure, (counted, size) in zip(FIGURES, counts, strict=True):
                    if (turn := pair.get(figure.role)) and (count := figure.count(turn, language)):
                        counted[i, j], size[i, j] = count
        clusters, clustered_by = talks.cluster, "card" if talks.by_card else "dialogue"
        supporters = talks.each(lambda about: about.supporter)
        for figure, (counted, size) in zip(FIGURES if longest else (), counts if longest else (), strict=True):
            if np.isnan(size).all():
                continue
            by_supporter = {}
            for name in sorted(set(supporters.tolist())):
                at = np.flatnonzero(supporters == name)
                labels = clusters[at]
                found_at, size_at = counted[at].astype(float), size[at].astype(float)
                by_supporter[name] = _estimate(found_at, size_at, labels, figure.is_share, boot)
            found.append(Rounds(figure, language, by_supporter, clustered_by))
    return found


def _estimate(found: Array, size: Array, clusters: Places, is_share: bool, boot: Bootstrap) -> list[Estimate]:
    """What is found over what there is, of each column; NaN is missing."""
    if is_share:
        return estimate_group_means(found, clusters, [0] * len(found), boot).each[0]
    code, cards = code_clusters(clusters)
    columns = found.shape[1]
    tables = np.zeros((2, cards, columns))
    np.add.at(tables[0], code, np.nan_to_num(found))
    np.add.at(tables[1], code, np.nan_to_num(size))

    def statistic(t: Totals) -> dict[str, Array]:
        return {"rate": ratio(t["found"], t["size"])}

    built = ClusterTables.build({"found": (tables[0], (columns,)), "size": (tables[1], (columns,))})
    one, many = built.draw(statistic, boot)
    n = (np.nan_to_num(size) > 0).sum(0)
    own = (tables[1] > 0).sum(0)
    why = "nobody spoke in this round"
    return [boot.estimate(float(one["rate"][j]), many["rate"][:, j], int(n[j]), int(own[j]), why)
            for j in range(columns)]  # fmt: skip
