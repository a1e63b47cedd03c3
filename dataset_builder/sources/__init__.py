"""The seven sources of the paper's role cards, one module and one shape each (see ``common.Source``)."""

from collections.abc import Iterator
from pathlib import Path

from dataset_builder.sources import epitome, esconv, extes, mhp, psych8k, psyqa, smile
from dataset_builder.sources.common import Outcome, Source
from esc_eval.errors import EscEvalError

SOURCES: dict[str, Source] = {module.KEY: module for module in (esconv, extes, epitome, psych8k, mhp, psyqa, smile)}


def source_files(folder: Path) -> dict[str, list[Path]]:
    """The files of each source that lies in a folder; a source is a sub-folder with its name.

    Raises:
        EscEvalError: The folder is missing or holds none of the seven.
    """
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such folder")
    found = {key: source.files(folder / key) for key, source in SOURCES.items() if (folder / key).is_dir()}
    if not any(found.values()):
        raise EscEvalError(f"{folder}: holds no file of a known source. Expected sub-folders: {', '.join(SOURCES)}.")
    return {key: files for key, files in found.items() if files}


def parse_file(key: str, path: Path) -> Iterator[Outcome]:
    """Every record of one file of a source.

    Raises:
        EscEvalError: The file cannot be opened.
    """
    try:
        yield from SOURCES[key].parse(path)
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error
