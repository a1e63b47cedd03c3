"""A key belongs to a host, and nothing shows it; an address is one, or refused."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from quirk_server import QuirkServer, completion

from esc_eval.api.play import open_models
from esc_eval.api.settings import make_settings
from esc_eval.chat import Options, label_of, open_model
from esc_eval.chat.endpoint.addresses import read_address, split_name
from esc_eval.chat.endpoint.keys import Secrets, choose_key, clean_key
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.environment import hide_password
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

KEY = 'sk-Ab1/cD2+eF3"gH4\\iJ5&kL6'
ASK = [[{"role": "user", "content": "hi"}]]


@pytest.fixture
def server():
    with QuirkServer() as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("LAB_KEY", f" {KEY}\n")


def addresses(*urls):
    return [read_address(url) for url in urls]


def reply(model):
    [(_, found)] = model.reply(ASK, Generation(max_new_tokens=5), [0])
    return found


def test_the_key_of_openai_goes_to_openai_and_to_what_its_variable_names():
    assert choose_key("m", (), addresses("https://api.openai.com/v1"), False) == "sk-of-openai"
    assert choose_key("m", (), addresses("https://lab.example/v1"), False) == ""
    assert choose_key("m", (), addresses("http://localhost:1/v1"), False) == ""
    assert choose_key("m", (), addresses("https://api.openai.com.evil.example/v1"), False) == ""
    assert choose_key("m", (), addresses("https://lab.example/v1"), True) == "sk-of-openai"
    assert choose_key("m", (), addresses("http://localhost:1/v1"), True) == "sk-of-openai"
    assert choose_key("m", (), addresses("http://lab.example/v1"), True) == ""
    assert choose_key("m", (), addresses("https://api.openai.com/v1", "https://lab.example/v1"), False) == ""


def test_a_key_that_is_named_goes_to_the_models_that_it_is_named_for():
    named, lab = ("judge=OPENAI_API_KEY", "LAB_KEY"), addresses("https://lab.example/v1")
    assert choose_key("judge", named, lab, False) == "sk-of-openai"
    assert choose_key("other", named, lab, False) == KEY
    assert choose_key("other", named[:1], lab, False) == ""


@pytest.mark.parametrize(
    ("named", "why"),
    [("NO_SUCH_KEY", "no such environment variable"), ("sk-abc-def", "takes the name of an environment variable")],
)
def test_what_names_no_key_is_refused_and_not_repeated(named, why):
    with pytest.raises(EscEvalError, match=why) as caught:
        choose_key("m", (named,), addresses("https://lab.example/v1"), False)
    assert "sk-abc" not in str(caught.value)
    with pytest.raises(EscEvalError, match="no model here is called 'nobody'"):
        open_models(make_settings("simulate", supporter="openai:m", api_key_env="nobody=LAB_KEY"))


@pytest.mark.parametrize("bad", ["sk-one\nsk-two", "sk-\x00", "sk-ключ", "sk two"])
def test_a_key_that_cannot_be_sent_is_a_sentence_without_it(bad):
    with pytest.raises(EscEvalError, match="the key in LAB_KEY holds") as caught:
        clean_key(bad, "LAB_KEY")
    assert bad[:3] not in str(caught.value)


def test_the_key_is_sent_clean_where_it_is_named_for_and_not_elsewhere(server):
    reply(open_model(f"openai:well@{server.url}", Options(api_key_env="LAB_KEY")))
    reply(open_model(f"openai:well@{server.url}"))
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "authorization" not in server.headers[1]


def test_no_key_goes_over_plain_http_without_a_word():
    for url in ("http://lab.example/v1", "http://10.0.0.7:8000/v1"):
        with pytest.raises(EscEvalError, match=r"plain http.*--key-over-plain-http"):
            EndpointModel("m", url, key=KEY)
        EndpointModel("m", url, key=KEY, key_over_plain_http=True)
        EndpointModel("m", url)
    with pytest.raises(EscEvalError, match="plain http"):
        EndpointModel("m", "http://user:secret@lab.example/v1")


FORMS = {
    "whole": KEY,
    "bearer": f"Bearer {KEY}",
    "first half": KEY[:13],
    "middle": KEY[6:16],
    "last": KEY[-9:],
    "capitals": KEY.upper(),
    "json": json.dumps(KEY),
    "url": quote(KEY, ""),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a header": base64.b64encode(f"user:{KEY}".encode()).decode(),
    "hex": KEY.encode().hex(),
    "backwards": KEY[::-1],
    "entities": "".join(f"&#{ord(character)};" for character in KEY),
    "hexadecimal entities": "".join(f"&#x{ord(character):x};" for character in KEY),
}


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_key_is_shown(server, form):
    said = FORMS[form]
    masked = Secrets([KEY]).mask(f"before {said} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert all(said[n : n + 12] not in masked for n in range(len(said) - 12))
    server.answer = lambda *_: (401, {"error": {"message": f"wrong key {said}"}})
    model = EndpointModel("m", server.url, key=KEY)
    with pytest.raises(EscEvalError) as caught:
        reply(model)
    shown = f"{caught.value} {model!r} {model.identity} {model.seen}"
    assert all(said[n : n + 12] not in shown for n in range(len(said) - 12))


@pytest.mark.parametrize(
    "said",
    [
        f"{KEY[:8]}****{KEY[-4:]}",
        f"{KEY[:3]}...{KEY[-4:]}",
        f"{KEY[:5]}…",
        f"********{KEY[-2:]}",
        f"{KEY[:4]}[redacted]",
        f"<masked>{KEY[-3:]}",
    ],
)
def test_what_a_server_leaves_of_a_key_when_it_shortens_it_is_hidden_too(said):
    assert Secrets([KEY]).mask(f"Incorrect key: {said}. Look it up ... or ask") == (
        "Incorrect key: ***. Look it up ... or ask"
    )
    assert Secrets([KEY]).mask("wait...done, ab****yz and f(x)...") == "wait...done, ab****yz and f(x)..."


def escape(text):
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize("write", [json.dumps, lambda body: json.dumps(body).replace("/", "\\/")], ids=["", "escaped"])
def test_a_server_that_speaks_the_key_does_not_bring_it_into_a_dialogue(server, write):
    model = EndpointModel("m", server.url, key=KEY)
    for said in (text for form, text in FORMS.items() if form != "capitals"):
        status, body = completion(f"You are {said}, are you not?", reasoning_content=f"{said} it is")
        server.answer = lambda *_, status=status, body=body: (status, write(body).encode())
        found = reply(model)
        assert found.text.endswith(", are you not?")
        assert all(said[n : n + 8] not in found.raw for n in range(len(said) - 8) if " " not in said[n : n + 8])


def test_a_key_in_parts_or_in_escapes_is_read_in_no_answer(server):
    status, body = completion("X")
    server.answer = lambda *_: (status, json.dumps(body).replace("X", escape(f"You are {KEY}!")).encode())
    model = EndpointModel("m", server.url, key=KEY)
    assert reply(model).text == "You are ***!"
    server.answer = lambda *_: completion([{"type": "text", "text": part} for part in (KEY[:5], KEY[5:11], KEY[11:])])
    assert set(reply(model).text) == {"*"}


def test_words_that_a_key_is_made_of_may_be_spoken(server):
    server.answer = lambda *_: completion("No dummy-key is needed; Yesterday you said supportive things in 2024.")
    for key in ("dummy-key", "supportive-Yesterday-2024", "not-needed"):
        assert (
            reply(EndpointModel("m", server.url, key=key)).text
            == server.answer()[1]["choices"][0]["message"]["content"]
        )


@pytest.mark.parametrize(
    "extra",
    [
        *({name: "x"} for name in ("api_key", "Authorization", "x-api-key", "accessToken", "password", "token")),
        {"extra_headers": {"Authorization": "x"}},
        {"metadata": [{"note": "sk-Made0Up1For2Tests3"}]},
        {"note": KEY},
    ],
)
def test_a_secret_in_an_extra_body_is_refused_and_not_repeated(extra):
    with pytest.raises(EscEvalError, match=r"looks like a secret.*--api-key-env") as caught:
        EndpointModel("m", "http://127.0.0.1:9/v1", key=KEY, extra_body=extra)
    assert KEY not in str(caught.value)
    assert "sk-Made" not in str(caught.value)


def test_fields_that_only_sound_like_a_secret_may_be_sent():
    extra = {"max_tokens": 9, "stop_token_ids": [1], "prompt_cache_key": "a", "ignore_eos_token": True, "token": None}
    assert EndpointModel("m", "http://127.0.0.1:9/v1", key=KEY, extra_body=extra).identity["extra_body"] == extra


def test_texts_that_hold_no_key_stay_as_they_are():
    assert Secrets(["abc", ""]).mask("abc def") == "abc def"
    assert Secrets(["dummy-key"]).mask("no key here") == "no key here"
    assert KEY not in repr(Secrets([KEY]))


def test_a_key_does_not_follow_a_redirect(server):
    class Redirect(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.send_response(307)
            self.send_header("location", f"{server.url}/chat/completions")
            self.send_header("content-length", "0")
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Redirect) as first:
        threading.Thread(target=first.serve_forever, args=(0.01,), daemon=True).start()
        model = EndpointModel("well", f"http://127.0.0.1:{first.server_port}/v1", key=KEY)
        with pytest.raises(EscEvalError, match=r"sends the request on to 127\.0\.0\.1 \(307\)"):
            reply(model)
        first.shutdown()
    assert server.requests == []


@pytest.mark.parametrize(
    "spec",
    [
        *(
            "m@localhost:8000/v1",
            "m@lab.example/v1",
            "org/m@10.0.0.1:80",
            "m@user:pw@lab.example:8000/v1",
            "m@[::1]:8/v1",
        ),
        *(
            "m@localhost",
            "m@10.0.0.5",
            "m@myhost.lab.org",
            "m@host.lab/api",
            "m@//127.0.0.1:8742/v1",
            "m@host:8000?x=1",
        ),
        *("m@v100.lab.org", "m@host/v1", "m@::1", "m@user:pw@localhost", "org/m@rev@localhost:8000", "m@LOCALHOST/"),
    ],
)
def test_an_address_without_a_scheme_is_an_error_and_not_a_name(spec):
    with pytest.raises(EscEvalError, match=r"has no scheme; write openai:.*@http://") as caught:
        open_model(f"openai:{spec}")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    ["m@", "@http://localhost:1/v1", " @http://localhost:1/v1", "http://localhost:1/v1", "m http://localhost:1/v1"],
)
def test_a_name_that_is_none_is_sent_nowhere(spec):
    with pytest.raises(EscEvalError, match="write openai:MODEL or openai:MODEL@URL"):
        open_model(f"openai:{spec}")


def test_an_address_of_six_is_shown_so_that_its_port_can_be_told():
    assert read_address("http://[::1]:8000/v1").shown == "[::1]:8000/v1"


@pytest.mark.parametrize(
    "name",
    ["org/model@rev", "claude@20240620", "@cf/meta/llama-3.1-8b", "ft:gpt-4@my-org", "m"]
    + [
        f"org/m@{revision}"
        for revision in ("v1.0", "1.5.2", "v2.0.rc1", "0a1b2c3d", "refs/pr/1", "2024-06-20", "q4_K_M")
    ],
)
def test_names_of_models_may_hold_an_at_sign(name):
    assert split_name(name) == (name, None)
    assert split_name(f"{name}@HTTPS://lab.example/v1") == (name, "HTTPS://lab.example/v1")
    assert label_of(f"openai:{name}@http://localhost:1/v1") == EndpointModel(name).name


@pytest.mark.parametrize("query", ["", "?api-version=2024-10-21"])
def test_the_query_of_a_base_url_goes_along(server, query):
    base = server.url.replace("/v1", "/openai/deployments/x")
    model = EndpointModel("well", f"{base}/{query}")
    assert reply(model).text == "I hear you."
    assert server.paths == [f"/openai/deployments/x/chat/completions{query}"]
    assert model.identity["server"].endswith("/openai/deployments/x")
    assert read_address(f"{base}/chat/completions{query}").shown == read_address(base).shown


def test_secrets_in_urls_are_not_kept():
    assert hide_password("--base-url=http://u:pw@h/v1?x=1&api_key=s3cret") == "--base-url=http://h/v1?x=1&api_key=***"
    with pytest.raises(EscEvalError) as caught:
        read_address("ftp://user:pw@host/v1")
    assert "pw" not in str(caught.value)
