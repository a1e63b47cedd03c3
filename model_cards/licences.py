"""What licence a card may name, given those of the base model and of the data."""

from collections.abc import Iterable

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


def licence_key(written: str | None) -> str | None:
    """The Hub's key of a permissive licence; None for any other, or none stated.

    >>> licence_key("CC BY 4.0"), licence_key("CC BY-NC 4.0")
    ('cc-by-4.0', None)
    """
    return HUB_KEYS.get("-".join((written or "").lower().split()))


def find_restrictive(licences: Iterable[str | None]) -> list[str]:
    """Those that are not permissive, sorted and once each, as written."""
    return sorted({written or "none stated" for written in licences if licence_key(written) is None})
