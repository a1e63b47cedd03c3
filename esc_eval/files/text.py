"""Text and JSON files read whole; what is broken is a sentence (see ``esc_eval.reading``)."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from esc_eval.errors import BadRecord
from esc_eval.reading import read_json, read_text

__all__ = ["read_json", "read_json_as", "read_json_object", "read_text"]

T = TypeVar("T")


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
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadRecord(path, ".".join(map(str, first["loc"])) or "the whole file", first["msg"]) from error
