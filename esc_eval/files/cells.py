"""Cells of tables as numbers, in one way: ``3``, ``3.0`` and ``３`` are 3, a blank is none, 2.67 is no level."""

import math
import re
import unicodedata
from datetime import date
from decimal import Decimal
from numbers import Real

from esc_eval.schema import NOT_APPLICABLE, Mark

_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}([-./]\d{1,4}.*)?|\d{1,2}[-. ]+[^\W\d]{3,}.*|\d+月\d+日")
_NOT_APPLICABLE = re.compile(
    r"n/?a|(?:not|in)applicable|notrelevant|does(?:not|n't)apply|不适用|不適用|無法適用|无法适用|該当なし|該当しない|適用外"
    r"|nichtzutreffend|trifftnichtzu|nichtanwendbar|entfällt"
)
"""How tables write that a dimension does not apply, without spaces, full stops, underscores and hyphens."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def is_blank(cell: object) -> bool:
    """Whether a cell holds nothing: None, NaN, or text without anything but white space."""
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )


def read_key(cell: object) -> str | None:
    """A cell as the name of something, without the white space around it; None where it is blank.

    Raises:
        ValueError: An object, a list, or yes or no.

    >>> read_key(" empathy "), read_key(7.0), read_key("")
    ('empathy', '7', None)
    """
    if is_blank(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, bool) or not isinstance(cell, str | Real | Decimal | date):
        raise ValueError(f"is {_shown(cell)}, expected a name")
    return str(cell).strip()


def plain_digits(text: str) -> str:
    """Text without white space around it, its full-width signs as plain ones; others stay, so that 3² is no 32.

    >>> plain_digits(" ３．０"), plain_digits("3²")
    ('3.0', '3²')
    """
    return "".join(
        unicodedata.normalize("NFKC", sign) if unicodedata.decomposition(sign).startswith("<wide>") else sign
        for sign in text
    ).strip()


def read_number(cell: object) -> float | None:
    """A cell as a finite number; None where it is blank.

    Raises:
        ValueError: Something else.

    >>> read_number(" 3.50 "), read_number("３"), read_number("")
    (3.5, 3.0, None)
    """
    if is_blank(cell):
        return None
    number = math.nan
    if isinstance(cell, str):
        text = plain_digits(cell)
        number = float(text) if len(text) < 400 and _NUMBER.fullmatch(text) else math.nan
    elif type(cell) is not bool and isinstance(cell, Real | Decimal):
        try:
            number = float(cell)
        except (OverflowError, ValueError):
            number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{_shown(cell)} is not a finite number")
    return number


def read_level(cell: object) -> int | None:
    """A cell as a level, a whole number; None where it is blank.

    Raises:
        ValueError: Something else, averages included.

    >>> read_level("3.0"), read_level(2), read_level(None)
    (3, 2, None)
    """
    try:
        number = read_number(cell)
    except ValueError as error:
        is_date = isinstance(cell, date) or (isinstance(cell, str) and _DATE.fullmatch(cell.strip()))
        hint = "it looks like a date, which spreadsheets make of 1-2 or 3/4: write the level" if is_date else None
        raise ValueError(f"{_shown(cell)} is not a number; {hint or 'leave it blank where there is none'}") from error
    if number is None:
        return None
    if number != int(number) or abs(number) > 1 << 53:
        raise ValueError(f"{_shown(cell)} is not a level: ratings are single raters' whole levels, not averages")
    return int(number)


def read_yes(cell: object) -> bool:
    """Whether a cell says yes; False where it says no or is blank.

    Raises:
        ValueError: Something else.
    """
    said = "" if is_blank(cell) else str(cell).strip().casefold()
    if said not in ("true", "yes", "1", "1.0", "false", "no", "0", "0.0", ""):
        raise ValueError(f"{_shown(cell)} is neither yes nor no")
    return said in ("true", "yes", "1", "1.0")


def is_not_applicable(cell: object) -> bool:
    """Whether a cell says that a dimension does not apply; what can be said only under rubrics that know it.

    >>> is_not_applicable(" n. a. "), is_not_applicable("不适用"), is_not_applicable("")
    (True, True, False)
    """
    if not isinstance(cell, str):
        return False
    said = re.sub(r"[\s._-]+", "", plain_digits(cell).casefold().replace("’", "'"))
    return _NOT_APPLICABLE.fullmatch(said) is not None


def read_mark(cell: object) -> Mark | None:
    """A cell as a level or as ``N/A``; None where it is blank. Whether N/A may be said, its rubric decides.

    Raises:
        ValueError: Something else.
    """
    return NOT_APPLICABLE if is_not_applicable(cell) else read_level(cell)


def _shown(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else f"{text[:57]}..."
