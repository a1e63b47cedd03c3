"""A role card's text and its fields: Age / Gender / Occupation / Problem, and back without loss."""

import re
from dataclasses import dataclass
from typing import Literal

from esc_eval.schema import Language

Gender = Literal["female", "male"]
NAMES: dict[Language, tuple[str, str, str, str]] = {
    "en": ("Age", "Gender", "Occupation", "Problem"),
    "zh": ("年龄", "性别", "职业", "问题"),
}
FIELDS = ("age", "gender", "occupation", "problem")
UNKNOWN: dict[Language, tuple[str, ...]] = {
    "en": ("Not mentioned", "not mentioned", "Not Mentioned"),
    "zh": ("未提及",),
}
GENDERS: dict[str, Gender] = {
    "female": "female",
    "male": "male",
    "女": "female",
    "女性": "female",
    "男": "male",
    "男性": "male",
}


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


def parse_card(text: str, language: Language) -> CardText | None:
    """The fields of a card in the official form; None where it is written otherwise.

    >>> card = parse("Age: 30\\nGender: Female\\nOccupation: Not mentioned\\nProblem: Sleeps badly.", "en")
    >>> card.age, card.gender, card.occupation
    ('30', 'female', None)
    """
    *short, problem = NAMES[language]
    parts = [rf"({name}[:：][^\S\n]*)([^\n]+)" for name in short] + [rf"({problem}[:：][^\S\n]*)(.+)"]
    match = re.fullmatch(r"\s*".join(parts), text, re.DOTALL)
    if match is None or "{" in text:
        return None
    values: dict[str, str | None] = {}
    layout, end = "", 0
    for number, field in enumerate(FIELDS):
        start, stop = match.span(2 * number + 2)
        written = match[2 * number + 2]
        known = None if written.strip() in UNKNOWN[language] else written
        literal = known is None or field == "gender"
        layout += text[end:start] + (written if literal else f"{{{field}}}")
        values[field], end = known, stop
    gender = GENDERS.get((values["gender"] or "").strip().lower())
    return CardText(values["age"], gender, values["occupation"], values["problem"], layout)


def write_card_text(
    language: Language, age: str | None, gender: str | None, occupation: str | None, problem: str
) -> str:
    """A card's text in the official form from its fields; None becomes "not mentioned"."""
    mark = ": " if language == "en" else "："
    words = {"en": {"female": "Female", "male": "Male"}, "zh": {"female": "女", "male": "男"}}[language]
    values = (age, words.get(gender or "", gender), occupation, problem)
    return "\n".join(
        f"{name}{mark}{value or UNKNOWN[language][0]}" for name, value in zip(NAMES[language], values, strict=True)
    )
