"""The wording of pages: ``interface/PART.yaml`` in the folder of each language, one text a key."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.languages import get_language, known_folders, known_languages
from esc_eval.prompts.wording import fill_template

DEFAULT = "en"
"""Whose wording stands where a language has none."""
COMMON = "base"
"""The part that every page has."""


class Words:
    """The wording of a part of the pages in one language.

    Attributes:
        asked: The language that was asked for.
        texts: By key.
        borrowed: Keys whose text is in ``DEFAULT``, because the language asked for has none.
    """

    def __init__(self, asked: str, texts: Mapping[str, str], borrowed: frozenset[str]) -> None:
        self.asked, self.texts, self.borrowed = asked, texts, borrowed

    @property
    def language(self) -> str:
        """The language that most of it is in."""
        return DEFAULT if self.borrowed and len(self.borrowed) > len(self.texts) / 2 else self.asked

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, its ``{name}`` filled in.

        Raises:
            KeyError: No language has it.
        """
        return fill_template(self.texts[key], **values)

    def starting(self, prefix: str) -> dict[str, str]:
        """The texts whose keys begin with a prefix, by the rest of the key: what a script needs."""
        return {key.removeprefix(prefix): text for key, text in self.texts.items() if key.startswith(prefix)}


def load_words(language: str, *parts: str) -> Words:
    """The wording of parts of the pages, that of every page among them.

    Raises:
        EscEvalError: No such language, or a file of it is not a list of texts by key, or has a key that English lacks.
    """
    return _load(get_language(language).code, (COMMON, *parts), known_folders())


def interface_languages() -> dict[str, str]:
    """Languages that the pages are worded in: their own names, by code."""
    found = {code: _read(code, COMMON, known_folders()) for code in known_languages()}
    return {code: texts["language"] for code, texts in found.items() if "language" in texts}


@cache
def _load(language: str, parts: tuple[str, ...], folders: tuple[Path, ...]) -> Words:
    texts: dict[str, str] = {}
    borrowed: set[str] = set()
    for part in parts:
        english, own = _read(DEFAULT, part, folders), _read(language, part, folders)
        if strange := sorted(own.keys() - english.keys()):
            where = get_language(language).folder / "interface" / f"{part}.yaml"
            raise EscEvalError(f"{where}: no page has a text {strange[0]!r}; known: {', '.join(sorted(english))}")
        texts |= {**english, **own}
        borrowed |= english.keys() - own.keys()
    return Words(language, texts, frozenset(borrowed))


@cache
def _read(language: str, part: str, _folders: tuple[Path, ...]) -> dict[str, str]:
    row = get_language(language)
    name = f"interface/{part}.yaml"
    found = row.read_data(name) or {}
    for key, text in found.items():
        if not isinstance(text, str):
            raise EscEvalError(f"{row.folder / name}: the text of {key!r} is none, but {text!r}; write it in quotes")
    return found
