"""What the package promises as a whole."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import esc_eval
from esc_eval.citation import PAPER

ROOT = Path(__file__).resolve().parents[1]


def run(code):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "module", ["esc_eval", "esc_eval.cli.app", "esc_eval.files", "esc_eval.api.door", "esc_eval.cli.doctor"]
)
def test_importing_it_loads_no_heavy_library(module):
    heavy = ("torch", "transformers", "datasets", "scipy", "matplotlib", "pandas", "huggingface_hub")
    assert run(f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])").strip() == "[]"


def test_the_arrow_goes_one_way():
    pytest.importorskip("importlinter")
    checked = subprocess.run([Path(sys.executable).with_name("lint-imports")], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_folders_of_tests_mirror_the_code():
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.parent.relative_to(ROOT / "tests")
        assert (ROOT / folder).is_dir(), f"{path}: its folder has no counterpart in the code"


def test_nothing_trusts_remote_code_or_unpickles():
    for path in (ROOT / "esc_eval").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("trust_remote_code=True", "pickle.load", "torch.load(", "yaml.load(", "eval(", "exec("):
            assert word not in text.replace(".eval()", "").replace("ast.literal_eval(", ""), (path, word)


def test_version_and_citation_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == esc_eval.__version__
    paper = citation["preferred-citation"]
    assert f"{paper['start']}--{paper['end']}" in PAPER
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in PAPER
    assert f"## {esc_eval.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def plain(name):
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_optional_requirements():
    """Of every extra and every dependency group."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*pyproject["project"]["optional-dependencies"].values(), *pyproject["dependency-groups"].values()]
    return [requirement for group in named for requirement in group]


def test_packages_of_the_design_stay_direct_requirements():
    names = {plain(re.split(r"[>\[]", line)[0]) for line in read_optional_requirements()}
    wanted = {"huggingface-hub", "datasets", "transformers", "torch", "peft", "evaluate", "krippendorff"}
    assert wanted <= names


def test_set_up_installs_what_constraints_name_with_hashes():
    pattern = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ;[^\n]*)? \\\n    --hash=sha256:[0-9a-f]{64}", re.MULTILINE)
    hashed = dict(pattern.findall((ROOT / "requirements-ci.txt").read_text(encoding="utf-8")))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {plain(line.partition("==")[0]): line.partition("==")[2] for line in lines if "==" in line}
    differ = {
        name: (version, pinned[name]) for name, version in hashed.items() if pinned.get(plain(name), version) != version
    }
    assert not differ, "run make pins"
    for requirement in read_optional_requirements():
        name = plain(re.split(r"[>\[]", requirement)[0])
        assert name in hashed or name == "torch", f"{name}: run make pins"


def test_everything_the_project_names_is_pinned_for_its_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    for requirement in [*project["dependencies"], *read_optional_requirements()]:
        name = requirement.partition(">")[0].partition("[")[0].strip().lower().replace("_", "-")
        assert name in pinned, f"{name} is not in constraints.txt"
    assert "torch==2.13.0" in lines
