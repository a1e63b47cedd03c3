"""What one rater is sent: dialogues in an order, without the names of models, and the words of the scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np

from esc_eval.errors import EscEvalError
from esc_eval.escaping import show_controls
from esc_eval.files.rating_plan import blind_ids, read_plan
from esc_eval.prompts.rubric import Rubric, RubricText
from esc_eval.rate.study import LONGEST_NAME, Study, clean_name, word_rubric
from esc_eval.schema import digest, find_duplicates
from esc_eval.web.words import DEFAULT, interface_languages

CUT = ("length", "context")


@dataclass(frozen=True)
class Entry:
    """A dialogue as a rater sees it.

    Attributes:
        id: Names no model.
        turns: Who speaks, what they say (what cannot be seen made visible), and whether it was cut off.
        card: The text of the role card; None where it is not known.
    """

    id: str
    language: str
    turns: tuple[tuple[str, str, bool], ...]
    card: str | None

    def as_text(self, wording: RubricText) -> str:
        """The dialogue as text, a paragraph a turn."""
        names = {"seeker": wording.seeker, "supporter": wording.supporter}
        return "\n\n".join(f"{names[role]}: {text}" for role, text, _ in self.turns)


@dataclass(frozen=True)
class Sheet:
    """What a rater is sent.

    Attributes:
        rater: Their name.
        entries: In their order.
        rubric: What is asked.
        dimensions: Keys of those of the rubric that are asked.
        language: Of the page, and of the rubric's words where it has them.
    """

    rater: str
    entries: tuple[Entry, ...]
    rubric: Rubric
    dimensions: tuple[str, ...]
    language: str

    @cached_property
    def id(self) -> str:
        """The same for the same rater, dialogues, order and rubric."""
        entries = [[one.id, one.language, list(map(list, one.turns)), one.card] for one in self.entries]
        return digest([self.rater, self.rubric.id, self.rubric.sha256, self.dimensions, entries])[:16]

    @property
    def worded(self) -> tuple[str, RubricText]:
        """The language of the rubric's words, the sheet's or the first that it has, and the words."""
        return word_rubric(self.rubric, self.language)


def choose_language(study: Study, asked: str | None = None) -> str:
    """The language of sheets: the one asked for, else that of all dialogues where pages are worded in it, else English.

    Raises:
        EscEvalError: No page is worded in the one asked for.
    """
    known = interface_languages()
    if asked is not None and asked not in known:
        raise EscEvalError(f"--language {asked}: pages are worded in {', '.join(known)}; give one of these")
    spoken = {dialogue.language for dialogue in study.dialogues.values()}
    [only] = spoken if len(spoken) == 1 else {DEFAULT}
    return asked or (only if only in known else DEFAULT)


def make_sheets(study: Study, raters: Sequence[str], plan: Path | None, language: str) -> list[Sheet]:
    """A sheet for each rater.

    Args:
        study: What is rated.
        raters: Names; with a plan those of it that are wanted, none for all.
        plan: Who rates what; without one everybody rates everything, each in an order of their own.
        language: See ``choose_language``.

    Raises:
        EscEvalError: No rater, one that is named twice, that cannot be a name, or that the plan does not know; or as
            ``read_plan``.
    """
    if twice := find_duplicates(raters):
        raise EscEvalError(f"the rater {twice[0]!r} is named twice; name each once")
    if plan is None:
        if not raters:
            raise EscEvalError("give --rater NAME for everybody who rates, or --plan FILE")
        assigned = {rater: _shuffle(study, rater) for rater in raters}
    else:
        known = read_plan(plan, study.dialogues.values())
        if unknown := [rater for rater in raters if rater not in known]:
            raise EscEvalError(f"{plan}: assigns nothing to {unknown[0]!r}, only to {', '.join(known)}")
        assigned = {rater: known[rater] for rater in raters or known}
    for rater in assigned:
        if clean_name(rater) != rater:
            raise EscEvalError(f"{rater!r} is no name of a rater: up to {LONGEST_NAME} characters on one line")
    entries = make_entries(study)
    return [
        Sheet(rater, tuple(entries[own] for own in ids), study.rubric, study.dimensions, language)
        for rater, ids in assigned.items()
    ]


def make_entries(study: Study) -> dict[str, Entry]:
    """Every dialogue as raters see it, by its own id."""
    shown = blind_ids(list(study.dialogues.values()))
    return {own: _make_entry(study, own, seen) for own, seen in shown.items()}


def _shuffle(study: Study, rater: str) -> tuple[str, ...]:
    """All dialogues in an order of the rater's own, whoever else rates."""
    rng = np.random.default_rng([study.design.seed, *sha256(f"sheet\0{rater}".encode()).digest()])
    ids = list(study.dialogues)
    return tuple(ids[i] for i in rng.permutation(len(ids)))


def _make_entry(study: Study, own: str, seen: str) -> Entry:
    dialogue = study.dialogues[own]
    card = study.card_text(dialogue)
    return Entry(
        id=seen,
        language=dialogue.language,
        turns=tuple((t.role, show_controls(t.text), t.finish_reason in CUT) for t in dialogue.turns),
        card=show_controls(card) if card else None,
    )
