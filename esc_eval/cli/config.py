"""``--config``: a file that gives any option of a verb; what stands on the command line wins."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from esc_eval.errors import BadRecord, refuse_unknown
from esc_eval.reading import parse_yaml, read_text


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take the values of a file as the defaults of a verb's options.

    Args:
        context: Of the verb.
        path: A YAML or JSON file of options by name, with ``-`` or ``_``; None = none.

    Raises:
        EscEvalError: It cannot be read, is no mapping, or names an option that the verb has not.
    """
    if path is None:
        return None
    content = parse_yaml(read_text(path), path)
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise BadRecord(path, "the whole file", "expected options by name, such as limit: 4")
    given = {str(name).replace("-", "_"): value for name, value in content.items() if value is not None}
    several = {
        option.name: option.nargs == -1 or getattr(option, "multiple", False) for option in context.command.params
    }
    known = {name for name in several if name not in ("config", "help")}
    refuse_unknown(given, known, f"{path}, for {context.info_name}")
    context.default_map = {
        name: _list_values(value) if several[name] else json.dumps(value) if isinstance(value, Mapping) else value
        for name, value in given.items()
    }
    return path


def _list_values(value: Any) -> list[Any]:
    """The values of an option that may be repeated: a list, one alone, or, by the labels of models, ``LABEL=VALUE``."""
    if isinstance(value, Mapping):
        return [f"{label}={each}" for label, each in value.items()]
    return value if isinstance(value, list) else [value]
