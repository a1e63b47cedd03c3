"""What may be installed has no fault that is on the list, and the list is held against bounds and pins."""

import runpy
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "audit.py"
audit, main = (runpy.run_path(str(TOOL))[name] for name in ("audit", "main"))
HEAD = "package,advisory,from,fixed,about\n"


def test_nothing_that_may_be_installed_has_a_listed_fault(capsys):
    assert main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("bound", "pin", "found"),
    [
        ('"Some_Thing>=1.9"', "some-thing==2.1", ["pyproject.toml allows some-thing 1.9: X-1 (breaks), fixed in 2.0"]),
        ('"some-thing>=2"', "Some.Thing==1.10", ["constraints.txt pins some-thing 1.10: X-1 (breaks), fixed in 2.0"]),
        ('"some-thing"', "", ["pyproject.toml allows some-thing in any version: X-1 (breaks), fixed in 2.0"]),
        ('"some-thing>=0.9"', "some-thing==2.0", []),
        ('"other>=1.9"', "other==1.9", []),
    ],
)
def test_bounds_and_pins_below_the_fix_are_found(bound, pin, found):
    pyproject = f"[project]\ndependencies = []\n[dependency-groups]\ndev = [{bound}]\n"
    assert audit(pyproject, pin, HEAD + "some-thing,X-1,1.0,2.0,breaks\n") == found
