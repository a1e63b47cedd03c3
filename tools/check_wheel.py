"""Check that a built wheel holds esc_eval and its data files, and nothing else.

usage: python tools/check_wheel.py DIST_FOLDER
"""

import sys
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
)


def main(folder: str) -> int:
    """Print what is wrong; 0 if nothing is."""
    wheels = sorted(Path(folder).glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        print(f"{folder}: no wheel")
        return 1
    names = ZipFile(wheels[-1]).namelist()
    strange = [n for n in names if not n.startswith("esc_eval/") and ".dist-info/" not in n]
    missing = [n for n in NEEDED if n not in names]
    print(f"{wheels[-1].name}: {len(names)} files, strange {strange}, missing {missing}")
    return int(bool(strange or missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
