"""The row of a language: everything that is not wording and that some place of the project asks by language."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from esc_eval.reading import read_yaml

FILE = "language.yaml"
Unit = Literal["word", "character"]

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORDS = rf"[{_HAN}]|[^\W_{_HAN}]+(?:['’][^\W_]+)?"
"""Pattern of a token of lower-cased text unless a row says otherwise: a Chinese character, else a word or number."""
SENTENCE_BREAK = r"(?<=[.!?])\s+|(?<=[。！？])\s*|\n+"
"""Pattern of what lies between two sentences unless a row says otherwise."""


def _check_pattern(pattern: re.Pattern[str]) -> re.Pattern[str]:
    if pattern.groups:
        raise ValueError("it has a numbered group; write (?:...) for (...)")
    if pattern.search(""):
        raise ValueError("it fits a text without characters")
    return pattern


Pattern = Annotated[re.Pattern[str], AfterValidator(_check_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OfficialNames(_Part):
    """What files in the official release's form call the language.

    Attributes:
        name: In the card files.
        suffix: In names of files, such as MODEL_SUFFIX.json.
        adapter: What an ESC-RANK adapter folder's name ends with.
        released: Whether the release itself has the language; where not, dialogues can be written in its form, and
            that is all.
    """

    name: str
    suffix: str
    adapter: str
    released: bool = True


class Overlap(_Part):
    """How texts are cut to find what they share: runs of ``size`` pieces of lower-cased text that fit ``pattern``."""

    unit: Unit = "word"
    size: int = Field(default=4, ge=1)
    pattern: Pattern = re.compile(r"[^\W_]+")


class CardWords(_Part):
    """How a role card is written.

    Attributes:
        fields: Names of age, gender, occupation and problem.
        mark: Between a field's name and its value.
        genders: What each word for a gender means; the first word of each is the one that we write.
        unknown: Words for a field that is not mentioned; the first is the one that we write.
        unknown_in_answers: What models say instead, in lower case.
    """

    fields: tuple[str, str, str, str]
    mark: str = ": "
    genders: dict[str, Literal["female", "male"]]
    unknown: tuple[str, ...] = Field(min_length=1)
    unknown_in_answers: tuple[str, ...] = ()

    def write_gender(self, gender: str | None) -> str | None:
        """The word for female or male; another word stays as it is."""
        return next((word for word, meaning in self.genders.items() if meaning == gender), gender)


class LanguageRow(_Part):
    """A language.

    Attributes:
        code: As records carry it, such as ``en``; the name of the folder too.
        name: In English, as tables call it.
        folder: Where it was read from.
        official: None where nothing is read or written in the official release's form.
        characters_a_token: Of a common vocabulary, for estimates of cost.
        reply_characters: Mean length of a reply by side, for estimates of cost.
        unit: Whether a lexicon's words are found among the tokens of a text, or anywhere in its characters.
        words: Pattern of one token of lower-cased text.
        sentence_break: Pattern of what lies between two sentences.
        overlap: How shared text is found.
        script: Pattern of a character of its script, where that is not shared by languages that name none.
        card: None where cards of the language are kept as they are and their fields are not read.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    name: str = Field(min_length=1)
    folder: Path
    official: OfficialNames | None = None
    characters_a_token: float = Field(default=4.0, gt=0)
    reply_characters: dict[Literal["seeker", "supporter"], int] = {"seeker": 140, "supporter": 1020}
    unit: Unit = "word"
    words: Pattern = re.compile(WORDS)
    sentence_break: Pattern = re.compile(SENTENCE_BREAK)
    overlap: Overlap = Overlap()
    script: Pattern | None = None
    card: CardWords | None = None

    @field_validator("code", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"YAML reads it as {str(value).lower()}; write it in quotes")
        return value

    @field_validator("reply_characters")
    @classmethod
    def _has_both_sides(cls, value: dict[str, int]) -> dict[str, int]:
        if missing := {"seeker", "supporter"} - value.keys():
            raise ValueError(f"no length for the {sorted(missing)[0]}")
        return value

    @property
    def is_shipped(self) -> bool:
        """Whether it is one of ours, not a folder that the user named."""
        return self.folder.parent == Path(__file__).parent

    @property
    def in_release(self) -> bool:
        """Whether it is one of ours that the official release has: what hashes and data sets have always covered."""
        return self.is_released and self.is_shipped

    @property
    def is_released(self) -> bool:
        """Whether the official release has it."""
        return self.official is not None and self.official.released

    def read_data(self, name: str) -> dict[str, Any] | None:
        """A further YAML file of the folder, such as ``rubric.yaml``; None where it is missing.

        Raises:
            EscEvalError: It is there and broken.
        """
        path = self.folder / name
        return read_yaml(path) if path.is_file() else None
