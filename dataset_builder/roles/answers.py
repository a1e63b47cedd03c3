"""Structured answers of a chat model, checked against a schema; what does not fit is a failure with its reason."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dataset_builder.rows import card_text
from esc_eval.errors import explain_validation
from esc_eval.languages import known_languages
from esc_eval.languages.row import CardWords
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import Language


def _cards() -> list[CardWords]:
    return [row.card for row in known_languages().values() if row.card]


def _is_unknown(text: str) -> bool:
    plain = text.lower().strip(" .。")
    return any(plain in map(str.lower, (*card.unknown, *card.unknown_in_answers)) for card in _cards())


def _field_keys() -> dict[str, str]:
    """Key of a card's field by its name in any language, in lower case."""
    return {name.lower(): key for card in _cards() for name, key in zip(card.fields, card_text.FIELDS, strict=True)}


class Failure(ValueError):
    """An answer that is not what was asked for."""


class Extracted(BaseModel):
    """Fields of a card as a model gave them.

    Attributes:
        age, occupation: None where not mentioned.
        problem: At least ten characters.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    age: str | None = Field(default=None, max_length=60)
    gender: Literal["female", "male"] | None = None
    occupation: str | None = Field(default=None, max_length=120)
    problem: str = Field(min_length=10, max_length=1500)

    @field_validator("age", "occupation", mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        text = str(value).strip() if isinstance(value, str | int | float) else value
        return None if isinstance(text, str) and _is_unknown(text) else text

    @field_validator("gender", mode="before")
    @classmethod
    def _gender(cls, value: Any) -> Any:
        return card_text.read_gender(value) if isinstance(value, str) else None

    def text(self, language: Language) -> str:
        """The card in the official form."""
        return card_text.write_card_text(language, self.age, self.gender, self.occupation, self.problem)


class Verdict(BaseModel):
    """The filter's answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    decision: Literal["keep", "drop"]
    reason: str = ""

    @field_validator("decision", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value


def find_objects(answer: str) -> Iterator[dict[str, Any]]:
    """Every JSON object in an answer, whatever stands around it."""
    decoder = json.JSONDecoder(strict=False)
    at = answer.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(answer, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            if isinstance(value, dict):
                yield value
        at = answer.find("{", end)


def read_extraction(answer: str) -> Extracted:
    """The card in an answer: a JSON object, or four lines "Age: ...".

    Raises:
        Failure: Neither, or the fields do not fit the schema.
    """
    answer, keys = strip_thinking(answer), _field_keys()
    found = [{keys.get(str(k).strip().lower(), ""): v for k, v in obj.items()} for obj in find_objects(answer)]
    line = rf"^[\s*#-]*({'|'.join(map(re.escape, keys))})[*\s]*[:：][*\s]*(.+)$"
    pairs = re.findall(line, answer, re.IGNORECASE | re.MULTILINE)
    lines = {keys[name.lower()]: value.strip() for name, value in pairs}
    candidates = [fields for fields in [*found, lines] if "problem" in fields]
    if not candidates:
        raise Failure("no JSON object and no lines with a problem")
    try:
        return Extracted.model_validate(candidates[0])
    except ValidationError as error:
        raise Failure(explain_validation(error)) from error


def read_verdict(answer: str) -> Verdict:
    """The filter's decision in an answer.

    Raises:
        Failure: No object with a decision, or two that differ.
    """
    found = []
    for obj in find_objects(strip_thinking(answer)):
        try:
            found.append(Verdict.model_validate(obj))
        except ValidationError:
            continue
    if len({v.decision for v in found}) != 1:
        raise Failure("no JSON object with a decision" if not found else "several decisions that differ")
    return found[0]


def read_letter(answer: str, letters: str) -> str:
    """The one letter that an answer names.

    Raises:
        Failure: None, or several.
    """
    found = set(re.findall(r"(?<![A-Za-z'’])([A-Z])(?![A-Za-z'’])", strip_thinking(answer)))
    named: set[str] = found & set(letters)
    if len(named) != 1 or (found - named):
        raise Failure(f"names {len(found)} letters, expected one of {letters[0]}..{letters[-1]}")
    return named.pop()
