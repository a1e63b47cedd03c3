"""Backends: every one of ours keeps the shape, another package adds one, and a bad one breaks nothing else."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from esc_eval.chat import Options, backend, label_of, open_model
from esc_eval.chat.registry import Backend, describe_forms, known_backends, match_spec
from esc_eval.cli.doctor import examine_machine
from esc_eval.errors import EscEvalError
from esc_eval.simulation.roster import Entry
from esc_eval.simulation.supporters import choose_supporters

ROOT = Path(__file__).resolve().parents[3]
OURS = {"any-llm", "embedded", "esc-rank", "esc-role", "hf", "http", "openai", "python", "scripted"}
PARROT = """
from esc_eval.chat.base import Reply
from esc_eval.chat.registry import backend

class Parrot:
    parallel, concurrent = 4, False

    def __init__(self, name):
        self.name, self.identity = name, {"kind": "NAME", "model": name, "revision": "1" * 40}

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            yield index, Reply("You say: " + conversation[-1]["content"], "stop")

@backend("NAME", form="NAME:WORD", help="says what it hears", key="PARROT_KEY", remote=True)
def open_parrot(what, name, options):
    return Parrot(name or what)
"""


def run(code, *arguments, cwd, path=()):
    return subprocess.run(
        [sys.executable, *code, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *path])), "COLUMNS": "200"},
    )


def install(folder, package, name, text):
    """A package as pip leaves it behind: a module and the folder that announces its entry point."""
    (folder / f"{package}.py").write_text(text)
    told = folder / f"{package}-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(f"[esc_eval.backends]\n{name} = {package}\n")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install(folder, "parrots", "parrot", PARROT.replace("NAME", "parrot"))
    install(folder, "broken_things", "broken", "import a_library_that_is_not_there\n")
    install(folder, "pretenders", "openai", PARROT.replace("NAME", "openai"))
    install(folder, "silent_ones", "silent", "")
    return folder


def test_ours_are_the_modules_of_the_folder():
    files = (ROOT / "esc_eval/chat/backends").glob("[a-z]*.py")
    assert {path.stem.replace("_", "-") for path in files} == OURS <= set(known_backends())


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_backend_tells_what_the_rest_of_the_package_asks(name):
    known = known_backends()[name]
    assert known.name == name
    assert known.help
    assert known.form in describe_forms()
    assert known.key is None or (known.key.isupper() and known.remote)
    assert known.remote or not known.priced
    spec = name if known.takes("") else f"{name}:some/thing.json"
    assert label_of(spec)
    assert label_of(f"mine={spec}") == "mine"
    assert not (known.takes("") and known.takes("x")) or "[" in known.form
    bad = name if not known.takes("") else f"{name}:x" if not known.takes("x") else f"no-{name}"
    with pytest.raises(EscEvalError, match=r"names no chat model\. Known: "):
        open_model(bad)


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_backend_has_a_line_in_the_documentation(name):
    page = (ROOT / "docs/howto/evaluate.md").read_text(encoding="utf-8")
    assert f"`{known_backends()[name].form}`" in page


def test_doctor_has_a_line_for_every_backend_and_every_key():
    lines = {finding.what: finding for finding in examine_machine()}
    for known in known_backends().values():
        assert lines[known.name].detail
        assert known.form == known.name or known.form in lines[known.name].detail
        assert known.key is None or known.name in lines[known.key].detail


def test_a_label_is_the_name_of_the_model_that_is_opened(script, tmp_path):
    script(["Yes."], "warm")
    for spec in ("scripted:warm.json", f"scripted:{tmp_path / 'warm.json'}", "openai:lab/some-model@http://x/v1"):
        spec = spec.replace("scripted:warm", f"scripted:{tmp_path / 'warm'}")
        model = open_model(spec)
        assert model.name == label_of(spec)
        assert known_backends()[match_spec(spec).backend.name].concurrent >= model.concurrent
        assert model.concurrent
        assert (model.parallel, open_model(spec, Options(concurrency=3)).parallel) == (16, 3)
    assert (label_of("esc-rank:a/b"), label_of("esc-role")) == ("ESC-RANK", "ESC-Role")


def test_no_other_module_tells_backends_apart_by_name():
    makers = {"chat/endpoint/model.py", "chat/engine/esc_rank.py", "simulation/roster.py"}
    for path in (ROOT / "esc_eval").rglob("*.py"):
        where = path.relative_to(ROOT / "esc_eval").as_posix()
        if where in makers or where.startswith("chat/backends/"):
            continue
        found = [node.value for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant)]
        assert not {"openai", "hf", "esc-rank", "esc-role"} & {value for value in found if isinstance(value, str)}, path


def test_a_price_without_a_name_is_of_the_models_that_cost_money():
    chosen = choose_supporters(["embedded"], ["openai:a", "b=openai:c", "scripted:d.json"], None, ["1,2"])
    assert set(chosen.prices) == {"a", "b"}


def test_a_roster_may_reach_a_model_by_any_backend():
    entry = {"name": "Bot", "group": "open", "languages": ["en"], "id": "bot:answer"}
    assert Entry(**entry, reach="python").spec(served=False) == "Bot=python:bot:answer"
    with pytest.raises(
        ValueError, match="'carrier-pigeon' is neither transformers, server, vendor, none nor a backend"
    ):
        Entry(**entry, reach="carrier-pigeon")


@pytest.mark.parametrize(
    ("name", "form"), [("Mine", "Mine:X"), ("mine", "yours:X"), ("mine", "mineX"), ("mine", "mine(X)"), ("m y", "m y")]
)
def test_a_name_or_form_that_no_model_could_be_written_in_is_refused(name, form):
    with pytest.raises(EscEvalError, match="a form is the name alone or with :WHAT"):
        Backend(name, form, "help", lambda what, name, options: None)


def test_the_name_of_another_backend_is_refused():
    with pytest.raises(EscEvalError, match=r"backend 'hf' of .*test_registry.*taken by esc_eval\.chat\.backends\.hf"):
        backend("hf", form="hf:X", help="mine")(lambda what, name, options: None)


def test_what_is_opened_must_be_a_chat_model(monkeypatch):
    from esc_eval.chat import registry

    half = Backend("half", "half:X", "half a model", lambda what, name, options: object())
    monkeypatch.setitem(registry._known, "half", half)
    with pytest.raises(EscEvalError, match="'half' opened a object, which is no chat model"):
        open_model("half:x", Options())


@pytest.mark.slow
def test_a_backend_of_another_package_plays(packages, script, tmp_path):
    seeker = script(["I feel low.", "It is my job."], "seeker")
    command = ("simulate", "--supporter", "parrot:Polly", "--seeker", seeker, "--limit", 1, "--rounds", 1)
    done = run(["-m", "esc_eval"], *command, "--out", "r", cwd=tmp_path, path=[packages])
    assert done.returncode == 0, done.stderr
    [dialogue] = [json.loads(line) for line in (tmp_path / "r/dialogues.jsonl").read_text("utf-8").splitlines()]
    assert dialogue["supporter"] == "Polly"
    assert dialogue["turns"][-1]["text"] == "You say: I feel low."
    done = run(["-m", "esc_eval"], "simulate", "--help", cwd=tmp_path, path=[packages])
    assert "parrot:WORD" in done.stdout
    assert "openai:MODEL[@URL]" in done.stdout


@pytest.mark.slow
def test_doctor_names_bad_backends_of_others_and_goes_on(packages, tmp_path):
    bare = "import sys; sys.modules['torch'] = None; from esc_eval.cli.app import app; app(['doctor', '--json'])"
    done = run(["-c", bare], cwd=tmp_path, path=[packages])
    assert done.returncode == 0, done.stderr
    lines = {}
    for finding in json.loads(done.stdout):
        lines.setdefault(finding["what"], []).append(finding)
    assert lines["parrot"][0]["state"] == "ok"
    assert "without torch" in lines["hf"][0]["detail"]
    assert lines["hf"][0]["remedy"] == 'pip install "esc-eval[local]"'
    assert "parrot" in lines["PARROT_KEY"][0]["detail"]
    assert "of broken_things 1.0" in lines["broken"][0]["detail"]
    assert "a_library_that_is_not_there" in lines["broken"][0]["detail"]
    assert [finding["state"] for finding in lines["openai"]] == ["ok", "missing"]
    assert "taken by esc_eval.chat.backends.openai" in lines["openai"][1]["detail"]
    assert "registers no backend of that name" in lines["silent"][0]["detail"]
    wrong = run(["-m", "esc_eval"], "simulate", "--supporter", "broken:x", "--out", "r", cwd=tmp_path, path=[packages])
    assert wrong.returncode == 2
    assert "a_library_that_is_not_there" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.slow
def test_a_file_in_the_folder_is_a_backend(tmp_path):
    (tmp_path / "parrot.py").write_text(PARROT.replace("NAME", "parrot"))
    code = (
        "import sys, esc_eval.chat.backends as ours; ours.__path__.append(sys.argv[1]); "
        "from esc_eval.chat import open_model; from esc_eval.cli.options import MODEL; "
        "print(open_model('parrot:Polly').name, 'parrot:WORD' in MODEL)"
    )
    assert run(["-c", code], tmp_path, cwd=tmp_path).stdout == "Polly True\n"
