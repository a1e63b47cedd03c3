"""A run folder as ``esc-eval evaluate`` writes it, by scripted models."""

import json
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from typer.testing import CliRunner

from esc_eval.cli.app import app

SCRIPTS = {"warm": ["I hear you. Tell me more."], "sad": ["I am so tired."], "judge": ["3", "2", "4"]}


def make_run(folder: Path) -> Path:
    """Two cards, one round, one supporter, one judge."""
    for name, replies in SCRIPTS.items():
        (folder / f"{name}.json").write_text(json.dumps({"replies": replies}))
    words = ["--supporter", f"warm=scripted:{folder}/warm.json", "--seeker", f"scripted:{folder}/sad.json"]
    words += ["--scorer", f"judge=scripted:{folder}/judge.json", "--limit", "2", "--rounds", "1"]
    done = CliRunner().invoke(app, ["evaluate", *words, "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    return folder / "run"


def zip_run(folder: Path, top: str = "run/", **instead: bytes) -> bytes:
    """A run folder as a ZIP file, some of its files with other content (``_`` for a dot in their names)."""
    other = {name.replace("__", "/").replace("_", "."): content for name, content in instead.items()}
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    sent = BytesIO()
    with ZipFile(sent, "w") as archive:
        for name, content in {**files, **other}.items():
            archive.writestr(f"{top}{name}", content)
    return sent.getvalue()
