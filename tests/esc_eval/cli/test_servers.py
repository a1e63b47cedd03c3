"""Commands against servers: what their options send, what a stop leaves, what run folders say."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from quirk_server import QuirkServer, completion

from esc_eval import simulate
from esc_eval.api.play import choose_protocol
from esc_eval.api.settings import make_settings
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.score import Scoring

ROOT = Path(__file__).resolve().parents[3]
SHORT = {"language": "en", "rounds": 1}


@pytest.fixture
def server():
    with QuirkServer() as server:
        yield server


@pytest.fixture
def seeker(script):
    return script(["I cannot sleep since the shop closed."], "seeker")


def wait_for(true, what):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


def asked(server):
    """The requests of the run itself, after the tiny one to each model."""
    return [body for body in server.requests if body["messages"][-1]["content"] != "Hello"]


@pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_drops_what_waits_sends_nothing_more_and_says_what_is_kept(server, tmp_path, times):
    server.hang = True
    served = f"openai:well@{server.url}"
    command = [sys.executable, "-m", "esc_eval", "simulate", "--seeker", f"s={served}", "--supporter", served]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--language", "en", "--concurrency", "4", "--out", str(tmp_path / "r")],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: len(asked(server)) >= 4, "a request")
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        server.release.set()  # answers come now, and would be followed by the next requests
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert len(asked(server)) == 4
    assert times == 2 or "stopped. Kept in" in said


HANDLER = """
import os, signal
from esc_eval.chat.stopping import EVERYTHING
from esc_eval.cli.console import stop_at_interrupt
try:
    with stop_at_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("stopped" if EVERYTHING.asked else "not stopped", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("went on after the second")
"""


def test_the_first_ctrl_c_stops_all_requests_before_it_raises_and_the_second_ends_at_once():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", HANDLER], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "stopped\n")


@pytest.mark.slow
def test_a_stop_in_python_drops_what_its_threads_would_ask_again(server, tmp_path):
    """Requests that wait to be tried again need no thread and no ledger: only a stop ends them."""
    server.hang, served = "all", f"openai:well@{server.url}"
    server.answer = lambda *_: (503, b"busy", {"retry-after": "0"})

    def interrupt():
        wait_for(lambda: len(server.requests) == 2, "both requests")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        simulate(served, seeker=f"s={served}", out=tmp_path, concurrency=2, language="en")
    server.hang = False
    server.release.set()
    other = EndpointModel("well", server.url, attempts=20, longest_wait=0.05)  # longer than a retry would have taken
    list(other.reply([[{"role": "user", "content": "after"}]], Generation(max_new_tokens=5), [0]))
    assert [body for body in server.requests[2:] if body["messages"][-1]["content"] != "after"] == []


def test_a_wrong_address_is_mended_in_the_same_folder_if_nothing_was_played(server, tmp_path):
    def play(url):
        served = f"m=openai:well@{url}"
        return simulate(served, seeker=served, out=tmp_path, attempts=1, limit=1, **SHORT)

    with pytest.raises(EscEvalError, match="connection failed"):
        play("http://127.0.0.1:9/v1")
    server.answer = lambda *_: (404, b"no such page")
    with pytest.raises(EscEvalError, match="404"):
        play(server.url.replace("/v1", "/v2"))
    server.answer = lambda *_: completion()
    assert len(play(server.url).dialogues) == 1
    with pytest.raises(EscEvalError, match="under another identity"):
        play(server.url + "/other")


@pytest.mark.parametrize("role", ["seeker", "supporter"])
def test_what_was_not_sent_is_not_recorded_as_sent(server, script, tmp_path, role):
    fixed = script(["I cannot sleep."], "fixed")
    served = f"m=openai:unrecognized@{server.url}"
    notes = []
    players = {"seeker": served if role == "seeker" else fixed}
    simulate(
        served if role == "supporter" else fixed, out=tmp_path / "r", limit=1, progress=notes.append, **players, **SHORT
    )
    turns = json.loads((tmp_path / "r" / "dialogues.jsonl").read_text())["turns"]
    [turn] = [turn for turn in turns[1:] if turn["role"] == role]
    assert "seed" not in turn
    assert turn["served"]["adapted"]["seed"] == "left out"
    assert turn["served"]["model"] == "served-name"
    assert sum("seed is not taken" in note.message for note in notes) == 1


def test_a_system_prompt_of_ones_own_is_sent_and_is_part_of_the_identity(server, seeker, tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Answer like a lighthouse keeper.\n", encoding="utf-8")
    run = {"seeker": seeker, "limit": 1, "out": tmp_path / "r", **SHORT}
    simulate(f"openai:well@{server.url}", system=prompt, **run)
    assert asked(server)[0]["messages"][0] == {"role": "system", "content": "Answer like a lighthouse keeper."}
    with pytest.raises(EscEvalError, match="under another identity"):
        simulate(f"openai:well@{server.url}", **run)
    assert choose_protocol(make_settings("simulate")) == load_protocol()
    assert choose_protocol(make_settings("simulate", system=prompt)).id == f"{load_protocol().id}+system"
    prompt.write_text(" \n", encoding="utf-8")
    with pytest.raises(EscEvalError, match=r"prompt\.txt: the system prompt is empty"):
        choose_protocol(make_settings("simulate", system=prompt))


def test_a_temperature_of_the_judge_is_sent_read_as_text_and_part_of_the_identity(toy):
    warm, cold = Scoring(toy, load_rubric(), temperature=0.7), Scoring(toy, load_rubric())
    assert (warm.chooser, warm.answer.temperature, warm.identity["temperature"]) == (None, 0.7, 0.7)
    assert (cold.answer.temperature, "temperature" in cold.identity) == (0.0, False)
    with pytest.raises(EscEvalError, match="have no temperature"):
        Scoring(toy, load_rubric(), "logits", temperature=0.7)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{low}", "extra_body: no JSON"),
        ("[1]", "extra_body: expected a JSON object"),
        ("1", "JSON object"),
        ('{"a": 1, "a": 2}', '"a" stands twice'),
        ('{"a": NaN}', "NaN and Infinity are no JSON"),
        ('{"a": 1e400}', "NaN and Infinity are no JSON"),
        ("[" * 5000, "nested deeper"),
    ],
)
def test_an_extra_body_that_is_no_json_object_is_a_sentence(text, why):
    with pytest.raises(EscEvalError, match=why):
        make_settings("simulate", extra_body=text)
    assert make_settings("simulate", extra_body='{"a": null}').extra_body == {"a": None}


@pytest.mark.slow
def test_an_extra_body_may_stand_in_a_file_of_options(server, seeker, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("extra_body: {reasoning_effort: low}\nrounds: 1\nlimit: 1\n", encoding="utf-8")
    players = ["--seeker", seeker, "--supporter", f"openai:well@{server.url}"]
    command = [sys.executable, "-m", "esc_eval", "simulate", *players, "--config", str(config), "--out", "r"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    assert server.requests[0]["reasoning_effort"] == "low"
