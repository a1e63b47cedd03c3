"""ESConv (Liu et al. 2021): crowd-sourced support conversations with strategies and the seeker's own survey.

Three layouts are read: JSON Lines as on the Hugging Face Hub (speakers usr / sys), one JSON list as on GitHub
(seeker / supporter) and the authors' FailedESConv.json (speaker / listener).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceRating,
    SourceTurn,
    Terms,
    level_of,
    list_of,
    optional_text,
    text_of,
)
from dataset_builder.sources.readers import files_of, read_json_list, read_jsonl, read_outcomes
from esc_eval.reading import suffix_of
from esc_eval.schema import Language, Role

KEY = "esconv"
NUMBER = 0
TITLE = "ESConv"
ABOUT = "1,300 English conversations of crowd workers, strategy labels, the seeker's survey; 196 failed ones apart"
BIBTEX = """@inproceedings{liu-etal-2021-towards,
  title = {Towards Emotional Support Dialog Systems},
  author = {Liu, Siyang and Zheng, Chujie and Demasi, Orianna and Sabour, Sahand and Li, Yu and Yu, Zhou and
            Jiang, Yong and Huang, Minlie},
  booktitle = {Proceedings of ACL-IJCNLP 2021}, year = {2021}, pages = {3469--3483},
  url = {https://aclanthology.org/2021.acl-long.269}
}"""
LICENSE = "CC-BY-NC-4.0"
LANGUAGE: Language = "en"
NAMES = {"ESconv": "official card file"}
TERMS = Terms(
    LICENSE, rehostable=True, reason="cards made from ESConv inherit its licence: attribution, no commercial use"
)
FILES = {
    "train.txt": KnownFile("e545e49c49b5d47636f15702d9acd1f1d0b25a18e8a2d7528ca53a5d341242f8", 4037147, 910),
    "valid.txt": KnownFile("d3650e8e75e76b7eb63c1ef6e29b175eb5a3f8a78c3f654cab6c5d0d3f2ea6c8", 865254, 195),
    "FailedESConv.json": KnownFile(
        "d21bad5409d88ecbca18abfee26a8c188d09c34b03962cb53a4c30d8de95b279", 911614, 196, apart=True
    ),
    "original_schema_sample.json": KnownFile(
        "534b0e38cf5764ef9487e9a467a6ff181b32e724a28107cd638df8e5900e634a", 275146, 45, sample=True
    ),
}
INSTRUCTIONS = "Files train.txt, valid.txt, test.txt of thu-coai/esconv, or ESConv.json of its GitHub repository."

SPEAKERS: dict[str, Role] = {
    "usr": "seeker",
    "seeker": "seeker",
    "speaker": "seeker",
    "sys": "supporter",
    "supporter": "supporter",
    "listener": "supporter",
}
# Three of the supporters' answers are 0, on a scale that the paper gives as 1..5.
SCALES = {"seeker": (1, 5), "supporter": (0, 5)}
LABELS = ("experience_type", "emotion_type", "problem_type")


def files(folder: Path) -> list[Path]:
    """ESConv's files in a folder: .txt and .jsonl (Hub), .json (GitHub)."""
    return files_of(folder, ".txt", ".jsonl", ".json")


def parse(path: Path) -> Iterator[Outcome]:
    """Every conversation of one file."""
    entries = read_json_list(path) if suffix_of(path) == ".json" else read_jsonl(path)
    return read_outcomes(KEY, LANGUAGE, path, entries, _fields)


def _fields(record: Any) -> dict[str, Any]:
    turns = tuple(_turn(turn) for turn in list_of(record, "dialog"))
    if not turns:
        raise Malformed("'dialog' is empty")
    return {
        "turns": turns,
        "situation": optional_text(record, "situation"),
        "labels": {name: value for name in LABELS if (value := optional_text(record, name))},
        "ratings": tuple(_survey(record.get("survey_score"))),
    }


def _turn(turn: object) -> SourceTurn:
    if not isinstance(turn, dict):
        raise Malformed(f"a turn is {type(turn).__name__}, expected an object")
    speaker = turn.get("speaker")
    if not isinstance(speaker, str) or speaker not in SPEAKERS:
        raise Malformed(f"unknown speaker; known: {', '.join(SPEAKERS)}")
    notes = turn.get("annotation", {})
    if not isinstance(notes, dict):
        raise Malformed(f"'annotation': expected an object, found {type(notes).__name__}")
    return SourceTurn(
        role=SPEAKERS[speaker],
        text=text_of(turn, "content" if "content" in turn else "text"),
        strategy=optional_text(turn, "strategy") or optional_text(notes, "strategy"),
        feedback=optional_text(notes, "feedback"),
    )


def _survey(survey: object) -> Iterator[SourceRating]:
    if survey is None:
        return
    if not isinstance(survey, dict):
        raise Malformed(f"'survey_score': expected an object, found {type(survey).__name__}")
    for by, (low, high) in SCALES.items():
        scores = survey.get(by) or {}
        if not isinstance(scores, dict):
            raise Malformed(f"'survey_score.{by}': expected an object, found {type(scores).__name__}")
        for name, value in sorted(scores.items()):
            if value is None or value == "":  # a question that was not answered
                continue
            yield SourceRating(by=by, name=name, value=level_of(value, name, low, high), low=low, high=high)
