"""Data files of prompts: one language-free part and one part a language, and the template that they are filled by.

``NAME.yaml`` holds what no language changes, ``NAME.LANG.yaml`` one language's wording. Adding a language is adding a
file. Rubrics and protocols are both of this form.
"""

import re
from collections.abc import Collection
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.schema import digest

T = TypeVar("T", bound=FrozenYaml)


class Worded(FrozenYaml, Generic[T]):
    """Something with a name, a version, and a wording in each of its languages."""

    name: str
    version: str
    texts: dict[str, T]

    @property
    def id(self) -> str:
        """Name and version, as records and signatures carry it."""
        return f"{self.name}/{self.version}"

    @property
    def sha256(self) -> str:
        """Hash of everything in it."""
        return digest(self)

    @property
    def identity(self) -> dict[str, Any]:
        """Name, version and hashes: of everything in it, and of what concerns each language."""
        languages = {language: self.language_sha256(language) for language in self.texts}
        return {"id": self.id, "sha256": self.sha256, "languages": languages}

    def language_sha256(self, language: str, leave_out: Collection[str] = ()) -> str:
        """Hash of what concerns one language, so that adding another changes nothing.

        Args:
            language: One that has a wording.
            leave_out: Fields that are told apart from it.
        """
        rest = self.model_dump(mode="json", exclude_none=True, exclude={"texts", *leave_out})
        return digest({**rest, "text": self.text(language)})

    def text(self, language: str) -> T:
        """The wording in a language.

        Raises:
            EscEvalError: There is none.
        """
        if language not in self.texts:
            raise EscEvalError(
                f"{type(self).__name__.lower()} {self.id} has no wording for language {language!r}, only "
                f"{sorted(self.texts)}. Add {self.name}.{language}.yaml beside it."
            )
        return self.texts[language]


def fill_template(template: str, **values: object) -> str:
    """Replace each ``{name}`` of a template by its value, in one pass: braces inside values stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda m: str(values.get(m[1], m[0])), template)


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


def locate_data_file(name: str | Path, package_folder: str) -> tuple[Traversable, str]:
    """Where a named data file lies: a shipped name, or the path of a user's own ``.yaml``."""
    path = Path(name)
    if path.suffix == ".yaml":
        return path.parent, path.stem
    return files("esc_eval").joinpath(package_folder), str(name)
