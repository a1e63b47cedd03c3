"""Text and JSON files read whole; what is missing or broken is a sentence that says where."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from esc_eval.errors import BadRecord, EscEvalError

T = TypeVar("T")


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        EscEvalError: The file is missing, a folder, not readable or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise EscEvalError(f"{path}: no such file") from error
    except UnicodeDecodeError as error:
        raise BadRecord(path, f"byte {error.start}", "not UTF-8 text; save the file as UTF-8") from error
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        EscEvalError: As ``read_text``; or it is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise BadRecord(path, f"line {error.lineno}, column {error.colno}", f"broken JSON: {error.msg}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        EscEvalError: As ``read_json``; or it holds something else than an object.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise BadRecord(path, "the whole file", "expected a JSON object")
    return content


def read_json_as(path: Path, kind: type[T]) -> T:
    """The value in a JSON file, as a pydantic model or whatever else pydantic checks.

    Raises:
        EscEvalError: As ``read_json``; or it does not fit.
    """
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadRecord(path, ".".join(map(str, first["loc"])) or "the whole file", first["msg"]) from error
