"""Automatic metrics of dialogues, by the ``evaluate`` modules in ``metrics/``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.studies.metrics.segment import SEGMENTATION
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.languages import get_language
from esc_eval.languages.row import WORDS
from esc_eval.reading import read_json_lines
from esc_eval.schema import Dialogue, escape_halves

METRICS = Path(__file__).parent / "metrics"
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


def automatic_scores(
    names: str,
    dialogues: Sequence[Dialogue],
    references: Path | None = None,
    text_of: Callable[[Dialogue], str] = supporter_text,
) -> tuple[pd.DataFrame, list[str]]:
    """Scores of the supporter's text of each dialogue.

    Args:
        names: Metrics, comma-separated, or ``all``.
        dialogues: What to score.
        references: File of references; metrics that need one are impossible without.
        text_of: What of a dialogue is scored.

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
    for name in (n for n in wanted if n not in impossible):
        ids = [i for i in texts if name in WITHOUT_REFERENCE or i in known_references]
        if name in WITH_REFERENCE and len(ids) < len(texts):
            notes.append(f"{name}: {len(texts) - len(ids)} dialogues have no reference.")
        scores: dict[str, float | None] = {}
        there = set(ids)
        for language, group in by_language.items() if name in IN_WORDS else [(None, ids)]:
            chosen = [i for i in group if i in there]
            given: dict[str, Any] = {"predictions": [texts[i] for i in chosen]}
            if name in WITH_REFERENCE:
                given["references"] = [known_references[i] for i in chosen]
            if language:
                given["language"] = language
            if chosen:
                scores |= dict(zip(chosen, load_metric(name).compute(**given)["scores"], strict=True))
        if ids:
            found = [scores[i] for i in ids]
            parts.append(pd.DataFrame({"dialogue_id": ids, "metric": name, "dimension": None, "score": found}))
    if not parts:
        raise EscEvalError("no metric could be computed: no dialogue has a reference")
    return pd.concat(parts, ignore_index=True), notes
