"""Which extra or dependency group brings a library: read from the metadata of this package, said nowhere else."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
IMPORTED_AS = {"google": "protobuf", "linkify_it": "linkify-it-py", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Module -> distribution, where the names differ by more than ``_`` and ``-``."""


def list_libraries() -> dict[str, frozenset[str]]:
    """Distributions by what to hand to pip for them: the package, each extra, and in a checkout each group."""
    pyproject = CHECKOUT / "pyproject.toml"
    found: dict[str, list[str]] = {}
    if pyproject.is_file():
        content = tomllib.loads(pyproject.read_text(encoding="utf-8"))
        found["esc-eval"] = content["project"]["dependencies"]
        for extra, libraries in content["project"]["optional-dependencies"].items():
            found[f'"esc-eval[{extra}]"'] = libraries
        for group, libraries in content.get("dependency-groups", {}).items():
            found[f"--group {group}"] = [line for line in libraries if isinstance(line, str)]
    else:
        for line in metadata.requires("esc-eval") or ():
            extra = re.search(r"extra == ['\"]([\w-]+)", line)
            found.setdefault(f'"esc-eval[{extra[1]}]"' if extra else "esc-eval", []).append(line)
    return {name: frozenset(map(_name, lines)) for name, lines in found.items()}


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement.strip())[0].lower()


def find_install(module: str) -> str | None:
    """What to type to get a library, by the name of a module of it; None where it is none of ours to ask for."""
    top = module.partition(".")[0]
    library = IMPORTED_AS.get(top, top.replace("_", "-")).lower()
    for name, libraries in list_libraries().items():
        if library in libraries:
            return f"pip install {name}"
    return None
