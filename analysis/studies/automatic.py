"""Automatic metrics of dialogues, by the ``evaluate`` modules in ``metrics/``."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.metrics.segment import SEGMENTATION
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.writing import write_whole
from esc_eval.languages import get_language
from esc_eval.languages.row import WORDS
from esc_eval.reading import read_json_lines
from esc_eval.schema import Dialogue, digest, escape_halves

METRICS = Path(__file__).parent / "metrics"
PORTION = 50
"""Texts after whose scores the file that keeps them is written."""
WITHOUT_REFERENCE = ("length", "distinct", "perplexity")
WITH_REFERENCE = ("bleu", "chrf", "rouge_l", "meteor", "embedding_similarity")
IN_WORDS = ("length", "distinct", "bleu", "rouge_l", "meteor")


def load_metric(name: str) -> Any:
    """A metric of the folder as an ``evaluate`` module."""
    import evaluate

    return evaluate.load(str(METRICS / name))


def supporter_text(dialogue: Dialogue) -> str:
    """What the supporter said, a line a turn."""
    return "\n".join(t.text for t in dialogue.turns if t.role == "supporter")


def last_reply(dialogue: Dialogue) -> str:
    """What the supporter said last: what was rated where single replies were."""
    return next((t.text for t in reversed(dialogue.turns) if t.role == "supporter"), "")


def read_references(path: Path) -> dict[str, str]:
    """Reference texts by dialogue id from JSON Lines of ``{"dialogue_id": ..., "reference": ...}``.

    Raises:
        EscEvalError: Not such a file.
    """
    out = {}
    for number, record in read_json_lines(path):
        try:
            out[str(record["dialogue_id"])] = escape_halves(str(record["reference"]))
        except (KeyError, TypeError) as error:
            raise BadRecord(path, f"line {number}", 'expected {"dialogue_id": ..., "reference": ...}') from error
    return out


class _Kept:
    """Scores of texts by a metric, as they were found in a file or computed, and written there."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows = dict(_read_kept(path) if path is not None and path.is_file() else ())

    def compute(
        self, name: str, language: str | None, pairs: Mapping[str, tuple[str, str | None]]
    ) -> dict[str, float | None]:
        """The score of each text, by dialogue id.

        Args:
            pairs: Text and reference by dialogue id.
        """
        keys = {i: (name, digest([language, *pair])) for i, pair in pairs.items()}
        todo = [i for i, key in keys.items() if key not in self._rows]
        for start in range(0, len(todo), size := len(todo) if self._path is None else PORTION):
            chosen = todo[start : start + size]
            given: dict[str, Any] = {"predictions": [pairs[i][0] for i in chosen]}
            if name in WITH_REFERENCE:
                given["references"] = [pairs[i][1] for i in chosen]
            if language:
                given["language"] = language
            for i, score in zip(chosen, load_metric(name).compute(**given)["scores"], strict=True):
                self._rows[keys[i]] = {"dialogue_id": i, "metric": name, "score": score, "text_sha256": keys[i][1]}
            if self._path is not None:
                write_whole(self._path, (json.dumps(row) + "\n" for row in self._rows.values()))
        return {i: self._rows[key]["score"] for i, key in keys.items()}


def _read_kept(path: Path) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    for number, row in read_json_lines(path):
        try:
            yield (str(row["metric"]), str(row["text_sha256"])), {**row, "score": row["score"]}
        except (KeyError, TypeError) as error:
            reason = "expected metric, text_sha256 and score, as --keep wrote them; name another file"
            raise BadRecord(path, f"line {number}", reason) from error


def automatic_scores(
    names: str,
    dialogues: Sequence[Dialogue],
    references: Path | None = None,
    text_of: Callable[[Dialogue], str] = supporter_text,
    keep: Path | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Scores of the supporter's text of each dialogue.

    Args:
        names: Metrics, comma-separated, or ``all``.
        dialogues: What to score.
        references: File of references; metrics that need one are impossible without.
        text_of: What of a dialogue is scored.
        keep: File of scores (JSON Lines) that grows while they are computed; what is in it is not computed again.

    Returns:
        A table as ``scores.read_scores`` gives, and notes on what was not possible.

    Raises:
        EscEvalError: An unknown name, no dialogues, or a metric asked for by name that needs references.
    """
    known = (*WITHOUT_REFERENCE, *WITH_REFERENCE)
    wanted = list(known) if names == "all" else [n.strip() for n in names.split(",")]
    if unknown := [n for n in wanted if n not in known]:
        raise EscEvalError(f"no metric {', '.join(unknown)}; there is {', '.join(known)}, or all")
    if not dialogues:
        raise EscEvalError("automatic metrics are computed from the dialogues: give --dialogues")
    impossible = [n for n in wanted if n in WITH_REFERENCE and references is None]
    if impossible and names != "all":
        raise EscEvalError(
            f"{', '.join(impossible)} compare with a reference, and a free dialogue has none: impossible here. "
            "Where references exist, give --references FILE"
        )
    notes = [f"Segmentation: {SEGMENTATION}."]
    by_language: dict[str, list[str]] = {}
    for dialogue in dialogues:
        by_language.setdefault(dialogue.language, []).append(dialogue.id)
    if others := [code for code in by_language if get_language(code).words.pattern != WORDS]:
        notes.append(f"Segmentation of {', '.join(others)}: what fits the pattern words of its row.")
    if impossible:
        notes.append(f"Impossible without references: {', '.join(impossible)}.")
    texts = {d.id: text_of(d) for d in dialogues}
    known_references = read_references(references) if references else {}
    parts = []
    kept = _Kept(keep)
    for name in (n for n in wanted if n not in impossible):
        ids = [i for i in texts if name in WITHOUT_REFERENCE or i in known_references]
        if name in WITH_REFERENCE and len(ids) < len(texts):
            notes.append(f"{name}: {len(texts) - len(ids)} dialogues have no reference.")
        scores: dict[str, float | None] = {}
        there = set(ids)
        for language, group in by_language.items() if name in IN_WORDS else [(None, ids)]:
            chosen = [i for i in group if i in there]
            pairs = {i: (texts[i], known_references[i] if name in WITH_REFERENCE else None) for i in chosen}
            scores |= kept.compute(name, language, pairs)
        if ids:
            found = [scores[i] for i in ids]
            parts.append(pd.DataFrame({"dialogue_id": ids, "metric": name, "dimension": None, "score": found}))
    if not parts:
        raise EscEvalError("no metric could be computed: no dialogue has a reference")
    return pd.concat(parts, ignore_index=True), notes
