"""Sets of dialogues that people rated, from their authors' files into folders that every command reads.

A module in this folder that declares what ``common.RatedSet`` says is a set; it is found by walking the folder.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import cast

from analysis.rated.common import RatedSet, write_part
from esc_eval.errors import EscEvalError

SETS = tuple(info.name.replace("_", "-") for info in iter_modules(__path__) if info.name != "common")
"""Names of the sets."""


def load_set(name: str) -> RatedSet:
    """The reader of a set.

    Raises:
        EscEvalError: There is none of this name.
    """
    if name not in SETS:
        raise EscEvalError(f"no set called {name!r}; there is {', '.join(SETS)}")
    return cast(RatedSet, import_module(f"{__name__}.{name.replace('-', '_')}"))


def convert_set(name: str, path: Path, out: Path) -> list[Path]:
    """Write a set's parts as folders, and return these.

    Args:
        name: Of the set.
        path: What its reader asks for.
        out: Folder of the folders.

    Raises:
        EscEvalError: No such set, or the files are not it; nothing was written then.
    """
    source = load_set(name)
    parts = source.read(path)
    files = {str(f.relative_to(path)): f for f in sorted(path.rglob("*.csv"))} if path.is_dir() else {path.name: path}
    for part in parts:
        write_part(part, out / part.name, source, files)
    return [out / part.name for part in parts]
