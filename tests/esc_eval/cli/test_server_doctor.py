"""What `esc-eval doctor --server` says of a server."""

import itertools
import json

import pytest
import typer
from judge_server import Judge, JudgeServer, completion, level_at, tokens_of

from esc_eval.cli.commands.doctor import command
from esc_eval.cli.server_doctor import examine_server


def found(server, **options):
    findings, well = examine_server(server.url, **options)
    return {finding.what: finding for finding in findings}, well


def test_each_way_of_a_server_that_knows_them_all_is_seen():
    heeds = ("continue_final_message", "structured_outputs", "response_format", "logprobs")
    with JudgeServer(Judge(*heeds, free="Score: 3")) as server:
        findings, well = found(server)
    assert well
    assert "1 model: judge" in findings["server"].detail
    assert {findings[f"judge by {way}"].state for way in ("prefix", "choice", "schema", "logprobs")} == {"ok"}
    assert "continue_final_message" in findings["judge by prefix"].detail
    assert "asked by prefix" in findings["judge"].detail


def test_what_a_server_refuses_and_what_it_cannot_do_is_said():
    with JudgeServer(Judge(refuses=("seed", "top_k", "logprobs"), free="Score: 3")) as server:
        findings, well = found(server)
    assert well
    assert "seed: left out" in findings["settings"].detail
    assert "takes temperature, top_p, system" in findings["settings"].detail
    assert findings["log probabilities"].detail == "none given"
    assert {findings[f"judge by {way}"].state for way in ("prefix", "choice", "schema", "logprobs")} == {"note"}
    assert "asked by text" in findings["judge"].detail


def test_log_probabilities_that_come_now_and_then_are_called_so():
    number = itertools.count()
    given = tokens_of("Score", ":", (" 3", level_at(3)))

    def answer(body):
        return completion("Score: 3", given if body.get("logprobs") and next(number) % 3 == 1 else None)

    with JudgeServer(answer) as server:
        findings, _ = found(server)
    assert (findings["log probabilities"].state, findings["log probabilities"].detail) == (
        "note",
        "5 candidates for each token, in 1 of 3 answers",
    )
    assert "level probabilities where the server gives them" in findings["judge"].detail


def test_reasoning_in_a_field_is_seen():
    with JudgeServer(lambda body: completion("Score: 3", reasoning_content="Let me see.")) as server:
        assert "field of its own" in found(server)[0]["reasoning"].detail


def test_a_server_that_does_not_answer_ends_with_1_and_says_what_to_do(capsys):
    with JudgeServer(lambda body: (404, {"error": {"message": "no such model"}})) as server:
        url = server.url
        with pytest.raises(typer.Exit) as ended:
            command(server=url, model="other")
    assert ended.value.exit_code == 1
    assert "--model" in capsys.readouterr().out
    with pytest.raises(typer.Exit) as ended:  # nobody listens there now
        command(server=url, as_json=True)
    assert ended.value.exit_code == 1
    assert "start the server" in json.loads(capsys.readouterr().out)[0]["remedy"]


def test_a_key_is_sent_and_never_shown(monkeypatch, capsys):
    secret = "sk-" + "q7Zp" * 8
    monkeypatch.setenv("MY_KEY", secret)
    answer = 401, {"error": {"message": f"wrong key {secret}"}}
    with JudgeServer(lambda body: answer) as server, pytest.raises(typer.Exit):
        command(server=server.url, api_key_env=["MY_KEY"])
    assert secret not in capsys.readouterr().out
