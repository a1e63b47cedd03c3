"""Rules on single rows, and on rows that name other rows."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from dataset_builder import decisions
from dataset_builder.check.files import Problem
from dataset_builder.rows.card_text import CardText
from dataset_builder.rows.personal_data import find_personal_data
from dataset_builder.rows.rubrics import Scale, annotation_id, official_scale
from dataset_builder.rows.tables import TABLES, Labels, table_columns

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Build:
    """What rules know of a build beside the row.

    Attributes:
        public: Whether it is a copy without text that may not be re-hosted.
        labels: Names of its classes.
        scales: By rubric, those that its manifest states; empty for a build of an earlier version.
    """

    public: bool
    labels: Labels
    scales: Mapping[str, Scale]

    def scale_of(self, row: Row) -> Scale | None:
        """The scale of a rating's rubric."""
        return self.scales.get(row["rubric"]) if self.scales else official_scale()


Rule = Callable[[Row, Build], Iterator[str]]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REDDIT = re.compile(r"\bt[1-6]_[a-z0-9]{5,8}\b|reddit\.com/|\bredd\.it/")


def _required(table: str) -> Rule:
    def rule(row: Row, _build: Build) -> Iterator[str]:
        for column in TABLES[table]:
            value = row[column.name]
            if column.required and (value is None or value == ""):
                yield f"{column.name} is empty"

    return rule


def _classes(table: str) -> Rule:
    def rule(row: Row, build: Build) -> Iterator[str]:
        for column in table_columns(table, build.labels):
            if column.kind == "class" and isinstance(row[column.name], int):
                yield f"{column.name}: class {row[column.name]} is none of {', '.join(column.labels)}"

    return rule


def _withheld(table: str) -> Rule:
    names = [column.name for column in TABLES[table] if column.withheld]

    def rule(row: Row, build: Build) -> Iterator[str]:
        if not build.public or row["rehostable"]:
            return
        yield from (f"{name} holds text that may not be re-hosted" for name in names if row[name] is not None)
        if any(turn["text"] is not None for turn in row.get("turns") or ()):
            yield "turns hold text that may not be re-hosted"

    return rule


def _texts(row: Row) -> Iterator[str]:
    yield from (value for value in row.values() if isinstance(value, str))
    yield from (turn["text"] for turn in row.get("turns") or () if turn["text"])


def _personal(row: Row, _build: Build) -> Iterator[str]:
    for text in _texts(row):
        for found in find_personal_data(text):
            yield f"holds personal data ({found.kind})"


def _reddit(row: Row, _build: Build) -> Iterator[str]:
    if any(_REDDIT.search(text) for text in _texts(row)):
        yield "holds an id or address of Reddit"


def _card_text(row: Row, build: Build) -> Iterator[str]:
    if build.public and not row["rehostable"]:
        return
    if not (row["text"] or "").strip():
        yield "the card has no text"
    elif row["layout"] is not None:
        fields = CardText(row["age"], None, row["occupation"], row["problem"], row["layout"])
        if fields.text() != row["text"]:
            yield "its fields do not rebuild its text"


def _card_hash(row: Row, _build: Build) -> Iterator[str]:
    if not _SHA256.fullmatch(row["text_sha256"] or ""):
        yield "text_sha256 is no sha256"


def _tiers(row: Row, _build: Build) -> Iterator[str]:
    path = (row["category"], row["subcategory"], row["problem_type"])
    if row["problem_type"] is None:
        if row["subcategory"] or row["tier_status"]:
            yield "tier 2 or a status without tier 3"
    elif path not in {(x.tier1, x.tier2, x.tier3) for x in decisions.read_taxonomy()}:
        yield f"{' > '.join(map(str, path))} is no path of the taxonomy"
    elif row["tier_status"] is None:
        yield "tier 3 without a status"
    confidence = row["tier_confidence"]
    if confidence is not None and not 0 <= confidence <= 1:
        yield f"tier_confidence {confidence} is outside 0..1"


def _turns(row: Row, build: Build) -> Iterator[str]:
    turns = row["turns"] or []
    if not turns:
        yield "the dialogue has no turn"
    for number, turn in enumerate(turns):
        if turn["role"] not in ("seeker", "supporter"):
            yield f"turn {number}: unknown role {turn['role']!r}"
        if turn["text"] is None and not (build.public and not row["rehostable"]):
            yield f"turn {number} has no text"
    pairs = pairwise(turns)
    rounds = sum(a["role"] == "seeker" and b["role"] == "supporter" for a, b in pairs)
    if turns and rounds != row["rounds"]:
        yield f"rounds is {row['rounds']}, the turns have {rounds}"


def _score(row: Row, build: Build) -> Iterator[str]:
    scale = build.scale_of(row)
    if scale is None:
        yield f"rubric {row['rubric']} is not in the manifest"
        return
    levels = scale.levels
    if row["dimension"] not in scale.dimensions:
        yield f"{row['rubric']} has no dimension {row['dimension']}"
    if row["score"] is None and not row["problem"]:
        yield "unscored without a problem"
    if row["score"] is not None and row["problem"]:
        yield "a score and a problem"
    if row["score"] is not None and row["score"] not in levels:
        yield f"score {row['score']} is outside {levels[0]}..{levels[-1]}"


def _probabilities(row: Row, build: Build) -> Iterator[str]:
    shares, scale = row["probabilities"] or [], build.scale_of(row)
    if not shares or scale is None:
        return
    levels = scale.levels
    if len(shares) != len(levels) or any(not 0 <= p <= 1 for p in shares) or abs(math.fsum(shares) - 1) > 1e-4:
        yield "probabilities are not one share of 1 for each level"
    elif row["expected"] is not None:
        mean = math.fsum(p * level for p, level in zip(shares, levels, strict=True))
        if abs(mean - row["expected"]) > 1e-3:
            yield f"expected is {row['expected']}, the probabilities give {mean:.4f}"


def _annotation_id(row: Row, _build: Build) -> Iterator[str]:
    parts = (row["dialogue_id"], row["dimension"], row["rater"], row["stage"], row["rubric"])
    if row["id"] != annotation_id(*parts):
        yield "id is not dialogue|dimension|rater, with |stage and |rubric where they are said"


def _time(row: Row, _build: Build) -> Iterator[str]:
    if row["time"] is not None:
        try:
            datetime.fromisoformat(row["time"])
        except ValueError:
            yield "time is not ISO 8601"


def _common(table: str) -> dict[str, Rule]:
    return {
        "required": _required(table),
        "class": _classes(table),
        "withheld": _withheld(table),
        "personal data": _personal,
        "reddit": _reddit,
    }


RULES: dict[str, dict[str, Rule]] = {
    "role_cards": _common("role_cards") | {"card text": _card_text, "hash": _card_hash, "tiers": _tiers},
    "dialogues": _common("dialogues") | {"turns": _turns},
    "annotations": _common("annotations")
    | {"score": _score, "probabilities": _probabilities, "id": _annotation_id, "time": _time},
}


def check_references(tables: Mapping[str, list[dict[str, Any]]]) -> Iterator[Problem]:
    """Rows that name rows which are not there, or that disagree with them."""
    cards = {row["id"]: row for row in tables["role_cards"]}
    talks = {row["id"]: row for row in tables["dialogues"]}
    for row in cards.values():
        for other in row["near_duplicates"] or ():
            if other not in cards:
                yield Problem("orphan", f"role_cards {row['id']!r}", f"near_duplicates names {other!r}, no such card")
            elif row["id"] not in (cards[other]["near_duplicates"] or ()):
                yield Problem("symmetry", f"role_cards {row['id']!r}", f"{other!r} does not name it as near-duplicate")
    for row in talks.values():
        where, card = f"dialogues {row['id']!r}", cards.get(row["card_id"])
        if row["card_id"] is not None and card is None:
            yield Problem("orphan", where, f"no card {row['card_id']!r}")
        elif card is not None and card["language"] != row["language"]:
            yield Problem("language", where, f"is in {row['language']}, its card in {card['language']}")
    for row in tables["annotations"]:
        if row["dialogue_id"] not in talks:
            yield Problem("orphan", f"annotations {row['id']!r}", f"no dialogue {row['dialogue_id']!r}")
