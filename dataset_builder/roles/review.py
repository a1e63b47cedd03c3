"""Stage 3: a CSV that a person edits. Empty decision = not reviewed yet; nothing else is guessed."""

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from pydantic import ValidationError

from dataset_builder import decisions
from dataset_builder.roles.records import Extraction, Filtering, Review
from dataset_builder.rows import card_text
from dataset_builder.sources.readers import read_rows
from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.writing import write_whole

SHOWN = ("id", "source", "language", "model_decision", "model_reason", "card")
EDITED = ("decision", "quality", "category", "problem_type", "fixed_card", "reason", "reviewer")


def write_sheet(
    path: Path, cards: Sequence[Extraction], verdicts: Mapping[str, Filtering], done: Mapping[str, Review]
) -> int:
    """Write the sheet of all cards that the model did not drop, with decisions made so far; returns their number."""
    rows = []
    for card in cards:
        verdict = verdicts.get(card.id)
        if card.text is None or verdict is None or verdict.decision == "drop":
            continue
        made = done.get(card.id)
        shown = (card.id, card.source, card.language, verdict.decision, verdict.reason, card.text)
        edited = (
            (made.decision, made.quality, made.category, made.problem_type, made.text, made.reason, made.reviewer)
            if made
            else ()
        )
        row = dict(zip(SHOWN, shown, strict=True)) | dict(zip(EDITED, edited, strict=False))
        rows.append({key: "" if value is None else value for key, value in row.items()})
    sheet = StringIO(newline="")
    sheet.write("\ufeff")  # by which spreadsheets know UTF-8
    writer = csv.DictWriter(sheet, [*SHOWN, *EDITED], restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, [sheet.getvalue()])
    return len(rows)


def read_sheet(path: Path, cards: Mapping[str, Extraction]) -> tuple[list[Review], int]:
    """Decisions of an edited sheet, and how many rows have none yet.

    Raises:
        BadRecord: A row that cannot be used: unknown card, decision, quality, category or leaf; a card that is kept
            without a quality; a fix without a card.
    """
    found: dict[str, Review] = {}
    open_rows = 0
    for line, row in read_rows(path, {"id", "decision"}):
        where = f"line {line}"
        values = {key: (row.get(key) or "").strip() for key in EDITED}
        if not values["decision"]:
            open_rows += 1
            continue
        card = cards.get(row["id"])
        if card is None:
            raise BadRecord(path, where, f"no card {row['id']!r} was extracted here")
        if row["id"] in found:
            raise BadRecord(path, where, f"card {row['id']!r} is decided twice")
        found[row["id"]] = _review(path, where, card, values)
    return list(found.values()), open_rows


def _review(path: Path, where: str, card: Extraction, values: Mapping[str, str]) -> Review:
    optional = {key: values[key] for key in ("quality", "category", "problem_type") if values[key]}
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
