"""The one hash of a file."""

from hashlib import file_digest
from pathlib import Path


def hash_file(path: Path) -> str:
    """Sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
