"""Conversations with real seekers as dialogues: ESConv (three layouts), smile, and every format of our own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files import read_dialogues, read_text
from esc_eval.schema import Dialogue, Language, Role, Turn

SPEAKERS: dict[str, Role] = {
    "usr": "seeker",
    "seeker": "seeker",
    "speaker": "seeker",
    "client": "seeker",
    "sys": "supporter",
    "supporter": "supporter",
    "listener": "supporter",
    "counselor": "supporter",
}


def _turns(entries: Any, path: Path, where: str) -> tuple[Turn, ...]:
    if not isinstance(entries, list) or not entries:
        raise BadRecord(path, where, "expected a list of turns, with at least one")
    turns: list[Turn] = []
    for entry in entries:
        who = entry.get("speaker", entry.get("role")) if isinstance(entry, dict) else None
        text = entry.get("text", entry.get("content")) if isinstance(entry, dict) else None
        if who not in SPEAKERS or not isinstance(text, str):
            raise BadRecord(
                path, where, f"a turn has a speaker ({', '.join(SPEAKERS)}) and a text; this one has {who!r}"
            )
        role = SPEAKERS[who]
        if turns and turns[-1].role == role:
            turns[-1] = Turn(role=role, text=f"{turns[-1].text}\n{text.strip()}")
        else:
            turns.append(Turn(role=role, text=text.strip()))
    return tuple(turns)


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise BadRecord(path, f"line {error.lineno}", f"not JSON: {error.msg}") from error


def _records(path: Path) -> Iterator[tuple[str, Any]]:
    if path.suffix in (".txt", ".jsonl"):
        for number, line in enumerate(read_text(path).split("\n"), 1):
            if line.strip():
                try:
                    yield f"line {number}", json.loads(line)
                except json.JSONDecodeError as error:
                    raise BadRecord(path, f"line {number}", f"not JSON: {error}") from error
        return
    for number, record in enumerate(_json(path)):
        yield f"record {number}", record


def read_conversations(path: Path, language: Language) -> list[Dialogue]:
    """Conversations of a file or folder; turns of one side in a row become one.

    Args:
        path: A folder of one-conversation files (smile), a list or lines of objects with ``dialog`` (ESConv), or
            dialogues in a format that ``esc_eval.files.read_dialogues`` knows.
        language: Of the conversations; ours carry their own.

    Raises:
        EscEvalError: In no known format.
    """
    if not path.exists():
        raise EscEvalError(f"{path}: no such file or folder")
    if path.is_dir() and not (path / "dialogues.jsonl").exists():
        files = sorted(path.glob("*.json")) or sorted((path / "data").glob("*.json"))
        if not files:
            raise EscEvalError(f"{path}: no conversations (*.json) in this folder")
        return [
            Dialogue(id=f.stem, language=language, turns=_turns(_json(f), f, "file"), seeker="human") for f in files
        ]
    if path.is_file():
        with path.open(encoding="utf-8") as handle:
            head = handle.read(1)
            first = handle.readline() if path.suffix in (".txt", ".jsonl") else ""
        if path.suffix == ".txt" or head == "[" or '"dialog"' in first:
            out = []
            for where, record in _records(path):
                if not isinstance(record, dict) or "dialog" not in record:
                    raise BadRecord(path, where, "expected an object with 'dialog'")
                turns = _turns(record["dialog"], path, where)
                out.append(Dialogue(id=f"{path.stem}:{where}", language=language, turns=turns, seeker="human"))
            return out
    return read_dialogues(path)
