"""The official release's file formats, read and written without loss (haidequanbu/ESC-Eval @ 9ad46e7).

Cards are a JSON list of objects, dialogues a JSON object of lists of marked lines, scores a JSON object of objects.
Reading accepts what other users' runs contain: ASCII colons, other capitals, no opening line, ``<think>`` blocks, -1;
and the marker of the release's earlier ``evaluate.py``, which misspells "assistant". A marker is kept as it is spelt.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.official_dimensions import (
    OUR_RUBRIC,
    RUBRIC,
    find_official,
    is_official_wording,
    official_dimensions,
    official_levels,
    release_order,
)
from esc_eval.languages import get_language, guess_language, known_languages
from esc_eval.languages.row import FILE, OfficialNames
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import Category, Dialogue, Language, Rating, Role, RoleCard, Turn

PROTOCOL = "official/9ad46e7"
SCORER = "ESC-RANK"

CATEGORY_NAMES: dict[str, Category] = {
    "家庭生活": "family_and_life",
    "工作学习": "work_and_study",
    "社会与其他": "society_and_others",
}
MARKERS: dict[Role, str] = {"seeker": "ESC-Role：", "supporter": "AI assistant："}

_CARD_FIELDS = {"base", "res", "source", "base_biaozhu", "language", "id"}
_MARKER = re.compile(r"(?P<who>esc[- ]?role|ai[- ]?assis?tant)\s*[:：] ?", re.IGNORECASE)


def card_from_official(record: Mapping[str, Any]) -> RoleCard:
    """A role card from one object of an official card file.

    Raises:
        ValueError: A field is missing, unknown or of the wrong kind.
    """
    if record.keys() != _CARD_FIELDS:
        missing, extra = sorted(_CARD_FIELDS - record.keys()), sorted(record.keys() - _CARD_FIELDS)
        raise ValueError(f"missing fields {missing}, unknown fields {extra}")
    names = {row.official.name: row.code for row in known_languages().values() if row.official}
    if not isinstance(record["language"], str) or record["language"] not in names:
        raise ValueError(f"unknown language {record['language']!r}; known: {sorted(names)}")
    if not isinstance(record["res"], str) or record["res"] not in CATEGORY_NAMES:
        raise ValueError(f"unknown category {record['res']!r}; known: {sorted(CATEGORY_NAMES)}")
    if not isinstance(record["id"], int) or isinstance(record["id"], bool):
        raise ValueError(f"id must be a whole number, not {record['id']!r}")
    return RoleCard(
        id=str(record["id"]),
        language=names[record["language"]],
        text=record["base"],
        category=CATEGORY_NAMES[record["res"]],
        source=record["source"],
        quality="high",
        annotator_text=record["base_biaozhu"],
    )


def card_to_official(card: RoleCard) -> dict[str, Any]:
    """The object that an official card file holds for a card.

    Raises:
        ValueError: The card has no category or its id is not a whole number.
        EscEvalError: The official release does not have the card's language.
    """
    if card.category is None or not card.id.isdecimal():
        raise ValueError(f"card {card.id}: the official format needs a category and a whole number as id")
    return {
        "base": card.text,
        "res": next(name for name, key in CATEGORY_NAMES.items() if key == card.category),
        "source": card.source,
        "base_biaozhu": card.annotator_text or "",
        "language": official_names(card.language).name,
        "id": int(card.id),
    }


def official_card_file(language: Language) -> str:
    """The card file of a language in a checkout of the official repository."""
    return f"data/card_high_{official_names(language).suffix}.json"


def official_names(language: Language) -> OfficialNames:
    """What the official release calls a language.

    Raises:
        EscEvalError: It does not have it.
    """
    row = get_language(language)
    if row.official is None:
        raise EscEvalError(
            f"{row.name} ({language}) has no official form: the official release does not have the language, and "
            f"{row.folder / FILE} names no official: {{name, suffix, adapter}}"
        )
    return row.official


def split_official_name(stem: str) -> tuple[str, Language | None]:
    """The model and the language that the name of an official file tells, without the file's ending.

    >>> split_official_name("llama3_en"), split_official_name("other")
    (('llama3', 'en'), ('other', None))
    """
    for row in known_languages().values():
        if row.official and (model := stem.removesuffix(f"_{row.official.suffix}")) not in ("", stem):
            return model, row.code
    return stem, None


def turn_from_line(line: str) -> Turn:
    """A turn from one marked line.

    Raises:
        ValueError: The line begins with no role marker.
    """
    match = _MARKER.match(line)
    if match is None:
        raise ValueError(f"begins with neither {MARKERS['seeker']!r} nor {MARKERS['supporter']!r}")
    role: Role = "seeker" if match["who"].lower().startswith("esc") else "supporter"
    raw = line[match.end() :]
    text = strip_thinking(raw)
    return Turn(role=role, text=text, raw=raw if raw != text else None, prefix=match[0])


def line_from_turn(turn: Turn) -> str:
    """The marked line of a turn, spelt as it was read, or as the release spells it."""
    return (turn.prefix or MARKERS[turn.role]) + (turn.text if turn.shown_raw is None else turn.shown_raw)


def dialogues_from_official(content: Mapping[str, Any], path: Path) -> list[Dialogue]:
    """Dialogues from the content of an official result file.

    Model and language are read from a file name like ``llama3_en.json``; without one, the language is that of the
    seeker's words. Ids are ``STEM:KEY``.

    Raises:
        BadRecord: A dialogue that is no list of marked lines.
    """
    model, language = split_official_name(path.stem)
    dialogues = []
    for key, lines in content.items():
        if not isinstance(lines, list) or not lines or not all(isinstance(line, str) for line in lines):
            raise BadRecord(path, f"dialogue {key!r}", "expected a list of lines of text, with at least one line")
        turns = []
        for number, line in enumerate(lines):
            try:
                turns.append(turn_from_line(line))
            except ValueError as error:
                raise BadRecord(path, f"dialogue {key!r}, line {number}", str(error)) from error
        dialogues.append(
            Dialogue(
                id=f"{path.stem}:{key}",
                language=language or guess_language("".join(turn.text for turn in turns if turn.role == "seeker")),
                turns=tuple(turns),
                supporter=model,
                seeker="ESC-Role",
                key=key,
            )
        )
    return dialogues


def dialogues_to_official(dialogues: Iterable[Dialogue]) -> dict[str, list[str]]:
    """The content of an official result file: by official keys, or numbered where not each has its own."""
    chosen = list(dialogues)
    keys = [dialogue.key for dialogue in chosen]
    own = [key for key in keys if key is not None]
    if len(set(own)) < len(keys):
        own = [str(number) for number in range(len(keys))]
    return {key: [line_from_turn(turn) for turn in each.turns] for key, each in zip(own, chosen, strict=True)}


def ratings_from_official(content: Mapping[str, Any], path: Path, rater: str = SCORER) -> list[Rating]:
    """Ratings from the content of an official score file; -1 becomes "unscored".

    Raises:
        BadRecord: An unknown dimension or something else than a level or -1.
    """
    levels = official_levels()
    ratings = []
    for key, scores in content.items():
        if not isinstance(scores, dict):
            raise BadRecord(path, f"dialogue {key!r}", "expected an object of scores by dimension")
        for official_key, score in scores.items():
            where = f"dialogue {key!r}, {official_key!r}"
            dimension = find_official(official_key)
            if dimension is None:
                known = [each.official for each in official_dimensions()]
                raise BadRecord(path, where, f"unknown dimension; known: {known}")
            if not isinstance(score, int) or isinstance(score, bool) or score not in (-1, *levels):
                raise BadRecord(path, where, f"a score is one of {list(levels)}, or -1, not {score!r}")
            unscored = score == -1
            ratings.append(
                Rating(
                    dialogue_id=f"{path.stem}:{key}",
                    dimension=dimension.key,
                    rater=rater,
                    rater_kind="model",
                    rubric=RUBRIC,
                    score=None if unscored else score,
                    problem="-1 in the score file: no level in the answer" if unscored else None,
                    parser="official",
                )
            )
    return ratings


def link_cards(dialogues: Sequence[Dialogue], cards: Sequence[RoleCard]) -> list[Dialogue]:
    """Dialogues with their card ids: the release numbers dialogues by the place of their card in the card file.

    Raises:
        EscEvalError: A key that is no place in the card file.
    """
    linked = []
    for dialogue in dialogues:
        if dialogue.card_id is not None:
            linked.append(dialogue)
            continue
        is_place = dialogue.key and dialogue.key.isdecimal() and len(dialogue.key) < 10
        position = int(dialogue.key or "") if is_place else len(cards)
        if position >= len(cards):
            raise EscEvalError(f"dialogue {dialogue.id}: its key is no place among the {len(cards)} cards")
        card = cards[position]
        linked.append(dialogue.model_copy(update={"card_id": card.id, "category": card.category}))
    return linked


def has_official_rubric(rating: Rating) -> bool:
    """Whether a rating is under our rubric or the official wording, whose scores the release's files hold."""
    return rating.rubric.partition("/")[0] == OUR_RUBRIC or is_official_wording(rating.rubric)


def check_official_form(ratings: Iterable[Rating]) -> None:
    """Refuse ratings that the official score files have no place for.

    Raises:
        EscEvalError: A rating under another rubric than ours or the official wording, on a dimension that is none of
            the seven, or of another level than theirs.
    """
    keys, levels = {dimension.key for dimension in official_dimensions()}, official_levels()
    for rating in ratings:
        if not has_official_rubric(rating) or rating.dimension not in keys or rating.score not in (None, *levels):
            raise EscEvalError(
                f"the ratings of {rating.dimension} under rubric {rating.rubric} have no official form: the release's "
                f"score files hold {', '.join(d.official for d in official_dimensions())}, each {levels[0]} to "
                f"{levels[-1]} or -1. Nothing was written; the run's own ratings.jsonl holds them."
            )


def ratings_to_official(ratings: Iterable[Rating], keys: Mapping[str, str] | None = None) -> dict[str, dict[str, int]]:
    """The content of an official score file for the ratings of one rater; unscored becomes -1.

    Whatever the order of the ratings, dialogues stand in that of the result file and dimensions in the release's.

    Args:
        ratings: Of an official form; see ``check_official_form``.
        keys: The key of each dialogue id, in the order of the result file; None = what follows the last colon of the
            id, in the order of the ratings.
    """
    given: dict[str, dict[str, int]] = {} if keys is None else {key: {} for key in keys.values()}
    for rating in ratings:
        key = rating.dialogue_id.rpartition(":")[2] if keys is None else keys[rating.dialogue_id]
        given.setdefault(key, {})[rating.dimension] = -1 if rating.score is None else rating.score
    dimensions = release_order()
    return {
        key: {d.official: scores[d.key] for d in dimensions if d.key in scores}
        for key, scores in given.items()
        if scores
    }


def cards_from_official(content: Sequence[Any], path: Path) -> list[RoleCard]:
    """Role cards from the content of an official card file.

    Raises:
        BadRecord: An object that is no card.
    """
    cards = []
    for number, record in enumerate(content):
        try:
            if not isinstance(record, dict):
                raise ValueError("expected an object")
            cards.append(card_from_official(record))
        except ValidationError as error:
            raise BadRecord(path, f"record {number}", explain_validation(error)) from error
        except ValueError as error:
            raise BadRecord(path, f"record {number}", str(error)) from error
    return cards
