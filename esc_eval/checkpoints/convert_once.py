"""A folder that takes long to make is made once, whole, whoever asks for it at the same time."""

import os
from collections.abc import Callable
from pathlib import Path
from shutil import disk_usage

from filelock import FileLock
from platformdirs import user_cache_path

from esc_eval.errors import EscEvalError
from esc_eval.files.writing import replace_folder


def cache_folder() -> Path:
    """Where converted models are kept: ESC_EVAL_CACHE, or the user's cache folder."""
    chosen = os.environ.get("ESC_EVAL_CACHE")
    return Path(chosen) if chosen else user_cache_path("esc-eval")


def convert_once(folder: Path, done: str, make: Callable[[Path], None], needed: int = 0) -> Path:
    """The folder, made now if it is not there: in a temporary folder beside it, renamed when it is whole.

    Args:
        folder: Where it is to be; empty or missing.
        done: Name of a file that a finished folder has.
        make: Fills an empty folder.
        needed: Bytes that it will take; refused before it begins where the disk has too few.

    Raises:
        EscEvalError: The disk has too little room, or whatever ``make`` raises; nothing is left behind.
    """
    if (folder / done).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    if needed and (free := disk_usage(folder.parent).free) < 1.05 * needed:
        raise EscEvalError(
            f"{folder.parent}: {free / 1e9:.1f} GB free, but the converted base takes {needed / 1e9:.1f} GB"
        )
    with FileLock(folder.with_name(folder.name + ".lock")):
        if not (folder / done).is_file():
            if folder.exists():
                folder.rmdir()
            with replace_folder(folder) as temporary:
                make(temporary)
    return folder
