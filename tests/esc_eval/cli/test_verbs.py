"""Every verb of the six command lines: help with an example, in any encoding and on a narrow terminal."""

import contextlib
import io
import os
import re
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from typer.main import get_command

from esc_eval import __version__
from esc_eval.cli.extras import find_install, list_libraries, list_missing

LARGE = ("torch", "transformers", "datasets", "pandas", "numpy", "scipy", "matplotlib")
ROOT = Path(__file__).resolve().parents[3]
LINES = {
    "esc_eval.cli.app": "esc-eval",
    **{
        f"{package}.__main__": f"python -m {package}"
        for package in ("analysis", "dataset_builder", "training", "model_cards", "release")
    },
}


def find_verbs(command, path=()):
    """Paths of all verbs of a group, and of the group itself."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from find_verbs(below, (*path, name))


def find_examples(shown):
    """The commands at the foot of a help text, each on one line."""
    foot = shown.partition("Example:")[2]
    return [" ".join(line.split()) for line in foot.replace("\\\n", " ").splitlines() if line.strip()]


def run(module, *arguments, encoding="utf-8"):
    """Exit code and stdout of a command line in this process, as a terminal of that encoding shows it."""
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(stdout), pytest.raises(SystemExit) as ended:
        import_module(module).app(arguments, prog_name=LINES[module])
    return ended.value.code, stdout.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    "module", [name if name == "esc_eval.cli.app" else pytest.param(name, marks=pytest.mark.slow) for name in LINES]
)
def test_every_verb_has_help_with_an_example_that_fits_a_narrow_terminal(module, monkeypatch):
    for path in find_verbs(get_command(import_module(module).app)):
        for width, encoding in ((60, "latin-1"), (80, "cp1252")):
            monkeypatch.setenv("COLUMNS", str(width))
            code, shown = run(module, *path, "-h", encoding=encoding)
            assert code == 0
            assert max(map(len, shown.splitlines())) <= width, path
        assert run(module, *path, "--help") == (0, shown)
        if not path:
            assert "Exit codes: 0 good; 1 a check found something; 2" in shown
        elif " COMMAND " not in shown:
            examples = find_examples(shown)
            assert examples, path
            assert all(example.startswith(" ".join([LINES[module], *path])) for example in examples), path
            options = set(re.findall(r"--[\w-]+", shown.partition("Example:")[0]))
            assert set(re.findall(r"--[\w-]+", " ".join(examples))) <= options, path


def test_every_command_line_says_the_version_and_refuses_an_unknown_option(capsys):
    for module in LINES:
        assert run(module, "--version") == (0, f"{__version__}\n")
        verb = next(path for path in find_verbs(get_command(import_module(module).app)) if path)
        assert run(module, "--nosuch") == run(module, *verb, "--nosuch") == (2, "")
        assert capsys.readouterr().err.count("No such option") == 2


def test_help_loads_none_of_the_large_libraries():
    code = f"import sys; [__import__(name) for name in {list(LINES)}]; "
    code += (
        "print([m for m in ('torch', 'transformers', 'datasets', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("columns", [None, "60"])
def test_a_table_in_a_pipe_is_80_columns_wide_or_what_columns_says(columns):
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    env |= {"PYTHONIOENCODING": "cp1252"} | ({"COLUMNS": columns} if columns else {})
    command = [sys.executable, "-m", "dataset_builder", "sources"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="cp1252", env=env)
    assert done.returncode == 0, done.stderr
    assert 50 < max(map(len, done.stdout.splitlines())) <= int(columns or 80)


def test_a_library_in_a_package_that_is_not_there_is_missing(monkeypatch):
    monkeypatch.setattr("esc_eval.cli.extras.IMPORTED_AS", {"nowhere.protobuf": "protobuf"})
    assert "protobuf" in list_missing("local")


def test_every_library_that_we_ask_for_is_found_by_its_module():
    modules = {}
    for module, libraries in metadata.packages_distributions().items():
        for library in libraries:
            modules.setdefault(library.lower().replace("_", "-"), []).append(module)
    for where, libraries in list_libraries().items():
        for library in () if where in ("--group dev", "--group docs", "--group test") else libraries:
            names = [module for module in modules.get(library, ()) if module.isidentifier()]
            if library == "protobuf" or not names:
                continue  # a namespace, or not installed here
            assert any(find_install(name) for name in names), library


def test_without_a_checkout_extras_are_read_from_the_metadata(monkeypatch, tmp_path):
    monkeypatch.setattr("esc_eval.cli.extras.CHECKOUT", tmp_path)
    lines = ["httpx>=0.27", "torch>=2.6; extra == 'local'", 'scikit-learn>=1.6 ; extra == "statistics"']
    monkeypatch.setattr("esc_eval.cli.extras.metadata.requires", lambda name: lines)
    assert find_install("torch.nn") == 'pip install "esc-eval[local]"'
    assert find_install("sklearn") == 'pip install "esc-eval[statistics]"'
    assert find_install("httpx") == "pip install esc-eval"
    assert find_install("trl") is None
