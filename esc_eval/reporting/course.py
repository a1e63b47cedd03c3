"""The seeker's course: how its hidden state goes over a talk, how talks end, and what is wrong with seekers.

All from the records of dialogues alone, so that it is the same for a run, several, or dialogues from elsewhere.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from esc_eval.reporting.render import Cell, Report, Table, report_signature, undefined_notes
from esc_eval.reporting.rounds import Figure, Rounds, split_rounds
from esc_eval.reporting.summary import name_clusters_of
from esc_eval.schema import Dialogue, RoleCard, SeekerState, Turn, digest
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


def estimate_courses(dialogues: Sequence[Dialogue], boot: Bootstrap | None = None) -> list[Course]:
    """The trajectory of every number that a protocol asks seekers for, by language and supporter.

    Dialogues whose seekers were asked for no state are left out. A number that was asked for on two scales counts as
    two.

    Args:
        dialogues: Of any supporters and languages.
        boot: Draws of the intervals.
    """
    boot = boot or Bootstrap()
    asked: dict[tuple[str, str, float, float], list[Dialogue]] = defaultdict(list)
    for dialogue in dialogues:
        for key in dict.fromkeys((x.name, x.low, x.high) for state in _states(dialogue) for x in state.levels):
            asked[dialogue.language, *key].append(dialogue)
    found = []
    for (language, name, low, high), own in asked.items():
        longest = max(len(split_rounds(dialogue)) for dialogue in own)
        table = np.full((len(own), longest), np.nan)
        counts = []
        for row, dialogue in zip(table, own, strict=True):
            levels = [_level(one["seeker"].state, name, low, high) for one in split_rounds(dialogue)]
            counts.append(sum(level is not None for level in levels))
            for place, level in enumerate(levels):
                row[place] = np.nan if level is None or level.value is None else level.value
        supporters = sorted({dialogue.supporter or "unknown" for dialogue in own})
        groups = [supporters.index(dialogue.supporter or "unknown") for dialogue in own]
        courses = estimate_trajectories(table, counts, name_clusters_of(own), groups, (low, high), boot)
        by_card = all(dialogue.card_id is not None for dialogue in own)
        by_supporter = dict(zip(supporters, courses, strict=True))
        found.append(Course(language, name, (low, high), by_supporter, "card" if by_card else "dialogue"))
    return found


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
    dialogues: Sequence[Dialogue], cards: Mapping[str, RoleCard], boot: Bootstrap | None = None
) -> Report | None:
    """States, ends and faults; None where no seeker was asked for a state, could end a talk, or is at fault.

    Args:
        dialogues: Of any supporters, seekers and languages.
        cards: By id; a seeker whose card is not known contradicts nothing.
        boot: Draws of the intervals.
    """
    boot = boot or Bootstrap()
    courses = estimate_courses(dialogues, boot)
    ended = [dialogue for dialogue in dialogues if dialogue.end]
    first = {dialogue.id: first_faults(dialogue, cards.get(dialogue.card_id or "")) for dialogue in dialogues}
    replayed = [dialogue for dialogue in dialogues if dialogue.attempts]
    if not (courses or ended or replayed or any(first.values())):
        return None
    tables = [*_state_tables(courses)]
    notes = []
    if courses:
        notes.append(
            "States are what a simulated seeker writes of itself, which nobody else read; no measure of how anybody "
            "feels. A state is written before the seeker speaks, so what the last reply did is in none. Means by round "
            "are of the talks that reach the round; change is of each talk's last readable state less its first."
        )
    ends = _ends(dialogues, boot)
    if ends:
        tables.append(_ends_table(ends))
        if unknown := sorted({d.language for d in ended if not knows_goodbyes(d.language)}):
            notes.append(f"{', '.join(unknown)}: no words of goodbye are known, so no loop of goodbyes is found.")
    faults = _faults(dialogues, first, cards, boot)
    tables.append(_faults_table(faults))
    notes.append(
        "Faults are found by rules of words, which miss what is said in other words and sometimes err "
        "(docs/howto/course.md). A dialogue that was played again counts by its first attempt."
    )
    if silent := sorted({d.language for d in dialogues if read_rules(d.language) is None}):
        notes.append(f"{', '.join(silent)}: no words of faults are known, so none is looked for.")
    if replayed:
        again = sum(len(dialogue.attempts or ()) for dialogue in replayed)
        still = sum(bool(place_faults(d, cards.get(d.card_id or ""))) for d in replayed)
        notes.append(f"{len(replayed)} dialogues were played again, {again} times; {still} are at fault still.")
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
        "ends": ends,
        "faults": faults,
    }
    signature = report_signature("course", digest(list(dialogues)), boot, dialogues=len(dialogues))
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


def _by(dialogues: Sequence[Dialogue], who: Callable[[Dialogue], str]) -> dict[tuple[str, str], list[Dialogue]]:
    groups: dict[tuple[str, str], list[Dialogue]] = defaultdict(list)
    for dialogue in dialogues:
        groups[dialogue.language, who(dialogue)].append(dialogue)
    return dict(sorted(groups.items()))


def _share(dialogues: Sequence[Dialogue], hits: Sequence[bool], boot: Bootstrap, why: str) -> Estimate:
    """Share of dialogues, 0..1; cards are drawn whole."""
    parts, wholes = Counter[str](), Counter[str]()
    for cluster, hit in zip(name_clusters_of(dialogues), hits, strict=True):
        wholes[cluster] += 1
        parts[cluster] += hit
    return estimate_share([parts[c] for c in wholes], list(wholes.values()), boot, len(dialogues), why)


def _ends(dialogues: Sequence[Dialogue], boot: Bootstrap) -> list[dict[str, Any]]:
    """How talks end in which the seeker may end it, by language and supporter; those with a problem are among them."""
    protocols = {dialogue.protocol for dialogue in dialogues if dialogue.end}
    chosen = [d for d in dialogues if d.end or (d.problem and d.protocol in protocols)]
    every = [str(end) for end in dict.fromkeys(sorted(d.end or PROBLEM for d in chosen))]
    found = []
    for (language, supporter), own in _by(chosen, lambda d: d.supporter or "unknown").items():
        ends = [d.end or PROBLEM for d in own]
        found.append(
            {
                "language": language,
                "supporter": supporter,
                "n": len(own),
                "rounds": float(np.mean([d.rounds for d in own])),
                "counts": {end: ends.count(end) for end in every},
                "shares": {end: _share(own, [each == end for each in ends], boot, "no dialogue") for end in every},
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
    dialogues: Sequence[Dialogue], first: Mapping[str, set[str]], cards: Mapping[str, RoleCard], boot: Bootstrap
) -> list[dict[str, Any]]:
    """Dialogues with a fault, by language and seeker, where the language has rules."""
    found = []
    searched = [d for d in dialogues if read_rules(d.language) is not None]
    for (language, seeker), own in _by(searched, lambda d: d.seeker or "unknown").items():
        with_card = [d for d in own if d.card_id in cards]
        shares: dict[str, Estimate] = {}
        for kind in KINDS:
            among = with_card if kind == "card_contradiction" else own
            shares[kind] = _share(among, [kind in first[d.id] for d in among], boot, "no card is known")
        found.append(
            {
                "language": language,
                "seeker": seeker,
                "n": len(own),
                "turns": sum(turn.role == "seeker" for d in own for turn in d.turns),
                "shares": {**shares, "any": _share(own, [bool(first[d.id]) for d in own], boot, "no dialogue")},
                "replayed": sum(bool(d.attempts) for d in own),
                "attempts": sum(len(d.attempts or ()) for d in own),
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
