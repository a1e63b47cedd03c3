"""A rubric is data: dimensions, levels and their wording in each language, read from ``rubrics/*.yaml``.

``NAME.yaml`` holds what no language changes (levels, dimensions and their other names); ``NAME.LANG.yaml`` holds one
language's wording. Adding a language is adding a file.
"""

import re
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from esc_eval.errors import EscEvalError
from esc_eval.schema import digest


def fill(template: str, **values: object) -> str:
    """Replace each ``{name}`` of a template by its value, in one pass: braces inside values stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda m: str(values.get(m[1], m[0])), template)


class Data(BaseModel):
    """A frozen piece of a YAML data file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimension(Data):
    """One scale of a rubric.

    Attributes:
        key: Our name, the only one used in code and files.
        paper: The name in the paper's tables.
        official: The key in the official release's score files; None where it has none.
    """

    key: str
    paper: str
    official: str | None = None


class DimensionText(Data):
    """The wording of one dimension: its name, what is rated, and one description per level, lowest first."""

    name: str
    question: str
    levels: tuple[str, ...]


class RubricText(Data):
    """A rubric in one language: the judge's instructions and the wording of each dimension by key.

    Placeholders: ``{dialogue}``, ``{name}``, ``{question}``, ``{levels}``, ``{low}``, ``{high}``.
    """

    system: str
    dialogue: str
    ask: str
    lead: str
    seeker: str
    supporter: str
    dimensions: dict[str, DimensionText]


class Rubric(Data):
    """A set of dimensions with ordered integer levels and their wording."""

    name: str
    version: str
    levels: tuple[int, ...]
    dimensions: tuple[Dimension, ...]
    texts: dict[str, RubricText]

    @property
    def id(self) -> str:
        """Name and version, as ratings and signatures carry it."""
        return f"{self.name}/{self.version}"

    @property
    def sha256(self) -> str:
        """Hash of everything in the rubric."""
        return digest(self)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the dimensions, in the rubric's order."""
        return tuple(dimension.key for dimension in self.dimensions)

    def text(self, language: str) -> RubricText:
        """The wording in a language.

        Raises:
            EscEvalError: The rubric has no such language.
        """
        if language not in self.texts:
            raise EscEvalError(
                f"rubric {self.id} has no wording for language {language!r}, only {sorted(self.texts)}. "
                f"Add {self.name}.{language}.yaml beside it."
            )
        return self.texts[language]

    def from_official(self, key: str) -> str | None:
        """Our key for an official one, or None."""
        return next((d.key for d in self.dimensions if d.official == key), None)


def read_parts(folder: Traversable, name: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read ``NAME.yaml`` and every ``NAME.LANG.yaml`` of a folder.

    Returns:
        The language-free part, and the parts by language.

    Raises:
        EscEvalError: No such file (the message lists what there is), or broken YAML.
    """
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".yaml"))
    if f"{name}.yaml" not in names:
        known = [n.removesuffix(".yaml") for n in names if n.count(".") == 1]
        raise EscEvalError(f"no {kind} called {name!r} in {folder}. There is: {', '.join(known) or 'none'}.")

    def load(file: str) -> dict[str, Any]:
        try:
            content = yaml.safe_load(folder.joinpath(file).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise EscEvalError(f"{folder.joinpath(file)}: not readable as YAML: {error}") from error
        if not isinstance(content, dict):
            raise EscEvalError(f"{folder.joinpath(file)}: expected a mapping of keys to values")
        return content

    languages = {n.split(".")[1]: load(n) for n in names if n.startswith(f"{name}.") and n.count(".") == 2}
    return load(f"{name}.yaml"), languages


def locate(name: str | Path, package_folder: str) -> tuple[Traversable, str]:
    """Where a named data file lies: a shipped name, or the path of a user's own ``.yaml``."""
    path = Path(name)
    if path.suffix == ".yaml":
        return path.parent, path.stem
    return files("esc_eval").joinpath(package_folder), str(name)


@cache
def load_rubric(name: str | Path = "esc-eval") -> Rubric:
    """A shipped rubric by name, or a user's own by the path of its YAML file.

    Raises:
        EscEvalError: Not found, or a key, level or dimension is missing or misspelt.
    """
    folder, stem = locate(name, "rubrics")
    base, languages = read_parts(folder, stem, "rubric")
    try:
        rubric = Rubric.model_validate({**base, "texts": languages})
    except ValidationError as error:
        raise EscEvalError(f"{folder.joinpath(stem + '.yaml')} and its languages: {error}") from error
    for language, text in rubric.texts.items():
        if set(text.dimensions) != set(rubric.keys):
            raise EscEvalError(
                f"rubric {stem}, language {language}: wording for {sorted(text.dimensions)}, "
                f"but the rubric has {sorted(rubric.keys)}"
            )
        for key, wording in text.dimensions.items():
            if len(wording.levels) != len(rubric.levels):
                raise EscEvalError(
                    f"rubric {stem}, language {language}, {key}: {len(wording.levels)} level "
                    f"descriptions for {len(rubric.levels)} levels"
                )
    return rubric
