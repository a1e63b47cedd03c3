"""A folder that takes long to make is made once, whole, whoever asks for it meanwhile; and anew if it was changed."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import disk_usage

from filelock import FileLock
from platformdirs import user_cache_path

from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import replace_folder, write_json

WRITABLE = "export ESC_EVAL_CACHE=DIR, a folder that you may write to"
ROOMY = "free some space, or export ESC_EVAL_CACHE=DIR on another disk"
SUMS = "sums.json"
"""Sha256 of each file of a folder that is verified."""
_verified: set[tuple[tuple[str, int, int], ...]] = set()
"""Folders whose hashes this process has compared, as the path, size and time of each of their files."""


def cache_folder() -> Path:
    """Where converted models are kept: ESC_EVAL_CACHE, or the user's cache folder."""
    chosen = os.environ.get("ESC_EVAL_CACHE")
    return Path(chosen) if chosen else user_cache_path("esc-eval")


def convert_once(folder: Path, done: str, make: Callable[[Path], None], needed: int = 0, verify: bool = False) -> Path:
    """The folder, made now if it is not there: in a temporary folder beside it, renamed when it is whole.

    Args:
        folder: Where it is to be; empty or missing.
        done: Name of a file that a finished folder has.
        make: Fills an empty folder.
        needed: Bytes that it will take; refused before it begins where the disk has too few.
        verify: Hash the files, once a process, and make the folder anew where one is not as it was made.

    Raises:
        EscEvalError: The disk has too little room, or may not be written, or whatever ``make`` raises; nothing is left
            behind.
    """

    def is_whole() -> bool:
        return (folder / done).is_file() and (not verify or is_unchanged(folder))

    if is_whole():
        return folder
    ours = folder.parent == cache_folder()
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with lock:
            pass
    except OSError as error:
        remedy = WRITABLE if ours else "choose another place"
        what = f"a converted model cannot be kept there: {error.strerror}"
        raise EscEvalError(f"{folder.parent}: {what}; {remedy}") from error
    if needed and (free := disk_usage(folder.parent).free) < 1.05 * needed:
        raise EscEvalError(
            f"{folder.parent}: {free / 1e9:.1f} GB free, but the converted model takes {needed / 1e9:.1f} GB; "
            f"{ROOMY if ours else 'free some space, or choose another place'}"
        )
    with lock:
        if not is_whole():
            if folder.exists() and not verify:
                folder.rmdir()
            with replace_folder(folder) as temporary:
                make(temporary)
                if verify:
                    write_json(temporary / SUMS, {p.name: hash_file(p) for p in sorted(temporary.iterdir())})
    return folder


def is_unchanged(folder: Path) -> bool:
    """Whether a folder holds the files that were made, byte for byte, and no other; hashed once in a process."""
    files = sorted(path for path in folder.iterdir() if path.name != SUMS)
    state = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    if state in _verified:
        return True
    try:
        sums = read_json_object(folder / SUMS)
    except EscEvalError:
        return False
    if sums != {path.name: hash_file(path) for path in files}:
        return False
    _verified.add(state)
    return True
