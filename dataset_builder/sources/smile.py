"""smile (Qiu et al. 2024): Chinese conversations that ChatGPT made from PsyQA's questions and answers; a file each."""

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
from dataset_builder.sources.readers import files_of, read_json_file, read_outcomes
from esc_eval.schema import Language, Role

KEY = "smile"
NUMBER = 6
TITLE = "smile"
ABOUT = "55,165 Chinese conversations of a client and a counsellor, rewritten from PsyQA by ChatGPT"
BIBTEX = """@inproceedings{qiu-etal-2024-smile,
  title = {{SMILE}: Single-turn to Multi-turn Inclusive Language Expansion via {ChatGPT} for Mental Health Support},
  author = {Qiu, Huachuan and He, Hongliang and Zhang, Shuai and Li, Anqi and Lan, Zhenzhong},
  booktitle = {Findings of EMNLP 2024}, year = {2024},
  url = {https://aclanthology.org/2024.findings-emnlp.34}
}"""
LICENSE = "CC0-1.0"
LANGUAGE: Language = "zh"
NAMES = {"smile": "official card file"}
TERMS = Terms(LICENSE, rehostable=True, reason="public domain dedication")
FILES: dict[str, KnownFile] = {}
INSTRUCTIONS = "Folder data/ of the owner's repository: one conversation a file, named NUMBER.json."

ROLES: dict[str, Role] = {"client": "seeker", "counselor": "supporter"}
INSTRUCTION = "system"
"""Role of what a model was told before the conversation; kept as a label, nobody says it."""


def files(folder: Path) -> list[Path]:
    """smile's conversations in a folder or its ``data`` folder, by number."""
    inner = folder / "data"
    paths = files_of(inner if inner.is_dir() else folder, ".json")
    return sorted(paths, key=lambda path: (int(found[0]) if (found := re.match(r"\d+", path.name)) else -1, path.name))


def parse(path: Path) -> Iterator[Outcome]:
    """The one conversation of a file."""
    return read_outcomes(KEY, LANGUAGE, path, [(1, read_json_file(path))], lambda record: _fields(record, path.stem))


def _fields(record: object, name: str) -> dict[str, Any]:
    if not isinstance(record, list) or not record:
        raise Malformed("expected a list with at least one turn")
    instructions: list[str] = []
    turns: list[SourceTurn] = []
    for turn in record:
        if not isinstance(turn, dict):
            raise Malformed(f"a turn is {type(turn).__name__}, expected an object")
        role = optional_text(turn, "role")
        if role == INSTRUCTION and not turns:
            instructions += filter(None, [optional_text(turn, "content")])
            continue
        if role not in ROLES:
            raise Malformed(f"unknown role; known: {', '.join(ROLES)}, and {INSTRUCTION} before them")
        turns.append(SourceTurn(role=ROLES[role], text=text_of(turn, "content")))
    sides = {turn.role for turn in turns}
    labels = {INSTRUCTION: "\n".join(instructions)} if instructions else {}
    if len(sides) == 1:
        labels["one_sided"] = sides.pop()
    if not turns:
        raise Malformed("expected a list with at least one turn beside the instructions")
    return {"source_id": name, "turns": tuple(turns), "labels": labels}
