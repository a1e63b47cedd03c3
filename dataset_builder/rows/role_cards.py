"""Rows of the ``role_cards`` table: official cards, the shipped ones, and cards that came out of the pipeline."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from dataset_builder import decisions
from dataset_builder.rows import card_text
from dataset_builder.rows.card_text import parse_card
from dataset_builder.rows.overlap import Containment, near_duplicates
from dataset_builder.rows.personal_data import Masker
from dataset_builder.sources.readers import read_rows
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.escaping import read_cell
from esc_eval.files.official import official_card_file
from esc_eval.files.records import SHIPPED, load_cards, read_cards
from esc_eval.files.run_folder import CARDS, read_run_cards
from esc_eval.languages import known_languages
from esc_eval.schema import Language, RoleCard, find_duplicates

Row = dict[str, Any]
ANNOTATORS: Language = "zh"
"""Language of ``annotator_text``: the paper's annotators were shown every card in Chinese."""


def read_official(folder: Path) -> dict[Language, list[RoleCard]]:
    """The official card files of a checkout, in the order of the table of languages.

    Raises:
        EscEvalError: A file is missing or broken.
    """
    there = [code for code, row in known_languages().items() if row.in_release]
    return {language: read_cards(folder / official_card_file(language)) for language in there}


def official_rows(cards: dict[Language, list[RoleCard]], masker: Masker) -> list[Row]:
    """A row for each official card."""
    return [
        card_row(card, f"official/{official_card_file(language)}#{position}", masker, "official")
        for language, group in cards.items()
        for position, card in enumerate(group)
    ]


def shipped_rows(name: str, masker: Masker) -> list[Row]:
    """A row for each card of a set that is shipped with esc-eval."""
    return [card_row(card, f"{name}#{n}", masker) for n, card in enumerate(load_cards([name]))]


def file_rows(name: str | Path, masker: Masker, origin: str) -> list[Row]:
    """A row for each card of a file, e.g. what ``roles export`` wrote, or of a shipped set.

    Args:
        name: The file, or the name of a shipped set.
        masker: Of personal data.
        origin: What the rows call the file.

    Raises:
        EscEvalError: The file is missing, broken, or names an unknown source.
    """
    if name in SHIPPED:
        return shipped_rows(str(name), masker)
    return [card_row(card, f"{origin}#{n}", masker) for n, card in enumerate(read_cards(name))]


def run_rows(runs: Iterable[Path], rows: Sequence[Row], masker: Masker) -> list[Row]:
    """A row for each card that run folders bring along and the build has not.

    Args:
        runs: Run folders.
        rows: Those of the build.

    Raises:
        EscEvalError: A card was played with another text than the build has, or two runs have different texts of it.
    """
    known = {row["id"]: row["text_sha256"] for row in rows}
    added = []
    for number, card in enumerate(read_run_cards(runs)):
        if card.id not in known:
            added.append(card_row(card, f"{CARDS}#{number}", masker))
        elif known[card.id] != sha256(card.text.encode()).hexdigest():
            raise EscEvalError(f"card {card.id!r} was played with another text than this build has of it")
    return added


def card_row(card: RoleCard, origin: str, masker: Masker, terms: str | None = None) -> Row:
    """The row of a card.

    Args:
        terms: Key of ``decisions.read_terms``; None = those of the card's source.

    Raises:
        EscEvalError: The card's source is neither one of ``dataset_builder.sources`` nor ours.
    """
    source = decisions.source_names().get(card.source)
    if source is None:
        raise EscEvalError(
            f"card {card.id} ({origin}): unknown source {card.source!r}. Known: {', '.join(decisions.source_names())}. "
            "Add the name to NAMES of a module in dataset_builder/sources, or a module there."
        )
    own = decisions.read_terms()[terms] if terms else decisions.card_terms(source)
    text = masker.mask(card.text)
    fields = parse_card(text, card.language)
    return {
        "id": card.id,
        "language": card.language,
        "source": source,
        "quality": card.quality,
        "age": fields and fields.age,
        "gender": fields and fields.gender,
        "occupation": fields and fields.occupation,
        "problem": fields and fields.problem,
        "category": card.category,
        "subcategory": None,
        "problem_type": None,
        "tier_status": None,
        "tier_confidence": None,
        "text": text,
        "layout": fields and fields.layout,
        "text_sha256": sha256(card.text.encode()).hexdigest(),
        "annotator_text": masker.mask_optional(card.annotator_text),
        "synthetic": card.synthetic,
        "unreviewed": card.unreviewed,
        "risk": card.risk,
        "warning": card.warning,
        "near_duplicates": [],
        "contaminated_by": list(decisions.trained_on().get(source, ())),
        "origin": origin,
        "license": own.licence,
        "rehostable": own.rehostable,
    }


def apply_decisions(rows: Sequence[Row]) -> list[Row]:
    """Rows after the curators' exclusions, corrections and confirmed leaves.

    Raises:
        EscEvalError: An id occurs twice.
    """
    if twice := find_duplicates(row["id"] for row in rows):
        raise EscEvalError(f"card id {twice[0]!r} occurs more than once ({len(twice)} such ids)")
    out = decisions.read_exclusions()
    by_id = {row["id"]: dict(row) for row in rows if row["id"] not in out}
    for change in decisions.read_corrections():
        if change.card_id in by_id:
            _correct(by_id[change.card_id], change)
    for card_id, leaf in decisions.confirmed_tiers().items():
        if card_id in by_id:
            _set_tiers(by_id[card_id], leaf, "confirmed", None)
    return list(by_id.values())


def _correct(row: Row, change: decisions.Correction) -> None:
    row[change.field] = change.value
    if change.field in card_text.FIELDS and row["problem"]:
        row["text"] = card_text.write_card_text(row["language"], *(row[name] for name in card_text.FIELDS))
        fields = parse_card(row["text"], row["language"])
        row["layout"] = fields and fields.layout


def apply_tiers(rows: Sequence[Row], path: Path) -> list[str]:
    """Fill tiers 2 and 3 from a CSV of card_id, problem_type, confidence, status.

    Tier 1 of a card is never changed, and a proposal never replaces a leaf that people confirmed.

    Returns:
        Ids of the cards that it speaks of, sorted.

    Raises:
        BadRecord: A row that names an unknown card, leaf or status, or a leaf outside the card's tier 1.
    """
    by_id, told = {row["id"]: row for row in rows}, set()
    for number, line in read_rows(path, {"card_id", "problem_type", "confidence", "status"}):
        try:
            name = read_cell(line["card_id"])
            if name not in by_id:
                raise ValueError(f"no card {name!r} in this build")
            _apply_tier(by_id[name], line)
        except (EscEvalError, ValueError) as error:
            raise BadRecord(path, f"line {number}", str(error)) from error
        told.add(name)
    return sorted(told)


def _apply_tier(card: Row, line: dict[str, str]) -> None:
    leaf, status = decisions.find_leaf(line["problem_type"]), line["status"]
    share = float(line["confidence"]) if line["confidence"] else None
    if status not in ("proposed", "confirmed"):
        raise ValueError(f"status is proposed or confirmed, not {status!r}")
    if status == "confirmed" or card["tier_status"] != "confirmed":
        _set_tiers(card, leaf, status, share)


def _set_tiers(card: Row, leaf: decisions.Leaf, status: str, confidence: float | None) -> None:
    if card["category"] not in (None, leaf.tier1):
        raise ValueError(f"{leaf.tier3} lies in {leaf.tier1}, the card in {card['category']}")
    card |= {
        "category": leaf.tier1,
        "subcategory": leaf.tier2,
        "problem_type": leaf.tier3,
        "tier_status": status,
        "tier_confidence": confidence,
    }


def _texts(rows: Iterable[Row]) -> Iterable[tuple[str, str, Language]]:
    for row in rows:
        yield row["id"], row["problem"] or row["text"], row["language"]


def watch_containment(rows: Sequence[Row]) -> Containment:
    """A watcher for the cards' words in the stream of sources."""
    return Containment(_texts(rows))


def find_near_duplicates(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Other cards with almost the same text by id, across languages through the annotators' Chinese text."""
    chinese = (
        (row["id"], row["annotator_text"], ANNOTATORS)
        for row in rows
        if row["language"] != ANNOTATORS and row["annotator_text"]
    )
    return near_duplicates([*_texts(rows), *((i, card_text.find_problem(t, lang), lang) for i, t, lang in chinese)])


def flag_overlaps(rows: Sequence[Row], watcher: Containment) -> None:
    """Fill ``near_duplicates`` and ``contaminated_by``."""
    found = find_near_duplicates(rows)
    for row in rows:
        row["near_duplicates"] = found.get(row["id"], [])
        holders = watcher.found.get(row["id"], set())
        by_words = {training for key in holders for training in decisions.trained_on().get(key, ())}
        row["contaminated_by"] = sorted({*row["contaminated_by"], *by_words})
