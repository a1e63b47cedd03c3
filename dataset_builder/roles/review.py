"""Stage 3: a sheet that a person edits. Empty decision = not reviewed yet; nothing else is guessed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
from pydantic import ValidationError

from dataset_builder import decisions
from dataset_builder.roles.records import Classification, Extraction, Filtering, Review
from dataset_builder.rows import card_text
from dataset_builder.rows.personal_data import Masker
from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.sheets import read_cells, write_cells
from esc_eval.schema import Category, Quality, digest
from esc_eval.statistics.coefficients import agreement_weights, weighted_kappa

SHOWN = ("id", "source", "language", "model_decision", "model_reason", "card")
PROPOSED = "proposed_problem_type"
"""Column with the classifier's leaf and its confidence, of which no person's words are."""
CONFIRM = "confirm"
"""What a person writes as the problem type to confirm the proposed one."""
WIDTHS = {"card": 60, "fixed_card": 60, "model_reason": 30, "reason": 30}
EDITED = ("decision", "quality", "category", "problem_type", "fixed_card", "reason", "reviewer")

WRITTEN = "written"
"""Column with a hash of the shown cells as they were written: another one tells that a person typed into them."""


@dataclass(frozen=True)
class Sheet:
    """What a sheet holds now.

    Attributes:
        rows: All of them.
        new: Rows that were appended.
        vanished: Ids of cards that are no longer to be reviewed; their rows stay as they are.
        changed: Ids of cards whose text is another one now than the one that a person decided on; so do theirs.
        typed: Ids of cards in whose shown cells a person typed, without a decision; so do theirs.
    """

    rows: int
    new: int
    vanished: tuple[str, ...]
    changed: tuple[str, ...]
    typed: tuple[str, ...] = ()


def write_sheet(
    path: Path,
    cards: Sequence[Extraction],
    verdicts: Mapping[str, Filtering],
    done: Mapping[str, Review],
    proposed: Mapping[str, Classification] = MappingProxyType({}),
) -> Sheet:
    """Write the sheet of all cards that the model did not drop, with decisions made so far.

    Where there is one already, rows that a person filled in stay as they are, and so do their own columns; rows that
    nobody touched are brought up to date, and new ones are appended.

    Args:
        path: .csv or .xlsx.
        proposed: Leaves that a classifier proposes, to be confirmed.

    Raises:
        EscEvalError: The sheet that is there cannot be read, so what people wrote in it would be lost.
    """
    fresh = {row["id"]: row for row in _rows(cards, verdicts, done)}
    there = _read_for_merging(path) if path.exists() else []
    columns = list(dict.fromkeys([*SHOWN, PROPOSED, *EDITED, *(column for row in there for column in row), WRITTEN]))
    rows, vanished, changed, typed = [], [], [], []
    for row in there:
        known = fresh.get(row["id"])
        if known is None:
            vanished.append(row["id"])
        elif not any(row.get(column, "").strip() for column in EDITED):
            if _hash_shown(row) in (row.get(WRITTEN), known[WRITTEN]):
                row = {**row, **known}
            elif row.get(WRITTEN):
                typed.append(row["id"])
            else:  # of an earlier version, which did not say what it had written
                changed.append(row["id"])
        elif row.get("card") != known["card"]:
            changed.append(row["id"])
        rows.append({**row, PROPOSED: _describe_proposal(proposed.get(row["id"]))})
    listed = {row["id"] for row in there}
    new = [
        {**row, PROPOSED: _describe_proposal(proposed.get(name))} for name, row in fresh.items() if name not in listed
    ]
    write_cells(path, columns, [*rows, *new], CHOICES, WIDTHS)
    return Sheet(len(rows) + len(new), len(new), tuple(vanished), tuple(changed), tuple(typed))


CHOICES = {"decision": ("keep", "drop", "fix"), "quality": get_args(Quality), "category": get_args(Category)}


def _describe_proposal(found: Classification | None) -> str:
    if found is None or found.problem_type is None:
        return ""
    return found.problem_type + (f" ({found.confidence:.2f})" if found.confidence is not None else "")


def _hash_shown(row: Mapping[str, str]) -> str:
    """Of the cells that are not to be edited, whatever a spreadsheet makes of their line breaks."""
    return digest(["\n".join(row.get(column, "").split()) for column in SHOWN])[:12]


def _rows(
    cards: Sequence[Extraction], verdicts: Mapping[str, Filtering], done: Mapping[str, Review]
) -> Iterator[dict[str, str]]:
    for card in cards:
        verdict = verdicts.get(card.id)
        if card.text is None or verdict is None or verdict.decision == "drop":
            continue
        made = done.get(card.id)
        shown = (card.id, card.source, card.language, verdict.decision, verdict.reason, card.text)
        edited = (
            (made.decision, made.quality, made.category, made.problem_type, made.text, made.reason, made.reviewer)
            if made
            else ("",) * len(EDITED)
        )
        row = {key: value or "" for key, value in zip((*SHOWN, *EDITED), (*shown, *edited), strict=True)}
        yield {**row, WRITTEN: _hash_shown(row)}


def _read_for_merging(path: Path) -> list[dict[str, str]]:
    try:
        return [row for _, row in read_cells(path, {"id", *EDITED})]
    except EscEvalError as error:
        raise EscEvalError(
            f"{error} The sheet may hold what people decided, so it is not written over: put it right, or move it away."
        ) from error


def read_sheet(
    path: Path, cards: Mapping[str, Extraction], proposed: Mapping[str, Classification] = MappingProxyType({})
) -> tuple[list[Review], int]:
    """Decisions of an edited sheet, and how many rows have none yet. Rows are counted as a spreadsheet program does.

    Capitals do not matter. A card that a person wrote is masked as those of models are.

    Raises:
        BadRecord: A row that cannot be used: unknown card, decision, quality, category or leaf; a card that is kept
            without a quality; a fix without a card; a leaf to confirm that nobody proposed.
    """
    found: dict[str, Review] = {}
    open_rows = 0
    masker = Masker()
    for number, row in read_cells(path, {"id", "decision"}):
        where = f"row {number}"
        values = {key: (row.get(key) or "").strip() for key in EDITED}
        if not values["decision"]:
            open_rows += 1
            continue
        name = row["id"]
        card = cards.get(name)
        if card is None:
            raise BadRecord(path, where, f"no card {name!r} was extracted here")
        if name in found:
            raise BadRecord(path, where, f"card {name!r} is decided twice")
        if values["problem_type"].lower() == CONFIRM:
            leaf = proposed[name].problem_type if name in proposed else None
            if leaf is None:
                raise BadRecord(path, where, f"nothing is proposed for card {name!r} that could be confirmed")
            values["problem_type"] = leaf
        found[name] = _review(path, where, card, values | {"fixed_card": masker.mask(values["fixed_card"])})
    return list(found.values()), open_rows


@dataclass(frozen=True)
class Accord:
    """How far two people decided the same on the cards that both decided on.

    Attributes:
        n: Cards that both decided on.
        same: Of these, with the same decision (a fix keeps a card too) and quality.
        decision, quality: Cohen's kappa of keep against drop, and of the quality where both keep; quality quadratic
            or not is the same with two grades. None where one of them gave one level alone, or there is no card.
        n_quality: Cards that both keep.
        apart: Ids on which they differ.
    """

    n: int
    same: int
    decision: float | None
    quality: float | None
    n_quality: int
    apart: tuple[str, ...]


def compare_reviews(first: Sequence[Review], second: Sequence[Review]) -> Accord:
    """Agreement of two people's decisions."""
    others = {review.id: review for review in second}
    pairs = [(review, others[review.id]) for review in first if review.id in others]
    kept = [(a, b) for a, b in pairs if "drop" not in (a.decision, b.decision)]
    apart = tuple(a.id for a, b in pairs if (a.decision == "drop", a.quality) != (b.decision == "drop", b.quality))
    return Accord(
        n=len(pairs),
        same=len(pairs) - len(apart),
        decision=_kappa([(a.decision == "drop", b.decision == "drop") for a, b in pairs]),
        quality=_kappa([(a.quality == "high", b.quality == "high") for a, b in kept]),
        n_quality=len(kept),
        apart=apart,
    )


def _kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    table = np.zeros((2, 2))
    for a, b in pairs:
        table[int(a), int(b)] += 1
    kappa = float(weighted_kappa(table, agreement_weights(np.arange(2.0)))) if pairs else np.nan
    return kappa if np.isfinite(kappa) else None


def _review(path: Path, where: str, card: Extraction, values: Mapping[str, str]) -> Review:
    optional = {
        key: values[key].lower().replace(" ", "_") for key in ("quality", "category", "problem_type") if values[key]
    }
    try:
        review = Review.model_validate(
            {
                "id": card.id,
                "decision": values["decision"].lower(),
                **optional,
                "text": values["fixed_card"] or None,
                "reason": values["reason"],
                "reviewer": values["reviewer"],
            }
        )
        if review.problem_type:
            leaf = decisions.find_leaf(review.problem_type)
            if review.category not in (None, leaf.tier1):
                raise BadRecord(path, where, f"{leaf.tier3} lies in {leaf.tier1}, not in {review.category}")
            review = review.model_copy(update={"category": leaf.tier1})
    except ValidationError as error:
        raise BadRecord(path, where, explain_validation(error)) from error
    except BadRecord:
        raise
    except EscEvalError as error:
        raise BadRecord(path, where, str(error)) from error
    if review.decision != "drop" and review.quality is None:
        raise BadRecord(path, where, "a card that is kept needs a quality: high or middle")
    if review.decision == "fix" and (not review.text or card_text.parse_card(review.text, card.language) is None):
        names = " / ".join(card_text.card_words(card.language).fields)
        raise BadRecord(path, where, f"fix needs a fixed_card of four lines: {names}")
    return review
