"""What supporters do, by strategy: mix, repetition and rounds, beside people. Descriptions, no scores.

Shares are means over replies of the mix of a reply's sentences, as calibrated probabilities have it. As the classifier
takes some strategies for others, they are shown with its errors taken out too (``statistics.mixes``), and what is said
to be more or less than people's holds both ways, for all supporters and strategies at once.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from esc_eval.languages import join_words, name_language
from esc_eval.reporting.render import Cell, Report, Table, report_signature
from esc_eval.reporting.summary import name_clusters_of
from esc_eval.schema import Dialogue, digest
from esc_eval.scoring.strategies import ReplyStrategies, StrategyClassifier
from esc_eval.statistics.bootstrap import Bootstrap
from esc_eval.statistics.estimate import Estimate
from esc_eval.statistics.mixes import (
    Drawn,
    Repetition,
    Replies,
    bound_together,
    draw_shares,
    estimate_columns,
    estimate_repetition,
    subtract,
)

Read = Mapping[str, Mapping[int, ReplyStrategies]]
"""By dialogue, then by place of the turn."""
COLUMNS = (
    "dialogue_id", "card_id", "supporter", "position", "segment", "start", "end", "strategy", "probability", "unknown",
)  # fmt: skip
"""Of ``list_rows``; then one column for each strategy."""
PEOPLE = "people"
LEAST = 10
"""Cards, or dialogues, from which on something is said to be used more or less than people do."""
READS_ONE = "The classifier reads {known} alone; {n} in {others} {verb} left out."
CORRECTED = (
    "Shares with the classifier's errors taken out: its mean probabilities on people's sentences of each strategy, "
    "which it had not seen, are taken as how it reads every supporter's. Where it reads a supporter otherwise, they "
    "are off, and no interval shows that."
)
TOGETHER = (
    "Intervals hold for all supporters and strategies at once (95%). Over-used is what lies wholly above 0 here and in "
    "the other of the two tables, of a supporter with {least} cards or more; under-used, wholly below."
)
REPEATED = (
    "Repeated: two replies in a row whose largest strategy is the same; by chance: what it would be if the same "
    "replies came in no order. Errors of the classifier bring both nearer to each other."
)
NO_SCORE = "No strategy is better than another in itself: these are descriptions, and no part of a score."


@dataclass(frozen=True)
class Mix:
    """What one supporter does.

    Attributes:
        replies: Of it.
        talks: How many dialogues they are of.
        unknown: Replies of which no sentence is known.
        segments, unknown_segments: Sentences, and those that are unknown, by reason.
        shares, corrected, used: Of each strategy: mean part of a reply as told; the same with the classifier's errors
            taken out; share of replies of which it is the likeliest of some sentence.
        repetition: How often the same comes again.
        by_round: Shares of each strategy in each round.
    """

    replies: Replies
    talks: int
    unknown: int
    segments: int
    unknown_segments: Mapping[str, int]
    shares: Sequence[Estimate]
    corrected: Sequence[Estimate]
    used: Sequence[Estimate]
    repetition: Repetition
    by_round: Mapping[int, Sequence[Estimate]]


def read_all(classifier: StrategyClassifier, dialogues: Sequence[Dialogue]) -> dict[str, dict[int, ReplyStrategies]]:
    """The strategies of each reply of the dialogues in the classifier's language, by dialogue and place of the turn."""
    return {one.id: classifier.read(one) for one in dialogues if classifier.reads(one)}


def list_rows(
    classifier: StrategyClassifier, dialogues: Sequence[Dialogue], read: Read | None = None
) -> Iterator[dict[str, Any]]:
    """One row a sentence: where it stands, its likeliest strategy, all probabilities; or why it is unknown.

    A reply that says nothing has no row.

    Args:
        classifier: That reads.
        dialogues: What is read; those in another language have no rows.
        read: What ``read_all`` gave of them, where that is there already.
    """
    names = classifier.file.strategies
    found = read_all(classifier, dialogues) if read is None else read
    for one in dialogues:
        for place, reply in found.get(one.id, {}).items():
            for number, segment in enumerate(reply.segments):
                told = segment.likeliest
                own = dict(zip(names, segment.probabilities.tolist(), strict=True)) if told is not None else {}  # type: ignore[union-attr]
                yield {
                    **dict(zip(COLUMNS[:5], (one.id, one.card_id, one.supporter, place, number), strict=True)),
                    "start": segment.start,
                    "end": segment.end,
                    "strategy": None if told is None else names[told],
                    "probability": None if told is None else own[names[told]],
                    "unknown": segment.problem,
                    **{name: own.get(name) for name in names},
                }


def word_reply(names: Sequence[str], reply: ReplyStrategies) -> str:
    """The strategies of a reply in a line, each with its probability; or that they are unknown, and why."""
    told = [f"{names[place]} {probability:.2f}" for place, probability in reply.list_used()]
    unknown = [segment.problem for segment in reply.segments if segment.problem]
    if unknown:
        told.append(f"{len(unknown)} of {len(reply.segments)} sentences unknown: {'; '.join(dict.fromkeys(unknown))}")
    return " \u00b7 ".join(told) or "unknown: it holds no word"


def word_replies(names: Sequence[str], read: Mapping[int, ReplyStrategies]) -> dict[int, str]:
    """``word_reply`` of each reply of a dialogue, by its place among the turns."""
    return {place: word_reply(names, reply) for place, reply in read.items()}


def collect_replies(dialogues: Sequence[Dialogue], read: Read, classes: int) -> Replies:
    """The replies of one supporter's dialogues as arrays.

    Args:
        dialogues: Of which ``read`` holds the replies.
        read: What ``read_all`` gave.
        classes: Number of strategies.
    """
    clusters = name_clusters_of(dialogues)
    rows: list[tuple[str, int, int]] = []
    mixes, used = [], []
    for talk, (one, cluster) in enumerate(zip(dialogues, clusters, strict=True)):
        for number, reply in enumerate(read[one.id].values(), start=1):
            rows.append((cluster, talk, number))
            mixes.append(np.full(classes, np.nan) if reply.mix is None else reply.mix)
            told = {place for place, _ in reply.list_used()}
            used.append([place in told for place in range(classes)])
    shape = (len(rows), classes)
    return Replies(
        [cluster for cluster, _, _ in rows],
        np.array([talk for _, talk, _ in rows], dtype=np.intp),
        np.array([number for _, _, number in rows], dtype=np.intp),
        np.array(mixes, dtype=float).reshape(shape),
        np.array(used, dtype=bool).reshape(shape),
    )


def people_replies(classifier: StrategyClassifier) -> tuple[Replies, np.ndarray]:
    """The people's replies that the classifier's file holds, and the mix of their own labels, shape (n, strategies)."""
    talks, numbers, known = classifier.people_places.T
    mixes = np.where(known[:, None] > 0, classifier.people_mixes, np.nan)
    clusters = [str(talk) for talk in talks.tolist()]
    return Replies(clusters, talks.astype(np.intp), numbers.astype(np.intp), mixes, classifier.people_used), (
        classifier.people_labels
    )


def describe(replies: Replies, drawn: Drawn, boot: Bootstrap, segments: int, unknown: Mapping[str, int]) -> Mix:
    """The figures of one supporter, or of people."""
    used = np.where(replies.known[:, None], replies.used, np.nan).astype(float)
    rounds = sorted(set(replies.rounds.tolist()))
    return Mix(
        replies=replies,
        talks=len(set(replies.talks.tolist())),
        unknown=int((~replies.known).sum()),
        segments=segments,
        unknown_segments=unknown,
        shares=estimate_columns(replies, replies.mixes, boot),
        corrected=drawn.estimates(boot),
        used=estimate_columns(replies, used, boot),
        repetition=estimate_repetition(replies, boot),
        by_round={number: _of_round(replies, number, boot) for number in rounds},
    )


def _of_round(replies: Replies, number: int, boot: Bootstrap) -> list[Estimate]:
    at = np.flatnonzero(replies.rounds == number)
    own = Replies(
        [replies.clusters[i] for i in at.tolist()],
        replies.talks[at],
        replies.rounds[at],
        replies.mixes[at],
        replies.used[at],
    )
    return estimate_columns(own, own.mixes, boot)


def strategy_report(
    classifier: StrategyClassifier,
    dialogues: Sequence[Dialogue],
    boot: Bootstrap | None = None,
    read: Read | None = None,
) -> Report:
    """Mix and repetition of strategies by supporter, beside people, and what is used more or less than people do.

    Args:
        classifier: That reads.
        dialogues: Of any supporters and languages; how many are in others than the classifier's is said.
        boot: Draws, which take cards where every dialogue of a supporter has one, else dialogues.
        read: What ``read_all`` gave of them, where that is there already.
    """
    boot = boot or Bootstrap()
    names = classifier.file.strategies
    own = [one for one in dialogues if classifier.reads(one)]
    found = read_all(classifier, own) if read is None else read
    by_supporter: dict[str, list[Dialogue]] = {}
    for one in own:
        by_supporter.setdefault(one.supporter or "unknown", []).append(one)
    notes = _leave_out(classifier, dialogues)
    signature = report_signature(
        "strategies", digest([one.model_dump(mode="json") for one in own]), boot, **_named(classifier)
    )
    data: dict[str, Any] = {"classifier": classifier.identity, "strategies": list(names), "supporters": {}}
    if not own:
        return Report("strategies", data, notes=notes, signature=signature)
    groups = {name: collect_replies(talks, found, len(names)) for name, talks in sorted(by_supporter.items())}
    longest = max((int(one.rounds.max()) for one in groups.values() if len(one.rounds)), default=1)
    everybody, labels = people_replies(classifier)
    early = everybody.rounds <= longest
    people = everybody.until(longest)
    readings, other = classifier.reading_until(longest), Bootstrap(boot.draws, boot.seed + 1, boot.confidence)
    drawn = {name: draw_shares(one, boot, readings) for name, one in groups.items()}
    people_drawn = draw_shares(people, other, readings)
    some = [name for name, one in drawn.items() if one.n]
    apart = compare(some, drawn, people_drawn, boot)
    as_told = compare(some, {name: draw_shares(groups[name], boot) for name in some}, draw_shares(people, other), boot)
    mixes = {}
    for name, replies in groups.items():
        segments = [s for one in by_supporter[name] for reply in found[one.id].values() for s in reply.segments]
        why = Counter(segment.problem for segment in segments if segment.problem)
        mixes[name] = describe(replies, drawn[name], boot, len(segments), dict(why.most_common()))
    theirs = describe(people, people_drawn, boot, 0, {})
    labelled = labels[early].sum(1) > 0
    told = Replies(
        [c for c, keep in zip(people.clusters, labelled, strict=True) if keep],
        people.talks[labelled], people.rounds[labelled], labels[early][labelled], people.used[labelled],
    )  # fmt: skip
    by_label = estimate_columns(told, told.mixes, boot)
    over = {name: pick_apart(names, apart[name], as_told[name]) for name in some}
    data["supporters"] = {
        name: _plain(mix, names)
        | (
            {"less_people": _by_name(names, apart[name]), "less_people_as_told": _by_name(names, as_told[name])}
            if name in over
            else {}
        )
        | over.get(name, {})
        for name, mix in mixes.items()
    }
    data["people"] = {
        **_plain(theirs, names), "labels": dict(zip(names, by_label, strict=True)), "rounds": longest,
        "source": classifier.file.people.model_dump(),
    }  # fmt: skip
    report = Report("strategies", data, signature=signature)
    report.tables = _tables(names, mixes, theirs, by_label, (apart, as_told), classifier, longest)
    report.notes = [NO_SCORE, *notes, *_say_apart(over, mixes), CORRECTED, REPEATED, *_say_unknown(mixes)]
    return report


def _named(classifier: StrategyClassifier) -> dict[str, str]:
    identity = classifier.identity
    return {"classifier": f"{identity['model']}@{identity['revision'][:16]}"}


def _leave_out(classifier: StrategyClassifier, dialogues: Sequence[Dialogue]) -> list[str]:
    """A sentence on dialogues in languages that the classifier does not read; none where there are none."""
    others = Counter(one.language for one in dialogues if not classifier.reads(one))
    if not others:
        return []
    total = others.total()
    named = join_words(name_language(code) for code in others)
    return [
        READS_ONE.format(
            known=name_language(classifier.file.language),
            n=f"{total} dialogues" if total != 1 else "1 dialogue",
            others=named,
            verb="are" if total != 1 else "is",
        )
    ]


def compare(
    supporters: Sequence[str], drawn: Mapping[str, Drawn], people: Drawn, boot: Bootstrap
) -> dict[str, list[Estimate]]:
    """Shares less people's by supporter; the intervals hold for all of them at once."""
    if not supporters:
        return {}
    found = bound_together([subtract(drawn[name], people) for name in supporters], boot)
    return dict(zip(supporters, found, strict=True))


def pick_apart(names: Sequence[str], apart: Sequence[Estimate], as_told: Sequence[Estimate]) -> dict[str, list[str]]:
    """Strategies of which both intervals, with the errors taken out and as told, lie wholly above people's or below.

    None of a supporter with fewer than ``LEAST`` clusters.
    """

    def side(one: Estimate) -> int:
        if one.low is None or one.high is None or (one.clusters or 0) < LEAST:
            return 0
        return int(one.low > 0) - int(one.high < 0)

    sides = {name: (side(a), side(b)) for name, a, b in zip(names, apart, as_told, strict=True)}
    return {
        key: [name for name, own in sides.items() if own == (way, way)]
        for key, way in (("over_used", 1), ("under_used", -1))
    }


def _by_name(names: Sequence[str], estimates: Sequence[Estimate]) -> dict[str, Estimate]:
    return dict(zip(names, estimates, strict=True))


def _plain(mix: Mix, names: Sequence[str]) -> dict[str, Any]:
    """One supporter in JSON."""
    return {
        "dialogues": mix.talks,
        "replies": len(mix.replies.rounds),
        "unknown_replies": mix.unknown,
        **({"sentences": mix.segments} if mix.segments else {}),
        **({"unknown_sentences": dict(mix.unknown_segments)} if mix.unknown_segments else {}),
        "shares": _by_name(names, mix.shares),
        "corrected": _by_name(names, mix.corrected),
        "replies_using": _by_name(names, mix.used),
        **vars(mix.repetition),
        "by_round": {str(number): _by_name(names, own) for number, own in mix.by_round.items()},
    }


def _say_apart(over: Mapping[str, Mapping[str, Sequence[str]]], mixes: Mapping[str, Mix]) -> list[str]:
    """A sentence a supporter: what it does more and less than people, where both intervals carry it."""
    found = []
    for name, own in over.items():
        said = [f"{key.replace('_', '-')}: {', '.join(used)}" for key, used in own.items() if used]
        found.append(
            f"{name} beside people, as the classifier reads both: "
            + ("; ".join(said) if said else "nothing is over-used or under-used that the intervals would carry")
            + f" ({mixes[name].talks} dialogues{_say_unknown_replies(mixes[name])})."
        )
    return found


def _say_unknown_replies(mix: Mix) -> str:
    return f"; {mix.unknown} of {len(mix.replies.rounds)} replies unknown, in no share" if mix.unknown else ""


def _say_unknown(mixes: Mapping[str, Mix]) -> list[str]:
    return [
        f"{name}: {sum(mix.unknown_segments.values())} of {mix.segments} sentences are unknown and in no share: "
        + "; ".join(f"{why} ({n})" for why, n in mix.unknown_segments.items())
        + "."
        for name, mix in mixes.items()
        if mix.unknown_segments
    ]


def _percent(estimate: Estimate) -> Cell:
    return estimate.scaled(100.0)


def _tables(
    names: Sequence[str],
    mixes: Mapping[str, Mix],
    people: Mix,
    by_label: Sequence[Estimate],
    less: tuple[Mapping[str, Sequence[Estimate]], Mapping[str, Sequence[Estimate]]],
    classifier: StrategyClassifier,
    longest: int,
) -> list[Table]:
    who = f"{PEOPLE} ({classifier.file.people.source})"
    everybody = {**mixes, who: people}
    head = ["Supporter", "replies", *names]
    size = {name: len(mix.replies.rounds) - mix.unknown for name, mix in everybody.items()}
    source = classifier.file.people
    about = f"{who}: {source.about}; {people.talks} conversations, up to reply {longest}, as far as any here"

    def row(name: str, own: Sequence[Estimate]) -> list[Cell]:
        return [name, size[name], *map(_percent, own)]

    labelled: list[Cell] = [f"{who}, by their own labels", by_label[0].n, *map(_percent, by_label)]
    found = [
        Table(
            "Strategies: part of a reply, %",
            head,
            [row(name, mix.shares) for name, mix in everybody.items()],
            1,
            note=f"As the classifier tells them; each reply weighs the same. {about}.",
        ),
        Table(
            "Strategies, with the classifier's errors taken out, %",
            head,
            [*(row(name, mix.corrected) for name, mix in everybody.items()), labelled],
            1,
        ),
    ]
    for title, own in zip(("errors taken out", "as told"), less, strict=True):
        if own:
            rows = [row(name, estimates) for name, estimates in own.items()]
            found.append(
                Table(
                    f"Strategies, less people's, {title}, percentage points",
                    head,
                    rows,
                    1,
                    note=TOGETHER.format(least=LEAST),
                )
            )
    found += [
        Table(
            "Replies that use a strategy, %",
            head,
            [row(name, mix.used) for name, mix in everybody.items()],
            1,
            note="In at least one sentence, as told. Longer replies use more: this compares no short ones with long.",
        ),
        Table(
            "Repetition",
            [
                "Supporter",
                "replies",
                "sentences a reply",
                "repeated, %",
                "by chance, %",
                "beyond chance",
                "entropy, bits",
            ],
            [
                [
                    name,
                    size[name],
                    mix.segments / len(mix.replies.rounds) if mix.segments else None,
                    _percent(mix.repetition.repeated),
                    _percent(mix.repetition.by_chance),
                    _percent(mix.repetition.beyond),
                    mix.repetition.entropy,
                ]
                for name, mix in everybody.items()
            ],
            2,
        ),
        Table(
            "Strategies by round: part of a reply as told, %",
            ["Supporter", "round", *names],
            [
                [name, number, *map(_percent, own)]
                for name, mix in everybody.items()
                for number, own in mix.by_round.items()
            ],
            1,
            names=2,
        ),
    ]
    return found
