"""Precision and recall of the search for personal data, by kind, on a labelled file of made-up sentences.

usage: python -m benchmarks.personal_data [FILE]

A labelled text is found where a finding of its kind covers all of it; a finding is right where it overlaps a labelled
text of its kind. The file: ``tests/dataset_builder/rows/personal_data.txt``.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dataset_builder.rows.personal_data import KINDS, Finding, find_personal_data

LABELLED = Path(__file__).parent.parent / "tests" / "dataset_builder" / "rows" / "personal_data.txt"


@dataclass(frozen=True)
class Sentence:
    """A sentence, and what is personal in it."""

    language: str
    text: str
    labels: tuple[Finding, ...]


@dataclass
class Tally:
    """Of one kind: labelled texts, those found whole, findings, those that are right."""

    labelled: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def read_sentences(path: Path = LABELLED) -> list[Sentence]:
    """Sentences of a labelled file: ``language|text with {kind:marks}``; lines with # are notes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [parse_sentence(line) for line in lines if line.strip() and not line.startswith("#")]


def parse_sentence(line: str) -> Sentence:
    """One line of a labelled file; a mark may hold pairs of braces of its own."""
    language, _, marked = line.partition("|")
    text, labels = "", []
    while opened := re.search(r"\{([a-z]+):", marked):
        text += marked[: opened.start()]
        depth, end = 1, opened.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(marked[end], 0)
            end += 1
        inside = marked[opened.end() : end - 1]
        labels.append(Finding(len(text), len(text) + len(inside), opened[1]))
        text, marked = text + inside, marked[end:]
    return Sentence(language, text + marked, tuple(labels))


def compare(sentences: Iterable[Sentence]) -> Tally:
    """Hold what is found against what is labelled."""
    tally = Tally()
    for sentence in sentences:
        findings = find_personal_data(sentence.text)
        for label in sentence.labels:
            tally.labelled[label.kind] += 1
            if any(f.kind == label.kind and f.start <= label.start and label.end <= f.end for f in findings):
                tally.found[label.kind] += 1
            else:
                tally.wrong.append(("missed " + label.kind, sentence.text))
        for finding in findings:
            tally.findings[finding.kind] += 1
            if any(finding.kind == x.kind and finding.start < x.end and x.start < finding.end for x in sentence.labels):
                tally.right[finding.kind] += 1
            else:
                tally.wrong.append(("false " + finding.kind, sentence.text))
    return tally


def render(sentences: list[Sentence]) -> str:
    """A Markdown table by kind and language."""
    lines = ["| kind | labelled en + zh | precision | recall |", "| --- | --- | --- | --- |"]
    every = compare(sentences)
    by_language = {code: compare(s for s in sentences if s.language == code) for code in ("en", "zh")}
    for kind in KINDS:
        counts = " + ".join(str(part.labelled[kind]) for part in by_language.values())
        lines.append(f"| {kind} | {counts} | {every.right[kind]}/{every.findings[kind]} | "
                     f"{every.found[kind]}/{every.labelled[kind]} |")  # fmt: skip
    counts = " + ".join(str(part.labelled.total()) for part in by_language.values())
    lines.append(f"| all | {counts} | {every.right.total()}/{every.findings.total()} | "
                 f"{every.found.total()}/{every.labelled.total()} |")  # fmt: skip
    bare = [s for s in sentences if not s.labels]
    hit = sum(bool(find_personal_data(s.text)) for s in bare)
    return "\n".join([*lines, "", f"{len(bare)} sentences with nothing personal: something found in {hit}"])


if __name__ == "__main__":
    chosen = read_sentences(Path(sys.argv[1]) if len(sys.argv) > 1 else LABELLED)
    print(render(chosen))
    for what, text in compare(chosen).wrong:
        print(f"{what}: {text}", file=sys.stderr)
