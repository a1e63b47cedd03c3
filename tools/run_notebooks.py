"""Run the notebooks of examples/ and write what their cells show into them.

usage: python tools/run_notebooks.py [--check] [NOTEBOOK...]      --check writes nothing: it says whether they show it
"""

import re
import sys
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


def run(path: Path) -> nbformat.NotebookNode:
    """A notebook with what its cells show, run in an empty folder; talk on stderr is left out."""
    book = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(book, timeout=SECONDS, resources=where, record_timing=False).execute()
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return book


def texts(book: nbformat.NotebookNode) -> list[list[str]]:
    """What each code cell shows, as text."""
    return [
        [output.text if "text" in output else output.data["text/plain"] for output in cell.outputs]
        for cell in book.cells
        if cell.cell_type == "code"
    ]


def is_alike(now: str, before: str) -> bool:
    """Whether two texts are the same but for one unit in a decimal's last place, which processors round differently."""
    if NUMBER.split(now) != NUMBER.split(before):
        return False
    pairs = zip(*(map(Decimal, NUMBER.findall(text)) for text in (now, before)), strict=True)
    return all(_are_alike(ours, theirs) for ours, theirs in pairs)


def _are_alike(ours: Decimal, theirs: Decimal) -> bool:
    places = theirs.as_tuple().exponent
    return ours.as_tuple().exponent == places and abs(ours - theirs) <= Decimal(1).scaleb(int(places))


def main(arguments: list[str]) -> int:
    """Run, and write or compare."""
    check = "--check" in arguments
    named = [Path(one) for one in arguments if one != "--check"]
    stale = 0
    for path in named or sorted((ROOT / "examples").glob("*.ipynb")):
        fresh = run(path)
        if check:
            now, before = texts(fresh), texts(nbformat.read(path, as_version=4))
            others = [(a, b) for a, b in zip(now, before, strict=True) if not is_alike("\n".join(a), "\n".join(b))]
            stale += bool(others)
            print(f"{path.name}: {f'shows something else: run {sys.argv[0]}' if others else 'current'}")
            for new, old in others:
                print("now:", *new, "before:", *old, sep="\n")
        else:
            nbformat.write(fresh, path)
            print(f"{path.name}: {len(texts(fresh))} cells")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
