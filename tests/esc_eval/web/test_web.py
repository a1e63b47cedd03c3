"""What every page refuses, says and escapes."""

import pytest
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from esc_eval.errors import EscEvalError
from esc_eval.languages import add_folder
from esc_eval.web import Access, Pages, interface_languages, load_words, make_app
from esc_eval.web.guard import Bucket


async def echo(request):
    return JSONResponse({"read": len(await request.body())})


async def fail(request):
    raise RuntimeError("a secret path /home/nobody")


def client(access=None, **options):
    app = make_app(Pages(), [Route("/", echo, methods=["GET", "POST"]), Route("/fault", fail)], access)
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False, **options)


def test_every_answer_carries_a_strict_policy_and_tells_other_sites_nothing():
    for path in ("/", "/nowhere", "/static/web/base.css", "/fault"):
        headers = client().get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("[::1]:8000", 200),
        ("192.168.1.20:8000", 200),
        ("ratings.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost:x", 421),
        ("", 421),
    ],
)
def test_a_name_that_somebody_else_points_here_is_refused(host, status):
    access = Access(names=("ratings.example",))
    assert client(access).get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://127.0.0.1:9000", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 200),  # behind a proxy, or of a browser that hides it
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "file://"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_what_another_site_sends_is_refused(headers, status):
    assert client().post("/", headers=headers, content=b"x").status_code == status
    assert client().get("/", headers=headers).status_code == 200


def test_a_body_that_is_too_large_is_refused_whatever_it_says_of_its_length():
    small = client(Access(largest=100))
    assert small.post("/", content=b"x" * 100).json() == {"read": 100}
    assert small.post("/", content=b"x" * 101).status_code == 413
    assert small.post("/", content=iter([b"x" * 60, b"x" * 60])).status_code == 413


def test_too_many_requests_wait():
    pressed = client(Access(a_second=0.001, at_once=3))
    assert [pressed.get("/").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_bucket_empties_with_time_and_counts_each_alone():
    now = [0.0]
    bucket = Bucket(1, 2, lambda: now[0])
    assert [bucket.take("a") for _ in range(3)] == [True, True, False]
    assert bucket.take("b")
    now[0] = 1.0
    assert [bucket.take("a"), bucket.take("a")] == [True, False]


def test_a_token_opens_the_pages_and_leaves_the_address():
    guarded = client(Access(token="open sesame"))
    assert guarded.get("/").status_code == 401
    assert guarded.get("/?token=wrong").status_code == 401
    assert guarded.get("/static/web/base.css").status_code == 401
    moved = guarded.get("/?token=open+sesame&find=a+b", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (303, "/?find=a+b")
    assert "httponly" in moved.headers["set-cookie"].lower()
    assert guarded.get("/").status_code == 200
    assert "sesame" not in repr(Access(token="open sesame"))


@pytest.mark.parametrize(
    "path", ["../guard.py", "web/../guard.py", "%2e%2e/guard.py", "/etc/passwd", "web/nothing.css", "web%00base.css"]
)
def test_no_path_leads_to_a_file_that_is_not_listed(path):
    assert client().get(f"/static/{path}").status_code == 404


def test_a_fault_tells_the_page_nothing_and_the_terminal_all():
    answer = client().get("/fault")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "<h1>" in answer.text
    with pytest.raises(RuntimeError, match="secret"):
        TestClient(client().app, base_url="http://localhost").get("/fault")


def test_the_page_speaks_the_language_that_is_chosen_else_the_browsers():
    asked = client()
    assert 'lang="zh"' in asked.get("/nowhere", headers={"accept-language": "zh-CN,zh;q=0.9"}).text
    assert 'lang="en"' in asked.get("/nowhere", headers={"accept-language": "xx"}).text
    assert "没有这个页面" in asked.get("/nowhere?language=zh").text
    assert "没有这个页面" in asked.get("/nowhere").text  # it is remembered


def test_shipped_languages_word_every_page_wholly():
    assert list(interface_languages()) == ["en", "zh", "de", "ja"]
    for folder in interface_languages():
        assert not load_words(folder).borrowed


def test_a_language_without_wording_is_shown_in_english_and_says_so(tmp_path, monkeypatch):
    folder = tmp_path / "tlh"
    folder.mkdir()
    (folder / "language.yaml").write_text("code: tlh\nname: Made up\n", encoding="utf-8")
    monkeypatch.setattr("esc_eval.languages._added", [])
    add_folder(folder)
    app = make_app(Pages(language="tlh"), [])
    page = TestClient(app, base_url="http://localhost").get("/nowhere").text
    assert 'lang="en"' in page
    assert "There is no such page." in page
    assert "in the language tlh yet" in page
    (folder / "interface").mkdir()
    (folder / "interface" / "base.yaml").write_text("strange: x\n", encoding="utf-8")
    monkeypatch.setattr("esc_eval.languages._added", [folder / ".."])  # read anew
    with pytest.raises(EscEvalError, match="no page has a text 'strange'"):
        load_words("tlh")
