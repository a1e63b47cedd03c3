"""JSON and JSON Lines: a key that stands twice, endless nesting and endless numbers are refused with their line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from esc_eval.errors import BadRecord
from esc_eval.reading.plain import read_lines, read_text

DEEPEST = 100
"""Levels of nesting in JSON and YAML."""
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')


class _TwiceError(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs)


def explain_json(text: str) -> tuple[Any, tuple[int, str] | None]:
    """The value in JSON text, or where and why there is none.

    Returns:
        The value and None, or None and the line with the reason. A half of a surrogate pair that is written as an
        escape is kept in the value.
    """
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        cut = " (the text ends here: is the file cut off?)" if not text[error.pos :].strip() else ""
        return None, (error.lineno, f"column {error.colno}: broken JSON: {error.msg}{cut}")
    except _TwiceError:
        line, key = _find_twice(text)
        return None, (line, f"the key {key} stands twice in one object; keep one, one of the two would be lost")
    except RecursionError:
        return None, (_deep_line(text), f"nested deeper than {DEEPEST} levels")
    except ValueError:  # Python refuses to read whole numbers of thousands of digits
        return None, (_long_number(text), "a whole number of thousands of digits")
    if text.count("{") + text.count("[") > DEEPEST and is_deep(value):
        return None, (_deep_line(text), f"nested deeper than {DEEPEST} levels")
    return value, None


def is_deep(value: object) -> bool:
    """Whether lists and mappings are nested deeper than ``DEEPEST`` levels."""
    level: list[Any] = [value]
    for _ in range(DEEPEST + 1):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += [each for each in item.values() if isinstance(each, dict | list)]
            elif isinstance(item, list):
                inner += [each for each in item if isinstance(each, dict | list)]
        if not inner:
            return False
        level = inner
    return True


def _find_twice(text: str) -> tuple[int, str]:
    """Line and name of the first key that stands twice in one object of text that is otherwise JSON."""
    open_objects: list[set[str] | None] = []
    last, last_at = "", 0
    for token in _TOKEN.finditer(text):
        found = token[0]
        if found == "{":
            open_objects.append(set())
        elif found == "[":
            open_objects.append(None)
        elif found in "}]":
            open_objects.pop()
        elif found[0] == '"':
            last, last_at = found, token.start()
        elif found == ":" and open_objects and (keys := open_objects[-1]) is not None:
            key = json.loads(last)
            if key in keys:
                return text.count("\n", 0, last_at) + 1, json.dumps(key)[:80]
            keys.add(key)
    return 1, "of an object"


def _deep_line(text: str) -> int:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > DEEPEST:
            return text.count("\n", 0, token.start()) + 1
    return 1


def _long_number(text: str) -> int:
    found = re.search(r"\d{4300}", text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def parse_json(text: str, path: Path) -> Any:
    """The value in the text of a JSON file.

    Raises:
        BadRecord: It is no JSON, a key stands twice in one object, it is nested deeper than 100 levels, or a number has
            thousands of digits; with the line.
    """
    value, wrong = explain_json(text)
    if wrong:
        line, what = wrong
        column = re.match(r"column \d+", what)
        where = f"line {line}, {column[0]}" if column else f"line {line}"
        raise BadRecord(path, where, what.removeprefix(f"{column[0]}: ") if column else what)
    return value


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        EscEvalError: As ``read_text`` and ``parse_json``.
    """
    return parse_json(read_text(path), path)


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Line number and value of each line of a JSON Lines file; lines without anything are passed over.

    Raises:
        EscEvalError: As ``read_text``, or the first line that is no JSON.
    """
    for number, value, wrong in try_json_lines(path):
        if wrong:
            raise BadRecord(path, f"line {number}", wrong)
        yield number, value


def try_json_lines(path: Path) -> Iterator[tuple[int, Any, str | None]]:
    """As ``read_json_lines``, with why there is no value in place of an error.

    Raises:
        EscEvalError: As ``read_text``.
    """
    # What Unicode calls a line break beside this one may stand in a text.
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            value, wrong = explain_json(line)
            yield number, value, wrong and wrong[1]
