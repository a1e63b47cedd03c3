"""Psych8k (Liu et al. 2023, ChatCounselor): single turns made from recorded counselling; gated by its owner.

Read: the gated file (a JSON list of instruction, input, output), and from the authors' benchmark the questions
(JSON Lines) and a model's answers to them, which are joined by ``question_id``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceTurn,
    Terms,
    list_of,
    optional_text,
    text_of,
)
from dataset_builder.sources.readers import Broken, files_of, read_json_list, read_jsonl, read_outcomes
from esc_eval.reading import is_file, suffix_of
from esc_eval.schema import Language

KEY = "psych8k"
NUMBER = 3
TITLE = "Psych8k"
ABOUT = "English counselling turns: 8,187 pairs (gated), and the 229 public questions of the authors' benchmark"
BIBTEX = """@article{liu2023chatcounselor,
  title = {{ChatCounselor}: A Large Language Models for Mental Health Support},
  author = {Liu, June M. and Li, Donghao and Cao, He and Ren, Tianhe and Liao, Zeyi and Wu, Jiamin},
  journal = {arXiv preprint arXiv:2309.15461}, year = {2023},
  url = {https://arxiv.org/abs/2309.15461}
}"""
LICENSE = "Apache-2.0 (benchmark); the gated set has its own terms"
LANGUAGE: Language = "en"
NAMES = {"Psych": "official card file; the paper lists ChatCounselor's data"}
TERMS = Terms(
    "gated by its owner",
    rehostable=False,
    reason="cards made from counselling turns whose owner asks for access requests",
)
QUESTIONS = "question.jsonl"
FILES = {
    QUESTIONS: KnownFile("83e41ea19ed698b61229ee9abbcda14bb5b2d1b0e12324030cbe30f869e9ede2", 77420, 229),
    "psych8k_7b_5ep.jsonl": KnownFile("0bf0b58015b2c0766c2e06b21927b0b1dd0e14bc366c22752681d40188f642bd", 126835, 229),
    "Sanitised_CounsQs_subset.jsonl": KnownFile(
        "72af0c522aded81de61ac5a26825c7a1c6a2c989adb822957b9ba3a866360c66", 38872, 100
    ),
}
INSTRUCTIONS = "Ask the owner for access to the gated set on the Hub; keep it on your own machine."


def files(folder: Path) -> list[Path]:
    """Psych8k's files in a folder: .json (gated pairs) and .jsonl (benchmark)."""
    return files_of(folder, ".json", ".jsonl")


def parse(path: Path) -> Iterator[Outcome]:
    """Every record of one file; answers need ``question.jsonl`` beside them."""
    if suffix_of(path) == ".json":
        return read_outcomes(KEY, LANGUAGE, path, read_json_list(path), _pair)
    questions: dict[object, str] = {}
    if path.name != QUESTIONS and is_file(path.parent / QUESTIONS):
        questions = read_questions(path.parent / QUESTIONS)
    return read_outcomes(KEY, LANGUAGE, path, read_jsonl(path), lambda record: _bench(record, questions))


def read_questions(path: Path) -> dict[object, str]:
    """First turn of each readable question by its id."""
    found: dict[object, str] = {}
    for _, record in read_jsonl(path):
        if isinstance(record, Broken):
            continue
        try:
            found[_question_id(record)] = _first_turn(record)
        except Malformed:
            continue
    return found


def _question_id(record: Any) -> int:
    value = record.get("question_id") if isinstance(record, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed("'question_id': expected a whole number")
    return value


def _first_turn(record: Any) -> str:
    turns = list_of(record, "turns")
    if len(turns) != 1:
        raise Malformed(f"{len(turns)} turns, expected one")
    return text_of({"turn": turns[0]}, "turn")


def _pair(record: Any) -> dict[str, Any]:
    seeker, supporter = text_of(record, "input"), text_of(record, "output")
    return {"turns": (SourceTurn(role="seeker", text=seeker), SourceTurn(role="supporter", text=supporter))}


def _bench(record: Any, questions: dict[object, str]) -> dict[str, Any]:
    number = _question_id(record)
    labels = {"category": category} if (category := optional_text(record, "category")) else {}
    if "choices" not in record:
        turns = [SourceTurn(role="seeker", text=_first_turn(record))]
    else:
        choices = list_of(record, "choices")
        if len(choices) != 1:
            raise Malformed(f"{len(choices)} choices, expected one")
        if number not in questions:
            raise Malformed(f"no question with this question_id in {QUESTIONS}")
        labels["model"] = text_of(record, "model_id")
        turns = [
            SourceTurn(role="seeker", text=questions[number]),
            SourceTurn(role="supporter", text=_first_turn(choices[0])),
        ]
    return {"source_id": str(number), "turns": tuple(turns), "labels": labels}
