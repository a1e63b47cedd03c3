"""A pipeline's folder: the ledger of answers, and one JSON Lines file of decisions for each stage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dataset_builder import decisions
from dataset_builder.roles.classify import Case
from dataset_builder.roles.records import Classification, Extraction, Filtering, Review
from dataset_builder.rows.card_text import find_problem
from esc_eval.errors import EscEvalError
from esc_eval.escaping import format_csv
from esc_eval.files.records import read_jsonl
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.languages import get_language, language_codes
from esc_eval.schema import Language, RoleCard

Stage = TypeVar("Stage", Extraction, Filtering, Review, Classification)
FILES: dict[type, str] = {
    Extraction: "extract.jsonl",
    Filtering: "filter.jsonl",
    Review: "review.jsonl",
    Classification: "classify.jsonl",
}
SHEET = "review"
"""Name of the sheet, without its ending."""


@dataclass(frozen=True)
class Workspace:
    """The folder of one pipeline."""

    folder: Path

    def read(self, record: type[Stage]) -> dict[str, Stage]:
        """What a stage decided, by id; empty before it ran.

        Raises:
            EscEvalError: The folder does not exist, or its file is damaged.
        """
        if not self.folder.is_dir():
            raise EscEvalError(f"{self.folder}: no such folder; `roles extract --work` begins one")
        path = self.folder / FILES[record]
        return {row.id: row for row in read_jsonl(path, record)} if path.exists() else {}

    def need(self, record: type[Stage], command: str) -> dict[str, Stage]:
        """What an earlier stage decided.

        Raises:
            EscEvalError: It has not run.
        """
        found = self.read(record)
        if not found:
            raise EscEvalError(f"{self.folder}: nothing from `roles {command}` yet; run it first")
        return found

    def merge(self, record: type[Stage], rows: Iterable[Stage]) -> dict[str, Stage]:
        """Add or replace a stage's decisions; the file appears whole."""
        merged = self.read(record) | {row.id: row for row in rows}
        write_jsonl(self.folder / FILES[record], (merged[card_id] for card_id in sorted(merged)))
        return merged

    def kept(self) -> list[tuple[Extraction, Review, str]]:
        """Cards that a human kept, with the decision and the text as it stands after it."""
        cards = self.read(Extraction)
        return [
            (
                cards[card_id],
                review,
                review.text if review.decision == "fix" and review.text else cards[card_id].text or "",
            )
            for card_id, review in sorted(self.read(Review).items())
            if review.decision != "drop" and card_id in cards and cards[card_id].text is not None
        ]

    def cases(self) -> list[Case]:
        """Cards that wait for a classifier: kept without a leaf from the reviewer, or not reviewed and not dropped."""
        reviewed, verdicts = self.read(Review), self.read(Filtering)
        waiting = [
            Case(card.id, card.language, card.text, None)
            for card in self.read(Extraction).values()
            if card.text and card.id not in reviewed and card.id in verdicts and verdicts[card.id].decision != "drop"
        ]
        kept = [
            Case(card.id, card.language, text, review.category)
            for card, review, text in self.kept()
            if review.problem_type is None
        ]
        return [*kept, *waiting]

    def cards(self) -> list[RoleCard]:
        """Cards that a human kept, as ``build --cards`` reads them."""
        proposed = self.read(Classification)
        made = []
        for card, review, text in self.kept():
            leaf = review.problem_type or (proposed[card.id].problem_type if card.id in proposed else None)
            category = review.category or (decisions.find_leaf(leaf).tier1 if leaf else None)
            made.append(
                RoleCard(
                    id=card.id,
                    language=card.language,
                    text=text,
                    category=category,
                    source=card.source,
                    quality=review.quality,
                )
            )
        return made

    def tiers(self) -> list[Classification]:
        """Leaves of the kept cards: confirmed by the reviewer, or proposed by the classifier within their category."""
        proposed = self.read(Classification)
        rows = []
        for card, review, _ in self.kept():
            if review.problem_type:
                rows.append(Classification(id=card.id, problem_type=review.problem_type, status="confirmed"))
            elif (
                card.id in proposed
                and (leaf := proposed[card.id].problem_type)
                and review.category in (None, decisions.find_leaf(leaf).tier1)
            ):  # a person's category stands against a proposal; `classify` again proposes within it
                rows.append(proposed[card.id])
        return rows


@dataclass(frozen=True)
class Line:
    """A line of the pipeline's table, as the paper has it; ``tried`` and ``undecided`` are ours."""

    language: Language
    tried: int
    extract: int
    model_filter: int
    undecided: int
    human_filter: int
    high: int
    middle: int


def read_workspace_table(work: Workspace) -> list[Line]:
    """How many cards each stage left, for each language of the release and each other that there are cards in."""
    cards, verdicts, kept = work.read(Extraction), work.read(Filtering), work.kept()
    lines = []
    for language in language_codes():
        own = [card for card in cards.values() if card.language == language]
        if not own and not get_language(language).in_release:
            continue
        # A card that a later extraction refused may still have a verdict from before.
        decided = [verdicts[card.id].decision for card in own if card.text is not None and card.id in verdicts]
        grades = [review.quality for card, review, _ in kept if card.language == language]
        lines.append(
            Line(
                language,
                len(own),
                sum(card.text is not None for card in own),
                decided.count("keep"),
                decided.count("undecided"),
                len(grades),
                grades.count("high"),
                grades.count("middle"),
            )
        )
    return lines


def write_tiers(path: Path, rows: Sequence[Classification]) -> int:
    """Write leaves as the CSV that ``build --tiers`` reads, without those that have none; returns their number."""
    found = [row for row in rows if row.problem_type]
    lines = [
        {
            "card_id": row.id,
            "problem_type": row.problem_type,
            "confidence": "" if row.confidence is None else f"{row.confidence:.4f}",
            "status": row.status,
        }
        for row in sorted(found, key=lambda row: row.id)
    ]
    write_whole(path, [format_csv(("card_id", "problem_type", "confidence", "status"), lines)])
    return len(found)


def cases_of(cards: Iterable[RoleCard]) -> list[Case]:
    """Any role cards as cases for the classifier; their tier 1 stays."""
    return [Case(c.id, c.language, find_problem(c.text, c.language), c.category) for c in cards]
