"""Files that appear whole or not at all."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.schema import Record


def write_whole(path: Path, chunks: Iterable[str]) -> None:
    """Write text to a file that appears whole or not at all (temporary file, then rename); its folder is made.

    Raises:
        EscEvalError: The path is a folder, or lies in a file.
    """
    if path.is_dir():
        raise EscEvalError(f"{path}: is a folder; give the path of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise EscEvalError(f"{path}: cannot be written, {error.filename} is a file and not a folder") from error
    with NamedTemporaryFile("w", encoding="utf-8", newline="\n", dir=path.parent, prefix=".", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.writelines(chunks)
            file.flush()  # a full disk is met here, and leaves nothing behind
        except BaseException:
            temporary.unlink()
            raise
    temporary.chmod(0o644)
    temporary.replace(path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people read and that compares: two spaces, characters as they are."""
    write_whole(path, [json.dumps(content, ensure_ascii=False, indent=2) + "\n"])


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """Write records as JSON Lines."""
    write_whole(path, (record.to_json() + "\n" for record in records))
