"""Several runs of one protocol as one run folder, which says of each dialogue what its own run said of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any

from esc_eval.api.results import Results
from esc_eval.api.settings import split_shard
from esc_eval.errors import EscEvalError
from esc_eval.files.run_folder import CARDS, DIALOGUES, PROTOCOL
from esc_eval.files.text import read_text
from esc_eval.files.writing import replace_folder, write_jsonl, write_whole
from esc_eval.schema import Dialogue, RoleCard, digest
from esc_eval.simulation.identity import ATTEMPT, STEP, Members, finished_dialogues, read_members
from esc_eval.simulation.run import (
    LEDGER,
    PEOPLE,
    PEOPLE_PREFER,
    PLAYED,
    PREFERRING,
    VERSION,
    Run,
    find_simulations,
    list_differences,
)
from esc_eval.simulation.seekers import SEEKERS, common_seekers
from esc_eval.simulation.unfinished import ASKED
from esc_eval.view.sources import Source, check_named_once, join_all

MERGED = "merged"
"""Part of run.json that holds the run.json of each run that was merged, and the ids of its dialogues."""
JUDGED = {"scoring/": "rubric", PREFERRING: "question"}
"""How the steps of judges begin, and the part of their identity that is worded in languages."""
Row = tuple[str, str, int, str]


def merge_runs(folders: Sequence[Path], out: Path) -> list[str]:
    """Write a new run folder with the dialogues, ratings, cards, rubrics and ledgers of several.

    It appears whole or not at all. Where the runs have one seed it may grow as each of them may.

    Args:
        folders: Run folders; what a run was stopped in the middle of comes along.
        out: A new folder, or an empty one.

    Returns:
        A sentence on what each run brought.

    Raises:
        EscEvalError: They are not of one protocol, or contradict each other (the message says where), or something is
            at ``out``.
    """
    if len(folders) < 2:
        raise EscEvalError("one run is nothing to merge: name two run folders or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EscEvalError(f"{out}: is there already and not empty; choose a new folder")
    check_named_once(folders)
    sources = [Results.load(folder).as_source(str(folder)) for folder in folders]
    group = join_all(sources)
    with ExitStack() as stack:
        runs = [stack.enter_context(_open_ledger(folder)) for folder in folders]
        members = [read_members(run) for run in runs]
        _refuse_mixture(folders, sources, members)
        joined = _join_members(folders, members)
        joined = replace(joined, cards=_order_cards([run.card for run in runs], members) or joined.cards)
        with replace_folder(out) as fresh:
            _copy_files(folders, joined.cards or group.cards, fresh)
            with Run(fresh) as run:
                _fill_ledger(run, runs, joined)
                run.record_all(_join_cards(folders, sources, runs, joined, run))
                talks = finished_dialogues(run) if joined.dialogues else _each_once(group.sources)
                run.export(DIALOGUES, (dialogue.to_json() for dialogue in talks))
                run.export_ratings()
                run.export_preferences()
    whole = Results.load(out).as_source(str(out))
    return [f"{one.name}: {len(one.dialogues)} dialogues, {len(one.ratings)} ratings" for one in [*sources, whole]]


def _each_once(sources: Iterable[Source]) -> Iterator[Dialogue]:
    known: set[str] = set()
    for dialogue in (dialogue for source in sources for dialogue in source.dialogues):
        if dialogue.id not in known:
            known.add(dialogue.id)
            yield dialogue


def _open_ledger(folder: Path) -> Run:
    """The ledger of a run folder, to read from.

    Raises:
        EscEvalError: It has none, or one of esc-eval 0.1.
    """
    if not (folder / LEDGER).is_file():
        raise EscEvalError(
            f"{folder}: has no {LEDGER}, so nothing says which dialogue was made how. Merge a whole run folder; files "
            "of dialogues and ratings are joined by: esc-eval report --dialogues FILE --ratings FILE"
        )
    run = Run(folder, reading=True)
    with run:
        version = run.version
    if version < VERSION:
        raise EscEvalError(
            f"{folder}: is a run of esc-eval 0.1, which did not keep what decides each dialogue. Type its command once "
            "more: it plays nothing again, and brings the folder to today's form."
        )
    return Run(folder, reading=True)


def _refuse_mixture(folders: Sequence[Path], sources: Sequence[Source], members: Sequence[Members]) -> None:
    """Refuse dialogues from elsewhere beside simulated ones, and ratings by models that are in no ledger.

    Raises:
        EscEvalError: There are.
    """
    elsewhere = [folder for folder, own in zip(folders, members, strict=True) if not own.dialogues]
    if elsewhere and len(elsewhere) < len(folders):
        raise EscEvalError(
            f"{elsewhere[0]}: its dialogues are from elsewhere, those of others were simulated; they do not become one "
            "run. esc-eval report and esc-eval view show them together."
        )
    for folder, source in zip(folders, sources, strict=True):
        raters = {rating.rater for rating in source.ratings if rating.rater_kind == "model"}
        if lost := sorted(rater for rater in raters if f"scoring/{rater}" not in source.run):
            raise EscEvalError(f"{folder}: nothing says how {lost[0]} rated, so its ratings cannot come along")


def _join_members(folders: Sequence[Path], members: Sequence[Members]) -> Members:
    """What all runs are sets of, together.

    Raises:
        EscEvalError: A dialogue of one id was made under two conditions.
    """
    cards: dict[str, RoleCard] = {}
    conditions: dict[str, Mapping[str, Any]] = {}
    rows: dict[str, Mapping[str, Any]] = {}
    for folder, own in zip(folders, members, strict=True):
        cards = {**own.cards, **cards}
        conditions |= own.conditions
        for name, row in own.dialogues.items():
            known = rows.setdefault(name, row)
            if known != row:
                found = list_differences(conditions[known["conditions"]], conditions[row["conditions"]])
                raise EscEvalError(
                    f"{folder}: dialogue {name!r} was made otherwise than in a run before it: "
                    f"{'; '.join([*found, *list_differences(known, row)][:3])}. Nothing was written."
                )
    return Members(cards, conditions, rows)


def _order_cards(runs: Sequence[Mapping[str, Any]], members: Sequence[Members]) -> dict[str, RoleCard]:
    """The cards in the order of a call that would have played all, where the runs are its shards; else nothing."""
    places: dict[int, Members] = {}
    for run, own in zip(runs, members, strict=True):
        shards = {shard for call in run.get("calls", []) if (shard := call.get("settings", {}).get("shard"))}
        if len(shards) != 1:
            return {}
        number, of = split_shard(shards.pop())
        if of != len(runs) or places.setdefault(number, own) is not own:
            return {}
    rows = zip_longest(*(places[number].cards.values() for number in sorted(places)))
    return {card.id: card for row in rows for card in row if card}


def _copy_files(folders: Sequence[Path], cards: Mapping[str, RoleCard], fresh: Path) -> None:
    """Cards, protocol, rubrics and questions; of one name they say the same, as the runs are joined."""
    write_jsonl(fresh / CARDS, cards.values(), durable=True)
    for folder in folders:
        for path in [
            folder / PROTOCOL,
            *sorted(folder.glob("rubrics/*.yaml")),
            *sorted(folder.glob("comparisons/*.yaml")),
        ]:
            target = fresh / path.relative_to(folder)
            if path.is_file() and not target.exists():
                write_whole(target, [read_text(path)], durable=True)


def _fill_ledger(run: Run, runs: Sequence[Run], joined: Members) -> None:
    """Copy what models said and raters gave, each once."""
    run.set_members(
        {
            "card": {name: card.model_dump(exclude_none=True) for name, card in joined.cards.items()},
            "conditions": joined.conditions,
            "dialogue": joined.dialogues,
            **{kind: _join(each.members(kind) for each in runs) for kind in _scorings(runs)},
        }
    )
    furthest: dict[str, tuple[tuple[bool, int], Run]] = {}
    for each in runs:
        for name, count in each.owners("turn").items():
            said = (bool(each.count("problem", name)), count)
            if name not in furthest or said > furthest[name][0]:
                furthest[name] = said, each
    for each in runs:
        own = {name for name, (_, best) in furthest.items() if best is each}
        for kind in ("turn", "problem", "retried", ATTEMPT):
            run.add_all(row for row in each.list_records(kind) if row[1] in own)
        for begin in JUDGED:
            run.add_all(each.list_records(f"{begin}%"))
    for kind in (PEOPLE, PEOPLE_PREFER):
        run.add_all(_number(row for each in runs for row in each.list_records(kind)))
    paid = {tuple(each.list_records("spent")) for each in runs}  # of a copy of a run nothing was paid twice
    run.add_all(_number((row for rows in sorted(paid) for row in rows), twice=True))


def _number(rows: Iterable[Row], twice: bool = False) -> list[Row]:
    """Rows of several runs, numbered anew for each owner.

    Args:
        rows: In order.
        twice: Whether what is the same counts as often as it is there.
    """
    texts: dict[tuple[str, str], list[str]] = {}
    for kind, owner, _, text in rows:
        known = texts.setdefault((kind, owner), [])
        if twice or text not in known:
            known.append(text)
    return [(*place, number, text) for place, known in texts.items() for number, text in enumerate(known)]


def _scorings(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(kind for run in runs for kind in run.card if kind.startswith(tuple(JUDGED))))


def _join(mappings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: value for mapping in reversed(list(mappings)) for key, value in mapping.items()}


def _join_cards(
    folders: Sequence[Path], sources: Sequence[Source], runs: Sequence[Run], joined: Members, run: Run
) -> dict[str, Any]:
    """What run.json says of all, and what each run's said."""
    content: dict[str, Any] = {}
    said = [{key: value for key, value in source.run.items() if key != ASKED} for source in sources]
    simulations = [identity for one in said for identity in find_simulations(one)]
    alike = all(_may_grow(one, other) for one, other in combinations(simulations, 2))
    if alike and all(STEP in one for one in said):
        served = [call for one in said for call in one.get(STEP, {}).get("served", [])]
        content[STEP] = _step({**said[0][STEP], **({"served": served} if served else {})}, _one(simulations, joined))
    elif simulations:
        every = list({digest(identity): identity for identity in simulations}.values())
        foreign = any(one.get(PLAYED, {}).get("identity", {}).get("foreign") for one in said)
        content[PLAYED] = _step({}, {"simulations": every, "foreign": bool(foreign)})
    for kind in _scorings(runs):
        steps = [one[kind] for one in said if kind in one]
        rated = run.members(kind)
        worded = next(key for begin, key in JUDGED.items() if kind.startswith(begin))
        identity = {
            **_join(step["identity"] for step in steps),
            worded: {**steps[0]["identity"][worded], **_languages(steps, worded)},
            "dialogues": {"n": len(rated), "sha256": digest(rated)},
        }
        if leads := _join(step["identity"].get("leads", {}) for step in steps):
            identity["leads"] = leads
        served = [call for step in steps for call in step.get("served", [])]
        content[kind] = _step({**steps[0], **({"served": served} if served else {})}, identity)
    for kind in (PEOPLE, PEOPLE_PREFER):
        if people := [one[kind] for one in said if kind in one]:
            files = {digest(file): file for step in people for file in step["identity"]["files"]}
            content[kind] = _step(people[0], {"files": list(files.values())})
    content[MERGED] = [
        {"folder": str(folder), "dialogues": [dialogue.id for dialogue in source.dialogues], "run": one}
        for folder, source, one in zip(folders, sources, said, strict=True)
    ]
    return content


def _step(known: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    return {**known, "identity": identity, "sha256": digest(identity)}


def _languages(steps: Sequence[Mapping[str, Any]], worded: str) -> dict[str, Any]:
    found = _join(step["identity"][worded].get("languages", {}) for step in steps)
    return {"languages": found} if found else {}


def _may_grow(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether one plan could have made the dialogues of two simulations."""
    first, second = dict(one), dict(other)
    common_seekers(first, second)
    return all(first.get(key) == second.get(key) for key in ("generation", "seeker", SEEKERS, "seed")) and all(
        identity == other["supporters"].get(name, identity) for name, identity in one["supporters"].items()
    )


def _one(simulations: Sequence[Mapping[str, Any]], joined: Members) -> dict[str, Any]:
    """The identity of a simulation that made all of several simulations' dialogues."""
    first = {key: value for key, value in simulations[0].items() if key not in ("seeker", SEEKERS)}
    shared = joined.shared
    languages = _join(one["protocol"].get("languages", {}) for one in simulations)
    return {
        **first,
        **{key: shared[key] for key in ("seeker", SEEKERS) if key in shared},
        "protocol": {**first["protocol"], "languages": languages},
        "supporters": _join(one["supporters"] for one in simulations),
        "cards": {"n": len(joined.cards), "sha256": digest(list(joined.cards.values()))},
    }
