"""Which extra or dependency group brings a library: read from the metadata of this package, said nowhere else."""

import re
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
IMPORTED_AS = {
    "any_llm": "any-llm-sdk",
    "google.protobuf": "protobuf",
    "linkify_it": "linkify-it-py",
    "pyap": "pyap2",
    "sklearn": "scikit-learn",
    "python_multipart": "python-multipart",
    "stdnum": "python-stdnum",
    "yaml": "pyyaml",
}
"""Module -> library, where the names differ by more than ``_`` and ``-``."""


def name_extra(extra: str) -> str:
    """An extra as pip takes it, quoted for a shell."""
    return f'"esc-eval[{extra}]"'


def list_libraries() -> dict[str, tuple[str, ...]]:
    """Libraries by what to hand to pip for them: the package, each extra, and in a checkout each dependency group."""
    pyproject = CHECKOUT / "pyproject.toml"
    found: dict[str, list[str]] = {}
    if pyproject.is_file():
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
        found["esc-eval"] = content["project"]["dependencies"]
        for extra, libraries in content["project"]["optional-dependencies"].items():
            found[name_extra(extra)] = libraries
        for group, libraries in content["dependency-groups"].items():
            found[f"--group {group}"] = [line for line in libraries if isinstance(line, str)]
    else:
        for line in metadata.requires("esc-eval") or ():
            extra = re.search(r"extra == ['\"]([\w-]+)", line)
            found.setdefault(name_extra(extra[1]) if extra else "esc-eval", []).append(line)
    return {name: tuple(re.split(r"[^\w.-]", line)[0].lower() for line in lines) for name, lines in found.items()}


def list_missing(extra: str) -> list[str]:
    """Libraries of an extra that are not installed."""
    modules = {library: module for module, library in IMPORTED_AS.items()}
    libraries = list_libraries().get(name_extra(extra), ())
    return [name for name in libraries if not _is_there(modules.get(name, name.replace("-", "_")))]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of google.protobuf, where there is no google
        return False


def find_install(module: str) -> str | None:
    """What to type to get a library, by the name of a module of it; None where it is none that we ask for."""
    top = module.partition(".")[0]
    library = IMPORTED_AS.get(module) or IMPORTED_AS.get(top) or top.replace("_", "-").lower()
    for name, libraries in list_libraries().items():
        if library in libraries:
            return f"pip install {name}"
    return None
