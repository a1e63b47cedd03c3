"""Data files of prompts: one language-free part and one part a language, and the template that they are filled by.

``NAME.yaml`` holds what no language changes. The wording of a language is in its ``texts: {LANG: ...}``, or in
``NAME.LANG.yaml`` beside it; that of the shipped ones also in the language's own folder (see ``esc_eval.languages``).
Rubrics and protocols are both of this form.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import Field

from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.languages import known_languages
from esc_eval.reading import check_file, is_file, read_yaml, suffix_of
from esc_eval.schema import digest

OURS = "esc-eval"
PROMPTS = Path(__file__).parent
T = TypeVar("T", bound=FrozenYaml)


class _Blocks(yaml.SafeDumper):
    """YAML in which a text of several lines is a block."""


_Blocks.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)
)


class Worded(FrozenYaml, Generic[T]):
    """Something with a name, a version, and a wording in each of its languages.

    Attributes:
        languages: Those whose wording ``sha256`` covers; empty for all. A language that is added later has a hash of
            its own, so that what was made in the others keeps its identity.
    """

    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    languages: tuple[str, ...] = ()
    texts: dict[str, T]

    @property
    def id(self) -> str:
        """Name and version, as records and signatures carry it."""
        return f"{self.name}/{self.version}"

    @property
    def sha256(self) -> str:
        """Hash of everything in it but the wording in languages that were added."""
        content = self.model_dump(mode="json", exclude_none=True, exclude={"languages"})
        content["texts"] = {code: content["texts"][code] for code in self.languages or self.texts}
        return digest(content)

    def to_yaml(self) -> str:
        """The whole of it as one file, which is read to the same content and hash."""
        content = self.model_dump(mode="json", exclude_none=True)
        content = {k: v for k, v in content.items() if v != []}
        return yaml.dump(content, Dumper=_Blocks, allow_unicode=True, sort_keys=False, width=100)

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
        rest = self.model_dump(mode="json", exclude_none=True, exclude={"texts", "languages", *leave_out})
        return digest({**rest, "text": self.text(language)})

    def text(self, language: str) -> T:
        """The wording in a language.

        Raises:
            EscEvalError: There is none.
        """
        if language not in self.texts:
            kind = type(self).__name__.lower()
            raise EscEvalError(
                f"{kind} {self.id} has no wording for language {language!r}, only for {', '.join(sorted(self.texts))}. "
                f"Add {worded_file(kind, self.name)} to the language's folder; where the {kind} is a file of your own, "
                f"add {language} to its texts, or {self.name}.{language}.yaml beside it."
            )
        return self.texts[language]


def fill_template(template: str, **values: object) -> str:
    """Replace each ``{name}`` of a template by its value, in one pass: braces inside values stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda m: str(values.get(m[1], m[0])), template)


def worded_file(kind: str, name: str) -> str:
    """File in a language's folder that words a shipped rubric or protocol in it."""
    return f"{kind}.yaml" if name == OURS else f"{kind}.{name}.yaml"


def read_parts(path: Path, kind: str) -> dict[str, Any]:
    """Read ``NAME.yaml`` with its ``texts``: those in it, in each ``NAME.LANG.yaml``, and in folders of languages.

    Returns:
        The content of ``NAME.yaml`` with ``texts`` by language, and in ``languages`` those that its hash covers:
        of a shipped one those that it names, of a user's own all.

    Raises:
        EscEvalError: No such file (the message lists what there is), broken YAML, or a language that is worded twice.
    """
    name, folder = path.stem, path.parent
    if not is_file(path):
        if path.exists() or path.is_symlink():
            check_file(path)
        known = list_names(folder)
        raise EscEvalError(f"no {kind} called {name!r} in {folder}. There is: {', '.join(known) or 'none'}.")
    content = read_yaml(path)
    texts = content.pop("texts", None) or {}
    if not isinstance(texts, dict):
        raise BadRecord(path, "texts", "expected a wording by language")
    beside = {
        file.name.split(".")[1]: file for file in sorted(folder.glob(f"{name}.*.yaml")) if file.name.count(".") == 2
    }
    if twice := sorted(texts.keys() & beside.keys()):
        raise EscEvalError(f"{path}: language {twice[0]!r} is worded in it and in {beside[twice[0]].name}; keep one")
    texts |= {language: read_yaml(file) for language, file in beside.items()}
    if folder.parent == PROMPTS:
        content.setdefault("languages", list(texts))
        for code, row in known_languages().items():
            if code not in texts and (worded := row.read_data(worded_file(kind, name))):
                texts[code] = worded
    named = content.get("languages") or ()
    if not isinstance(named, list | tuple) or not all(isinstance(code, str) for code in named):
        raise BadRecord(path, "languages", "expected a list of codes of languages")
    if missing := [code for code in named if code not in texts]:
        raise EscEvalError(f"{path}: languages names {missing[0]!r}, but there is no wording in it")
    return {**content, "texts": texts} if texts else content


def list_names(folder: Path) -> list[str]:
    """Names of the data files of a folder, without the wordings in languages that lie beside them."""
    return sorted(file.stem for file in folder.glob("*.yaml") if file.name.count(".") == 1)


def locate_data_file(name: str | Path, folder: Path) -> Path:
    """Where a named data file lies: a shipped name, or the path of a user's own ``.yaml``."""
    path = Path(name)
    return path if suffix_of(path) in (".yaml", ".yml") else folder / f"{name}.yaml"
