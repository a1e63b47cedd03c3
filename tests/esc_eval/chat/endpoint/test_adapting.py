"""What servers refuse is learnt, said once, and stands in what was served; nothing refused is recorded as used."""

import copy
import threading

import pytest
from quirk_server import BROKEN, NO_SYSTEM, REFUSING, SAID, QuirkServer, openai_error

from esc_eval.chat.endpoint.adapting import join_neighbours, merge_system, room_left
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.refusals import Refused, read_refusal, refusal_from
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation
from esc_eval.simulation.plan import turn_from_reply

SAMPLED = Generation(max_new_tokens=512, temperature=0.7, top_p=0.9, top_k=20, repetition_penalty=1.05)
GREEDY = Generation(max_new_tokens=512)
TALK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "I cannot sleep."}]


@pytest.fixture
def server():
    with QuirkServer() as server:
        yield server


def open_quirk(server, name, **options):
    notes = []
    model = EndpointModel(name, server.url, **{"longest_wait": 0.02, "attempts": 3} | options)
    model.on_note = notes.append
    return model, notes


def answer(model, conversation=TALK, settings=SAMPLED):
    [(_, reply)] = model.reply([conversation], settings, [3])
    return reply


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSING)
def test_fields_that_a_server_does_not_know_are_left_out_in_every_wording(server, name):
    model, notes = open_quirk(server, name)
    reply = answer(model)
    assert (reply.text, reply.problem) == (SAID, None)
    refused = [field for field in REFUSING[name][0] if field in server.requests[0]]
    assert refused
    assert reply.served.adapted == dict.fromkeys(refused, "left out") == model.adapted
    assert len(notes) == len(refused)
    assert {"temperature", "top_p", "max_tokens"} <= server.requests[-1].keys()
    assert turn_from_reply("seeker", reply, 3).seed == (None if "seed" in refused else 3)
    count = len(server.requests)
    assert answer(model).served.adapted == reply.served.adapted
    assert (len(server.requests), len(notes)) == (count + 1, len(refused)), "learnt, and said once"


@pytest.mark.parametrize(
    ("name", "settings", "adapted"),
    [
        ("gpt-5", GREEDY, {"temperature": "left out", "max_tokens": "sent as max_completion_tokens"}),
        ("claude", SAMPLED, {"top_p": "left out"}),
        ("positive", GREEDY, {"temperature": "sent as 0.01"}),
        ("open_range", GREEDY, {"top_p": "left out"}),
        ("small_cap", GREEDY, {"max_tokens": "lowered to 100, the most that the server allows"}),
        ("tight", GREEDY, {"max_tokens": "lowered to 348, which the conversation leaves"}),
    ],
)
def test_values_that_a_server_does_not_take_are_changed_and_said(server, name, settings, adapted):
    model, notes = open_quirk(server, name)
    reply = answer(model, settings=settings)
    assert (reply.text, reply.served.adapted) == (SAID, adapted)
    assert len(notes) == len(adapted)


def test_a_server_that_allows_fewer_alternatives_is_asked_for_fewer(server):
    model, _ = open_quirk(server, "few_alternatives")
    [(_, [choice])] = model.choose([[TALK]], "", ["0", "1"])
    assert (choice.text, server.requests[-1]["top_logprobs"]) == (SAID, 5)
    assert choice.served.adapted == {"top_logprobs": "sent as 5"}


@pytest.mark.parametrize("name", [*NO_SYSTEM, "mistral-vllm"])
def test_a_system_message_that_is_refused_begins_the_first_user_message(server, name):
    model, notes = open_quirk(server, name)
    conversation = copy.deepcopy(TALK)
    reply = answer(model, conversation)
    assert (reply.text, conversation) == (SAID, TALK)
    assert server.requests[-1]["messages"] == [{"role": "user", "content": "Be kind.\n\nI cannot sleep."}]
    assert reply.served.adapted == {"system": "merged into the first user message"}
    assert len(notes) == 1
    assert len(server.requests) == 2


def test_messages_of_one_role_in_a_row_are_joined_where_they_must_alternate(server):
    model, _ = open_quirk(server, "strict_turns")
    reply = answer(model, [*TALK, {"role": "user", "content": "Still awake."}])
    assert reply.served.adapted == {"neighbours": "neighbours of one role joined"}
    assert server.requests[-1]["messages"][1:] == [{"role": "user", "content": "I cannot sleep.\n\nStill awake."}]


def test_a_conversation_that_the_supporter_begins_starts_with_the_system_prompt_as_user():
    messages = [{"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}]
    assert [m["role"] for m in merge_system(messages)] == ["user", "assistant"]
    assert join_neighbours(messages) == messages


@pytest.mark.slow
@pytest.mark.parametrize("concurrency", [2, 16])
def test_requests_that_are_refused_side_by_side_are_all_sent_again(server, concurrency):
    model, notes = open_quirk(server, "cap-only", concurrency=concurrency)
    asks = [[{"role": "user", "content": str(n)}] for n in range(32)]
    replies = dict(model.reply(asks, GREEDY, range(32)))
    assert [replies[n].text for n in range(32)] == [f"echo {n}" for n in range(32)]
    assert len(notes) == 1
    assert {reply.served.adapted["max_tokens"] for reply in replies.values()} == {"sent as max_completion_tokens"}


def test_fields_of_the_user_are_sent_above_all_and_dropped_with_null(server):
    extra = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}, "seed": None, "top_p": 0.5}
    model, _ = open_quirk(server, "well", extra_body=extra)
    reply = answer(model)
    sent = server.requests[-1]
    assert (sent["reasoning_effort"], sent["chat_template_kwargs"]) == ("low", {"enable_thinking": False})
    assert ("seed" in sent, sent["top_p"]) == (False, 0.5)
    assert reply.served.adapted == {"seed": "left out", "top_p": "sent as 0.5"}
    assert turn_from_reply("seeker", reply, 3).seed is None
    assert model.identity["extra_body"] == extra
    assert "extra_body" not in EndpointModel("m", server.url).identity


def test_a_field_of_the_user_that_is_refused_is_an_error_that_names_it(server):
    server.answer = lambda name, body: openai_error("Unknown parameter: 'effort'", param="effort")
    model, _ = open_quirk(server, "any", extra_body={"effort": 1})
    with pytest.raises(EscEvalError, match=r"does not take 'effort'.*--extra-body"):
        answer(model)
    with pytest.raises(EscEvalError, match="'messages' is set by esc-eval alone"):
        EndpointModel("m", server.url, extra_body={"messages": []})


def test_a_field_that_cannot_be_left_out_is_told_to_who_sent_it(server):
    server.answer = lambda name, body: openai_error("guided_choice: Extra inputs are not permitted")
    model, _ = open_quirk(server, "any")
    body = {"model": "any", "messages": TALK, "max_tokens": 5, "guided_choice": ["0", "1"]}
    with pytest.raises(Refused) as caught:
        list(model._gather([body], dict))
    assert caught.value.field == "guided_choice"


def test_what_servers_repeat_of_a_request_is_not_taken_for_a_refusal():
    refusal = refusal_from(422, {"detail": [{"loc": ["body", "seed"], "msg": "no", "input": "temperature top_p"}]})
    assert refusal.names(["temperature", "top_p", "seed"]) == ("seed",)
    refusal = read_refusal(400, b"{\"error\": \"property 'seed' is unsupported, did you mean 'temperature'\"}")
    assert refusal.names(["temperature", "seed"]) == ("seed",)
    assert read_refusal(400, b"{" * 5000).names(["seed"]) == ()


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("maximum context length is 2048 tokens. However, you requested 2212 tokens (1700 in the messages, 512", 348),
        ("This model's maximum context length is 2048 tokens and your request has 1948 input tokens", 100),
        ("input length and `max_tokens` exceed context limit: 1900 + 512 > 2048, decrease input length", 148),
        ("maximum context length is 2048 tokens and your request has 2047 input tokens", None),
        ("This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.", None),
        ("prompt is too long", None),
    ],
)
def test_the_room_that_a_conversation_leaves_is_read_from_the_message(message, left):
    assert room_left(refusal_from(400, {"message": message}), 512) == left


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_all_quirks_mixed_into_many_requests_side_by_side_give_the_right_replies(share):
    passing = [name for name in BROKEN if name != "bomb"]
    mixed = [*REFUSING, *NO_SYSTEM, "cap-only", "claude", "mistral-vllm", "thinks_long", *passing]
    with QuirkServer(mixed, share) as server:
        model, _ = open_quirk(server, "mixture", concurrency=16, attempts=40)
        asks = [[TALK[0], {"role": "user", "content": f"ask {n}"}] for n in range(160)]
        threads = threading.active_count()
        replies = dict(model.reply(asks, GREEDY, range(160)))
    assert {reply.problem for reply in replies.values()} == {None}
    assert all(reply.text in (f"echo ask {n}", f"echo Be kind.\n\nask {n}") for n, reply in replies.items())
    assert model.usage["failures"] > 160 * share / 8
    assert threading.active_count() - threads < 64
