"""What each stage of the pipeline decided about a card; one JSON Lines file a stage, keyed by the conversation's id."""

from typing import Literal

from pydantic import Field

from esc_eval.schema import Category, Language, Quality, Record


class Extraction(Record):
    """Stage 1.

    Attributes:
        id: Of the source conversation; the card keeps it.
        input_sha256: Of what the seeker wrote.
        answer: Key of the model's answer in the ledger.
        text: The card; None where extraction failed.
        failure: Why there is no card.
        copied: Share of the card's shingles that stand in the source.
    """

    id: str
    source: str
    language: Language
    input_sha256: str
    model: str
    answer: str
    text: str | None = None
    failure: str | None = None
    copied: float | None = Field(default=None, ge=0, le=1)


class Filtering(Record):
    """Stage 2: the model's verdict; "undecided" where its answer could not be read, which a human settles."""

    id: str
    model: str
    answer: str
    decision: Literal["keep", "drop", "undecided"]
    reason: str = ""


class Review(Record):
    """Stage 3: the human's decision.

    Attributes:
        decision: "fix" keeps the card with ``text`` replaced.
        category, problem_type: Where the reviewer gave them, they are confirmed and no classifier is asked.
    """

    id: str
    decision: Literal["keep", "drop", "fix"]
    quality: Quality | None = None
    category: Category | None = None
    problem_type: str | None = None
    text: str | None = None
    reason: str = ""
    reviewer: str = ""


class Classification(Record):
    """Stage 4: a leaf of the taxonomy with the classifier's confidence, or why there is none."""

    id: str
    problem_type: str | None = None
    confidence: float | None = Field(default=None, ge=0, le=1)
    status: Literal["proposed", "confirmed"] = "proposed"
    failure: str | None = None
