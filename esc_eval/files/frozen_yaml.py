"""Data files as frozen records; what is fitted is saved whole, read back checked, and named by its hash."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from esc_eval.errors import EscEvalError, explain_validation
from esc_eval.files.writing import write_whole
from esc_eval.reading import read_json
from esc_eval.schema import digest


class FrozenYaml(BaseModel):
    """A frozen piece of a YAML data file; unknown keys, and numbers without end, are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FittedFile(FrozenYaml):
    """A fit that knows its JSON file."""

    @property
    def sha256(self) -> str:
        """Hash of everything in it."""
        return digest(self)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_whole(path, [self.model_dump_json(indent=2) + "\n"])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what ``save`` wrote.

        Raises:
            EscEvalError: Missing or something else.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise EscEvalError(f"{path}: no {cls.__name__.lower()}: {explain_validation(error)}") from error
