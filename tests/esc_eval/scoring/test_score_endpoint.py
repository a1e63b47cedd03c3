"""Judges behind a server: log probabilities where it gives them, the answer's text where it does not."""

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from esc_eval.chat.endpoint.logprobs import choice_from
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.run import Run

OPTIONS = list("01234")


def answer(text, tokens=None, finish="stop"):
    """One of ``choices``: tokens is a list of (token, {candidate: probability})."""
    content = [
        {
            "token": token,
            "logprob": math.log(top.get(token, 0.5)),
            "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in top.items()],
        }
        for token, top in tokens or []
    ]
    return {"message": {"content": text}, "finish_reason": finish, "logprobs": {"content": content} if tokens else None}


def test_probabilities_are_read_at_the_first_token_that_is_a_level():
    tokens = [("Score", {"Score": 0.9}), (":", {":": 1.0}), (" 3", {" 3": 0.5, "3": 0.1, " 2": 0.2, " good": 0.1})]
    choice = choice_from(answer("Score: 3", tokens), OPTIONS)
    assert choice.mass == pytest.approx(0.8)
    assert choice.probabilities == pytest.approx((0, 0, 0.25, 0.75, 0))
    assert (choice.top, choice.text) == (" 3", "Score: 3")


@pytest.mark.parametrize(
    "given",
    [
        answer("3"),
        answer("good", [("good", {"good": 0.9, "3": 0.1})]),
        answer("<think>3?</think>2", [("<think>", {"<think>": 1.0}), ("3", {"3": 1.0})]),
        answer("3", [("3", {})]),
        {"message": {"content": None}, "finish_reason": "length"},
    ],
)
def test_without_log_probabilities_of_a_level_the_text_is_kept(given):
    choice = choice_from(given, OPTIONS)
    assert choice.probabilities is None
    assert choice.text == (given["message"]["content"] or "")


@pytest.fixture
def server():
    """A chat-completions server; ``plan`` is called with each request's body and returns (status, payload)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.bodies.append(body)
            status, payload = self.server.plan(body)
            data = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def judge(server):
    return EndpointModel("judge", f"http://127.0.0.1:{server.server_port}/v1", concurrency=4, longest_wait=0.01)


def dialogue(number):
    return Dialogue(id=f"d{number}", language="en", turns=(Turn(role="supporter", text=f"Hello {number}"),))


def test_a_server_with_log_probabilities_gives_a_distribution(server, tmp_path):
    server.plan = lambda body: (200, {"choices": [answer("2", [("2", {"2": 0.6, "3": 0.2})])]})
    with Run(tmp_path) as run:
        ratings = score_dialogues([dialogue(0), dialogue(1)], Scoring(judge(server), load_rubric()), run)
    assert len(ratings) == 14
    assert all(r.probabilities == pytest.approx((0, 0, 0.75, 0.25, 0)) for r in ratings)
    assert {(r.score, r.raw, r.parser) for r in ratings} == {(2, "2", "logits")}
    assert ratings[0].expected == pytest.approx(2.25)
    assert all(b["logprobs"] is True and b["top_logprobs"] == 20 and b["temperature"] == 0 for b in server.bodies)


def test_the_parser_belongs_to_a_scoring_that_may_have_to_read_text(server, tmp_path):
    server.plan = lambda body: (200, {"choices": [answer("3")]})
    by_default, other = (Scoring(judge(server), load_rubric(), parser=name) for name in ("anchored", "official"))
    with Run(tmp_path) as run:
        score_dialogues([dialogue(0)], by_default, run)
        with pytest.raises(EscEvalError, match=r"by: .*else text, anchored parser.* -> .*else text, official parser"):
            score_dialogues([dialogue(0)], other, run)


def test_a_cap_on_answers_reaches_the_server_and_a_cut_answer_says_so(server, tmp_path):
    def plan(body):
        return 200, {"choices": [answer("I wonder", finish="length")]}

    server.plan = plan
    with Run(tmp_path) as run:
        ratings = score_dialogues([dialogue(0)], Scoring(judge(server), load_rubric(), answer_tokens=900), run)
    assert {body["max_tokens"] for body in server.bodies} == {900}
    assert {(r.score, r.raw) for r in ratings} == {(None, "I wonder")}
    assert "cut at 900 tokens" in ratings[0].problem


def test_an_answer_that_names_no_single_level_stays_unscored_whatever_its_first_digit(server, tmp_path):
    server.plan = lambda body: (200, {"choices": [answer("4/10", [("4", {"4": 0.9}), ("/", {}), ("10", {})])]})
    with Run(tmp_path) as run:
        ratings = score_dialogues([dialogue(0)], Scoring(judge(server), load_rubric()), run)
    assert {(r.score, r.raw, r.probabilities) for r in ratings} == {(None, "4/10", None)}


def test_a_server_that_knows_no_log_probabilities_is_read_by_text(server, tmp_path):
    def plan(body):
        if "logprobs" in body or "top_logprobs" in body:
            return 400, {"error": "unsupported parameters: logprobs, top_logprobs"}
        return 200, {"choices": [answer("Score: 3")]}

    server.plan = plan
    with Run(tmp_path) as run:
        ratings = score_dialogues([dialogue(0)], Scoring(judge(server), load_rubric()), run)
    assert {(r.score, r.raw, r.parser) for r in ratings} == {(3, "Score: 3", "anchored")}
