"""The wording that a run was made with, kept in its folder: a run is read where the user's own files are not."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.official_dimensions import is_official_wording
from esc_eval.files.run_folder import rubric_file
from esc_eval.files.writing import write_whole
from esc_eval.prompts.rubric import Rubric
from esc_eval.prompts.wording import Worded
from esc_eval.reading import read_yaml

W = TypeVar("W", bound=Worded[Any])


def keep_wording(worded: Worded[Any], path: Path) -> None:
    """Write a rubric or protocol as YAML, beside the languages that the file has already.

    The official wording, which has no licence, is not written; ``run.json`` has its hash.
    """
    if is_official_wording(worded.id):
        return
    if path.exists():
        worded = worded.model_copy(update={"texts": {**_read(path, type(worded)).texts, **worded.texts}})
    write_whole(path, [worded.to_yaml()], durable=True)


def kept_rubric(folder: Path, rubric: str) -> Rubric | None:
    """The rubric that a run folder keeps under a name and version; None where it keeps none.

    Raises:
        EscEvalError: The file is broken.
    """
    path = rubric_file(folder, rubric)
    return _read(path, Rubric) if path.exists() else None


def _read(path: Path, kind: type[W]) -> W:
    try:
        return kind.model_validate(read_yaml(path))
    except ValidationError as error:
        raise EscEvalError(f"{path}: no {kind.__name__.lower()}: {explain_validation(error)}") from error
