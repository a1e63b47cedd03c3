"""Vendors in their own APIs, by the library any-llm and the vendors' clients, against a server on loopback."""

import json
import os
import ssl
import subprocess
import sys
from threading import Thread

import pytest
from quirk_server import QuirkServer, completion
from vendor_server import VendorServer

from esc_eval.chat import Options, label_of, open_model
from esc_eval.chat.base import ChatModel, ChoiceModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

pytest.importorskip("any_llm", reason='the extra "vendors" is not installed')

from esc_eval.chat.vendor import PROBED, VendorModel

VENDORS = ("anthropic", "gemini", "mistral", "azureopenai")
OWN = VENDORS[:2]
"""Those whose API is most of their own; the others' differ little from chat completions."""
KEY = "sk-made-up/0123456789+abcdef"
SETTINGS = Generation(max_new_tokens=20, temperature=0.7, top_p=0.9)


@pytest.fixture(scope="module", autouse=True)
def without_certificates():
    """Clients read all certificates of the world when they are made; on loopback none is asked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl.SSLContext, "load_verify_locations", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def server():
    with VendorServer() as running:
        yield running


@pytest.fixture
def opened(server):
    def make(vendor, model, **options):
        return VendorModel(vendor, model, server.url, key=KEY, attempts=2, longest_wait=0.05, **options)

    return make


def ask(model, *texts, settings=SETTINGS):
    conversations = [[{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}] for text in texts]
    return [reply for _, reply in sorted(model.reply(conversations, settings, range(len(texts))), key=lambda p: p[0])]


@pytest.mark.slow
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_is_asked_in_its_own_way_and_its_answer_is_told_whole(vendor, server, opened):
    model = opened(vendor, "plain")
    assert isinstance(model, ChatModel)
    assert isinstance(model, ChoiceModel)
    first = len(server.requests)
    [one, two] = ask(model, "one", "two")
    assert (one.text, two.text, one.finish_reason) == ("I hear: one", "I hear: two", "stop")
    assert (one.prompt_tokens, one.completion_tokens, one.reasoning, one.problem) == (11, 7, None, None)
    assert one.served.seconds >= 0
    assert one.served.model == (None if vendor == "gemini" else "plain-2026-11-01")
    assert one.served.fingerprint == ("fp_1" if vendor == "azureopenai" else None)
    assert (one.served.adapted or {}) == ({"seed": "left out"} if vendor == "anthropic" else {})
    assert (model.usage["prompt_tokens"], model.usage["completion_tokens"]) == (22, 14)
    path, headers, body = server.requests[first]
    where = {"anthropic": "/v1/messages", "gemini": "plain:generateContent", "mistral": "/v1/chat/completions"}
    assert path.endswith(where.get(vendor, "/openai/v1/chat/completions"))
    header = {"anthropic": "x-api-key", "gemini": "x-goog-api-key"}.get(vendor, "authorization")
    assert headers[header].removeprefix("Bearer ") == KEY
    settings = body.get("generationConfig", body)
    assert (settings["temperature"], settings.get("top_p", settings.get("topP"))) == (0.7, 0.9)
    assert model.identity["provider"] == vendor
    assert KEY not in repr(vars(model)["identity"])


@pytest.mark.parametrize("vendor", VENDORS)
def test_reasoning_is_kept_apart_from_what_is_spoken(vendor, opened):
    [reply] = ask(opened(vendor, "thinks"), "hello")
    assert (reply.text, reply.reasoning) == ("I hear: hello", "They are sad.")


@pytest.mark.slow
@pytest.mark.parametrize("vendor", OWN)
def test_a_reply_that_was_all_reasoning_is_tried_with_more_room_and_else_is_none(vendor, opened):
    [reply] = ask(opened(vendor, "all-thought"), "hello")
    assert reply.text == "I hear: hello"
    assert reply.served.adapted["max_tokens"] == "raised to 1280, as less was all reasoning"
    [reply] = ask(opened(vendor, "only-thought"), "hello")
    assert reply.text == ""
    assert "the reply was all reasoning" in reply.problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vendor", "model", "gone"),
    [("gemini", "no-temperature", "temperature"), ("azureopenai", "one-of-both", "top_p")],
)
def test_what_a_vendor_refuses_is_left_out_for_all_and_said(vendor, model, gone, opened):
    replies = ask(opened(vendor, model, concurrency=8), *map(str, range(8)))
    assert [reply.text for reply in replies] == [f"I hear: {n}" for n in range(8)]
    assert all(reply.served.adapted[gone] == "left out" for reply in replies)
    assert not any(({"temperature", "top_p"} - {gone}) & set(reply.served.adapted) for reply in replies)


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_a_vendors_client_does_not_know_is_left_out_and_said(vendor, opened):
    [reply] = ask(
        opened(vendor, "plain"), "hello", settings=SETTINGS.model_copy(update={"top_k": 9, "repetition_penalty": 1.1})
    )
    unknown = {
        "anthropic": {"seed", "repetition_penalty"},
        "gemini": {"repetition_penalty"},
        "mistral": {"top_k", "repetition_penalty"},
        "azureopenai": set(),
    }
    assert set(reply.served.adapted or {}) == unknown[vendor]


def test_what_the_library_would_drop_without_a_word_is_said(opened):
    for vendor, dropped in {"deepseek": {"seed"}, "gemini": {"logprobs", "top_logprobs"}, "mistral": set()}.items():
        client = opened(vendor, "x").client
        assert {name for name in PROBED if client.is_dropped("x", name)} == dropped


@pytest.mark.parametrize(
    ("vendor", "model", "bad", "finish", "problem"),
    [
        *(
            (vendor, "filters", "filtered", "content_filter", "Output blocked by content filtering policy")
            for vendor in OWN
        ),
        *((vendor, "too-long", "long", "context", None) for vendor in OWN),
        ("mistral", "picky", "bad", "stop", "I do not like this one"),
        ("anthropic", "stuck", "bad", "stop", "gave up after 2 tries: "),
    ],
)
def test_a_conversation_that_is_refused_ends_alone(vendor, model, bad, finish, problem, opened):
    one, two, three = ask(opened(vendor, model, concurrency=1), "one", bad, "three")
    assert (one.text, two.text, three.text) == ("I hear: one", "", "I hear: three")
    assert two.finish_reason == finish
    assert (two.problem is None) if problem is None else (problem in two.problem)


@pytest.mark.parametrize("vendor", OWN)
def test_an_answer_that_a_filter_withheld_is_none(vendor, opened):
    [reply] = ask(opened(vendor, "withheld"), "hello")
    assert (reply.text, reply.finish_reason) == ("", "content_filter")
    assert "filter" in reply.problem


@pytest.mark.parametrize(
    ("vendor", "model"), [("anthropic", "busy-once"), ("gemini", "busy-once"), ("mistral", "broken-once")]
)
def test_a_passing_failure_is_tried_again(vendor, model, opened):
    made = opened(vendor, model)
    assert [reply.text for reply in ask(made, f"a {vendor}", f"b {vendor}")] == [f"I hear: {c} {vendor}" for c in "ab"]
    assert made.usage["failures"] == 2


@pytest.mark.parametrize(("vendor", "model"), [("anthropic", "down"), ("gemini", "key"), ("mistral", "gone")])
def test_what_nobody_is_answered_for_ends_the_run_and_shows_no_key(vendor, model, opened):
    with pytest.raises(EscEvalError) as caught:
        ask(opened(vendor, model), "one", "two", "three")
    said = {"down": "out of service", "key": "invalid x-api-key", "gone": "is not there"}
    assert said[model] in str(caught.value)
    assert "What was finished is kept" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("vendor", "headers", "why"),
    [
        ("openai", {"content-type": "application/json"}, "such as 'created', is missing or of another type"),
        ("mistral", {"content-type": "application/json"}, "created is missing or of another type"),
        ("mistral", {"content-type": "text/html"}, "is the address right?"),
    ],
)
def test_an_answer_that_the_library_cannot_read_is_a_sentence_after_few_tries(vendor, headers, why):
    with QuirkServer() as server:  # which leaves out "created", as some servers do
        server.answer = lambda *_: (200, {"object": "chat.completion", "id": "x", **completion()[1]}, headers)
        [reply] = ask(VendorModel(vendor, "m", server.url, key=KEY, longest_wait=0.01), "hello")
    assert reply.problem.startswith("gave up after 3 tries: the server sent an answer that the library any-llm cannot")
    assert why in reply.problem
    assert len(server.requests) == 3


def test_a_server_that_is_not_there_ends_the_run():
    for vendor in VENDORS:
        model = VendorModel(vendor, "plain", "http://127.0.0.1:9", key=KEY, attempts=2, longest_wait=0.01)
        with pytest.raises(EscEvalError, match=r"gave up after 2 tries: connection failed[\s\S]*Check the address"):
            ask(model, "hello")


def test_requests_run_side_by_side_up_to_the_concurrency(opened):
    with VendorServer(delay=0.1) as slow:
        model = VendorModel("anthropic", "plain", slow.url, key=KEY, concurrency=4)
        threads = [Thread(target=ask, args=(model, f"{n}", f"{n}'")) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(slow.requests) == 12
        assert 2 <= slow.most <= 4


def ask_whole(model, **fields):
    """The completion that a request with more fields brings."""
    body = model._body([{"role": "user", "content": "rate"}], SETTINGS, 0) | fields
    [(_, content)] = model._gather([body], lambda content: content)
    return content["choices"][0]


@pytest.mark.parametrize("vendor", VENDORS)
def test_log_probabilities_come_through_where_the_api_has_them_and_else_are_left_out(vendor, opened):
    model = opened(vendor, "judge")
    choice = ask_whole(model, logprobs=True, top_logprobs=20)
    assert choice["message"]["content"] == "Score: 3"
    if vendor == "azureopenai":
        assert [top["token"] for top in choice["logprobs"]["content"][1]["top_logprobs"]] == ["3", "4", "x"]
    else:
        assert choice["logprobs"] is None
        assert model.adapted["logprobs"] == model.adapted["top_logprobs"] == "left out"


@pytest.mark.parametrize("vendor", VENDORS)
def test_an_answer_is_held_to_a_schema_in_the_vendors_own_way(vendor, opened):
    score = {"type": "integer", "enum": [0, 1, 2, 3, 4]}
    schema = {"type": "object", "properties": {"score": score}, "required": ["score"], "additionalProperties": False}
    model = opened(vendor, "judge")
    held = {"type": "json_schema", "json_schema": {"name": "rating", "schema": schema, "strict": True}}
    assert json.loads(ask_whole(model, response_format=held)["message"]["content"]) == {"score": 3}


@pytest.mark.parametrize("vendor", OWN)
def test_a_vendors_model_may_be_a_judge(vendor, opened):
    groups = [[[{"role": "user", "content": "rate"}], [{"role": "user", "content": "again"}]]]
    [(index, choices)] = opened(vendor, "judge").choose(groups, "Score: ", ["0", "1", "2", "3", "4"])
    assert index == 0
    assert all("3" in choice.text for choice in choices)
    assert len(choices) == 2


def test_a_vendors_key_is_for_the_vendor_and_elsewhere_goes_what_is_named_for_it(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    spec = f"any-llm:anthropic/plain@{server.url}"
    ask(open_model(spec), "hello")
    assert server.requests[-1][1]["x-api-key"] == "none"
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    model = open_model("any-llm:anthropic/plain")
    ask(model, "hello")
    assert server.requests[-1][1]["x-api-key"] == KEY
    assert model.identity == {
        **{"kind": "any-llm", "provider": "anthropic", "model": "plain"},
        "server": server.url.removeprefix("http://"),
    }
    monkeypatch.setenv("MY_KEY", f" {KEY[::-1]}\n")
    ask(open_model(spec, Options(api_key_env="plain=MY_KEY")), "hello")
    assert server.requests[-1][1]["x-api-key"] == KEY[::-1]


def test_models_are_named_and_bad_names_end_in_a_sentence(monkeypatch):
    assert label_of("any-llm:mistral/mistral-small-latest") == "mistral-small-latest"
    assert label_of("any-llm:bedrock/anthropic.claude-v1:0@http://127.0.0.1:9") == "anthropic.claude-v1:0"
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(EscEvalError, match="MISTRAL_API_KEY"):
        open_model("any-llm:mistral/x")
    with pytest.raises(EscEvalError, match=r"knows no vendor 'nobody'\. It knows: .*anthropic"):
        open_model("any-llm:nobody/x")
    with pytest.raises(EscEvalError, match="write any-llm:VENDOR/MODEL"):
        open_model("any-llm:claude")
    with pytest.raises(EscEvalError, match="--key-over-plain-http"):
        open_model("any-llm:mistral/x@http://far.example/v1", Options(api_key_env="MY_KEY"))


def test_without_the_library_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['any_llm'] = None\n"
        "from esc_eval.chat import open_model\n"
        "from esc_eval.errors import EscEvalError\n"
        "try: open_model('any-llm:mistral/x')\n"
        "except EscEvalError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert 'pip install "esc-eval[vendors]"' in done.stdout
