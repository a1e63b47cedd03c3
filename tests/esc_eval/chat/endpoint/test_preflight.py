"""The tiny request before a run: what is wrong with an address, a key or a name is said before anything is played."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fake_models import FakeModel
from faulty_server import FaultyServer
from quirk_server import QuirkServer, completion

from esc_eval import RoleCard, evaluate, score
from esc_eval.chat import open_model
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.preflight import check_models, explain
from esc_eval.chat.registry import Options
from esc_eval.errors import EscEvalError

CARDS = [RoleCard(id=f"c{n}", language="en", text=f"Problem: exam number {n}.", source="made up") for n in range(2)]


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def at(url, name="m"):
    return open_model(f"{name}=openai:{name}@{url}", Options(attempts=8))


def test_a_server_that_answers_is_asked_one_tiny_thing():
    with FaultyServer() as server:
        check_models([at(server.url), FakeModel("here", lambda c: pytest.fail("asked"))])
        [request] = server.requests
    assert request["max_tokens"] <= 16
    assert len(request["messages"]) == 1


@pytest.mark.slow
def test_all_that_is_wrong_is_said_at_once_and_nothing_is_played():
    gone = f"http://127.0.0.1:{closed_port()}/v1"
    seeker = FakeModel("s", lambda c: "Sad.")
    with FaultyServer(lambda n: 401) as locked, FaultyServer(lambda n: 404) as other, FaultyServer() as well:
        with pytest.raises(EscEvalError) as caught:
            evaluate(
                [at(locked.url, "locked"), at(well.url, "well")],
                scorer=[at(gone, "gone"), at(other.url, "nameless")],
                seeker=seeker,
                cards=CARDS,
            )
        assert [len(s.requests) for s in (locked, other, well)] == [1, 1, 1]
    said = str(caught.value)
    assert said.startswith("nothing was played or rated:")
    assert "- gone at " in said
    assert "Is the server running" in said
    assert "--api-key-env" in said
    assert "no such model, or nothing at this address" in said
    assert "- well" not in said
    assert seeker.asked == []


@pytest.mark.slow
@pytest.mark.parametrize("passing", [429, 500, 503])
def test_a_server_that_is_busy_is_left_to_the_run(passing):
    with FaultyServer(lambda n: passing if n == 0 else None) as server:
        check_models([at(server.url)])
        assert len(server.requests) == 1


def test_an_account_without_money_is_said_before_the_run_though_its_status_says_busy():
    with QuirkServer() as server:
        error = {"message": "You exceeded your current quota.", "code": "insufficient_quota"}
        server.answer = lambda *_: (429, {"error": error})
        with pytest.raises(
            EscEvalError, match=r"nothing was played or rated:\n- m at .*exceeded your current quota"
        ) as caught:
            check_models([at(server.url)])
        assert "What was finished" not in str(caught.value)


@pytest.mark.parametrize(
    ("quirk", "why"),
    [
        ("web-page", "address of a web page"),
        ("error-200", "with nothing that can be read, 5 times of 5"),
        ("no-choices", "with nothing that can be read"),
    ],
)
def test_a_server_that_answers_with_nothing_of_use_is_said_before_the_run(quirk, why):
    with QuirkServer() as server, pytest.raises(EscEvalError, match=why):
        check_models([at(server.url, quirk)])
    assert len(server.requests) == 5


@pytest.mark.parametrize("message", ["no error 512 here", "connect 401 to 404", "not a chat completion"])
def test_what_a_server_says_is_not_taken_for_its_status(message):
    with QuirkServer() as server:
        server.answer = lambda *_: (418, {"error": {"message": message}})
        check_models([at(server.url)])
        assert explain(at(server.url), f"the server answered 500: {message}") is None
        server.answer = lambda *_: (402, {"error": {"message": message}})
        with pytest.raises(EscEvalError, match="the server answered 402"):
            check_models([at(server.url)])


def test_errors_inside_good_answers_may_say_that_a_server_is_busy_or_wants_another_key():
    with QuirkServer() as server:
        check_models([at(server.url, "base-resp-busy")])
        assert len(server.requests) == 1
        server.answer = lambda *_: (200, {"error": {"code": 401, "message": "who are you"}})
        with pytest.raises(EscEvalError, match="--api-key-env"):
            check_models([at(server.url)])


def test_a_server_that_answers_now_and_then_is_left_to_the_run():
    answers = iter([completion(None)[1] | {"choices": []}, {"error": {"message": "boom"}}, completion()[1]])
    with QuirkServer() as server:
        server.answer = lambda *_: (200, next(answers))
        check_models([at(server.url)])
    assert len(server.requests) == 3


def test_the_variable_of_a_refused_key_is_named(monkeypatch):
    monkeypatch.setenv("MYKEY", "made-up-key")
    with FaultyServer(lambda n: 401) as server:
        model = open_model(f"m=openai:m@{server.url}", Options(api_key_env="MYKEY"))
        with pytest.raises(EscEvalError, match="see MYKEY, or"):
            check_models([model])


def test_an_application_has_no_models_and_takes_no_fields():
    with QuirkServer() as server:
        server.answer = lambda *_: (404, b"gone")
        notes = []
        url = server.url.replace("/v1", "/chat")
        made = open_model(f"http:{url}", Options(extra_body={"a": 1}, reasoning_tokens=9))
        made.on_note = notes.append
        with pytest.raises(EscEvalError, match="Nothing answers at this address") as caught:
            check_models([made])
    assert "model" not in str(caught.value)
    assert len(notes) == 1
    assert "--extra-body and --reasoning-tokens: nothing of it is sent" in notes[0]


@pytest.mark.slow
def test_models_with_nothing_left_to_do_are_asked_nothing(tmp_path):
    common = {"cards": CARDS, "rounds": 1, "seeker": FakeModel("s", lambda c: "Sad."), "out": tmp_path}
    with FaultyServer() as server:
        url = server.url
        evaluate(at(url), scorer=FakeModel("j", lambda c: "Score: 3"), **common)
    again = evaluate(at(url), scorer=FakeModel("j", lambda c: "Score: 3"), **common)
    assert len(again.dialogues) == 2
    with pytest.raises(EscEvalError, match="Is the server running"):
        score(tmp_path, at(url, "k"))


class Lists(BaseHTTPRequestHandler):
    """Refuses every chat and lists its models."""

    def log_message(self, *_):
        pass

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answer(404, {"error": {"message": "The model `m` does not exist."}})

    def do_GET(self):
        assert self.path == "/v1/models"
        if self.headers["Authorization"] not in (None, "Bearer sk-right-key-123"):
            return self.answer(403, {})
        self.answer(200, {"data": [{"id": f"model-{n}"} for n in range(12)]})


def test_the_models_that_a_server_lists_are_named():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(EscEvalError, match=r"It has: model-0, .*model-9, \.\.\."):
            check_models([at(f"http://127.0.0.1:{server.server_address[1]}/v1")])
        with pytest.raises(EscEvalError, match=r"It has: model-0, "):
            check_models([EndpointModel("m", f"http://127.0.0.1:{server.server_port}/v1", key="sk-right-key-123")])
    finally:
        server.shutdown()
        server.server_close()
