"""smile (Qiu et al. 2024): Chinese conversations that ChatGPT made from PsyQA's questions and answers; a file each."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceTurn,
    Terms,
    optional_text,
    text_of,
)
from dataset_builder.sources.readers import Broken, read_outcomes
from esc_eval.schema import Language, Role

KEY = "smile"
NUMBER = 6
TITLE = "smile"
ABOUT = "55,165 Chinese conversations of a client and a counsellor, rewritten from PsyQA by ChatGPT"
BIBTEX = """@inproceedings{qiu-etal-2024-smile,
  title = {{SMILE}: Single-turn to Multi-turn Inclusive Language Expansion via {ChatGPT} for Mental Health Support},
  author = {Qiu, Huachuan and He, Hongliang and Zhang, Shuai and Li, Anqi and Lan, Zhenzhong},
  booktitle = {Findings of EMNLP 2024}, year = {2024}
}"""
LICENSE = "CC0-1.0"
LANGUAGE: Language = "zh"
NAMES = {"smile": "official card file"}
TERMS = Terms(LICENSE, rehostable=True, reason="public domain dedication")
FILES: dict[str, KnownFile] = {}
INSTRUCTIONS = "Folder data/ of the owner's repository: one conversation a file, named NUMBER.json."

ROLES: dict[str, Role] = {"client": "seeker", "counselor": "supporter"}


def files(folder: Path) -> list[Path]:
    """smile's conversations in a folder or its ``data`` folder, by number."""
    inner = folder / "data"
    paths = (inner if inner.is_dir() else folder).glob("*.json")
    return sorted(paths, key=lambda path: (int(found[0]) if (found := re.match(r"\d+", path.name)) else -1, path.name))


def parse(path: Path) -> Iterator[Outcome]:
    """The one conversation of a file."""
    entry: Any
    try:
        entry = json.loads(path.read_text(encoding="utf-8-sig", errors="surrogateescape"))
    except (ValueError, RecursionError):
        entry = Broken("broken JSON")
    return read_outcomes(
        KEY, LANGUAGE, path, [(1, entry)], lambda record: {"source_id": path.stem, "turns": _turns(record)}
    )


def _turns(record: object) -> tuple[SourceTurn, ...]:
    if not isinstance(record, list) or not record:
        raise Malformed("expected a list with at least one turn")
    turns = []
    for turn in record:
        if not isinstance(turn, dict):
            raise Malformed(f"a turn is {type(turn).__name__}, expected an object")
        role = optional_text(turn, "role")
        if role not in ROLES:
            raise Malformed(f"unknown role; known: {', '.join(ROLES)}")
        turns.append(SourceTurn(role=ROLES[role], text=text_of(turn, "content")))
    return tuple(turns)
