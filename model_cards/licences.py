"""Under which licence a checkpoint is, given those of the base model and of the data."""

from collections.abc import Iterable
from pathlib import Path

HUB_KEYS = {
    "apache-2.0": "apache-2.0",
    "mit": "mit",
    "cc0": "cc0-1.0",
    "cc0-1.0": "cc0-1.0",
    "cc-by-4.0": "cc-by-4.0",
}
"""Licences that allow a derived model under Apache-2.0, as people write them in lower case with dashes, and as the Hub
spells them."""
OURS = "apache-2.0"
NON_COMMERCIAL = "cc-by-nc-4.0"
"""Passed on as it is: what is fitted to such data is published under it too."""
TEXT = Path(__file__).parents[1] / "LICENSES" / "CC-BY-NC-4.0.txt"


def licence_key(written: str | None) -> str | None:
    """The Hub's key of a permissive licence; None for any other, or none stated.

    >>> licence_key("CC BY 4.0"), licence_key("CC BY-NC 4.0")
    ('cc-by-4.0', None)
    """
    return HUB_KEYS.get(_dashed(written))


def find_restrictive(licences: Iterable[str | None]) -> list[str]:
    """Those that are not permissive, sorted and once each, as written."""
    return sorted({written or "none stated" for written in licences if licence_key(written) is None})


def choose_licence(licences: Iterable[str | None]) -> str | None:
    """The Hub's key of the licence that a checkpoint is under; None where theirs leave none that is known here.

    >>> choose_licence(["MIT", "CC BY 4.0"]), choose_licence(["Apache-2.0", "CC BY-NC 4.0"])
    ('apache-2.0', 'cc-by-nc-4.0')
    >>> choose_licence(["CC BY-NC 4.0", None])
    """
    narrow = {_dashed(written) for written in find_restrictive(licences)}
    return NON_COMMERCIAL if narrow == {NON_COMMERCIAL} else None if narrow else OURS


def _dashed(written: str | None) -> str:
    return "-".join((written or "").lower().split())
