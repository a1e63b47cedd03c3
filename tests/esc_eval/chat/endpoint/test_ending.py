"""One conversation's trouble ends that conversation; what it thought is no speech; no body can bring a run down."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from judge_server import level_at, tokens_of
from quirk_server import BROKEN, FILTERED, LONG, PACKED, REASONED, SAID, THOUGHT, USAGE, QuirkServer, completion

from esc_eval.chat.endpoint.bodies import LIMIT
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting.making import describe_adapted
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring.parsers import TOO_LONG
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.plan import turn_from_reply
from esc_eval.simulation.run import Run

GREEDY = Generation(max_new_tokens=64)


@pytest.fixture
def server():
    with QuirkServer() as server:
        yield server


def open_quirk(server, name, **options):
    model = EndpointModel(name, server.url, **{"longest_wait": 0.02, "attempts": 3} | options)
    model.on_note = model.seen.setdefault("notes", []).append
    return model


def ask(model, *words, settings=GREEDY):
    asks = [[{"role": "user", "content": word}] for word in words]
    replies = dict(model.reply(asks, settings, range(len(words))))
    return [replies[n] for n in range(len(words))]


@pytest.mark.parametrize("name", FILTERED)
def test_refused_content_ends_that_conversation_alone(server, name):
    first, bad, last = ask(open_quirk(server, name), "hello", "all is hopeless", "bye")
    assert (first.text, last.text) == ("echo hello", "echo bye")
    assert (bad.text, bad.finish_reason) == ("", "content_filter")
    words = ("refused", "withheld") if FILTERED[name][0] == 200 else (f"the server answered {FILTERED[name][0]}",)
    assert any(word in bad.problem for word in (*words, "the server answered 200 with error 451"))
    assert len(server.requests) == 3, "asked once"


@pytest.mark.parametrize("name", LONG)
def test_a_conversation_that_is_too_long_ends_as_such(server, name):
    first, bad = ask(open_quirk(server, f"long-{name}"), "hello", "all is hopeless")
    assert (first.text, bad.text, bad.finish_reason, bad.problem) == ("echo hello", "", "context", None)


def rate(server, name, tmp_path, **options):
    texts = {"d1": "My bike was stolen.", "d2": "All is hopeless.", "d3": "I lost my keys."}
    dialogues = [
        Dialogue(id=key, language="en", turns=(Turn(role="seeker", text=text), Turn(role="supporter", text="Oh.")))
        for key, text in texts.items()
    ]
    with Run(tmp_path / "r") as run:
        return score_dialogues(dialogues, Scoring(open_quirk(server, name, **options), load_rubric()), run)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "why"), [("azure-filter", "content management"), ("long-vllm", TOO_LONG)])
@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_judge_leaves_one_dialogue_unscored_with_its_reason(server, tmp_path, name, why, concurrency):
    quirk = server.answer

    def answer(name, body):
        status, content = quirk(name, body)
        return completion("Score: 3") if status == 200 else (status, content)

    server.answer = answer
    ratings = rate(server, name, tmp_path, concurrency=concurrency)
    scored = {r.dialogue_id: r.score for r in ratings}
    assert scored == {"d1": 3, "d2": None, "d3": 3}
    assert all(why in r.problem for r in ratings if r.dialogue_id == "d2")


@pytest.mark.slow
def test_seven_failures_of_one_dialogue_are_one_conversation(server, tmp_path):
    server.answer = lambda name, body: (
        (400, {"error": "some fault"}) if "hopeless" in str(body["messages"]) else completion("Score: 3")
    )
    ratings = rate(server, "any", tmp_path, concurrency=1)
    assert [r.problem for r in ratings if r.dialogue_id == "d2"] == ["the server answered 400: some fault"] * 7
    assert {r.score for r in ratings if r.dialogue_id != "d2"} == {3}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BROKEN if name != "bomb"])
def test_a_malformed_answer_is_asked_for_again_and_then_ends_that_conversation(server, name):
    quirks = {"bad": BROKEN[name]}
    server.answer = lambda name, body: quirks.get(body["messages"][0]["content"], completion)()
    good, bad = ask(open_quirk(server, "any"), "good", "bad")
    assert good.text == SAID
    assert bad.problem.startswith("gave up after 3 tries: ")
    assert len(server.requests) == 1 + 3


def test_a_body_that_unpacks_to_more_than_the_limit_is_not_unpacked(server):
    (reply,) = ask(open_quirk(server, "bomb", attempts=1), "x")
    assert f"more than {LIMIT // 2**20} MiB" in reply.problem


@pytest.mark.parametrize("pack", PACKED)
def test_packed_bodies_are_read(server, pack):
    status, content = completion()
    encoding = "gzip" if pack == "gzip" else "deflate"
    server.answer = lambda *_: (status, PACKED[pack](json.dumps(content).encode()), {"content-encoding": encoding})
    assert ask(open_quirk(server, "any"), "x")[0].text == SAID
    assert server.headers[0]["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("usage", USAGE)
def test_counts_that_are_none_are_not_given(server, usage):
    server.answer = lambda *_: (200, completion()[1] | {"usage": usage})
    model = open_quirk(server, "any")
    [reply] = ask(model, "x")
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == (SAID, None, None)
    assert model.usage["completion_tokens"] == 0


def test_the_timeout_is_for_the_whole_answer_however_slowly_it_comes():
    enough = threading.Event()

    class Dripping(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            for _ in range(200):  # ten seconds, so that a client without a limit fails and does not hang
                if enough.wait(0.05):
                    return
                self.wfile.write(b" ")

    with ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        model = EndpointModel("m", f"http://127.0.0.1:{server.server_port}/v1", timeout=0.5, attempts=1)
        [reply] = ask(model, "x")
        enough.set()
        server.shutdown()
    assert reply.problem == "gave up after one try: no answer within 0.5 s"


def test_halves_of_characters_are_replaced_wherever_a_server_says_them(server):
    server.answer = lambda *_: (200, completion("so sad \ud83d")[1] | {"model": "m\udc00"})
    [reply] = ask(open_quirk(server, "any"), "x")
    assert (reply.text, reply.served.model) == ("so sad \ufffd", "m\ufffd")
    turn_from_reply("supporter", reply, 0).to_json()


def test_what_answered_is_kept_with_each_reply_and_together(server):
    model = open_quirk(server, "well")
    [reply] = ask(model, "x")
    assert (reply.served.model, reply.served.fingerprint, reply.served.adapted) == ("served-name", "fp_1", None)
    assert reply.served.seconds >= 0
    assert (model.seen["models"], model.seen["fingerprints"]) == (["served-name"], ["fp_1"])
    assert any(header.startswith("server: ") for header in model.seen["headers"])


@pytest.mark.parametrize("name", REASONED)
def test_reasoning_in_a_field_or_part_of_its_own_is_kept_and_not_spoken(server, name):
    [reply] = ask(open_quirk(server, name), "x")
    assert (reply.text, reply.reasoning) == (SAID, THOUGHT)
    turn = turn_from_reply("supporter", reply, 0)
    assert (turn.text, turn.raw) == (SAID, f"<think>\n{THOUGHT}\n</think>\n\n{SAID}")


def test_marks_of_reasoning_in_the_text_are_taken_off_the_turn(server):
    [reply] = ask(open_quirk(server, "think-marks"), "x")
    turn = turn_from_reply("supporter", reply, 0)
    assert turn.text == SAID
    assert THOUGHT in turn.raw


@pytest.mark.parametrize("name", ["empty-length", "hidden-reasoning"])
def test_a_reply_that_is_all_reasoning_gets_more_room_and_then_is_none(server, name):
    model = open_quirk(server, name)
    [reply] = ask(model, "x")
    caps = [body["max_tokens"] for body in server.requests]
    assert caps == sorted(set(caps))
    assert (caps[0], caps[-1]) == (64, 16_384)
    assert reply.problem == "the reply was all reasoning: 16384 tokens were not enough (see --reasoning-tokens)"
    assert "--reasoning-tokens" in model.seen["notes"][0]


@pytest.mark.parametrize("name", ["only-thinks", "never-closes"])
def test_a_model_that_thinks_and_then_stops_by_itself_is_asked_once_more_and_given_no_more_room(server, name):
    [reply] = ask(open_quirk(server, name), "x")
    assert (reply.text, reply.problem) == ("", "the reply was all reasoning; it stopped by itself")
    assert [body["max_tokens"] for body in server.requests] == [64, 64]


@pytest.mark.parametrize("by", ["logprobs", "text"])
def test_what_a_judge_thought_and_what_served_it_stand_in_its_rating(server, tmp_path, by):
    def answer(name, body):
        if "top_p" in body:
            return 400, {"error": {"message": "Unrecognized request argument supplied: top_p"}}
        status, found = completion("Score: 3", reasoning_content="1 would be too low.")
        if body.get("logprobs"):
            found["choices"][0]["logprobs"] = tokens_of("Score", ":", (" 3", level_at(3)))
        return status, found

    server.answer = answer
    turns = (Turn(role="seeker", text="My bike was stolen."), Turn(role="supporter", text="Oh."))
    dialogue = Dialogue(id="d", language="en", turns=turns)
    with Run(tmp_path / "r") as run:
        ratings = score_dialogues([dialogue], Scoring(open_quirk(server, "well"), load_rubric(), by), run)
    for rating in ratings:
        assert (rating.score, rating.raw) == (3, "<think>\n1 would be too low.\n</think>\n\nScore: 3")
        assert bool(rating.probabilities) == (by == "logprobs")
        assert (rating.served.model, rating.served.fingerprint) == ("served-name", "fp_1")
        assert rating.served.adapted == {"top_p": "left out"}
        assert rating.served.seconds >= 0
    assert describe_adapted([], [rating.served.adapted for rating in ratings]) == "judge (top_p left out)"


def test_more_room_that_is_enough_is_said_and_paid_for(server):
    [reply] = ask(open_quirk(server, "thinks_long"), "x", settings=Generation(max_new_tokens=512))
    assert (reply.text, reply.completion_tokens) == (SAID, 6), "the reply that was all reasoning was paid as well"
    assert reply.served.adapted == {"max_tokens": "raised to 2048, as less was all reasoning"}


def test_room_to_think_stands_beside_the_cap_and_in_the_identity(server):
    model = open_quirk(server, "thinks_long", reasoning_tokens=1000)
    [reply] = ask(model, "x")
    assert (reply.text, server.requests[0]["max_tokens"]) == (SAID, 1064)
    assert model.identity["reasoning_tokens"] == 1000


def test_a_model_may_say_nothing(server):
    [reply] = ask(open_quirk(server, "says-nothing"), "x")
    assert (reply.text, reply.problem, len(server.requests)) == ("", None, 1)


@pytest.mark.parametrize(
    ("status", "content", "why"),
    [
        (404, {"error": {"message": "The model `toy` does not exist.", "code": "model_not_found"}}, "Check the model"),
        (400, {"error": {"message": "Model Not Exist"}}, "Model Not Exist"),
        (401, {"error": "who are you"}, "--api-key-env"),
        (402, {"error": "Insufficient Balance"}, "402"),
        (429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}, "quota"),
    ],
)
def test_what_concerns_every_conversation_stops_the_run_at_once(server, status, content, why):
    server.answer = lambda *_: (status, content)
    with pytest.raises(EscEvalError, match=rf"(?s){why}.*run the same command again"):
        ask(open_quirk(server, "any", concurrency=1), "x")
    assert len(server.requests) == 1


def test_a_server_that_fails_some_conversations_and_answers_others_goes_on(server):
    server.answer = lambda name, body: (500, b"oops") if "bad" in str(body["messages"]) else completion()
    words = [f"bad {n}" if n in (2, 6, 9) else f"good {n}" for n in range(12)]
    replies = ask(open_quirk(server, "any", concurrency=4, attempts=2), *words)
    assert [n for n, reply in enumerate(replies) if reply.problem] == [2, 6, 9]
