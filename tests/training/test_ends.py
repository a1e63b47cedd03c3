"""What a training says of a finished folder and at its end, and that the page of its commands is in order."""

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from training.common import checkpoint

ROOT = Path(__file__).resolve().parents[2]
KNOWN = re.compile(r"embedded(:\w+)?|(openai|hf|python|scripted|any-llm|http):.*|esc-ra?(nk|ole)(-ieval|-open)?$")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["role --sources nowhere", "rank --data nowhere"])
def test_a_finished_folder_is_said_before_anything_is_read_or_torch_is_loaded(command, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "training.json").write_text("{}")
    kind = command.split()[0]
    code = (
        "import sys; from training.__main__ import app\ntry: app(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    )
    recipe = f"training/recipes/esc_{kind}/smoke.yaml"
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--recipe", recipe, "--out", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "holds a finished checkpoint" in done.stderr
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("kind", ["role", "rank"])
def test_what_a_training_ends_with_can_be_typed(kind, tmp_path):
    from typer.main import get_command

    from esc_eval.cli.app import app
    from training.__main__ import app as training

    folder = tmp_path / "my role"
    where, use, measure = checkpoint.describe_use(folder, kind, "ieval")
    assert str(folder) in where
    program, verb, *options = shlex.split(use.partition(":")[2])
    assert program == "esc-eval"
    get_command(app).commands[verb].make_context(verb, list(options))
    assert str(folder) in options
    assert verb == {"role": "simulate", "rank": "score"}[kind]
    _, _, _, verb, *options = shlex.split(measure.partition(":")[2])
    get_command(training).commands[verb].make_context(verb, list(options))


def commands_of_page():
    for token in MarkdownIt().parse((ROOT / "docs" / "training.md").read_text(encoding="utf-8")):
        if token.type == "fence" and token.info == "bash":
            yield from (shlex.split(line) for line in token.content.replace("\\\n", " ").splitlines())


def values(words, *options):
    return [value for option, value in pairwise(words) if option in options]


def test_the_page_of_training_works_in_its_own_order():
    made, run = [], set()
    for words in commands_of_page():
        verb = words[words.index("training") + 1] if "training" in words else ""
        trains = verb in ("role", "rank", "open-scorer") and "--dry-run" not in words
        for model in values(words, "--seeker", "--scorer", "--supporter"):
            folder = model.rpartition("=")[2]
            assert KNOWN.match(folder) or folder in made, f"{shlex.join(words)}: {folder} is not there yet"
        for source in values(words, "--dialogues"):
            assert not source.startswith("runs/") or source in run, f"{shlex.join(words)}: {source} is not there yet"
        run.update(values(words, "--out"))
        if trains:
            [out] = values(words, "--out")
            assert out not in made, f"{out} is finished by then"
            made.append(out)
    assert made
