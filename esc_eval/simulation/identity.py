"""A dialogue has an identity, and a run is a set of dialogues that may grow.

What decides a dialogue is its card and the conditions of play: protocol, seeker, supporter, settings, seed. The ledger
keeps both for each dialogue. A later call may ask for more or fewer cards and supporters; what it asks for again must
be what is there, and what is new must agree with it in all that dialogues share.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from esc_eval.chat.base import ChatModel, name_by_language
from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.records import read_dialogues
from esc_eval.files.run_folder import CARDS, DIALOGUES, PROTOCOL
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.protocol import Protocol
from esc_eval.prompts.wording import Worded
from esc_eval.schema import Attempt, Dialogue, RoleCard, Turn, digest
from esc_eval.simulation.plan import Failure, Plan, is_over, seeker_in
from esc_eval.simulation.run import LEDGER, PLAYED, SHOWN, Run, list_differences
from esc_eval.simulation.seekers import SEEKERS, common_seekers, name_seekers

STEP = "simulation"
SAID_OF_SCORER = frozenset({"language", "validity", "levels_mean"})
"""What an identity says of a scorer beside what it is: its language, and what is known of its numbers. Its revision has
what decides."""
SAID_APART = frozenset({"rounds", "seeker", "supporter"})
"""What an identity says of a protocol beside its hash."""
OLD_LANGUAGES = ("en", "zh")
"""Of esc-eval 0.1, whose identities have one hash for a wording in all languages."""

ATTEMPT = "attempt"
"""Kind of the records that are dialogues as they were played before they were played again."""

M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")


@dataclass(frozen=True)
class Members:
    """What a run is a set of, by id and in order.

    Attributes:
        cards: Role cards.
        conditions: All that decides a dialogue but its card, by the hash of it.
        dialogues: Of each its card, its conditions, what the models are called, and which repetition it is.
    """

    cards: Mapping[str, RoleCard]
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dialogues: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def shared(self) -> dict[str, Any]:
        """All identities in one: what they share once, and what differs by language, supporter and card."""
        merged: dict[str, Any] = {"supporters": {}}
        languages: dict[str, str] = {}
        seekers: dict[tuple[str, str], Mapping[str, Any]] = {}
        for row in self.dialogues.values():
            conditions = self.conditions[row["conditions"]]
            merged["supporters"][row["supporter"]] = conditions["supporter"]
            languages[conditions["language"]] = conditions["protocol"]["sha256"]
            seekers[conditions["language"], row["seeker"]] = conditions["seeker"]
            merged |= {key: conditions[key] for key in ("protocol", "generation")}
            merged["seed"] = conditions["seed"] - row.get("repetition", 1) + 1
        merged |= name_seekers(seekers)
        if self.dialogues:
            merged["protocol"] = {**merged["protocol"], "languages": languages}
            del merged["protocol"]["sha256"]
        played = dict.fromkeys(row["card"] for row in self.dialogues.values())
        merged["cards"] = {
            name: {"language": self.cards[name].language, "text": self.cards[name].text} for name in played
        }
        return merged

    def begun(self, ids: Container[str]) -> "Members":
        """Those dialogues alone, with their cards."""
        rows = {name: row for name, row in self.dialogues.items() if name in ids}
        cards = {row["card"] for row in rows.values()}
        return Members({name: card for name, card in self.cards.items() if name in cards}, self.conditions, rows)


def play_conditions(
    protocol: Protocol, language: str, seeker: Mapping[str, Any], supporter: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """All that decides a dialogue but its card; a supporter's own settings are in its identity."""
    asked = protocol.supporter.model_dump()
    if "own_settings" in supporter:
        asked = {"max_new_tokens": protocol.supporter.max_new_tokens, "settings": "own"}
    return {
        "language": language,
        "protocol": {
            "id": protocol.id,
            "sha256": protocol.language_sha256(language, SAID_APART),
            "rounds": protocol.rounds,
            **({"context": protocol.context.model_dump(exclude_none=True)} if protocol.context else {}),
        },
        "generation": {"seeker": protocol.seeker.model_dump(), "supporter": asked},
        "seeker": seeker,
        "supporter": supporter,
        "seed": seed,
    }


def members_of(plan: Plan, supporters: Mapping[str, Mapping[str, Any]] | None = None) -> Members:
    """What a plan asks for.

    Args:
        plan: What is to be played.
        supporters: Identities by name, where they are not the plan's own.
    """
    if supporters is None:
        supporters = plan.supporter_identities
    conditions: dict[str, dict[str, Any]] = {}
    dialogues: dict[str, dict[str, Any]] = {}
    for name, repetition, by in product(supporters, range(1, plan.repeats + 1), plan.seekers):
        made: dict[str, str] = {}
        seed = plan.seed_of(repetition)
        for card in plan.cards_of(name):
            if card.language not in made:
                found = play_conditions(plan.protocol, card.language, by.identity, supporters[name], seed)
                made[card.language] = digest(found)
                conditions[made[card.language]] = found
            seeker = name_by_language(by, card.language)
            row = {"card": card.id, "supporter": name, "seeker": seeker, "conditions": made[card.language]}
            one_id = plan.dialogue_id(name, card.id, repetition, by.name)
            if one_id in dialogues:
                raise EscEvalError(f"two dialogues would be {one_id!r}; give a supporter another name, or a new --out")
            dialogues[one_id] = row if repetition == 1 else {**row, "repetition": repetition}
    return Members({card.id: card for card in plan.cards}, conditions, dialogues)


class _Row(BaseModel):
    """A dialogue, as the ledger keeps it."""

    model_config = ConfigDict(strict=True)
    card: str
    supporter: str
    seeker: str
    conditions: str
    repetition: int = 1


class _Wording(BaseModel):
    id: str
    sha256: str
    rounds: int


class _Conditions(BaseModel):
    """What every dialogue's conditions of play have."""

    model_config = ConfigDict(strict=True)
    language: str
    protocol: _Wording
    generation: dict[str, Any]
    seeker: dict[str, Any]
    supporter: dict[str, Any]
    seed: int


def read_members(run: Run) -> Members:
    """What the ledger says that the run is a set of.

    Raises:
        EscEvalError: The ledger is damaged.
    """
    cards = dict(_each_member(run, "card", RoleCard))
    rows = {name: row.model_dump(exclude_defaults=True) for name, row in _each_row(run, cards)}
    return Members(cards, run.members("conditions"), rows)


def each_asked(run: Run) -> Iterator[tuple[str, str, str]]:
    """Id, language and supporter of each dialogue that the ledger says that the run is to have; none is held.

    Raises:
        EscEvalError: The ledger is damaged.
    """
    languages = {name: card.language for name, card in _each_member(run, "card", RoleCard)}
    return ((name, languages[row.card], row.supporter) for name, row in _each_row(run, languages))


def _each_row(run: Run, cards: Container[str]) -> Iterator[tuple[str, "_Row"]]:
    conditions = {name for name, _ in _each_member(run, "conditions", _Conditions)}
    for name, row in _each_member(run, "dialogue", _Row):
        for kind, known, own in (("card", cards, row.card), ("conditions", conditions, row.conditions)):
            if own not in known:
                raise run.damaged(f"the {kind} {own!r} of dialogue {name!r} is missing")
        yield name, row


def _each_member(run: Run, kind: str, shape: type[M]) -> Iterator[tuple[str, M]]:
    for name, row in run.each_member(kind):
        try:
            yield name, shape.model_validate(row)
        except ValidationError as error:
            raise run.damaged(f"{kind} {name!r} is none: {explain_validation(error)}") from error


def keep_ids(plan: Plan, run: Run) -> None:
    """Let a plan call the dialogues that a run has already as the run calls them, whatever their models are called now.

    Raises:
        EscEvalError: The ledger is damaged, or a model could be either of two that the run holds.
    """
    failed = run.owners("problem").keys()
    _keep_ids(
        plan, _renamed(read_members(run), plan), {n for n, c in run.owners("turn").items() if c > 1 or n in failed}
    )


def _keep_ids(plan: Plan, members: Members, begun: Container[str]) -> None:
    found = {
        one_id: next((model for model in plan.seekers if name_by_language(model, language) == row["seeker"]), None)
        for one_id, row in members.dialogues.items()
        for language in [members.cards[row["card"]].language]
    }
    alone = None if plan.other_seekers or any(found.values()) else plan.seeker  # whatever it was called there
    for one_id, row in members.dialogues.items():
        if (by := found[one_id] or alone) is not None:
            plan.ids[row["supporter"], row["card"], row.get("repetition", 1), by.name] = one_id
        if one_id in begun:
            plan.tagged[by.name if by else row["seeker"]] = seeker_in(one_id) is not None


def find_new_labels(plan: Plan, members: Members) -> dict[str, str]:
    """Supporters of a run whom a plan asks for under another label: old label -> new one.

    A model that is asked for under both labels is meant twice, and is none of them.

    Raises:
        EscEvalError: One could be either of two that the run holds.
    """
    held = {row["supporter"]: members.conditions[row["conditions"]]["supporter"] for row in members.dialogues.values()}
    asked = plan.supporter_identities
    idle, found = {name: identity for name, identity in held.items() if name not in asked}, {}
    for name, identity in asked.items():
        same = [old for old in idle if name not in held and is_relabelled(idle[old], old, identity, name)]
        if len(same) > 1:
            raise EscEvalError(
                f"supporter {name!r} is the model that this run holds as {' and '.join(map(repr, same))}. Ask for it "
                "under one of these labels, or for all of them together to play it once more."
            )
        if same:
            found[same[0]] = name
            del idle[same[0]]
    return found


def is_relabelled(old: Mapping[str, Any], old_name: str, new: Mapping[str, Any], new_name: str) -> bool:
    """Whether two identities are of one model, whatever it is called.

    Some models are called in their identity by their label; these are one where their content has one hash. A function
    that is defined within another may hold anything, so its source does not tell what it is.
    """
    if old == new:
        return not (old.get("kind") == "python" and "<" in str(old.get("model")))
    named = old.get("model") == old_name and new.get("model") == new_name and bool(new.get("revision"))
    return named and {**leave_said(old), "model": None} == {**leave_said(new), "model": None}


def leave_said(scorer: Mapping[str, Any]) -> dict[str, Any]:
    """What a scorer is, without what is known of its numbers."""
    return {key: value for key, value in scorer.items() if key not in SAID_OF_SCORER}


def _renamed(members: Members, plan: Plan) -> Members:
    """Members with their models called as a plan calls them."""
    labels, supporters = find_new_labels(plan, members), plan.supporter_identities
    conditions, rows = dict(members.conditions), {}
    held = {row["seeker"] for row in members.dialogues.values()}
    for one_id, row in members.dialogues.items():
        name, own = row["supporter"], members.conditions[row["conditions"]]
        other = {}
        if name in labels:
            name, other["supporter"] = labels[name], supporters[labels[name]]
        seeker, by = row["seeker"], find_seeker(plan, own["seeker"], row["seeker"], own["language"], held)
        if by is not None:
            seeker = seeker if seeker == by.name else name_by_language(by, own["language"])
            other["seeker"] = by.identity
        key = row["conditions"]
        if other:
            found = {**own, **other}
            key = digest(found)
            conditions[key] = found
        rows[one_id] = {**row, "supporter": name, "seeker": seeker, "conditions": key}
    return Members(members.cards, conditions, rows)


def find_seeker(
    plan: Plan, identity: Mapping[str, Any], name: str, language: str, held: Container[str]
) -> ChatModel | None:
    """The seeker of a plan that a run's is, whatever it is called: by its name where one is called so, else by what
    decides what it says; None where there is none.

    Args:
        identity, name: Of the seeker in the run.
        language: Of the dialogue.
        held: Names of the run's seekers; one that is called so is nobody else.
    """
    names = {name_by_language(model, language): model for model in plan.seekers}
    called = [names[name]] if name in names else [model for own, model in names.items() if own not in held]
    return next((model for model in called if is_relabelled(identity, name, model.identity, model.name)), None)


def admit_plan(plan: Plan, run: Run, again: set[str] | None = None) -> None:
    """Make the dialogues of a plan members of a run, beside those that it has.

    What was only asked for earlier and never begun binds nobody: it gives way.

    Args:
        plan: What is asked for.
        run: Where; open.
        again: Ids of dialogues that ended early and are to be played on.

    Raises:
        EscEvalError: The plan contradicts what the run holds; the message lists where. Nothing was changed then.
    """
    if gap := run.find_gap("turn"):
        raise EscEvalError(
            f"{run.folder / LEDGER}: turns of dialogue {gap!r} are missing before others that are there. Put back a "
            "whole copy of the ledger, or choose another --out."
        )
    spoken = run.owners("turn")
    failed = run.owners("problem").keys() - (again or set())
    begun = {name for name, count in spoken.items() if count > 1 or name in failed} | run.owners(ATTEMPT).keys()
    old = run.card.get(STEP, {}).get("identity", {})
    known = _adopt(plan, run, old) if "esc_eval" in old else read_members(run)
    kept = known.begun(begun)
    if strange := begun - kept.dialogues.keys():
        raise EscEvalError(
            f"{run.named}: the ledger holds {min(strange)!r} and {len(strange) - 1} more dialogues, and nothing says "
            "what made them. Put its run.json back, or choose another --out."
        )
    if begun and "esc_eval" not in old:
        _check_record(run, kept, old)
    if not begun and (run.folder / DIALOGUES).exists():
        raise EscEvalError(
            f"{run.named} holds dialogues that were not simulated there, or has lost its ledger. Choose another --out."
        )
    before, known = known, _renamed(known, plan)
    _keep_ids(plan, known, begun)
    kept, asked = known.begun(begun), members_of(plan)
    if begun:
        run.refuse(STEP, find_differences(kept.shared, _with_languages(asked.shared, plan.protocol)))
    for name in spoken.keys() - begun:
        run.forget("turn", name)
    if "esc_eval" not in old and before.shared["supporters"].keys() - known.shared["supporters"].keys():
        both = {**old["supporters"], **known.shared["supporters"]}  # whenever this is killed, run.json knows all labels
        run.record(STEP, {**old, "supporters": both})
    merged = Members(
        _merge(known.cards, kept.cards, asked.cards),
        {**asked.conditions, **known.conditions},
        _merge(known.dialogues, kept.dialogues, asked.dialogues),
    )
    used = {row["conditions"] for row in merged.dialogues.values()}
    run.set_members(
        {
            "card": {name: card.model_dump(exclude_none=True) for name, card in merged.cards.items()},
            "conditions": {name: found for name, found in merged.conditions.items() if name in used},
            "dialogue": merged.dialogues,
            **_texts_of_renamed(before, known, run),
        }
    )
    write_jsonl(run.folder / CARDS, merged.cards.values(), durable=True)
    keep_wording(plan.protocol, run.folder / PROTOCOL)
    run.record(STEP, _summary(merged, plan.protocol))


def _texts_of_renamed(before: Members, after: Members, run: Run) -> dict[str, dict[str, str]]:
    """What scorings keep of the text of the dialogues that they rated, where models are called otherwise now."""
    changed = {
        name: {side: row[side] for side in ("supporter", "seeker")}
        for name, row in after.dialogues.items()
        if any(row[side] != before.dialogues[name][side] for side in ("supporter", "seeker"))
    }
    if not changed:
        return {}
    texts = {
        dialogue.id: (dialogue.content, dialogue.model_copy(update=changed[dialogue.id]).content)
        for dialogue in finished_dialogues(run, before)
        if dialogue.id in changed
    }
    return {
        kind: {
            name: texts[name][1] if name in texts and texts[name][0] == text else text
            for name, text in run.members(kind).items()
        }
        for kind in run.card
        if kind.startswith("scoring/")
    }


def _check_record(run: Run, kept: Members, old: Mapping[str, Any]) -> None:
    """Refuse a ledger that is not of the run of which run.json tells.

    Raises:
        EscEvalError: run.json tells of no simulation, or of another one.
    """
    if not old and PLAYED in run.card:
        raise EscEvalError(
            f"{run.named}: was merged from runs of several seeds or settings, so it is rated and reported, and not "
            "played on. Play on in each of them, and merge again."
        )
    if not old:
        raise EscEvalError(
            f"{run.named}: {LEDGER} holds {len(kept.dialogues)} dialogues, and run.json, which says what made them, "
            "is missing or tells of none. Put it back, or choose another --out."
        )
    shared = kept.shared
    seeker, held = old.get("seeker", {}), shared.get("seeker")
    if held and is_relabelled(seeker, str(seeker.get("model")), held, str(held.get("model"))):
        shared["seeker"] = seeker  # it was given another label, and run.json was not reached
    found = find_differences({**old, "cards": {}}, {**shared, "cards": {}})
    unknown = sorted({row["supporter"] for row in kept.dialogues.values()} - old.get("supporters", {}).keys())
    found += [f"supporters.{name}: only in the ledger" for name in unknown]
    if found:
        raise EscEvalError(
            f"{run.named}: {LEDGER} and run.json are of two experiments:\n  " + "\n  ".join(found[:SHOWN]) + "\n"
            "Put back the two of one run, or choose another --out."
        )


def _with_languages(shared: dict[str, Any], protocol: Protocol) -> dict[str, Any]:
    """An identity with the wording of all languages of its protocol, also those that are not asked for."""
    languages = {language: protocol.language_sha256(language, SAID_APART) for language in protocol.texts}
    return {**shared, "protocol": {**shared["protocol"], "languages": languages}}


def _merge(known: Mapping[str, V], kept: Mapping[str, V], asked: Mapping[str, V]) -> dict[str, V]:
    """What is kept and what is asked for, in the order in which it was first asked for."""
    there = {name: kept[name] if name in kept else asked[name] for name in known if name in kept or name in asked}
    return {**there, **{name: value for name, value in asked.items() if name not in there}}


def _summary(members: Members, protocol: Protocol) -> dict[str, Any]:
    """The identity of a simulation as run.json has it: the cards by number and hash."""
    shared = members.shared
    return {
        "protocol": {"id": protocol.id, "sha256": protocol.sha256, **shared["protocol"]},
        **{key: shared[key] for key in ("generation", "seeker", SEEKERS, "supporters", "seed") if key in shared},
        "cards": {"n": len(members.cards), "sha256": digest(list(members.cards.values()))},
    }


def _adopt(plan: Plan, run: Run, old: Mapping[str, Any]) -> Members:
    """The dialogues of a run of esc-eval 0.1, which had one identity for all of them.

    Raises:
        EscEvalError: The plan contradicts it, or its cards are neither those of the run nor begin with them.
    """
    new = {**_summary(members_of(plan), plan.protocol), "protocol": old_identity(plan.protocol)}
    new["protocol"]["rounds"] = plan.protocol.rounds
    run.refuse(STEP, find_differences({**old, "cards": {}}, {**new, "cards": {}}))
    tried = [plan.cards, plan.cards[: old["cards"]["n"]]]
    cards = next((cards for cards in tried if digest(list(cards)) == old["cards"]["sha256"]), None)
    if cards is None:
        found = list_differences({"cards": old["cards"]}, {"cards": new["cards"]})
        run.refuse(
            STEP, [*found, "(one hash for all cards: ask for the same ones once more, then for fewer or others)"]
        )
    own = run.folder / DIALOGUES
    if own.exists():  # before they become more
        there = read_dialogues(own)
        scorings = [kind for kind, step in run.card.items() if kind.startswith("scoring/") and was_rated(there, step)]
        run.set_members({kind: {dialogue.id: dialogue.content for dialogue in there} for kind in scorings})
    for name in old["supporters"]:
        plan.ids.update({(name, card.id, 1, plan.seeker.name): f"{name}:{card.id}" for card in cards or ()})
    return members_of(replace(plan, cards=cards or (), repeats=1, other_seekers=()), old["supporters"])


def was_rated(dialogues: Sequence[Dialogue], scoring: Mapping[str, Any]) -> bool:
    """Whether these are the dialogues of a scoring by esc-eval 0.1, which kept one hash of them all."""
    identity = scoring["identity"]
    return "esc_eval" in identity and digest(list(dialogues)) == identity["dialogues"]["sha256"]


def old_identity(worded: Worded[Any]) -> dict[str, Any]:
    """A wording as the identities of esc-eval 0.1 name it: with one hash, of both its languages."""
    texts = {language: text for language, text in worded.texts.items() if language in OLD_LANGUAGES}
    return {"id": worded.id, "sha256": worded.model_copy(update={"texts": texts, "languages": ()}).sha256}


def find_differences(known: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Where two identities of a run or a scoring contradict each other, one line each.

    Supporters, cards and languages that only one of them has are no contradiction; neither is the version of esc-eval,
    nor a seeker that only one has where they have another one both, nor what is known of a scorer's numbers.
    """
    old, new = (
        {k: v for k, v in side.items() if k not in ("esc_eval", "dialogues", "leads")} for side in (known, asked)
    )
    for key in ("supporters", "cards"):
        old[key], new[key] = _common(old.get(key, {}), new.get(key, {}))
    common_seekers(old, new)
    for side in (old, new):
        if "scorer" in side:
            side["scorer"] = leave_said(side["scorer"])
    for key in ("protocol", "rubric", "evidence", "question"):
        old[key], new[key] = _common_wording(old.get(key, {}), new.get(key, {}))
    return list_differences(old, new)


def _common(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    return {k: v for k, v in old.items() if k in new}, {k: v for k, v in new.items() if k in old}


def _common_wording(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Wordings by the hashes of the languages that both have; where one is hashed whole, by that."""
    if "languages" not in old or "languages" not in new:
        return {k: v for k, v in old.items() if k != "languages"}, {k: v for k, v in new.items() if k != "languages"}
    languages = _common(old["languages"], new["languages"])
    first, second = ({**side, "languages": part} for side, part in zip((old, new), languages, strict=True))
    first.pop("sha256", None), second.pop("sha256", None)
    return first, second


def finished_dialogues(run: Run, members: Members | None = None) -> Iterator[Dialogue]:
    """The run's dialogues that came to their end, or ended early: by supporter, then by card, each in order of first
    appearance.

    Args:
        run: Whose ledger is read.
        members: What it is a set of; None = as the ledger says.
    """
    members = members or read_members(run)
    supporters = list(dict.fromkeys(row["supporter"] for row in members.dialogues.values()))
    position = {name: number for number, name in enumerate([*supporters, *members.cards])}
    for name, row in sorted(
        members.dialogues.items(), key=lambda item: (position[item[1]["supporter"]], position[item[1]["card"]])
    ):
        turns = tuple(run.read("turn", name, Turn))
        protocol, card = members.conditions[row["conditions"]]["protocol"], members.cards[row["card"]]
        failures = run.read("problem", name, Failure)
        if not failures and (not turns or not is_over(turns, protocol["rounds"])):
            continue
        end = turns[-1].end if turns else None
        yield Dialogue(
            id=name,
            language=card.language,
            turns=(*turns[:-1], turns[-1].model_copy(update={"end": None})) if end else turns,
            card_id=card.id,
            category=card.category,
            supporter=row["supporter"],
            seeker=row["seeker"],
            protocol=protocol["id"],
            problem=f"{failures[0].role}: {failures[0].problem}" if failures else None,
            repeat=row.get("repetition"),
            end=None if failures else end,
            attempts=tuple(run.read(ATTEMPT, name, Attempt)) or None,
        )
