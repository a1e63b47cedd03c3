"""Check that a built wheel holds esc_eval and its data files and nothing else, and that the sdist holds the tests too.

usage: python tools/check_wheel.py DIST_FOLDER
"""

import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

NEEDED = (
    "esc_eval/py.typed",
    "esc_eval/cards/sample.jsonl",
    "esc_eval/rubrics/esc-eval.yaml",
    "esc_eval/rubrics/esc-eval.zh.yaml",
    "esc_eval/protocols/esc-eval.yaml",
    "esc_eval/protocols/esc-eval.en.yaml",
    "esc_eval/protocols/resistant.zh.yaml",
    "esc_eval/rosters/paper.yaml",
    "esc_eval/report/page.html.jinja",
    "esc_eval/scorers/esc-rank-ieval/text_scorer.json",
    "esc_eval/scorers/esc-rank-ieval/text_scorer.safetensors",
)
NEEDED_IN_SOURCE = ("pyproject.toml", "CITATION.cff", "LICENSE.data.md", "tests/conftest.py", "requirements-ci.txt")
UNWANTED = (".venv/", "runs/", "build/", "__pycache__", ".pyc", "shared/")


def main(folder: str) -> int:
    """Print what is wrong; 0 if nothing is."""
    wheels, sources = sorted(Path(folder).glob("*.whl")), sorted(Path(folder).glob("*.tar.gz"))
    if not wheels or not sources:
        print(f"{folder}: a wheel and an sdist are wanted, found {len(wheels)} and {len(sources)}")
        return 1
    names = ZipFile(wheels[-1]).namelist()
    strange = [n for n in names if not n.startswith("esc_eval/") and ".dist-info/" not in n]
    missing = [n for n in NEEDED if n not in names]
    print(f"{wheels[-1].name}: {len(names)} files, strange {strange}, missing {missing}")
    with tarfile.open(sources[-1]) as archive:
        inside = [name.partition("/")[2] for name in archive.getnames()]
    strange_source = [n for n in inside if any(word in f"{n}/" for word in UNWANTED)]
    missing_source = [n for n in NEEDED_IN_SOURCE if n not in inside]
    print(f"{sources[-1].name}: {len(inside)} files, strange {strange_source[:5]}, missing {missing_source}")
    return int(bool(strange or missing or strange_source or missing_source))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
