"""A scoring has an identity (scorer, rubric, way of reading), and is a set of rated dialogues that may grow."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

from esc_eval.errors import EscEvalError
from esc_eval.files.records import StoredDialogues, open_dialogues, read_dialogues
from esc_eval.files.run_folder import CARDS, DIALOGUES, RATINGS, read_run_cards
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import Rubric
from esc_eval.schema import Dialogue, Rating, digest
from esc_eval.simulation.identity import OLD_LANGUAGES, STEP, find_differences, is_relabelled, old_identity, was_rated
from esc_eval.simulation.run import PLAYED, Run, find_simulations, is_partly_foreign, list_differences, read_card


def keep_dialogues(dialogues: Sequence[Dialogue], run: Run, sources: Iterable[Path] = ()) -> None:
    """Copy dialogues from elsewhere into a run folder, beside those that are there.

    Args:
        sources: Where they are from: of run folders the cards come along, and what run.json says of the playing.

    Raises:
        EscEvalError: One is not the same there, or the run's dialogues are simulated and these are others; or a card
            has another text there.
    """
    own = run.folder / DIALOGUES
    if not (own.exists() and isinstance(dialogues, StoredDialogues) and dialogues.path.samefile(own)):
        there = open_dialogues(own) if own.exists() else ()
        known = {dialogue.id: digest(dialogue) for dialogue in there}
        simulated = STEP in run.card
        others = [d.id for d in dialogues if (simulated or d.id in known) and known.get(d.id) != digest(d)]
        if others:
            raise EscEvalError(
                f"{run.named} holds other dialogues: {others[0]!r} and {len(others) - 1} more are not among them, or "
                "not the same there. Choose another --out."
            )
        new = (dialogue for dialogue in dialogues if dialogue.id not in known)
        if (first := next(new, None)) is not None:
            _keep_origins(run, sources, more=bool(known))
            run.export(own.name, (dialogue.to_json() for dialogue in chain(there, [first], new)))
    if cards := read_run_cards([run.folder, *sources]):
        write_jsonl(run.folder / CARDS, cards)


def _keep_origins(run: Run, sources: Iterable[Path], *, more: bool) -> None:
    """Say in run.json how dialogues that come from elsewhere were played, as the runs that they are from say it."""
    folders = dict.fromkeys(path.parent if path.name == DIALOGUES else path for path in sources)
    cards = [read_card(folder) if folder.is_dir() else {} for folder in folders]
    found = [identity for card in cards for identity in find_simulations(card)]
    known = find_simulations(run.card)
    unknown = not all(map(find_simulations, cards)) or not cards or any(map(is_partly_foreign, cards))
    if found or known:
        every = {digest(identity): identity for identity in [*known, *found]}
        foreign = unknown or is_partly_foreign(run.card) or (more and not known)
        run.record(PLAYED, {"simulations": list(every.values()), "foreign": foreign})


class Identified(Protocol):
    """What a scoring says of itself."""

    rubric: Rubric

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides its ratings but the dialogues."""


def check_scoring(kind: str, scoring: Identified, run: Run) -> Mapping[str, Any]:
    """Compare a scoring with the one of the same name in a run, and return the identity of that; empty where none is.

    One that came to no rating binds nobody.

    Raises:
        EscEvalError: It is another one (the message lists the differences), or the run's ratings are not in its ledger
            and would be lost.
    """
    if (run.folder / RATINGS).exists() and not any(map(run.has, run.rated_kinds)):
        raise EscEvalError(
            f"{run.named} holds ratings that were not made there, or has lost its ledger. Choose another --out."
        )
    rated = run.has(kind)
    if rated and kind not in run.card:
        raise EscEvalError(
            f"{run.named}: its ledger holds {kind.partition('/')[2]}'s ratings of {len(run.owners(kind))} dialogues, "
            "and run.json, which says what made them, is missing or tells of none. Put it back, or choose another "
            "--out."
        )
    old: Mapping[str, Any] = run.card.get(kind, {}).get("identity", {}) if rated else {}
    new = scoring.identity
    if "esc_eval" in old and "languages" in new["rubric"]:  # of version 0.1
        new = {**new, "rubric": old_identity(scoring.rubric)}
    if old:
        run.refuse(kind, find_differences(old, new))
    return old


def find_old_label(scoring: Identified, name: str, asked: Iterable[str], run: Run) -> str | None:
    """The rater of a run that a scorer is, under another label: same model, rubric and way of reading.

    Args:
        scoring: What rates, with the way in which a scorer behind a server is asked as it was found out before.
        name: Of its scorer.
        asked: Names of all raters of the call; one of these is meant beside it.

    Returns:
        None where there is none, or several; or the run has ratings under the name.
    """
    if run.has(f"scoring/{name}"):
        return None
    taken, found = set(asked), []
    for kind, step in run.card.items():
        old, identity = kind.partition("/")[2], step["identity"] if kind.startswith("scoring/") else {}
        if not identity or "esc_eval" in identity or old in taken or not run.has(kind):
            continue
        new = scoring.identity
        if is_relabelled(identity["scorer"], old, new["scorer"], name) and not find_differences(
            {**identity, "scorer": new["scorer"]}, new
        ):
            found.append(old)
    return found[0] if len(found) == 1 else None


def known_way(kind: str, run: Run) -> Mapping[str, Any] | None:
    """How the scorer of a scoring that has ratings was asked, as it was found out then; None where nobody did."""
    if not run.has(kind):
        return None
    identity: Mapping[str, Any] = run.card.get(kind, {}).get("identity", {})
    return identity.get("asked")


def find_partly_rated(kind: str, size: int, run: Run) -> dict[str, frozenset[str]]:
    """The dimensions that dialogues have ratings of which have some of ``size`` and not all, by id.

    Raises:
        EscEvalError: The ledger is damaged: a record is no rating.
    """
    found = {}
    for name, own in groupby((rating for _, rating in run.all(kind, Rating)), key=attrgetter("dialogue_id")):
        done = frozenset(rating.dimension for rating in own)
        if len(done) < size:
            found[name] = done
    return found


def admit_dialogues(kind: str, dialogues: Sequence[Dialogue], old: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Make dialogues members of a scoring, beside those that it has, and return what run.json says of them.

    Raises:
        EscEvalError: One that has ratings reads otherwise now.
    """
    if "esc_eval" in old and not run.members(kind):
        run.set_members({kind: _adopt(kind, dialogues, run)})
    if changed := run.add_members(kind, ((dialogue.id, dialogue.content) for dialogue in dialogues)):
        raise EscEvalError(
            f"{run.named}: {changed[0]!r} and {len(changed) - 1} more dialogues read otherwise than when they were "
            "rated. Put them back, or choose another --out."
        )
    return run.digest_members(kind)


def rated_identity(scoring: Identified, asked: Iterable[str], old: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a scoring with the wording of those languages alone that it has rated or is about to.

    Args:
        scoring: What rates.
        asked: Languages of the dialogues to come.
        old: Its identity by now.
    """
    identity = scoring.identity
    for key in ("rubric", "evidence"):
        if languages := identity.get(key, {}).get("languages"):
            before = old[key].get("languages", OLD_LANGUAGES) if old else ()
            used = {*asked, *before}
            chosen = {language: sha256 for language, sha256 in languages.items() if language in used}
            identity = {**identity, key: {**identity[key], "languages": chosen}}
    return identity


def _adopt(kind: str, dialogues: Sequence[Dialogue], run: Run) -> dict[str, str]:
    """What a scoring of esc-eval 0.1 rated, which kept one hash of all its dialogues: those there that have it.

    Raises:
        EscEvalError: None have.
    """
    own = run.folder / DIALOGUES
    there = read_dialogues(own) if own.exists() else []
    scoring, done = run.card[kind], run.owners(kind)
    for tried in (there, list(dialogues), [dialogue for dialogue in there if dialogue.id in done]):
        if was_rated(tried, scoring):
            return {dialogue.id: dialogue.content for dialogue in tried}
    found = {"n": len(there), "sha256": digest(there)}
    run.refuse(kind, list_differences(scoring["identity"]["dialogues"], found, "dialogues"))
    return {}
