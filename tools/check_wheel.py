"""Check that a built wheel holds all of esc_eval and nothing else, and that the sdist holds the tests too.

usage: python tools/check_wheel.py DIST_FOLDER
"""

import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
NEEDED_IN_SOURCE = ("pyproject.toml", "CITATION.cff", "LICENSE.data.md", "tests/conftest.py", "requirements-ci.txt")
UNWANTED = (".venv/", "runs/", "build/", "__pycache__", ".pyc", "shared/")
APART = "checkpoints/"
"""Weights under another licence, at the root."""


def main(folder: str) -> int:
    """Print what is wrong; 0 if nothing is."""
    wheels, sources = sorted(Path(folder).glob("*.whl")), sorted(Path(folder).glob("*.tar.gz"))
    if not wheels or not sources:
        print(f"{folder}: a wheel and an sdist are wanted, found {len(wheels)} and {len(sources)}")
        return 1
    names = ZipFile(wheels[-1]).namelist()
    strange = [n for n in names if not n.startswith("esc_eval/") and ".dist-info/" not in n]
    package = (ROOT / "esc_eval").rglob("*")
    ours = {p.relative_to(ROOT).as_posix() for p in package if p.is_file() and p.suffix != ".pyc"}
    missing = sorted(ours - set(names))
    print(f"{wheels[-1].name}: {len(names)} files, strange {strange}, missing {missing}")
    with tarfile.open(sources[-1]) as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    strange_source = [n for n in inside if f"{n}/".startswith(APART) or any(word in f"{n}/" for word in UNWANTED)]
    missing_source = [n for n in NEEDED_IN_SOURCE if n not in inside]
    print(f"{sources[-1].name}: {len(inside)} files, strange {strange_source[:5]}, missing {missing_source}")
    return int(bool(strange or missing or strange_source or missing_source))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
