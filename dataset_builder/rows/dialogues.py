"""Rows of the ``dialogues`` table from our run folders and from official or other users' result files."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builder import decisions
from dataset_builder.rows.personal_data import Masker
from esc_eval.errors import EscEvalError
from esc_eval.files.official import link_cards
from esc_eval.files.preferences import read_preferences
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.files.run_folder import PREFERENCES, read_run_ratings
from esc_eval.files.text import read_json
from esc_eval.reading import is_file
from esc_eval.schema import Dialogue, Language, Preference, Rating, RoleCard, number_repeats
from esc_eval.simulation.plan import repetition_of
from esc_eval.simulation.run import read_card
from esc_eval.simulation.seekers import SEEKERS, seekers_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Batch:
    """Dialogues and ratings of one run, with where each file lies below it.

    Attributes:
        name: Of the run; ids of its dialogues begin with it.
        terms: Key of ``decisions.read_terms``; None for a run of our own, whose user states the licence.
        card: Content of the run's ``run.json``; empty for files in the official format.
        folder: Of the run.
        preferences: Between two of its dialogues.
    """

    name: str
    terms: str | None
    dialogues: Sequence[tuple[str, Dialogue]]
    ratings: Sequence[tuple[str, Rating]]
    card: Mapping[str, Any]
    folder: Path
    preferences: Sequence[Preference] = ()


def official_batch(folder: Path) -> Batch:
    """Results and scores of a checkout of the official repository.

    Raises:
        EscEvalError: A broken file.
    """
    results = sorted((folder / "result").rglob("*.json"))
    scores = sorted((folder / "score").glob("*.json"))
    return Batch(
        "official",
        "official",
        [(str(p.relative_to(folder)), d) for p in results for d in read_dialogues(p)],
        [(str(p.relative_to(folder)), r) for p in scores for r in read_ratings(p)],
        {},
        folder,
    )


def run_batch(folder: Path) -> Batch:
    """A run folder: ours (``dialogues.jsonl``), or one of files in the official format.

    Of the latter, ``dialogues_NAME.json`` and ``scores_NAME.json`` belong together, as ``NAME.json`` in two folders do.

    Raises:
        EscEvalError: Missing, or holds neither, or a file is broken.
    """
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such run folder")
    name = folder.resolve().name
    if any((folder / name).exists() for name in ("dialogues.jsonl", "run.json")):
        ratings = read_run_ratings(folder)
        card = read_card(folder)
        return Batch(
            name,
            None,
            [("dialogues.jsonl", d) for d in read_dialogues(folder)],
            [("ratings.jsonl", r) for r in ratings],
            card,
            folder,
            [one.preference for one in read_preferences(folder)] if is_file(folder / PREFERENCES) else (),
        )
    dialogues: list[tuple[str, Dialogue]] = []
    found: list[tuple[str, Rating]] = []
    for path in sorted(folder.rglob("*.json")):
        relative = str(path.relative_to(folder))
        kind = _kind(path)
        if kind == "dialogues":
            dialogues += [(relative, _renamed(d)) for d in read_dialogues(path)]
        elif kind == "ratings":
            found += [
                (relative, r.model_copy(update={"dialogue_id": plain_name(r.dialogue_id)})) for r in read_ratings(path)
            ]
    if not dialogues:
        raise EscEvalError(f"{folder}: holds neither dialogues.jsonl nor dialogues in the official format (.json)")
    return Batch(name, "third_party", dialogues, found, {}, folder)


def _kind(path: Path) -> str | None:
    content = read_json(path)
    first = next(iter(content.values()), None) if isinstance(content, dict) else None
    return "dialogues" if isinstance(first, list) else "ratings" if isinstance(first, dict) else None


def plain_name(name: str) -> str:
    """The name of a file in the official format without the words that tell its kind."""
    return name.removeprefix("dialogues_").removeprefix("scores_")


def _renamed(dialogue: Dialogue) -> Dialogue:
    supporter = dialogue.supporter and plain_name(dialogue.supporter)
    return dialogue.model_copy(update={"id": plain_name(dialogue.id), "supporter": supporter})


def dialogue_rows(
    batch: Batch,
    cards: Mapping[str, Row],
    official: Mapping[Language, Sequence[RoleCard]],
    license: str,
    masker: Masker,
) -> list[Row]:
    """A row for each dialogue of a batch.

    Args:
        cards: Rows of ``role_cards`` by id.
        official: The official cards in file order: the official scripts number dialogues by it.
        license: Of dialogues from our own runs. They may be re-hosted where the card that was played may be.
    """
    identity = batch.card.get("simulation", {}).get("identity", {})
    repeats = number_repeats(dialogue for _, dialogue in batch.dialogues)
    rows = []
    for file, dialogue in batch.dialogues:
        if batch.terms == "official":
            (dialogue,) = link_cards([dialogue], official.get(dialogue.language, ()))
        card_id = dialogue.card_id
        card = cards.get(card_id or "")
        if batch.terms is None:
            terms, rehostable = license, bool(card and card["rehostable"])
        else:
            own = decisions.read_terms()[batch.terms]
            terms, rehostable = own.licence, own.rehostable
        rows.append(
            {
                "id": f"{batch.name}/{dialogue.id}",
                "language": dialogue.language,
                "card_id": card_id,
                "category": (card and card["category"]) or dialogue.category,
                "supporter": dialogue.supporter,
                "supporter_revision": identity.get("supporters", {}).get(dialogue.supporter, {}).get("revision"),
                "seeker": dialogue.seeker,
                "seeker_revision": _revision_of_seeker(identity, dialogue.seeker),
                "protocol": dialogue.protocol or (batch.terms and "official/9ad46e7"),
                "seed": _seed_of(identity, dialogue.id),
                "repeat": repeats[dialogue.id],
                "turns": [
                    {"role": t.role, "text": masker.mask(t.text), "finish_reason": t.finish_reason, "seed": t.seed}
                    for t in dialogue.turns
                ],
                "rounds": dialogue.rounds,
                "problem": masker.mask_optional(dialogue.problem),
                "end": dialogue.end,
                "attempts": len(dialogue.attempts) if dialogue.attempts else None,
                "states": _states(dialogue, masker),
                "origin": f"{batch.name}/{file}#{dialogue.key or dialogue.id}",
                "license": terms,
                "rehostable": rehostable,
            }
        )
    return rows


def _states(dialogue: Dialogue, masker: Masker) -> str | None:
    """The seeker's hidden states as JSON, each with the place of its turn from 0; None where none was asked for."""
    states: list[Row] = []
    for place, turn in enumerate(dialogue.turns):
        if turn.state is not None:
            state = turn.state.model_dump(exclude_none=True)
            levels: list[Row] = [
                {k: masker.mask(v) if k == "problem" else v for k, v in x.items()} for x in state["levels"]
            ]
            words = {key: masker.mask_optional(state.get(key)) for key in ("noticed", "raw")}
            states.append({"turn": place, "levels": levels, **words})
    return json.dumps(states, ensure_ascii=False) if states else None


def _revision_of_seeker(identity: Mapping[str, Any], name: str | None) -> str | None:
    """Revision of who played a dialogue of a run, which has one seeker, or several by name."""
    seekers = seekers_of(identity)
    revision: str | None = seekers.get(name if SEEKERS in identity and name else "seeker", {}).get("revision")
    return revision


def _seed_of(identity: Mapping[str, Any], dialogue: str) -> int | None:
    """Seed of a dialogue of a run: each repetition has the one after that of the last."""
    seed: int | None = identity.get("seed")
    return None if seed is None else seed + repetition_of(dialogue) - 1


def check_cards(batch: Batch, rows: Sequence[Row], cards: Mapping[str, Row]) -> None:
    """Raise EscEvalError if a dialogue plays a card that is not in the build."""
    missing = [row for row in rows if row["card_id"] is not None and row["card_id"] not in cards]
    if missing:
        raise EscEvalError(
            f"run {batch.name}: {len(missing)} dialogues play cards that are not in this build, first "
            f"{missing[0]['card_id']!r}. Give them with --cards FILE (or --cards sample)."
        )
