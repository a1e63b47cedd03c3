"""Rows of the ``preferences`` table: one a rater, pair of dialogues, order and dimension; never a count of wins."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builder.rows.annotations import dialogue_finder, is_time
from dataset_builder.rows.dialogues import Batch
from dataset_builder.rows.personal_data import Masker
from esc_eval.errors import EscEvalError
from esc_eval.files.preferences import read_preferences
from esc_eval.files.run_folder import PREFERENCES
from esc_eval.schema import Preference, find_duplicates

Row = dict[str, Any]


def batch_rows(batch: Batch, dialogues: Mapping[str, Row], license: str, masker: Masker) -> list[Row]:
    """A row for each preference of a run.

    Raises:
        EscEvalError: A preference between dialogues that the run does not hold, or that are of two cards.
    """
    origin = f"{batch.name}/{PREFERENCES}"
    named = [
        one.model_copy(
            update={"dialogue_a": f"{batch.name}/{one.dialogue_a}", "dialogue_b": f"{batch.name}/{one.dialogue_b}"}
        )
        for one in batch.preferences
    ]
    return [_row(one, origin, dialogues, license, masker) for one in named]


def file_rows(path: Path, dialogues: Mapping[str, Row], license: str, masker: Masker, origin: str) -> list[Row]:
    """A row for each preference of a file. Its dialogue ids may lack the name of the run where that is unambiguous.

    Args:
        path: The file.
        dialogues: Rows of the build by id.
        license: Of the preferences.
        masker: Of personal data.
        origin: What the rows call the file.

    Raises:
        EscEvalError: Broken, or a preference between dialogues that are unknown or of two cards.
    """
    find = dialogue_finder(dialogues, path)
    named = [
        one.preference.model_copy(
            update={"dialogue_a": find(one.preference.dialogue_a), "dialogue_b": find(one.preference.dialogue_b)}
        )
        for one in read_preferences(path)
    ]
    return [_row(one, origin, dialogues, license, masker) for one in named]


def preference_id(dialogue_a: str, dialogue_b: str, left: str, dimension: str, rater: str) -> str:
    """Id of a preference's row: a rater sees a pair once in each order, whichever of the two a file calls a."""
    shown = (dialogue_a, dialogue_b) if left == "a" else (dialogue_b, dialogue_a)
    return "|".join((*shown, dimension, rater))


def _row(one: Preference, origin: str, dialogues: Mapping[str, Row], license: str, masker: Masker) -> Row:
    pair = [dialogues.get(name) for name in (one.dialogue_a, one.dialogue_b)]
    what = f"{origin}: preference of {one.rater!r} between {one.dialogue_a!r} and {one.dialogue_b!r}"
    a, b = pair
    if a is None or b is None:
        raise EscEvalError(f"{what}, one of which is not there. Known: {len(dialogues)} dialogues.")
    if one.dialogue_a == one.dialogue_b:
        raise EscEvalError(f"{what}, which are one dialogue")
    cards = sorted({card for card in (a["card_id"], b["card_id"], one.card_id) if card is not None})
    if len(cards) > 1:
        raise EscEvalError(f"{what}: a pair is of one card, found {' and '.join(map(repr, cards))}")
    if one.time is not None and not is_time(one.time):
        raise EscEvalError(f"{what}: time {one.time!r} is not ISO 8601 (YYYY-MM-DDTHH:MM:SS)")
    return {
        "id": preference_id(one.dialogue_a, one.dialogue_b, one.left, one.dimension, one.rater),
        "card_id": pair_card(a, b),
        "dialogue_a": one.dialogue_a,
        "dialogue_b": one.dialogue_b,
        "dimension": one.dimension,
        "preference": one.preference,
        "problem": masker.mask_optional(one.problem),
        "steps": one.steps,
        "left": one.left,
        "rater": one.rater,
        "rater_kind": one.rater_kind,
        "question": one.question,
        "raw": masker.mask_optional(one.raw),
        "reason": masker.mask_optional(one.reason),
        "order": one.order,
        "time": one.time,
        "seconds": one.seconds,
        "note": masker.mask_optional(one.note),
        "origin": origin,
        "license": license,
        "rehostable": a["rehostable"] and b["rehostable"],
    }


def pair_card(a: Mapping[str, Any], b: Mapping[str, Any]) -> str | None:
    """The role card that both dialogues play; None where one does not say."""
    return a["card_id"] if a["card_id"] == b["card_id"] else None


def check_unique(rows: Sequence[Row]) -> None:
    """Raise EscEvalError if a rater said two things of a pair and dimension in the same order."""
    if twice := find_duplicates(row["id"] for row in rows):
        raise EscEvalError(
            f"compared more than once by the same rater in the same order: {twice[0]} ({len(twice)} such); keep one"
        )
