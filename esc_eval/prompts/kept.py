"""The wording that a run was made with, kept in its folder: a run is read where the user's own files are not."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import is_official_wording
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.text import read_text
from esc_eval.files.writing import write_whole
from esc_eval.prompts.rubric import Rubric
from esc_eval.prompts.wording import Worded


class _Blocks(yaml.SafeDumper):
    """YAML in which a text of several lines is a block."""


_Blocks.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)
)


def keep_wording(worded: Worded[Any], path: Path) -> None:
    """Write a rubric or protocol as YAML, beside the languages that the file has already.

    The official wording, which has no licence, is not written; ``run.json`` has its hash.
    """
    if is_official_wording(worded.id):
        return
    content = worded.model_dump(mode="json", exclude_none=True)
    if path.exists():
        content["texts"] = {**_read(path).get("texts", {}), **content["texts"]}
    write_whole(path, [yaml.dump(content, Dumper=_Blocks, allow_unicode=True, sort_keys=False, width=100)])


def kept_rubric(folder: Path, rubric: str) -> Rubric | None:
    """The rubric that a run folder keeps under a name and version; None where it keeps none.

    Raises:
        EscEvalError: The file is broken.
    """
    path = rubric_file(folder, rubric)
    if not path.exists():
        return None
    try:
        return Rubric.model_validate(_read(path))
    except ValidationError as error:
        raise EscEvalError(f"{path}: no rubric: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise EscEvalError(f"{path}: not readable as YAML: {error}") from error
    if not isinstance(content, dict):
        raise EscEvalError(f"{path}: expected a mapping of keys to values")
    return content
