"""The one hash of a file."""

from hashlib import file_digest
from pathlib import Path

from esc_eval.errors import EscEvalError
from esc_eval.reading import check_file


def hash_file(path: Path) -> str:
    """Sha256 of a file, read in pieces.

    Raises:
        EscEvalError: It is missing, no regular file, or cannot be read.
    """
    check_file(path, largest=1 << 62)
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EscEvalError(f"{path}: cannot be read: {error.strerror}") from error
