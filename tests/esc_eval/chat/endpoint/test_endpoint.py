import copy

import pytest
from faulty_server import FaultyServer

from esc_eval.chat import Options, open_model
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.standing import MOST_IN_A_ROW
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation

SETTINGS = Generation(max_new_tokens=7)
ASKS = [[{"role": "user", "content": f"ask {i}"}] for i in range(12)]


def model(server, **options):
    return EndpointModel("toy", server.url, **{"concurrency": 4, "longest_wait": 0.05} | options)


def ask(endpoint, conversations=ASKS, settings=SETTINGS):
    replies = dict(endpoint.reply(conversations, settings, list(range(len(conversations)))))
    return [replies[i].text for i in range(len(conversations))]


EXPECTED = [f"echo ask {i}" for i in range(12)]


def test_replies_belong_to_their_conversations_and_run_side_by_side():
    with FaultyServer(delay=0.02) as server:
        conversations = copy.deepcopy(ASKS)
        assert ask(model(server), conversations) == EXPECTED
        assert conversations == ASKS
        assert 2 <= server.most <= 4
        assert server.requests[0]["max_tokens"] == 7
        [(_, reply)] = model(server).reply(ASKS[:1], SETTINGS, [0])
        assert (reply.finish_reason, reply.prompt_tokens, reply.completion_tokens) == ("stop", 5, 2)


@pytest.mark.parametrize("fault", [429, 500, 503, "hang up", "no json", "no choices"])
def test_a_passing_fault_is_overcome(fault):
    with FaultyServer(lambda number: fault if number % 3 == 0 else None) as server:
        assert ask(model(server)) == EXPECTED
        assert server.faults[str(fault)] >= 4


def test_a_slow_answer_is_asked_for_again():
    with FaultyServer(lambda number: "slow" if number == 1 else None) as server:
        assert ask(model(server, timeout=0.5)) == EXPECTED
        assert server.faults["slow"] == 1


def test_what_a_strict_server_does_not_know_is_left_out():
    sampled = Generation(max_new_tokens=7, temperature=0.7, top_k=20)
    with FaultyServer(lambda number: "refuse top_k") as server:
        endpoint = model(server)
        assert ask(endpoint, settings=sampled) == EXPECTED
        assert endpoint.adapted == {"top_k": "left out"}
        assert "top_k" not in server.requests[-1]


def test_a_lasting_fault_ends_with_what_the_server_said_and_keeps_what_was_finished():
    with FaultyServer(lambda number: 500 if number >= 5 else None) as server:
        endpoint, got = model(server, concurrency=1, attempts=2), []
        with pytest.raises(EscEvalError, match=r"gave up after 2 tries: the server answered 500.*\n.*go on"):
            got.extend(endpoint.reply(ASKS, SETTINGS, range(12)))
        assert len(got) == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_concerns_all_is_not_tried_again(status):
    with FaultyServer(lambda number: status) as server:
        with pytest.raises(EscEvalError, match=f"answered {status}"):
            ask(model(server, concurrency=1))
        assert len(server.requests) <= 2


def test_a_refusal_of_every_conversation_ends_the_run_after_a_few():
    with FaultyServer(lambda number: 400) as server:
        with pytest.raises(EscEvalError, match="answered 400"):
            ask(model(server, concurrency=1))
        assert MOST_IN_A_ROW <= len(server.requests) <= MOST_IN_A_ROW + 1


def test_the_key_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("MY_LAB_KEY", "very-secret")
    with FaultyServer(lambda number: 401) as server:
        endpoint = open_model(f"openai:toy@{server.url}", Options(api_key_env="MY_LAB_KEY"))
        with pytest.raises(EscEvalError) as caught:
            ask(endpoint)
        assert server.headers[0]["authorization"] == "Bearer very-secret"
        assert "very-secret" not in str(caught.value)
        assert "very-secret" not in str(endpoint.identity)


def test_a_server_that_is_not_there_is_a_clear_error():
    with FaultyServer() as server:
        url = server.url
    with pytest.raises(EscEvalError, match="connection failed"):
        ask(EndpointModel("toy", url, attempts=2, longest_wait=0.05))


def test_credentials_in_the_url_stay_out_of_the_identity():
    endpoint = EndpointModel("m", "http://user:pw@127.0.0.1:9/v1")
    assert endpoint.identity == {"kind": "openai", "model": "m", "server": "127.0.0.1:9/v1"}


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://x/v1", "http://"])
def test_something_else_than_a_url_is_refused(url):
    with pytest.raises(EscEvalError, match="no base URL"):
        EndpointModel("m", url)
