"""The official seven dimensions and their names, apart from any rubric: the table of ``official_dimensions.yaml``."""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from esc_eval.reading import read_yaml

OUR_RUBRIC = "esc-eval"
"""Name of our own rubric, which words the seven dimensions and their levels."""
RUBRIC = "official/9ad46e7"
"""Name and version of the official wording, as ratings carry it."""


class OfficialDimension(NamedTuple):
    """One of the seven.

    Attributes:
        key: Our name, the only one used in code and in our files.
        paper: The name in the paper's tables.
        official: The key in the release's score files.
        adapter: What the names of ESC-RANK's adapter folders begin with.
    """

    key: str
    paper: str
    official: str
    adapter: str


@cache
def _read_table() -> dict[str, Any]:
    return read_yaml(Path(__file__).with_name("official_dimensions.yaml"))


@cache
def official_dimensions() -> tuple[OfficialDimension, ...]:
    """The seven, in the paper's order."""
    return tuple(OfficialDimension(**row) for row in _read_table()["dimensions"])


@cache
def release_order() -> tuple[OfficialDimension, ...]:
    """The seven, in the order of the release's score files."""
    by_key = {dimension.official: dimension for dimension in official_dimensions()}
    return tuple(by_key[key] for key in _read_table()["release"])


def official_levels() -> tuple[int, ...]:
    """Levels of the official scale, lowest first."""
    return tuple(_read_table()["levels"])


def find_official(name: str) -> OfficialDimension | None:
    """The dimension that a key of the release's score files means, or None.

    >>> find_official("tech").key
    'skillful'
    """
    return next((dimension for dimension in official_dimensions() if dimension.official == name), None)


def is_official_wording(rubric: str) -> bool:
    """Whether ratings under this rubric were asked for in the official wording, changed files included."""
    return rubric == RUBRIC or rubric.startswith(f"{RUBRIC}-")
