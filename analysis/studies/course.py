"""``course``: how seekers' states go over talks, of runs, of SAGE's published talks, and of real seekers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_builder.sources import esconv
from dataset_builder.sources.common import Reject
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.reporting.course import estimate_courses
from esc_eval.reporting.render import Cell, Report, Table, report_signature, show_estimate
from esc_eval.reporting.rounds import split_rounds
from esc_eval.schema import Dialogue, RoleCard, Turn, digest
from esc_eval.simulation.course import is_goodbye, knows_goodbyes
from esc_eval.simulation.faults import KINDS, YEARS, find_faults, find_said_facts, read_rules
from esc_eval.statistics.bootstrap import Bootstrap, estimate_group_means, estimate_share
from esc_eval.statistics.estimate import Array, Estimate
from esc_eval.statistics.trajectory import estimate_trajectories, measure_areas, measure_changes

BEFORE_AFTER = ("initial_emotion_intensity", "final_emotion_intensity")
INTENSITY = (1.0, 5.0)
GOODBYES = 2
"""Rounds in a row of goodbyes that are looked for in real talks, as the protocol ``course`` does."""
FROM_ROUND = 3


@dataclass(frozen=True)
class Series:
    """A number that goes over talks.

    Attributes:
        name: Whose, and what of it.
        table: Shape (talks, rounds); NaN is missing.
        clusters: Of each talk what intervals draw.
        scale: Lowest and highest value.
    """

    name: str
    table: Array
    clusters: Sequence[str]
    scale: tuple[float, float]


def read_esconv_change(path: Path) -> Series:
    """How strong real seekers said that their emotion was before and after a talk, of one file of ESConv.

    Raises:
        EscEvalError: The file is broken, or nobody in it said both.
    """
    rows, ids = [], []
    for outcome in esconv.parse(path):
        if isinstance(outcome, Reject):
            raise BadRecord(path, f"line {outcome.line}", outcome.reason)
        given = {rating.name: rating.value for rating in outcome.ratings if rating.by == "seeker"}
        if all(name in given for name in BEFORE_AFTER):
            rows.append([float(given[name]) for name in BEFORE_AFTER])
            ids.append(outcome.id)
    if not rows:
        raise EscEvalError(f"{path}: no conversation in it says how strong the emotion was before and after")
    return Series(f"ESConv {path.stem}: intensity", np.array(rows), ids, INTENSITY)


def list_series(dialogues: Sequence[Dialogue], name: str) -> list[Series]:
    """The numbers of seekers' states, one series a language, number and supporter."""
    found = []
    for course in estimate_courses(dialogues, Bootstrap(draws=100)):
        for supporter in course.by_supporter:
            own = [d for d in dialogues if d.language == course.language and (d.supporter or "unknown") == supporter]
            rows, clusters = [], []
            for dialogue in own:
                states = [one["seeker"].state for one in split_rounds(dialogue)]
                if any(states):
                    rows.append([s.values.get(course.field, np.nan) if s else np.nan for s in states])
                    clusters.append(dialogue.card_id or dialogue.id)
            table = np.full((len(rows), max(map(len, rows))), np.nan)
            for line, row in zip(table, rows, strict=True):
                line[: len(row)] = row
            found.append(
                Series(f"{name} {supporter}: {course.field}, {course.language}", table, clusters, course.scale)
            )
    return found


def describe_series(series: Series, boot: Bootstrap) -> dict[str, Any]:
    """First and last value, change, area under the curve, and both beside a talk in which nothing changes.

    Shares are of talks whose last value is above, at or below the first; intervals draw cards.
    """
    there = (~np.isnan(series.table)).sum(1) > 1
    if not there.any():
        raise EscEvalError(f"{series.name}: no talk has two values")
    table = series.table[there]
    clusters = [cluster for cluster, chosen in zip(series.clusters, there, strict=True) if chosen]
    wide, one = series.scale[1] - series.scale[0], [0] * len(table)
    [whole] = estimate_trajectories(table, [table.shape[1]] * len(table), clusters, one, series.scale, boot)
    first = np.array([row[~np.isnan(row)][0] for row in table])
    changes = measure_changes(table)
    ends = estimate_group_means(np.column_stack([first, first + changes]), clusters, one, boot, scale=series.scale)
    above = measure_areas(table) - first
    gained = estimate_group_means(above[:, None], clusters, one, boot, scale=(-wide, wide)).each[0][0]
    return {
        "name": series.name,
        "scale": series.scale,
        "n": len(table),
        "left_out": int((~there).sum()),
        "first": ends.each[0][0],
        "last": ends.each[0][1],
        "change": whole.change,
        "change_of_scale": whole.change.scaled(100 / wide),
        "area": whole.area,
        "area_above_first": gained,
        "rounds": list(whole.rounds),
        "higher": _share(changes > 0, clusters, boot),
        "same": _share(changes == 0, clusters, boot),
        "lower": _share(changes < 0, clusters, boot),
    }


def _share(hits: Iterable[bool], clusters: Sequence[str], boot: Bootstrap) -> Estimate:
    index: dict[str, list[int]] = {}
    for cluster, hit in zip(clusters, hits, strict=True):
        cell = index.setdefault(cluster, [0, 0])
        cell[0] += bool(hit)
        cell[1] += 1
    parts, wholes = zip(*index.values(), strict=True) if index else ((), ())
    return estimate_share(parts, wholes, boot, len(clusters), "there is none").scaled(100)


def measure_alarms(real: Sequence[Dialogue], boot: Bootstrap) -> list[dict[str, Any]]:
    """How often the rules of faults and goodbyes say of real people what is not so, in percent, by language.

    ``turns``: of real seekers' turns, each kind. ``supporters``: of real supporters' turns, those that read as a
    supporter's: what the rule of reversed roles finds of what it should. ``contradiction``: of real seekers who tell
    one fact twice, those whom the rule has contradict themselves. ``loop``: of talks, those in which a loop of goodbyes
    is found, and those in which more than one round follows on it. Whole talks are drawn.
    """
    found = []
    for language in sorted({dialogue.language for dialogue in real}):
        own = [d for d in real if d.language == language and any(t.role == "seeker" for t in d.turns)]
        if read_rules(language) is None or not own:
            found.append({"language": language, "talks": len(own), "why": "no words of faults are known"})
            continue
        counts: dict[str, list[int]] = {kind: [] for kind in (*KINDS[:2], "supporters")}
        sizes: dict[str, list[int]] = {"seeker": [], "supporter": []}
        told, contradicted, looped, early = [], [], [], []
        for dialogue in own:
            faults = find_faults(dialogue.turns, language)
            for kind in KINDS[:2]:
                counts[kind].append(len({fault.turn for fault in faults if fault.kind == kind}))
            others = [turn.model_copy(update={"role": "seeker"}) for turn in dialogue.turns if turn.role == "supporter"]
            reversed_ = {f.turn for f in find_faults(others, language) if f.kind == "role_reversal"}
            counts["supporters"].append(len(reversed_))
            for role, size in sizes.items():
                size.append(sum(turn.role == role for turn in dialogue.turns))
            facts = [(k, v) for t in dialogue.turns if t.role == "seeker" for k, v in find_said_facts(t.text, language)]
            by_kind = [[value for kind, value in facts if kind == one] for one in dict.fromkeys(k for k, _ in facts)]
            twice = [values for values in by_kind if len(values) > 1]
            told.append(bool(twice))
            contradicted.append(any(_differ(values) for values in twice))
            after = find_loop(dialogue.turns, language)
            looped.append(after is not None)
            early.append(after is not None and after > 2)
        parts: dict[str, Any] = {
            kind: estimate_share(counts[kind], sizes["seeker"], boot, sum(sizes["seeker"]), "no turn").scaled(100)
            for kind in KINDS[:2]
        }
        parts["supporters"] = estimate_share(
            counts["supporters"], sizes["supporter"], boot, sum(sizes["supporter"]), "no turn"
        ).scaled(100)
        some = [hit for hit, chosen in zip(contradicted, told, strict=True) if chosen]
        names = [d.id for d in own]
        parts["contradiction"] = _share(some, [n for n, chosen in zip(names, told, strict=True) if chosen], boot)
        if knows_goodbyes(language):
            parts |= {"loop": _share(looped, names, boot), "early": _share(early, names, boot)}
        found.append({"language": language, "talks": len(own), "seeker_turns": sum(sizes["seeker"]), **parts})
    return found


def _differ(values: Sequence[str]) -> bool:
    """Whether what one person says of one fact differs; ages a year apart do not."""
    if all(value.isdigit() for value in values):
        return max(map(int, values)) - min(map(int, values)) > YEARS
    return len(set(values)) > 1


def find_loop(turns: Sequence[Turn], language: str) -> int | None:
    """How many turns follow on the first loop of goodbyes; None where there is none."""
    said = [is_goodbye(turn.text, language) for turn in turns]
    rounds = 0
    for place, turn in enumerate(turns):
        rounds += turn.role == "seeker"
        begin = place + 1 - 2 * GOODBYES
        if turn.role == "supporter" and rounds >= FROM_ROUND and begin >= 0 and all(said[begin : place + 1]):
            return len(turns) - 1 - place
    return None


def count_contradictions(dialogues: Sequence[Dialogue], cards: dict[str, RoleCard], boot: Bootstrap) -> Estimate:
    """Share, in percent, of dialogues whose card is known in which the rule has the seeker contradict it."""
    known = [dialogue for dialogue in dialogues if dialogue.card_id in cards]
    hits = [
        any(f.kind == "card_contradiction" for f in find_faults(d.turns, d.language, cards[str(d.card_id)]))
        for d in known
    ]
    return _share(hits, [str(d.card_id) for d in known], boot)


def course_report_of(
    series: Sequence[Series], real: Sequence[Dialogue], boot: Bootstrap, contradictions: Estimate | None = None
) -> Report:
    """All series side by side, and how often the rules of faults err on real seekers."""
    if not series and not real:
        raise EscEvalError("nothing to show: give runs with states, --sage FILE, --esconv FILE, or --real LANG=PATH")
    rows = [describe_series(one, boot) for one in series]
    alarms = measure_alarms(real, boot)
    tables, notes = [], []
    if rows:
        cells: list[list[Cell]] = [
            [
                r["name"],
                r["n"],
                f"{r['scale'][0]:g}-{r['scale'][1]:g}",
                r["first"],
                r["last"],
                r["change"],
                r["change_of_scale"],
            ]
            for r in rows
        ]
        head = ["Whose, and what", "n", "scale", "first", "last", "change", "change, % of scale"]
        tables.append(Table("Change over a talk; 0 if nothing changed", head, cells, 2))
        cells = [
            [r["name"], r["n"], r["area"], r["area_above_first"], r["higher"], r["same"], r["lower"]] for r in rows
        ]
        head = ["Whose, and what", "n", "area", "area less first", "higher, %", "same, %", "lower, %"]
        what = "area: mean height of the curve; less first: beside a talk that stays where it began, which has 0"
        tables.append(Table("Area under the curve, and where talks end", head, cells, 2, what))
        longest = max(len(r["rounds"]) for r in rows)
        cells = [[r["name"], *(e if e.value is not None else None for e in r["rounds"])] for r in rows]
        cells = [[*row, *[None] * (longest + 1 - len(row))] for row in cells]
        what = "over the talks that reach a round: where talks that go badly end early, later rounds are of the others"
        tables.append(
            Table("Mean by round", ["Whose, and what", *(f"round {i + 1}" for i in range(longest))], cells, 1, what)
        )
        notes += [f"{r['name']}: {r['left_out']} talks have fewer than two values." for r in rows if r["left_out"]]
    if alarms:
        cells = [
            [
                one["language"],
                one["talks"],
                *(one.get(key) for key in ("refusal", "role_reversal", "contradiction", "loop", "early", "supporters")),
            ]
            for one in alarms
        ]
        head = [
            "Language",
            "talks",
            "refuses",
            "as supporter",
            "contradicts self",
            "goodbye loop",
            "loop, goes on",
            "supporters' turns",
        ]
        what = (
            "% of real seekers' turns (refuses, as supporter), of seekers who tell a fact twice (contradicts self), of "
            "talks (loops; goes on: more than a round follows); supporters' turns: of theirs, those found to be such"
        )
        tables.append(Table("False alarms of the rules on real seekers", head, cells, 2, what))
        notes += [f"{one['language']}: {one['why']}." for one in alarms if "why" in one]
    if contradictions is not None:
        notes.append(
            f"Dialogues on known cards: {contradictions.n}; in {show_estimate(contradictions, 1)} % of them the "
            "rule finds a contradiction of the card."
        )
    data = {"series": rows, "false_alarms": alarms, "contradictions": contradictions}
    made = digest([[s.name, [[None if np.isnan(x) else x for x in row] for row in s.table.tolist()]] for s in series])
    signature = report_signature("course", made, boot, real=len(real))
    return Report("course", data, tables, notes, signature)
