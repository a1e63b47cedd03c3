"""A chat application in plain JSON: the contract, and what becomes of an application that breaks it."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from esc_eval.chat import Options, label_of, open_model
from esc_eval.chat.base import ChatModel, ChoiceModel
from esc_eval.chat.endpoint.bodies import read_body
from esc_eval.chat.http import HttpModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

KEY = "made-up/0123456789+key"
HELLO = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hello"}]


class Application:
    """Answers what ``answer(body, headers, number)`` returns: (status, content, headers), or content alone."""

    def __init__(self, answer):
        self.requests, self.headers, self.paths = [], [], []
        lock, application = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    application.requests.append(body)
                    application.paths.append(self.path)
                    application.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(application.requests)
                given = answer(body, number)
                status, content, more = given if isinstance(given, tuple) else (200, given, {})
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-length": len(data), **more}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/chat"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture(scope="module", autouse=True)
def without_certificates():
    """Clients read all certificates of the world when they are made; on loopback none is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
        yield


@pytest.fixture
def serve():
    running = []

    def start(answer):
        running.append(Application(answer))
        return running[-1]

    yield start
    for application in running:
        application.server.shutdown()
        application.server.server_close()


def ask(url, *conversations, seeds=None, **options):
    model = url
    if isinstance(url, str):
        model = open_model(f"http:{url}", Options(attempts=2, **options))
        model._asker.longest_wait = 0.01
    conversations = conversations or (HELLO,)
    replies = model.reply(conversations, Generation(temperature=0.5), seeds or range(len(conversations)))
    return [reply for _, reply in sorted(replies, key=lambda pair: pair[0])]


def test_a_conversation_is_posted_whole_and_what_is_answered_is_told(serve):
    full = {
        "text": "I hear you.",
        "finish_reason": "length",
        "reasoning": "They are sad.",
        "model": "bot-7",
        "usage": {"prompt_tokens": 11, "completion_tokens": 3},
        "mood": "warm",
    }
    application = serve(lambda body, number: full)
    model = HttpModel(application.url)
    assert isinstance(model, ChatModel)
    [reply] = ask(model, seeds=[2**40 + 5])
    assert application.requests == [{"messages": HELLO, "seed": 5}]
    assert (reply.text, reply.finish_reason, reply.reasoning) == ("I hear you.", "length", "They are sad.")
    assert (reply.prompt_tokens, reply.completion_tokens, reply.problem) == (11, 3, None)
    assert (reply.served.model, reply.served.adapted) == ("bot-7", None)
    assert model.usage == {"requests": 1, "prompt_tokens": 11, "completion_tokens": 3}
    assert not isinstance(model, ChoiceModel)
    assert "authorization" not in application.headers[0]


def test_the_least_that_an_application_may_answer_is_a_text_or_a_reply(serve):
    for field in ("text", "reply"):
        application = serve(lambda body, number, field=field: {field: body["messages"][-1]["content"]})
        [reply] = ask(application.url)
        assert (reply.text, reply.finish_reason, reply.completion_tokens) == ("hello", "stop", None)


def test_the_address_is_the_identity_and_settings_are_the_applications_own(serve):
    model = open_model("http://127.0.0.1:8000/bots/kind?tone=warm")
    assert model.identity == {"kind": "http", "model": "127.0.0.1:8000/bots/kind?tone=warm", "generation": "own"}
    assert (model.name, label_of("http:http://127.0.0.1:8000/bots/kind?tone=warm")) == ("kind", "kind")
    assert label_of("mine=http:https://app.example/") == "mine"
    assert label_of("http:https://app.example/") == "app.example"


@pytest.mark.parametrize("fault", [500, 429, b"<html>busy</html>", {"text": "x", "finish_reason": "tired"}])
def test_a_passing_failure_is_tried_again(fault, serve):
    first = (fault, {"error": "later"}, {"retry-after": "0.01"}) if isinstance(fault, int) else (200, fault, {})
    application = serve(lambda body, number: first if number == 1 else {"text": "Now."})
    [reply] = ask(application.url)
    assert (reply.text, len(application.requests)) == ("Now.", 2)


@pytest.mark.parametrize("status", [400, 500])
def test_a_conversation_that_is_refused_ends_alone_with_what_was_said(status, serve):
    def answer(body, number):
        bad = body["messages"][-1]["content"] == "bad"
        return (status, {"error": "not this one"}, {}) if bad else {"text": "Yes."}

    conversations = [[{"role": "user", "content": text}] for text in ("one", "bad", "three")]
    one, two, three = ask(serve(answer).url, *conversations, concurrency=1)
    assert (one.text, two.text, three.text) == ("Yes.", "", "Yes.")
    assert f"the server answered {status}: not this one" in two.problem


def test_an_application_that_is_full_or_withholds_says_so(serve):
    [reply] = ask(serve(lambda body, number: {"text": "cut", "finish_reason": "context"}).url)
    assert (reply.text, reply.finish_reason, reply.problem) == ("", "context", None)
    [reply] = ask(serve(lambda body, number: (413, {"error": "no room"}, {})).url)
    assert (reply.text, reply.finish_reason, reply.problem) == ("", "context", None)
    [reply] = ask(serve(lambda body, number: {"text": "", "finish_reason": "content_filter"}).url)
    assert (reply.text, reply.finish_reason) == ("", "content_filter")
    assert "withheld" in reply.problem


@pytest.mark.parametrize("status", [401, 404])
def test_a_wrong_address_or_key_ends_the_run(status, serve):
    application = serve(lambda body, number: (status, {"error": f"no: {KEY}"}, {}))
    with pytest.raises(EscEvalError, match=r"Check the (key|address)") as caught:
        ask(HttpModel(application.url, key=KEY, attempts=2))
    assert KEY not in str(caught.value)
    assert len(application.requests) == 1


def test_a_redirect_is_named_and_not_followed(serve):
    elsewhere = serve(lambda body, number: {"text": "mine now"})
    application = serve(lambda body, number: (307, b"", {"location": elsewhere.url}))
    with pytest.raises(EscEvalError, match="sends the request on to 127"):
        ask(HttpModel(application.url, key=KEY))
    assert elsewhere.requests == []


def test_nobody_there_ends_the_run():
    with pytest.raises(EscEvalError, match="gave up after 2 tries: connection failed"):
        ask("http://127.0.0.1:9/chat")


def test_an_answer_that_never_ends_is_not_read_to_its_end(serve, monkeypatch):
    monkeypatch.setattr(read_body, "__defaults__", (2**20,))
    [reply] = ask(serve(lambda body, number: {"text": "x" * 2**21}).url)
    assert reply.problem == "gave up after 2 tries: the server sent a body of more than 1 MiB"


def test_the_time_for_an_answer_is_bounded_as_a_whole(serve):
    slow = threading.Event()
    application = serve(lambda body, number: slow.wait(20) and {"text": "late"})
    try:
        [reply] = ask(application.url, timeout=0.1)
        assert reply.problem == "gave up after 2 tries: no answer within 0.1 s"
    finally:
        slow.set()


def test_an_application_that_answers_nobody_any_more_ends_the_run(serve):
    application = serve(lambda body, number: (500, {"error": "broken"}, {}))
    with pytest.raises(EscEvalError, match="the server answered 500: broken"):
        ask(application.url, *[HELLO] * 30)
    assert len(application.requests) < 60


def test_a_key_is_sent_to_this_machine_or_over_https_alone(serve):
    application = serve(lambda body, number: {"text": "Yes."})
    ask(HttpModel(application.url, key=KEY))
    assert application.headers[0]["authorization"] == f"Bearer {KEY}"
    with pytest.raises(EscEvalError, match="--key-over-plain-http"):
        HttpModel("http://app.example/chat", key=KEY)
    HttpModel("http://app.example/chat")
    HttpModel("https://app.example/chat", key=KEY)


@pytest.mark.parametrize("url", ["ftp://a/b", "localhost:80/chat"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(EscEvalError, match=r"names no chat model|is no base URL"):
        open_model(f"http:{url}")


def test_the_key_is_the_one_that_is_named_for_the_application(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    application = serve(lambda body, number: {"text": "Yes."})
    ask(application.url)
    ask(application.url, api_key_env="MY_KEY")
    assert [headers.get("authorization") for headers in application.headers] == [None, f"Bearer {KEY}"]


def test_the_address_is_posted_to_as_it_stands(serve):
    application = serve(lambda body, number: {"text": "Yes."})
    for path in ("/", "?tone=warm", "/v1/chat/completions"):
        ask(application.url + path)
    assert application.paths == ["/chat/", "/chat?tone=warm", "/chat/v1/chat/completions"]
