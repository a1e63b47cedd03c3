"""What every source is parsed to, and how a record that cannot be used is reported."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field

from esc_eval.schema import Language, Record, Role, Turn


@dataclass(frozen=True)
class KnownFile:
    """An upstream file that was seen when this builder was written.

    Attributes:
        sha256: Of the whole file.
        size: Bytes.
        records: Records it holds, conversations and rejects together.
        sample: True where it is an excerpt of what the owner publishes.
        apart: True where its owner keeps its conversations apart from the released ones.
    """

    sha256: str
    size: int
    records: int
    sample: bool = False
    apart: bool = False


@dataclass(frozen=True)
class Terms:
    """Terms of the rows that are made from something.

    Attributes:
        licence: An SPDX name or the owner's words.
        rehostable: Whether their text may be re-hosted; where not, public copies hold none.
        reason: Why the curators decided so.
    """

    licence: str
    rehostable: bool
    reason: str


class StrategySpan(Record):
    """A labelled stretch of an utterance: characters ``start`` (included) to ``end`` (excluded)."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    label: str


class SourceTurn(Record):
    """One utterance of a source.

    Attributes:
        strategy: The source's own label of the whole utterance; None where it has none.
        spans: The source's labels of parts of the utterance.
        feedback: The seeker's rating of the supporter up to here, as the source spells it.
    """

    role: Role
    text: str = Field(min_length=1)
    strategy: str | None = None
    spans: tuple[StrategySpan, ...] = ()
    feedback: str | None = None


class SourceRating(Record):
    """A human's own rating of a conversation, on the source's scale.

    Attributes:
        by: Who rated: "seeker", "supporter" or "annotator".
        low, high: Ends of the source's scale.
        evidence: The words that the annotator marked, where the source has them.
    """

    by: str
    name: str
    value: int
    low: int
    high: int
    evidence: tuple[str, ...] = ()


class SourceConversation(Record):
    """One record of a source in the common shape.

    Attributes:
        id: ``source/file#position``; says nothing about a person and may be published.
        source_id: The owner's id, for use on this machine only: Reddit ids are personal data.
        file, line: Where the record begins.
        situation: What the seeker wrote about the problem before the conversation.
        labels: The source's labels of the whole record, by name.
        branches: True where the supporter's turns are alternative answers to one post.
        turns: May be empty where the owner publishes ids only.
    """

    id: str
    source: str
    source_id: str | None = None
    file: str
    line: int = Field(ge=1)
    language: Language
    turns: tuple[SourceTurn, ...] = ()
    situation: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    ratings: tuple[SourceRating, ...] = ()
    branches: bool = False

    def seeker_text(self) -> str:
        """Everything the seeker said or wrote, one piece a line."""
        spoken = [turn.text for turn in self.turns if turn.role == "seeker"]
        return "\n".join([self.situation, *spoken] if self.situation else spoken)

    def merged_turns(self) -> tuple[Turn, ...]:
        """The turns, with several of one side in a row as one, a line each."""
        turns: list[Turn] = []
        for turn in self.turns:
            if turns and turns[-1].role == turn.role:
                turns[-1] = Turn(role=turn.role, text=f"{turns[-1].text}\n{turn.text}")
            else:
                turns.append(Turn(role=turn.role, text=turn.text))
        return tuple(turns)


class Reject(Record):
    """A record that was not used: where it stands and why. Its content is not kept, it may be personal."""

    source: str
    file: str
    line: int
    reason: str


Outcome = SourceConversation | Reject


class Malformed(ValueError):
    """A record whose content is not what its layout promises."""


Text = Annotated[str, Field(min_length=1)]


@runtime_checkable
class Source(Protocol):
    """The one shape of a source module: all that is known of the source, and how its files are read.

    Attributes:
        KEY: The module's name, and the source's in every row.
        NUMBER: Its number in the column ``source`` of published tables: the next free one, and never changed.
        TITLE: As its paper writes it.
        ABOUT: What it is, for the dataset card.
        BIBTEX: How to cite it: with authors and a link.
        LICENSE: Of what its owner publishes.
        LANGUAGE: Of its texts.
        NAMES: Spellings of it in card files beside its key, each with where it occurs or why it is taken for this.
        TERMS: Of the role cards that are made from it.
        FILES: Upstream files that were seen, by name.
        INSTRUCTIONS: How to get them.
    """

    KEY: Text
    NUMBER: Annotated[int, Field(ge=0)]
    TITLE: Text
    ABOUT: Text
    BIBTEX: Annotated[str, Field(pattern="^@")]
    LICENSE: Text
    LANGUAGE: Language
    NAMES: Mapping[str, str]
    TERMS: Terms
    FILES: Mapping[str, KnownFile]
    INSTRUCTIONS: Text

    def files(self, folder: Path) -> list[Path]:
        """The files of this source in a folder, in a fixed order."""

    def parse(self, path: Path) -> Iterator[Outcome]:
        """Every record of one file: a conversation or a reject, in file order."""


def text_of(record: object, key: str) -> str:
    """A non-empty text field, without the white space around it.

    Raises:
        Malformed: The record is no object, or the field is missing, not text, or empty.
    """
    if not isinstance(record, dict):
        raise Malformed(f"expected an object, found {type(record).__name__}")
    value = record.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key!r}: expected text, found {type(value).__name__}")
    if not value.strip():
        raise Malformed(f"{key!r} is empty")
    return value.strip()


def optional_text(record: dict[str, object], key: str) -> str | None:
    """A text field without the white space around it; None where it is missing or empty.

    Raises:
        Malformed: Something else than text.
    """
    value = record.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{key!r}: expected text, found {type(value).__name__}")
    return value.strip() or None


def list_of(record: object, key: str) -> list[object]:
    """A list field.

    Raises:
        Malformed: The record is no object, or the field is missing or no list.
    """
    if not isinstance(record, dict):
        raise Malformed(f"expected an object, found {type(record).__name__}")
    value = record.get(key)
    if not isinstance(value, list):
        raise Malformed(f"{key!r}: expected a list, found {type(value).__name__}")
    return value


def level_of(value: object, name: str, low: int, high: int) -> int:
    """A level on a scale; numbers as strings are read.

    Raises:
        Malformed: No whole number, or off the scale.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Malformed(f"rating {name!r}: expected a whole number, found {type(value).__name__}")
    try:
        level = int(value)
    except ValueError as error:
        raise Malformed(f"rating {name!r} is no whole number") from error
    if not low <= level <= high:
        raise Malformed(f"rating {name!r} is {level}, outside {low}..{high}")
    return level
