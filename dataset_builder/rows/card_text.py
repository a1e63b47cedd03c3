"""A role card's text and its fields: Age / Gender / Occupation / Problem, and back without loss."""

import re
from dataclasses import dataclass
from typing import Literal

from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language, known_languages
from esc_eval.languages.row import FILE, CardWords
from esc_eval.schema import Language

Gender = Literal["female", "male"]
FIELDS = ("age", "gender", "occupation", "problem")


@dataclass(frozen=True)
class CardText:
    """The fields of a card.

    Attributes:
        age, occupation, problem: As written; None where the card says "not mentioned".
        gender: None where it is not mentioned or neither of the two words.
        layout: The card's text with ``{age}``, ``{occupation}`` and ``{problem}`` in place of what was read, and the
            words of fields that are None or normalised as they were written. With it the text can be rebuilt.
    """

    age: str | None
    gender: Gender | None
    occupation: str | None
    problem: str | None
    layout: str

    def text(self) -> str:
        """The card's text, character for character."""
        values = {"{age}": self.age, "{occupation}": self.occupation, "{problem}": self.problem}
        return re.sub("{age}|{occupation}|{problem}", lambda m: values[m[0]] or "", self.layout)


def card_words(language: Language) -> CardWords:
    """How cards of a language are written.

    Raises:
        EscEvalError: Its folder does not say.
    """
    row = get_language(language)
    if row.card is None:
        raise EscEvalError(
            f"{row.folder / FILE}: no card: {{fields, mark, genders, unknown}}, so no role card of fields can be "
            f"written in {row.name}"
        )
    return row.card


def read_gender(text: str) -> Gender | None:
    """Female or male by its word in any language; None for another word."""
    cards = (row.card for row in known_languages().values() if row.card)
    words = {word.lower(): meaning for card in cards for word, meaning in card.genders.items()}
    return words.get(text.strip().lower())


def parse_card(text: str, language: Language) -> CardText | None:
    """The fields of a card in the official form; None where it is written otherwise, or the language names no fields.

    >>> card = parse_card("Age: 30\\nGender: Female\\nOccupation: Not mentioned\\nProblem: Sleeps badly.", "en")
    >>> card.age, card.gender, card.occupation
    ('30', 'female', None)
    """
    words = get_language(language).card
    if words is None:
        return None
    *short, problem = words.fields
    parts = [rf"({name}[:：][^\S\n]*)([^\n]+)" for name in short] + [rf"({problem}[:：][^\S\n]*)(.+)"]
    match = re.fullmatch(r"\s*".join(parts), text, re.DOTALL)
    if match is None or "{" in text:
        return None
    values: dict[str, str | None] = {}
    layout, end = "", 0
    for number, field in enumerate(FIELDS):
        start, stop = match.span(2 * number + 2)
        written = match[2 * number + 2]
        known = None if written.strip() in words.unknown else written
        literal = known is None or field == "gender"
        layout += text[end:start] + (written if literal else f"{{{field}}}")
        values[field], end = known, stop
    gender = read_gender(values["gender"] or "")
    return CardText(values["age"], gender, values["occupation"], values["problem"], layout)


def find_problem(text: str, language: Language) -> str:
    """What troubles the seeker by a card's text; the whole text where it is written otherwise."""
    fields = parse_card(text, language)
    return (fields and fields.problem) or text


def write_card_text(
    language: Language, age: str | None, gender: str | None, occupation: str | None, problem: str
) -> str:
    """A card's text in the official form from its fields; None becomes "not mentioned".

    Raises:
        EscEvalError: The language's folder does not say how cards are written.
    """
    words = card_words(language)
    values = (age, words.write_gender(gender), occupation, problem)
    return "\n".join(
        f"{name}{words.mark}{value or words.unknown[0]}" for name, value in zip(words.fields, values, strict=True)
    )
