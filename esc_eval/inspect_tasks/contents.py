"""All that a run folder holds as one JSON value that a log of Inspect can carry, and back."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from esc_eval.errors import EscEvalError
from esc_eval.files.run_folder import CARDS, DIALOGUES, PROTOCOL, RATINGS, is_run_folder
from esc_eval.files.writing import write_json, write_jsonl, write_whole
from esc_eval.reading import is_file, read_text
from esc_eval.schema import Dialogue, Rating, RoleCard, digest
from esc_eval.simulation.identity import STEP, find_differences, finished_dialogues
from esc_eval.simulation.run import CARD, LEDGER, SHOWN, Run, read_card, refuse_foreign

SCORING = "scoring/"
CALLS = "calls"
LOGS = "inspect"
"""Step of a run.json that says which logs of Inspect its dialogues are from."""


class Contents(BaseModel):
    """A part of a run, or the whole of one.

    Attributes:
        run: Of run.json: what each step is made of.
        members: Of the ledger, by kind and id: cards, conditions of play, dialogues, what was rated.
        records: Of the ledger, word for word: kind, owner, position, JSON.
        files: The wording that the run was made with, by path in the folder.
    """

    model_config = ConfigDict(extra="forbid")

    run: dict[str, Any] = Field(default_factory=dict)
    members: dict[str, dict[str, Any]] = Field(default_factory=dict)
    records: list[tuple[str, str, int, str]] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those of a run folder that nobody works on.

        Raises:
            EscEvalError: Something in it is broken, or another process works on it.
        """
        members, records = {}, []
        if is_file(folder / LEDGER):
            with Run(folder) as run:
                members, records = run.list_members(), list(run.list_records())
        wordings = [folder / PROTOCOL, *sorted((folder / "rubrics").glob("*.yaml"))]
        files = {path.relative_to(folder).as_posix(): read_text(path) for path in wordings if is_file(path)}
        return cls(run=read_card(folder), members=members, records=records, files=files)

    def of(self, *kinds: str) -> "Contents":
        """What belongs to steps of these kinds alone, with the rubrics."""
        return Contents(
            run={kind: step for kind, step in self.run.items() if kind in kinds},
            members={kind: rows for kind, rows in self.members.items() if kind in kinds},
            records=[row for row in self.records if row[0] in kinds],
            files={path: text for path, text in self.files.items() if path.startswith("rubrics/")},
        )

    def without(self, owners: Iterable[str]) -> "Contents":
        """The same without the records of some dialogues."""
        left_out = set(owners)
        return self.model_copy(update={"records": [row for row in self.records if row[1] not in left_out]})

    def write_files(self, folder: Path) -> None:
        """Write the wording into a folder.

        Raises:
            EscEvalError: A path leads out of it.
        """
        for name, text in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise EscEvalError(f"a log names the file {name!r}, which lies outside a run folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, [text])


def join_contents(parts: Sequence[Contents]) -> Contents:
    """Parts of one run as one.

    Raises:
        EscEvalError: Two of them contradict each other; the message lists where.
    """
    whole = Contents()
    records: dict[tuple[str, str, int], str] = {}
    for part in parts:
        for kind, step in part.run.items():
            whole.run[kind] = _join_steps(kind, whole.run.get(kind), step)
        for kind, rows in part.members.items():
            _join_rows(f"the {kind}", whole.members.setdefault(kind, {}), rows)
        _join_rows("the record", records, {(kind, owner, at): text for kind, owner, at, text in part.records})
        _join_rows("the file", whole.files, part.files)
    whole.records = [(*key, text) for key, text in records.items()]
    for kind, step in whole.run.items():
        if kind.startswith(SCORING) and (rated := whole.members.get(kind)):
            _say(step, {"dialogues": {"n": len(rated), "sha256": digest(rated)}})
    if STEP in whole.run:
        cards = [RoleCard.model_validate(card) for card in whole.members.get("card", {}).values()]
        _say(whole.run[STEP], {"cards": {"n": len(cards), "sha256": digest(cards)}})
    return whole


def _join_rows(what: str, known: dict[Any, Any], new: Mapping[Any, Any]) -> None:
    for key, value in new.items():
        if known.setdefault(key, value) != value:
            raise EscEvalError(f"the logs are of two runs: {what} {key!r} is not the same in both")


def _join_steps(kind: str, known: Any, new: Any) -> Any:
    """A part of run.json as two parts of one run tell it."""
    if known is None or known == new:
        return new
    if kind == CALLS:
        return [*known, *(call for call in new if call not in known)]
    if kind != STEP and not kind.startswith(SCORING):
        raise EscEvalError(f"the logs are of two runs: their {kind} is not the same")
    before, after = known["identity"], new["identity"]
    if found := find_differences({**before, "cards": {}}, {**after, "cards": {}}):
        raise EscEvalError(
            f"the logs hold a {kind.partition('/')[0]} under two identities:\n  " + "\n  ".join(found[:SHOWN]) + "\n"
            "Make a run folder of each."
        )
    step = {**known}
    merged: dict[str, Any] = {}
    if "supporters" in before:
        merged["supporters"] = {**before["supporters"], **after["supporters"]}
    for wording in ("protocol", "rubric"):
        if "languages" in before.get(wording, {}):
            languages = {**before[wording]["languages"], **after[wording].get("languages", {})}
            merged[wording] = {**before[wording], "languages": languages}
    if "leads" in before or "leads" in after:
        merged["leads"] = {**before.get("leads", {}), **after.get("leads", {})}
    _say(step, merged)
    return step


def _say(step: dict[str, Any], facts: Mapping[str, Any]) -> None:
    step["identity"] = {**step["identity"], **facts}
    step["sha256"] = digest(step["identity"])


def write_run(
    contents: Contents,
    dialogues: Sequence[Dialogue],
    ratings: Sequence[Rating],
    cards: Sequence[RoleCard],
    logs: Sequence[Mapping[str, Any]],
    folder: Path,
) -> None:
    """Write a run folder.

    Args:
        contents: Of the whole run.
        dialogues, ratings, cards: What it holds; those that the ledger has too are written as it has them.
        logs: What is known of each log that they are from; run.json says it.
        folder: New or empty.

    Raises:
        EscEvalError: The folder is not empty, or cannot be written.
    """
    refuse_foreign(folder)
    if is_run_folder(folder) or is_file(folder / LEDGER):
        raise EscEvalError(f"{folder}: holds a run already; choose a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    contents.write_files(folder)
    earlier = contents.run.get(LOGS, {}).get("identity", {}).get("logs", [])
    write_json(folder / CARD, contents.run, durable=True)
    with Run(folder) as run:
        run.set_members(contents.members)
        for kind, owner, position, text in contents.records:
            run.add(kind, owner, position, text)
        played = {one.id: one for one in finished_dialogues(run)}
        every = [*played.values(), *(one for one in dialogues if one.id not in played)]
        run.export(DIALOGUES, (one.to_json() for one in every))
        run.export_ratings()
        if ratings and not is_file(folder / RATINGS):
            run.export(RATINGS, (rating.to_json() for rating in ratings))
        known = [RoleCard.model_validate(card) for card in contents.members.get("card", {}).values()]
        if every_card := {card.id: card for card in [*known, *cards]}:
            write_jsonl(folder / CARDS, every_card.values(), durable=True)
        run.record(LOGS, {"logs": [*earlier, *logs]})
