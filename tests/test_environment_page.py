"""Every environment variable that the code reads stands in docs/environment.md, and no other of ours does."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TABLE = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "environment.md").read_text(encoding="utf-8"), re.MULTILINE))
SYSTEMS = {"PATH"}
"""Of the system, and read only to be handed on."""


def tracked(*patterns):
    listed = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True).stdout
    return [ROOT / line for line in listed.splitlines()] or pytest.skip("no git checkout")


def read_variables(tree):
    """Names that are looked up in ``os.environ``, or in a mapping called ``environment``, as text or as a constant."""
    constants = {
        target.id: node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called, key = ast.unparse(node.func), node.args[0]
        elif isinstance(node, ast.Subscript):
            called, key = ast.unparse(node.value), node.slice
        else:
            continue
        if called in ("os.environ", "os.environ.get", "os.getenv", "environment.get", "environment"):
            name = key.value if isinstance(key, ast.Constant) else constants.get(getattr(key, "id", ""))
            if isinstance(name, str):
                yield name


def test_every_variable_that_the_code_reads_is_documented():
    found = {}
    for path in tracked("*.py"):
        text = path.read_text(encoding="utf-8")
        if "environ" in text:
            found |= dict.fromkeys(read_variables(ast.parse(text)), path.name)
    assert {"ESC_EVAL_CACHE", "ESC_EVAL_LANGUAGES", "OPENAI_API_KEY", "SPACE_HOST"} <= set(found)
    undocumented = {name: where for name, where in found.items() if name not in TABLE | SYSTEMS and name.isupper()}
    assert not undocumented


def test_every_variable_of_ours_in_the_table_is_read_somewhere():
    texts = [path.read_text(encoding="utf-8") for path in tracked("*.py", "Makefile", ".ci/run")]
    ours = {name for name in TABLE if name.startswith("ESC_EVAL_")} | {"UPDATE_GOLDEN", "CPU_INDEX"}
    written = {name for name in ours if any(name in text for text in texts)}
    assert written == ours
    assert {name for text in texts for name in re.findall(r"\bESC_EVAL_[A-Z_]+\b", text)} <= TABLE
