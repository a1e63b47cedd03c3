"""Preferences as tables: how supporters stand, how steady a judge is in both orders, and how it agrees with people."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from esc_eval.files.preferences import DISAGREE, Decision, Given, Inconsistent, decide
from esc_eval.reporting.making import group_reasons
from esc_eval.reporting.render import Cell, Report, Table, report_signature, shown_p, undefined_notes
from esc_eval.schema import Dialogue, digest
from esc_eval.statistics.bootstrap import Bootstrap, estimate_gaps
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.preferences import Comparisons, PreferenceStanding, estimate_rate, stand_by_preferences
from esc_eval.statistics.ranking import Rank

LENGTH, MAJORITY, TIE = "the longer", "the supporter preferred more often", "always a tie"
"""Baselines, as tables call them."""
UNKNOWN = "unknown"
RULES = {"tie": "count as a tie", "leave-out": "are left out"}
PERCENT = 100.0
Sides = Mapping[tuple[str, str], int]
"""Pair -> the side that somebody takes."""


@dataclass(frozen=True)
class _Part:
    """Decisions in one language on one dimension.

    Attributes:
        supporters: Dialogue -> its supporter.
        lengths: Dialogue -> characters of its supporter's replies; of those that are known.
        clusters: Pair -> its card, or itself.
    """

    decisions: Sequence[Decision]
    supporters: Mapping[str, str]
    lengths: Mapping[str, int]
    clusters: Mapping[tuple[str, str], str]
    by_card: bool

    @property
    def judges(self) -> list[str]:
        return sorted({one.rater for one in self.decisions if one.rater_kind == "model"})

    @property
    def people(self) -> list[str]:
        return sorted({one.rater for one in self.decisions if one.rater_kind == "human"})

    def of(self, rater: str, kind: str) -> list[Decision]:
        return [one for one in self.decisions if (one.rater, one.rater_kind) == (rater, kind)]

    def sides(self, rater: str, kind: str) -> dict[tuple[str, str], int]:
        return {(one.first, one.second): one.side for one in self.of(rater, kind) if one.side is not None}


def preference_reports(
    given: Sequence[Given],
    dialogues: Sequence[Dialogue],
    boot: Bootstrap,
    inconsistent: Inconsistent = "tie",
) -> dict[str, Report]:
    """One report for each language and dimension that preferences are in; see ``preference_report``.

    Args:
        given: Preferences of judges and people.
        dialogues: What was compared, as far as it is there: names supporters, languages, cards and lengths.
        boot: Of the intervals.
        inconsistent: What a judge's two orders that disagree count as.
    """
    talks = {talk.id: talk for talk in dialogues}
    supporters = {talk.id: talk.supporter or UNKNOWN for talk in dialogues}
    for one in given:
        for name, model in ((one.preference.dialogue_a, one.model_a), (one.preference.dialogue_b, one.model_b)):
            supporters.setdefault(name, model or UNKNOWN)
    groups: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for decision in decide((one.preference for one in given), inconsistent):
        talk = talks.get(decision.first)
        groups[talk.language if talk else "", decision.dimension].append(decision)
    lengths = {talk.id: sum(len(turn.text.strip()) for turn in talk.replies) for talk in dialogues}
    content = digest([one.preference for one in given])
    found = {}
    for (language, dimension), decisions in sorted(groups.items()):
        cards = {
            (one.first, one.second): one.card_id or (talk.card_id if (talk := talks.get(one.first)) else None)
            for one in decisions
        }
        by_card = all(card is not None for card in cards.values())
        clusters = {pair: str(card) if by_card else " / ".join(pair) for pair, card in cards.items()}
        part = _Part(decisions, supporters, lengths, clusters, by_card)
        name = ", ".join(filter(None, (language, dimension)))
        found[name] = preference_report(part, boot, inconsistent, name if len(groups) > 1 else "", content)
    return found


def preference_report(part: _Part, boot: Bootstrap, inconsistent: Inconsistent, place: str, content: str) -> Report:
    """Bradley-Terry and pairs for each judge and for people, steadiness of judges, agreement with people.

    Args:
        part: What was said.
        boot: Of the intervals, which draw cards where all pairs have one, else pairs.
        inconsistent: What orders that disagree count as.
        place: For titles.
        content: Hash of what was read.
    """
    head = f"Preferences ({place})" if place else "Preferences"
    drawn = "card" if part.by_card else "pair"
    report = Report(
        "preferences",
        {"inconsistent": inconsistent, "clustered_by": drawn},
        signature=report_signature("preferences", content, boot, inconsistent=inconsistent, cluster=drawn),
    )
    standings, notes = {}, []
    for name, own in _views(part).items():
        comparisons, nameless = _compare(part, own)
        if nameless:
            notes.append(f"{name}: {nameless} pairs are of one supporter or of unknown ones, and are in no standing.")
        if len(comparisons.supporters) < 2:
            notes.append(f"{name}: no two supporters were compared, so there is no standing.")
            continue
        standings[name] = stand_by_preferences(comparisons, boot)
        notes += undefined_notes({f"{name}, {s}": {"strength": e} for s, e in standings[name].strength.items()})
        report.tables += _standing_tables(head, name, standings[name])
    order = {name: _order_of(part, name, boot) for name in part.judges}
    agreement = _agreement(part, boot) if part.people else {}
    report.data |= {
        "standings": {name: _standing_json(standing) for name, standing in standings.items()},
        "judges": order,
        "agreement_with_people": agreement,
        "undecided": {name: _undecided(own) for name, own in _views(part).items()},
    }
    if order:
        report.tables.append(_order_table(head, order, inconsistent))
    if agreement:
        report.tables.append(_agreement_table(head, agreement))
    report.notes = [*_scope(part, inconsistent), *notes, *_limits(part, agreement)]
    return report


def _views(part: _Part) -> dict[str, list[Decision]]:
    """Whose decisions make a standing: each judge's, and those of people together."""
    found = {name: part.of(name, "model") for name in part.judges}
    if people := [one for one in part.decisions if one.rater_kind == "human"]:
        several = len(part.people)
        name = part.people[0] if several == 1 else f"{several} people, averaged"
        found[f"{name} (people)" if name in found else name] = people
    return found


def _compare(part: _Part, own: Sequence[Decision]) -> tuple[Comparisons, int]:
    """Outcomes by pair, raters averaged; and how many pairs have no two supporters that are known."""
    sides: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in own:
        if one.side is not None:
            sides[one.first, one.second].append(one.side)
    rows, nameless = [], 0
    for (first, second), given in sides.items():
        names = part.supporters[first], part.supporters[second]
        if UNKNOWN in names or names[0] == names[1]:
            nameless += 1
            continue
        rows.append((*names, 0.5 + sum(given) / len(given) / 2, part.clusters[first, second]))
    return Comparisons.build(rows), nameless


def _order_of(part: _Part, name: str, boot: Bootstrap) -> dict[str, Any]:
    """How a judge's verdicts on a pair in both orders go together, and whether it prefers what comes first."""
    own = part.of(name, "model")
    both = [one for one in own if len(one.orders) == 2]
    clusters = [part.clusters[one.first, one.second] for one in both]
    same = [len(set(one.orders.values())) == 1 for one in both]
    turned = sum(sum(one.orders.values()) == 0 and 0 not in one.orders.values() for one in both)
    firsts, places = [], []
    for one in own:
        for shown, side in one.orders.items():
            if side:
                firsts.append((side > 0) == (shown == one.first))
                places.append(part.clusters[one.first, one.second])
    ties = sum(side == 0 for one in own for side in one.orders.values())
    return {
        "pairs": len(own),
        "read_in_both_orders": len(both),
        "consistent": estimate_rate(same, clusters, boot, "no pair was read in both orders"),
        "turned_round": turned,
        "tie_in_one_order": len(both) - sum(same) - turned,
        "first_preferred": estimate_rate(firsts, places, boot, "no answer prefers a side"),
        "ties": ties,
        "unread": sum(one.asked - len(one.orders) for one in own),
    }


def _undecided(own: Sequence[Decision]) -> dict[str, int]:
    """Why pairs have no decision: how often, by reason."""
    return dict(Counter(one.problem for one in own if one.problem).most_common())


def _agreement(part: _Part, boot: Bootstrap) -> dict[str, dict[str, Any]]:
    """How often judges, other people and baselines say of a pair what a person says."""
    people = {name: part.sides(name, "human") for name in part.people}
    pairs = sorted({pair for own in people.values() for pair in own})
    takes: dict[str, tuple[str, Callable[[str], Sides]]] = {}
    for name in part.judges:
        own = part.sides(name, "model")
        takes[name] = "judge", lambda _, own=own: own  # type: ignore[misc]
    if len(people) > 1:
        for name in people:
            takes[name if name not in takes else f"{name} (a person)"] = (
                "person",
                lambda person, name=name: {} if person == name else people[name],  # type: ignore[misc]
            )
    length = {
        pair: int(np.sign(part.lengths[pair[0]] - part.lengths[pair[1]]))
        for pair in pairs
        if part.lengths.keys() >= set(pair)
    }
    majority = _majority(part, people, pairs)
    tie = dict.fromkeys(pairs, 0)
    for name, sides in ((LENGTH, length), (MAJORITY, majority), (TIE, tie)):
        takes[name] = "baseline", lambda _, sides=sides: sides  # type: ignore[misc]
    found = {}
    for name, (kind, of) in takes.items():
        items = [
            (pair, person, side, mine[pair])
            for person, own in people.items()
            for mine in [of(person)]
            for pair, side in own.items()
            if pair in mine
        ]
        found[name] = {"kind": kind, **_measure(part, items, length, boot)}
    return found


def _majority(part: _Part, people: Mapping[str, Sides], pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Of each pair, the side whose supporter people prefer more often against the other, over all cards."""
    net: Counter[tuple[str, str]] = Counter()
    for own in people.values():
        for (first, second), side in own.items():
            a, b = part.supporters[first], part.supporters[second]
            net[a, b] += side
            net[b, a] -= side
    return {
        pair: int(np.sign(net[part.supporters[pair[0]], part.supporters[pair[1]]]))
        for pair in pairs
        if UNKNOWN not in (part.supporters[pair[0]], part.supporters[pair[1]])
    }


def _measure(
    part: _Part, items: Sequence[tuple[tuple[str, str], str, int, int]], length: Sides, boot: Bootstrap
) -> dict[str, Any]:
    """Shares of items on which two sides are the same, and kappa.

    Args:
        items: Pair, person, the person's side, the other's side.
        length: What length alone says.
    """
    clusters = [part.clusters[pair] for pair, *_ in items]
    decided = [(pair, side, mine) for pair, _, side, mine in items if side]
    hits = [_half_hit(side, mine) for _, side, mine in decided]
    places = [part.clusters[pair] for pair, *_ in decided]
    known = [
        (pair, _half_hit(side, mine) - _half_hit(side, length[pair])) for pair, side, mine in decided if pair in length
    ]
    gap = Estimate(None, n=0, undefined="no pair whose lengths are known")
    if known:
        gaps = np.array([[value] for _, value in known])
        gap = estimate_gaps(gaps, [part.clusters[pair] for pair, _ in known], boot, 1.0, "no pair")[0]
    return {
        "all": estimate_rate([side == mine for *_, side, mine in items], clusters, boot, "no pair that both saw"),
        "decided": estimate_rate(hits, places, boot, "no pair that a person decided"),
        "decided_less_length": gap,
        "kappa": _kappa(items, clusters, boot),
    }


def _half_hit(side: int, mine: int) -> float:
    """1 where both are on one side, 0 where they are on two, a half where the second is on none."""
    return 0.5 if mine == 0 else float(side == mine)


def _kappa(
    items: Sequence[tuple[tuple[str, str], str, int, int]], clusters: Sequence[str], boot: Bootstrap
) -> Estimate:
    """Cohen's kappa, unweighted, of three classes: either side, or a tie."""
    if not items:
        return Estimate(None, n=0, undefined="no pair that both saw")
    try:
        from esc_eval.statistics.agreement import estimate_agreement
        from esc_eval.statistics.counts import Ratings
    except ModuleNotFoundError as error:
        return Estimate(None, n=len(items), undefined=f'needs {error.name}: pip install "esc-eval[statistics]"')
    n = len(items)
    table = Ratings(
        unit=np.repeat(np.arange(n), 2),
        rater=np.tile(np.arange(2), n),
        level=np.array([[side + 1, mine + 1] for *_, side, mine in items], dtype=np.intp).ravel(),
        cluster=np.unique(np.asarray(clusters), return_inverse=True)[1],
        levels=np.array([-1.0, 0.0, 1.0]),
        raters=("person", "other"),
    )
    return estimate_agreement(table, boot).measures["kappa"]


def _standing_json(standing: PreferenceStanding) -> dict[str, Any]:
    return {
        "order": list(standing.order),
        "supporters": {
            name: {
                "chance": standing.share[name],
                "strength": standing.strength[name],
                "rank": vars(standing.ranks[name]),
            }
            for name in standing.order
        },
        "pairs": [vars(pair) for pair in standing.pairs],
        "indistinguishable": standing.groups,
    }


def _standing_tables(head: str, name: str, standing: PreferenceStanding) -> list[Table]:
    rows: list[list[Cell]] = [
        [
            _show_rank(standing.ranks[one]),
            one,
            standing.share[one].n,
            standing.share[one].scaled(PERCENT),
            standing.strength[one],
        ]
        for one in standing.order
    ]
    apart = "; ".join(", ".join(group) for group in standing.groups if len(group) > 1)
    pairs: list[list[Cell]] = [
        [p.first, p.second, p.won.n, p.won.scaled(PERCENT), p.wins, p.ties, p.losses, shown_p(p.p_holm)]
        for p in standing.pairs
    ]
    return [
        Table(
            f"{head} by {name}: standing",
            ["rank", "supporter", "n", "beats the others %", "strength"],
            rows,
            digits=2,
            note="n: comparisons; beats the others: mean chance of it by Bradley-Terry, ties half; strength: log odds, "
            "mean 0; places in brackets hold for all together" + (f". Not told apart: {apart}" if apart else ""),
            names=2,
        ),
        Table(
            f"{head} by {name}: every two",
            ["first", "second", "n", "first wins %", "wins", "ties", "losses", "p (Holm)"],
            pairs,
            digits=2,
            note="ties count half; p: sign-flip test of cards, adjusted for all pairs",
            names=2,
        ),
    ]


def _show_rank(rank: Rank) -> str:
    return str(rank.value) if rank.low is None else f"{rank.value} [{rank.low}-{rank.high}]"


def _order_table(head: str, order: Mapping[str, Mapping[str, Any]], inconsistent: Inconsistent) -> Table:
    rows: list[list[Cell]] = [
        [
            name,
            own["pairs"],
            own["read_in_both_orders"],
            own["consistent"].scaled(PERCENT),
            own["turned_round"],
            own["tie_in_one_order"],
            own["first_preferred"].scaled(PERCENT),
            own["first_preferred"].n,
            own["ties"],
            own["unread"],
        ]
        for name, own in order.items()
    ]
    return Table(
        f"{head}: judges in both orders",
        ["judge", "pairs", "n", "same verdict %", "turned", "half tie", "prefers the first %", "of", "ties", "unread"],
        rows,
        digits=1,
        note=f"n: pairs read in both orders; those with two verdicts (turned round, or a tie in one order alone) "
        f"{RULES[inconsistent]}; prefers the first: of answers that prefer a side, those for what was shown first: "
        "50 is no bias",
    )


def _agreement_table(head: str, agreement: Mapping[str, Mapping[str, Any]]) -> Table:
    rows: list[list[Cell]] = [
        [
            name,
            own["kind"],
            own["decided"].n,
            own["decided"].scaled(PERCENT),
            own["decided_less_length"].scaled(PERCENT) if name != LENGTH else None,
            own["all"].n,
            own["all"].scaled(PERCENT),
            own["kappa"],
        ]
        for name, own in agreement.items()
    ]
    return Table(
        f"{head}: agreement with people",
        ["who", "kind", "n decided", "same side %", "less the longer", "n", "same of three %", "kappa"],
        rows,
        digits=2,
        note="n: a person's verdicts; same side: of those that prefer one, a tie of the other half right; less the "
        "longer: that less what preferring the longer replies reaches on the same; same of three: a side or a tie",
    )


def _scope(part: _Part, inconsistent: Inconsistent) -> list[str]:
    pairs = {(one.first, one.second) for one in part.decisions}
    on_cards = f" on {len(set(part.clusters.values()))} cards" if part.by_card else ""
    drawn = "cards" if part.by_card else "pairs, as cards are not known of all"
    notes = [
        f"{len(pairs)} pairs of dialogues{on_cards}; judges: {len(part.judges)}, people: {len(part.people)}. "
        f"Intervals draw {drawn}."
    ]
    for name, own in _views(part).items():
        reasons = [one.problem for one in own if one.problem]
        if reasons:
            notes.append(f"{name}: {len(reasons)} of {len(own)} have no verdict: {group_reasons(reasons)}.")
    if part.judges and inconsistent == "leave-out" and any(one.problem == DISAGREE for one in part.decisions):
        notes.append("Pairs whose two orders disagree are left out of standings and agreement.")
    return notes


def _limits(part: _Part, agreement: Mapping[str, Any]) -> list[str]:
    notes = []
    if part.judges and not part.people:
        notes.append(
            "No person compared these pairs, so nothing shows that a judge here prefers what people do: add theirs "
            "with --preferences FILE."
        )
    if MAJORITY in agreement:
        notes.append(
            f"{MAJORITY}: found in the same verdicts that it is measured on, so that it lies somewhat high; its "
            "'same side' is 50 where neither supporter is."
        )
    return notes
