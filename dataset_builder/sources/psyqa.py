"""PsyQA (Sun et al. 2021): Chinese posts on mental health with long answers, strategies labelled as spans."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builder.sources.common import (
    KnownFile,
    Malformed,
    Outcome,
    SourceTurn,
    StrategySpan,
    Terms,
    list_of,
    optional_text,
    text_of,
)
from dataset_builder.sources.readers import files_of, read_json_list, read_jsonl, read_outcomes
from esc_eval.reading import suffix_of
from esc_eval.schema import Language

KEY = "psyqa"
NUMBER = 5
TITLE = "PsyQA"
ABOUT = "22K Chinese questions with 56K long answers; a public sample of 100 questions, the rest by agreement"
BIBTEX = """@inproceedings{sun-etal-2021-psyqa,
  title = {{PsyQA}: A {C}hinese Dataset for Generating Long Counseling Text for Mental Health Support},
  author = {Sun, Hao and Lin, Zhenru and Zheng, Chujie and Liu, Siyang and Huang, Minlie},
  booktitle = {Findings of ACL-IJCNLP 2021}, year = {2021}, pages = {1489--1503},
  url = {https://aclanthology.org/2021.findings-acl.130}
}"""
LICENSE = "none stated; the full set needs a signed agreement"
LANGUAGE: Language = "zh"
NAMES = {"PsyQA": "official card file"}
TERMS = Terms("none stated; full set by agreement", rehostable=False, reason="the agreement bars passing it on")
FILES = {
    "PsyQA_example.json": KnownFile(
        "af0e8322727f4ea1a6dd5aac9c116ea56c488a704e3065e1382138e89d8a6946", 634689, 100, sample=True
    ),
}
INSTRUCTIONS = "Sign the owner's agreement for PsyQA_full.json; keep it on your own machine."


def files(folder: Path) -> list[Path]:
    """PsyQA's files in a folder: .json and .jsonl."""
    return files_of(folder, ".json", ".jsonl")


def parse(path: Path) -> Iterator[Outcome]:
    """Every question of one file, with its answers as alternative replies."""
    entries = read_jsonl(path) if suffix_of(path) == ".jsonl" else read_json_list(path)
    return read_outcomes(KEY, LANGUAGE, path, entries, _fields)


def _fields(record: Any) -> dict[str, Any]:
    question = text_of(record, "question")
    number = record.get("questionID")
    if number is not None and (not isinstance(number, int | str) or isinstance(number, bool)):
        raise Malformed(f"'questionID': expected a whole number, found {type(number).__name__}")
    description = optional_text(record, "description")
    post = SourceTurn(role="seeker", text=f"{question}\n{description}" if description else question)
    answers = [_answer(answer) for answer in list_of(record, "answers")]
    labels = {"keywords": keywords} if (keywords := optional_text(record, "keywords")) else {}
    return {
        "source_id": None if number is None else str(number),
        "turns": (post, *answers),
        "labels": labels,
        "branches": True,
    }


def _answer(answer: object) -> SourceTurn:
    text = answer.get("answer_text") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(text, str) or not text.strip():
        raise Malformed("an answer has no text")
    spans = []
    labels = [] if answer.get("labels_sequence") is None else list_of(answer, "labels_sequence")
    for span in labels:
        if not isinstance(span, dict):
            raise Malformed(f"a label is {type(span).__name__}, expected an object")
        found = StrategySpan(start=span.get("start"), end=span.get("end"), label=span.get("type"))
        if not found.start <= found.end <= len(text):
            raise Malformed(f"a label reaches from {found.start} to {found.end} in a text of {len(text)} characters")
        spans.append(found)
    return SourceTurn(role="supporter", text=text, spans=tuple(spans))
