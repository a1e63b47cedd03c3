"""A prepared release on disk: what it holds, and whether it still does."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_as, read_text
from esc_eval.files.writing import write_json, write_whole
from esc_eval.hub.plans import RepoType

RECORD = "release.json"
SUMS = "SHA256SUMS"
Part = Literal["dataset", "role", "rank", "metric"]
REPOS: dict[Part, tuple[str, RepoType]] = {
    "dataset": ("esc-eval", "dataset"),
    "role": ("esc-role", "model"),
    "rank": ("esc-rank", "model"),
    "metric": ("esc_accuracy", "space"),
}
"""Name and type of each part's repository on the Hub."""


class Release(BaseModel):
    """``release.json``.

    Attributes:
        tag: What is set on every repository.
        draft: Prepared from an unreleased version or a changed checkout.
        commit: Of this project's own repository; None = not in one.
        comparable: The changelog's sentence on which scores stay comparable.
        rows: Of each dataset config.
        rows_changed: How many rows differ from the release before; None = there was none to compare with.
        parts: Files of each part, by path in its folder, with their sha256.
        notes: What a person has to think of before publishing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    version: str
    tag: str
    draft: bool
    commit: str | None
    comparable: str
    rows: dict[str, int]
    rows_changed: int | None
    parts: dict[Part, dict[str, str]]
    notes: tuple[str, ...] = ()


def write_release(folder: Path, release: Release) -> None:
    """Write ``release.json`` and, over it and everything else, ``SHA256SUMS``."""
    write_json(folder / RECORD, release.model_dump())
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` over all that a folder holds; ``sha256sum -c`` reads it."""
    write_whole(folder / SUMS, [render_sums(folder)])


def render_sums(folder: Path, instead: Mapping[str, str] = MappingProxyType({})) -> str:
    """Text of ``SHA256SUMS``.

    Args:
        instead: Text of files that are published otherwise than they lie there, by path.
    """
    data = {name: text.encode("utf-8", "surrogatepass") for name, text in instead.items()}
    names = sorted({*files_of(folder), *data} - {SUMS})
    sums = {name: sha256(data[name]).hexdigest() if name in data else hash_file(folder / name) for name in names}
    return "".join(f"{sums[name]}  {name}\n" for name in names)


def files_of(folder: Path) -> list[str]:
    """Paths of all files in a folder, with forward slashes, in order."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def read_release(folder: Path) -> Release:
    """The record of a prepared release.

    Raises:
        EscEvalError: The folder is none.
    """
    path = folder / RECORD
    if not path.is_file():
        raise EscEvalError(f"{folder}: no {RECORD}; make a release with: python -m release prepare")
    return read_json_as(path, Release)


def find_release_problems(folder: Path) -> list[str]:
    """Files that are missing, changed or new since the release was prepared.

    Raises:
        EscEvalError: The folder is no prepared release.
    """
    read_release(folder)
    if not (folder / SUMS).is_file():
        return [f"{SUMS} is missing"]
    sums, broken = {}, []
    for number, line in enumerate(read_text(folder / SUMS).splitlines(), 1):
        sha256, gap, name = line.partition("  ")
        if gap:
            sums[name] = sha256
        else:
            broken.append(f"{SUMS}, line {number}: expected a sha256, two spaces and a path")
    there = set(files_of(folder)) - {SUMS}
    return [
        *broken,
        *(f"{path.relative_to(folder)}: is a symbolic link" for path in folder.rglob("*") if path.is_symlink()),
        *(f"{name}: missing" for name in sorted(sums.keys() - there)),
        *(f"{name}: not in {SUMS}" for name in sorted(there - sums.keys())),
        *(
            f"{name}: changed since the release was prepared"
            for name in sorted(sums.keys() & there)
            if hash_file(folder / name) != sums[name]
        ),
    ]
