"""A rubric is data: dimensions, levels and their wording in each language, in one file or in one a language."""

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.languages import known_folders
from esc_eval.prompts.wording import PROMPTS, Worded, locate_data_file, read_parts
from esc_eval.reading import suffix_of
from esc_eval.schema import NOT_APPLICABLE, Mark

WIDEST = 1000
"""Steps from the lowest level of a scale to its highest."""


class Dimension(FrozenYaml):
    """One scale of a rubric.

    Attributes:
        key: Our name, the only one used in code and files.
        paper: The name in tables.
        official: What the data set that a rubric was made for calls the scale; None where it has no set, or no name.
        lower_is_better: True of scales that are bad where they are high; an average turns them round.
    """

    key: str
    paper: str
    official: str | None = None
    lower_is_better: Literal[True] | None = None


class DimensionText(FrozenYaml):
    """The wording of one dimension: its name, what is rated, and one description per level, lowest first."""

    name: str
    question: str
    levels: tuple[str, ...]


class RubricText(FrozenYaml):
    """A rubric in one language: the judge's instructions and the wording of each dimension by key.

    Placeholders: ``{dialogue}``, ``{name}``, ``{question}``, ``{levels}``, ``{low}``, ``{high}``.

    Attributes:
        not_applicable: When a dimension does not apply; of rubrics that know this answer.
    """

    system: str
    dialogue: str
    ask: str
    lead: str
    seeker: str
    supporter: str
    not_applicable: str | None = None
    dimensions: dict[str, DimensionText]


class Rubric(Worded[RubricText]):
    """A set of dimensions with ordered integer levels and their wording.

    Attributes:
        not_applicable: True where a rater may also answer that a dimension does not apply, which is no level.
        harmful: The level that means harm, where there is one: how often it is given, and the worst case, are then
            told before any mean, and no average takes such levels together with another rubric's.
    """

    levels: tuple[int, ...] = Field(min_length=2)
    not_applicable: Literal[True] | None = None
    harmful: int | None = None
    dimensions: tuple[Dimension, ...] = Field(min_length=1)

    @field_validator("levels")
    @classmethod
    def _rise(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if any(low >= high for low, high in pairwise(levels)):
            raise ValueError(f"each must be above the one before it, found {list(levels)}")
        if levels[-1] - levels[0] > WIDEST:
            raise ValueError(f"from the lowest to the highest there may be {WIDEST} steps at most")
        return levels

    @field_validator("dimensions")
    @classmethod
    def _differ(cls, dimensions: tuple[Dimension, ...]) -> tuple[Dimension, ...]:
        keys = [dimension.key for dimension in dimensions]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"two have the key {twice[0]!r}")
        return dimensions

    @model_validator(mode="after")
    def _knows_harm(self) -> Self:
        if self.harmful is not None and self.harmful not in self.levels:
            raise ValueError(f"harmful: {self.harmful} is none of the levels {list(self.levels)}")
        return self

    @property
    def marks(self) -> tuple[Mark, ...]:
        """All that a rater can say of a dimension: the levels, and ``N/A`` last where the rubric knows it."""
        return (*self.levels, NOT_APPLICABLE) if self.not_applicable else self.levels

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the dimensions, in the rubric's order."""
        return tuple(dimension.key for dimension in self.dimensions)

    @property
    def lower_is_better(self) -> tuple[str, ...]:
        """Keys of the dimensions of which a low level is good."""
        return tuple(dimension.key for dimension in self.dimensions if dimension.lower_is_better)


def lower_scales(rubrics: Iterable[Rubric]) -> frozenset[str]:
    """Keys of the dimensions of some rubrics of which a low level is good."""
    return frozenset(key for rubric in rubrics for key in rubric.lower_is_better)


def name_rubric(name: str | Path) -> str:
    """What ratings carry of a rubric: name and version of a ``.yaml``; a name stays as it is.

    Raises:
        EscEvalError: As ``load_rubric``.
    """
    return load_rubric(name).id if suffix_of(Path(name)) in (".yaml", ".yml") else str(name)


def load_rubric(name: str | Path = "esc-eval") -> Rubric:
    """A shipped rubric by name, or a user's own by the path of its YAML file.

    Raises:
        EscEvalError: Not found, or a key, level or dimension is missing or misspelt.
    """
    return _load(locate_data_file(name, PROMPTS / "rubrics"), known_folders())


@cache
def _load(path: Path, _known: tuple[Path, ...]) -> Rubric:
    return check_rubric(read_parts(path, "rubric"), str(path))


def check_rubric(content: Mapping[str, Any], where: str) -> Rubric:
    """A rubric from its content, as one file holds it.

    Args:
        content: Name, version, levels, dimensions, and ``texts`` by language.
        where: What messages call it.

    Raises:
        EscEvalError: A key, level or dimension is missing or misspelt.
    """
    try:
        rubric = Rubric.model_validate({"texts": {}, **content})
    except ValidationError as error:
        raise EscEvalError(f"{where} and its languages: {explain_validation(error)}") from error
    for language, text in rubric.texts.items():
        if bool(text.not_applicable) != bool(rubric.not_applicable):
            raise EscEvalError(
                f"{where}: rubric {rubric.name}, language {language}: not_applicable is a value of the rubric (true in "
                "its first part) if and only if each of its languages says in not_applicable when it is given"
            )
        if set(text.dimensions) != set(rubric.keys):
            raise EscEvalError(
                f"{where}: rubric {rubric.name}, language {language}: wording for {sorted(text.dimensions)}, "
                f"but the rubric has {sorted(rubric.keys)}"
            )
        for key, wording in text.dimensions.items():
            if len(wording.levels) != len(rubric.levels):
                raise EscEvalError(
                    f"{where}: rubric {rubric.name}, language {language}, {key}: {len(wording.levels)} level "
                    f"descriptions for {len(rubric.levels)} levels"
                )
    return rubric
