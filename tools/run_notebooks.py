"""Run the notebooks of examples/ and write what their cells show into them.

usage: python tools/run_notebooks.py [--check] [NOTEBOOK...]      --check writes nothing: it says whether they show it
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600


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


def main(arguments: list[str]) -> int:
    """Run, and write or compare."""
    check = "--check" in arguments
    named = [Path(one) for one in arguments if one != "--check"]
    stale = 0
    for path in named or sorted((ROOT / "examples").glob("*.ipynb")):
        fresh = run(path)
        if check:
            now, before = texts(fresh), texts(nbformat.read(path, as_version=4))
            stale += now != before
            print(f"{path.name}: {'current' if now == before else f'shows something else: run {sys.argv[0]}'}")
            for new, old in zip(now, before, strict=True):
                if new != old:
                    print("now:", *new, "before:", *old, sep="\n")
        else:
            nbformat.write(fresh, path)
            print(f"{path.name}: {len(texts(fresh))} cells")
    return int(stale > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
