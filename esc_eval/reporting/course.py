"""The seeker's course: how its hidden state goes over a talk, how talks end, and what is wrong with seekers.

All from the records of dialogues alone, so that it is the same for a run, several, or dialogues from elsewhere.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from esc_eval.reporting.columns import About, DialogueColumns, Mask, Places
from esc_eval.reporting.render import Cell, Report, Table, report_signature, undefined_notes
from esc_eval.reporting.rounds import Figure, Rounds, split_rounds
from esc_eval.schema import Dialogue, RoleCard, SeekerState, Turn, digest_each
from esc_eval.simulation.course import knows_goodbyes
from esc_eval.simulation.faults import KINDS, Fault, find_faults, read_rules
from esc_eval.statistics.bootstrap import Bootstrap, estimate_share
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.trajectory import Trajectory, estimate_trajectories

NAMES = {"refusal": "refuses", "role_reversal": "speaks as supporter", "card_contradiction": "contradicts card"}
PROBLEM = "problem"


@dataclass(frozen=True)
class Course:
    """How one number of the seekers' states goes, in one language.

    Attributes:
        field: The number, as the protocol calls it.
        scale: Its lowest and highest value.
        by_supporter: The trajectory by supporter.
        clustered_by: ``card``, or ``dialogue`` where a card is unknown.
    """

    language: str
    field: str
    scale: tuple[float, float]
    by_supporter: Mapping[str, Trajectory]
    clustered_by: str

    def as_rounds(self) -> Rounds:
        """What a picture and a table by round are made of."""
        low, high = self.scale
        figure = Figure(
            f"state-{self.field}", f"State of the seeker: {self.field}", f"{low:g} to {high:g}", "seeker", _no_count
        )
        means = {name: course.rounds for name, course in self.by_supporter.items()}
        return Rounds(figure, self.language, means, self.clustered_by)


def _no_count(_: Turn, __: str) -> None:
    return None


class _Asked:
    """The states that seekers were asked for, number by number, while dialogues are gone through."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, float, float], tuple[array[int], array[int], array[int], array[float]]] = {}

    def add(self, place: int, dialogue: Dialogue) -> None:
        """Note the states of the dialogue at a place: how many rounds, how many of them asked, and each value."""
        keys = dict.fromkeys((x.name, x.low, x.high) for state in _states(dialogue) for x in state.levels)
        for name, low, high in keys:
            levels = [_level(one["seeker"].state, name, low, high) for one in split_rounds(dialogue)]
            key = dialogue.language, name, low, high
            new = array("i"), array("i"), array("i"), array("d")
            places, lengths, counts, values = self._found.setdefault(key, new)
            places.append(place)
            lengths.append(len(levels))
            counts.append(sum(level is not None for level in levels))
            values.extend(np.nan if level is None or level.value is None else level.value for level in levels)

    def courses(self, talks: DialogueColumns, boot: Bootstrap) -> list[Course]:
        """The trajectory of each number, by supporter."""
        found = []
        for (language, name, low, high), (places, lengths, counts, values) in self._found.items():
            where = np.zeros(len(talks), dtype=np.bool_)
            where[np.asarray(places)] = True
            own, length = talks.take(where), np.asarray(lengths)
            table = np.full((len(own), int(length.max())), np.nan)
            table[np.arange(table.shape[1]) < length[:, None]] = np.asarray(values)
            supporters, groups = np.unique(own.each(lambda about: about.supporter), return_inverse=True)
            courses = estimate_trajectories(table, counts.tolist(), own.cluster, groups.tolist(), (low, high), boot)
            by_supporter = dict(zip(supporters.tolist(), courses, strict=True))
            found.append(Course(language, name, (low, high), by_supporter, "card" if own.by_card else "dialogue"))
        return found


def estimate_courses(dialogues: Iterable[Dialogue] | DialogueColumns, boot: Bootstrap | None = None) -> list[Course]:
    """The trajectory of every number that a protocol asks seekers for, by language and supporter.

    Dialogues whose seekers were asked for no state are left out. A number that was asked for on two scales counts as
    two.

    Args:
        dialogues: Of any supporters and languages.
        boot: Draws of the intervals.
    """
    talks, asked = DialogueColumns.of(dialogues), _Asked()
    for place, dialogue in talks.each_dialogue():
        asked.add(place, dialogue)
    return asked.courses(talks, boot or Bootstrap())


def _states(dialogue: Dialogue) -> list[SeekerState]:
    return [turn.state for turn in dialogue.turns if turn.state is not None]


def _level(state: SeekerState | None, name: str, low: float, high: float) -> Any:
    levels = state.levels if state else ()
    return next((x for x in levels if (x.name, x.low, x.high) == (name, low, high)), None)


@dataclass(frozen=True)
class Curve:
    """One number of one dialogue's seeker, as a small line.

    Attributes:
        name: Of the number.
        values: By round; None where there is none.
        low, high: Ends of its scale.
    """

    name: str
    values: tuple[float | None, ...]
    low: float
    high: float

    @property
    def lines(self) -> list[str]:
        """Points of polylines in a box of 100 by 24, broken where a value is missing."""
        step = 100 / max(1, len(self.values) - 1)
        lines: list[list[str]] = [[]]
        for place, value in enumerate(self.values):
            if value is None:
                lines.append([])
            else:
                height = 23 - 22 * (value - self.low) / (self.high - self.low)
                lines[-1].append(f"{place * step:.1f},{height:.1f}")
        return [" ".join(points if len(points) > 1 else points * 2) for points in lines if points]

    @property
    def words(self) -> str:
        """Its values in a line, a dash where there is none."""
        return " ".join("-" if value is None else f"{value:g}" for value in self.values)


def draw_curves(dialogue: Dialogue) -> list[Curve]:
    """The small lines of a dialogue; none where its seeker was asked for no state, or nothing of it could be read."""
    rounds = [one["seeker"].state for one in split_rounds(dialogue)]
    keys = dict.fromkeys((x.name, x.low, x.high) for state in rounds if state for x in state.levels)
    curves = []
    for name, low, high in keys:
        levels = [_level(state, name, low, high) for state in rounds]
        curves.append(Curve(name, tuple(level and level.value for level in levels), low, high))
    return [curve for curve in curves if curve.lines]


def place_faults(dialogue: Dialogue, card: RoleCard | None = None) -> dict[int, list[Fault]]:
    """Faults of the seeker by place of the turn, from 0."""
    found: dict[int, list[Fault]] = defaultdict(list)
    for fault in find_faults(dialogue.turns, dialogue.language, card):
        found[fault.turn].append(fault)
    return found


def course_report(
    dialogues: Sequence[Dialogue] | DialogueColumns, cards: Mapping[str, RoleCard], boot: Bootstrap | None = None
) -> Report | None:
    """States, ends and faults; None where no seeker was asked for a state, could end a talk, or is at fault.

    Args:
        dialogues: Of any supporters, seekers and languages.
        cards: By id; a seeker whose card is not known contradicts nothing.
        boot: Draws of the intervals.
    """
    boot = boot or Bootstrap()
    talks, asked = DialogueColumns.of(dialogues), _Asked()
    faults_of, rounds, attempts = np.zeros((3, len(talks)), dtype=np.int32)
    ends = array("i")
    known_ends: dict[str | None, int] = {None: 0}
    still = 0
    for place, dialogue in talks.each_dialogue():
        asked.add(place, dialogue)
        card = cards.get(dialogue.card_id or "")
        faults_of[place] = sum(1 << KINDS.index(kind) for kind in first_faults(dialogue, card))
        rounds[place], attempts[place] = dialogue.rounds, len(dialogue.attempts or ())
        ends.append(known_ends.setdefault(dialogue.end or None, len(known_ends)))
        still += bool(dialogue.attempts) and bool(place_faults(dialogue, card))
    end = np.array(list(known_ends), dtype=object)[np.asarray(ends, dtype=np.intp)]
    courses = asked.courses(talks, boot)
    ended, replayed = end != None, attempts > 0  # noqa: E711
    if not (courses or ended.any() or replayed.any() or faults_of.any()):
        return None
    tables = [*_state_tables(courses)]
    notes = []
    if courses:
        notes.append(
            "States are what a simulated seeker writes of itself, which nobody else read; no measure of how anybody "
            "feels. A state is written before the seeker speaks, so what the last reply did is in none. Means by round "
            "are of the talks that reach the round; change is of each talk's last readable state less its first."
        )
    how = _ends(talks, end, rounds, boot)
    if how:
        tables.append(_ends_table(how))
        languages = {about.language for about, _ in talks.counted(ended)}
        if unknown := sorted(language for language in languages if not knows_goodbyes(language)):
            notes.append(f"{', '.join(unknown)}: no words of goodbye are known, so no loop of goodbyes is found.")
    faults = _faults(talks, faults_of, attempts, cards, boot)
    tables.append(_faults_table(faults))
    notes.append(
        "Faults are found by rules of words, which miss what is said in other words and sometimes err "
        "(docs/howto/course.md). A dialogue that was played again counts by its first attempt."
    )
    if silent := sorted({a.language for a, _ in talks.counted() if read_rules(a.language) is None}):
        notes.append(f"{', '.join(silent)}: no words of faults are known, so none is looked for.")
    if replayed.any():
        notes.append(
            f"{replayed.sum()} dialogues were played again, {attempts.sum()} times; {still} are at fault still."
        )
    for course in courses:
        for name, one in course.by_supporter.items():
            what = f"{course.language}, {name}, {course.field}"
            notes += undefined_notes({what: {"area": one.area, "change": one.change}})
    data: dict[str, Any] = {
        "states": [
            {
                "language": course.language,
                "field": course.field,
                "scale": course.scale,
                "clustered_by": course.clustered_by,
                "supporters": {
                    name: {
                        "rounds": list(one.rounds),
                        "area": one.area,
                        "change": one.change,
                        "readable": one.readable,
                        "asked": one.asked,
                    }
                    for name, one in course.by_supporter.items()
                },
            }
            for course in courses
        ],
        "ends": how,
        "faults": faults,
    }
    signature = report_signature("course", digest_each(talks.each_source()), boot, dialogues=len(talks))
    return Report(
        "course", data, tables, notes, signature, "The seeker's course", "95% intervals that draw whole cards"
    )


def first_faults(dialogue: Dialogue, card: RoleCard | None) -> set[str]:
    """Kinds of faults that the seeker shows when a dialogue is played for the first time."""
    turns = dialogue.attempts[0].turns if dialogue.attempts else dialogue.turns
    return {fault.kind for fault in find_faults(turns, dialogue.language, card)}


def _state_tables(courses: Sequence[Course]) -> list[Table]:
    rows: list[list[Cell]] = []
    for course in courses:
        where = f"{course.field} ({course.scale[0]:g}-{course.scale[1]:g}), {course.language}"
        for name, one in course.by_supporter.items():
            rows.append([where, name, one.change.n, f"{one.readable} of {one.asked}", one.change, one.area])
    if not rows:
        return []
    head = ["State", "Supporter", "n", "readable", "change", "mean height"]
    note = "change: last less first; mean height: area under the curve by its length; n: dialogues with two states"
    return [
        Table("Hidden states of the seeker", head, rows, 2, note, names=2),
        *(course.as_rounds().to_table() for course in courses),
    ]


def _by(talks: DialogueColumns, who: Callable[[About], str]) -> dict[tuple[str, str], Mask]:
    """Which dialogues are of each language and supporter, say."""
    groups = sorted({(about.language, who(about)) for about, _ in talks.counted()})
    return {key: talks.where(lambda about: (about.language, who(about)), key) for key in groups}


def _share(talks: DialogueColumns, hits: Mask, boot: Bootstrap, why: str) -> Estimate:
    """Share of dialogues, 0..1; cards are drawn whole."""
    cluster = talks.card if talks.by_card else np.arange(len(talks))
    _, first, code = np.unique(cluster, return_index=True, return_inverse=True)
    order = np.argsort(first)  # clusters as they first appear
    parts, wholes = np.bincount(code, hits)[order], np.bincount(code)[order]
    return estimate_share(parts, wholes, boot, len(talks), why)


def _ends(talks: DialogueColumns, end: npt.NDArray[Any], rounds: Places, boot: Bootstrap) -> list[dict[str, Any]]:
    """How talks end in which the seeker may end it, by language and supporter; those with a problem are among them."""
    ended = end != None  # noqa: E711
    protocols = {about.protocol for about, _ in talks.counted(ended)}
    where = ended | talks.having(lambda about: about.problem and about.protocol in protocols)
    if not where.any():
        return []
    chosen, end, rounds = talks.take(where), np.where(ended, end, PROBLEM)[where], rounds[where]
    every = sorted(set(end.tolist()))
    found = []
    for (language, supporter), here in _by(chosen, lambda about: about.supporter).items():
        own = chosen.take(here)
        found.append(
            {
                "language": language,
                "supporter": supporter,
                "n": len(own),
                "rounds": float(np.mean(rounds[here])),
                "counts": {one: int((end[here] == one).sum()) for one in every},
                "shares": {one: _share(own, end[here] == one, boot, "no dialogue") for one in every},
            }
        )
    return found


def _ends_table(ends: Sequence[Mapping[str, Any]]) -> Table:
    every = list(ends[0]["shares"])
    rows: list[list[Cell]] = [
        [one["language"], one["supporter"], one["n"], one["rounds"]] + [one["shares"][end].scaled(100) for end in every]
        for one in ends
    ]
    head = ["Language", "Supporter", "n", "mean rounds", *(end.replace("_", " ") for end in every)]
    return Table("How talks end, % of dialogues", head, rows, 1, names=2)


def _faults(
    talks: DialogueColumns, faults: Places, attempts: Places, cards: Mapping[str, RoleCard], boot: Bootstrap
) -> list[dict[str, Any]]:
    """Dialogues with a fault, by language and seeker, where the language has rules.

    Args:
        talks: The dialogues.
        faults: Of each, the kinds that it shows when it is played for the first time, as bits.
        attempts: Of each, how often it was played again.
        cards: By id.
        boot: Of the intervals.
    """
    has_card = np.array([*(name in cards for name in talks.cards), False])[talks.card]
    found = []
    for (language, seeker), here in _by(talks, lambda about: about.seeker or "unknown").items():
        if read_rules(language) is None:
            continue
        own, shares = talks.take(here), dict[str, Estimate]()
        for bit, kind in enumerate(KINDS):
            among = here & has_card if kind == "card_contradiction" else here
            shares[kind] = _share(talks.take(among), (faults[among] >> bit) % 2 == 1, boot, "no card is known")
        found.append(
            {
                "language": language,
                "seeker": seeker,
                "n": len(own),
                "turns": sum(n * about.seeker_turns for about, n in own.counted()),
                "shares": {**shares, "any": _share(own, faults[here] > 0, boot, "no dialogue")},
                "replayed": int((attempts[here] > 0).sum()),
                "attempts": int(attempts[here].sum()),
            }
        )
    return found


def _faults_table(faults: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[list[Cell]] = [
        [one["language"], one["seeker"], one["n"]]
        + [one["shares"][kind].scaled(100) for kind in (*KINDS, "any")]
        + [one["replayed"]]
        for one in faults
    ]
    head = ["Language", "Seeker", "n", *(NAMES[kind] for kind in KINDS), "any fault", "played again"]
    return Table("Faults of the seeker, % of dialogues", head, rows, 1, names=2)
