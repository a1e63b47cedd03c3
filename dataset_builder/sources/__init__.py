"""The sources of role cards, one module and one shape each (see ``common.Source``): the seven of the paper so far.

A module in this folder is a source; it is found by walking the folder, and declares everything about the source itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import iter_modules
from typing import cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from dataset_builder.sources.common import Outcome, Reject, Source
from esc_eval.errors import EscEvalError
from esc_eval.files.records import OPEN, SAFETY, SAMPLE
from esc_eval.reading import check_file, is_file

HELPERS = {"common", "readers"}
FIELDS = {field: TypeAdapter[object](kind) for field, kind in get_type_hints(Source, include_extras=True).items()}


@dataclass(frozen=True)
class Own:
    """A set of cards that was written for this project; it has no module.

    Attributes:
        key: Of the source.
        name: What card files call it.
        number: In the column ``source``.
        cards: Name of the shipped set, which ``decisions/licences.csv`` has the terms of.
    """

    key: str
    name: str
    number: int
    cards: str


SAMPLE_KEY, OPEN_KEY, SAFETY_KEY = "esc-eval", "esc-eval-open", "esc-eval-safety"
OWN = {
    own.key: own
    for own in (
        Own(SAMPLE_KEY, "esc-eval sample", 7, SAMPLE),
        Own(OPEN_KEY, "esc-eval open", 8, OPEN),
        Own(SAFETY_KEY, "esc-eval safety", 9, SAFETY),
    )
}


def load_source(name: str) -> Source:
    """A module of this folder as a source, with everything declared.

    Raises:
        EscEvalError: It cannot be loaded, or a field is missing or wrong; the message names module and field.
    """
    where = f"source dataset_builder/sources/{name}.py"
    try:
        module = import_module(f"{__name__}.{name}")
    except Exception as error:
        raise EscEvalError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    for field, check in FIELDS.items():
        if not hasattr(module, field):
            raise EscEvalError(f"{where} does not declare {field}; common.Source says what it is")
        try:
            check.validate_python(getattr(module, field), strict=True)
        except ValidationError as error:
            raise EscEvalError(f"{where}: {field}: {error.errors()[0]['msg']}") from error
    if missing := [function for function in ("files", "parse") if not callable(getattr(module, function, None))]:
        raise EscEvalError(f"{where} has no function {missing[0]}(); common.Source says what it does")
    if name != module.KEY:
        raise EscEvalError(f"{where}: KEY is {module.KEY!r}; it must be the module's name")
    return cast(Source, module)


def load_sources() -> dict[str, Source]:
    """Every source of this folder by key, in the order of their numbers.

    Raises:
        EscEvalError: As ``load_source``, or two have the same name, or their numbers have a gap.
    """
    found = [load_source(module.name) for module in iter_modules(__path__) if module.name not in HELPERS]
    found.sort(key=lambda source: (source.NUMBER, source.KEY))
    owners = {name: f"the {own.cards} cards" for own in OWN.values() for name in (own.key, own.name)}
    taken = {own.number for own in OWN.values()}
    free = (number for number in count() if number not in taken)
    for source, number in zip(found, free, strict=False):
        where = f"source dataset_builder/sources/{source.KEY}.py"
        if number != source.NUMBER:
            raise EscEvalError(f"{where}: NUMBER is {source.NUMBER}; the next one that is free is {number}")
        for name in (source.KEY, *source.NAMES):
            if owners.setdefault(name, source.KEY) != source.KEY:
                raise EscEvalError(f"{where}: the name {name!r} is that of {owners[name]}")
    return {source.KEY: source for source in found}


SOURCES = load_sources()
LABELS = tuple(sorted((*SOURCES, *OWN), key=lambda key: OWN[key].number if key in OWN else SOURCES[key].NUMBER))
"""Names of the classes of the column ``source``; a published number keeps its meaning."""


def source_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each source that lies in a folder; a source is a sub-folder with its name.

    Raises:
        EscEvalError: The folder is missing or holds none of them.
    """
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such folder")
    found = {key: source.files(folder / key) for key, source in SOURCES.items() if (folder / key).is_dir()}
    if not any(found.values()):
        raise EscEvalError(f"{folder}: holds no file of a known source. Expected sub-folders: {', '.join(SOURCES)}.")
    return {key: files for key, files in found.items() if files}


def released_first(key: str, paths: Iterable[Path]) -> list[Path]:
    """Files of a source in the order in which a part of them is taken: released ones, then excerpts, then others."""
    known = {path: SOURCES[key].FILES.get(path.name) for path in paths}
    return sorted(known, key=lambda path: ((one := known[path]) is not None and one.apart, bool(one and one.sample)))


def parse_file(key: str, path: Path) -> Iterator[Outcome]:
    """Every record of one file of a source; what is no regular file (a pipe, a folder, a broken link) is one reject.

    Raises:
        EscEvalError: The file cannot be opened.
    """
    if not is_file(path):
        try:
            check_file(path)
        except EscEvalError as error:
            yield Reject(source=key, file=path.name, line=1, reason=str(error).removeprefix(f"{path}: "))
            return
    try:
        yield from SOURCES[key].parse(path)
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error
