"""Hold what may be installed against known faults: lower bounds of pyproject.toml and the pins of constraints.txt.

usage: python tools/audit.py [FILE]      no network needed

The faults are those of FILE (tools/advisories.csv): package, advisory, the first version that has it, the first that
does not. It is kept by hand, from the GitHub Advisory Database as of 2026-11-26, and holds what concerns packages that
are named here; a fault that it does not list is not found. With the network of an ordinary machine
``uvx pip-audit --requirement requirements-ci.txt --no-deps --disable-pip`` asks PyPI for all that are known.
"""

import csv
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
ADVISORIES = ROOT / "tools" / "advisories.csv"


def requirements(pyproject: str) -> Iterator[Requirement]:
    """Every package that pyproject.toml names, with its bounds."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    groups = [*project.get("optional-dependencies", {}).values(), *content.get("dependency-groups", {}).values()]
    for part in [project["dependencies"], *groups]:
        yield from map(Requirement, part)


def lowest(requirement: Requirement) -> Version | None:
    """The lowest version that may be installed; None where no bound says."""
    bounds = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==", "~=")]
    return max(bounds, default=None)


def audit(pyproject: str, constraints: str, advisories: str) -> list[str]:
    """Faults that an allowed or pinned version has, a sentence each."""
    asked = [(canonicalize_name(r.name), lowest(r), "pyproject.toml allows") for r in requirements(pyproject)]
    for line in constraints.splitlines():
        name, pinned, version = line.partition("#")[0].strip().partition("==")
        if pinned:
            asked.append((canonicalize_name(name), Version(version), "constraints.txt pins"))
    found = []
    for row in csv.DictReader(advisories.splitlines()):
        first, fixed = Version(row["from"]), Version(row["fixed"])
        for name, version, where in asked:
            if name == canonicalize_name(row["package"]) and (version is None or first <= version < fixed):
                fault = f"{row['advisory']} ({row['about']}), fixed in {fixed}"
                found.append(f"{where} {name} {version or 'in any version'}: {fault}")
    return found


def main(path: Path = ADVISORIES) -> int:
    """Print what is found; 1 where there is anything."""
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / "pyproject.toml", ROOT / "constraints.txt", path)]
    found = audit(*texts)
    for line in found:
        print(line)
    print(f"{len(found)} known faults in what may be installed, of {len(texts[2].splitlines()) - 1} advisories")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
