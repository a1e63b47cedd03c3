"""Several servers: who gets a request, who is taken out and comes back; and a run that survives all of it."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest
from faulty_server import FaultyServer

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))
from benchmarks.endpoint import ServerProcess, expected, make_cards, memory, play
from benchmarks.fake_server import FakeServer
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.chat.endpoint.pool import LONGEST_REST, STRIKES, Pool
from esc_eval.errors import EscEvalError
from esc_eval.prompts.protocol import Generation, load_protocol


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def take(pool, key="k", avoid=None):
    return asyncio.run(asyncio.wait_for(pool.take(key, avoid), 5))


def test_a_dialogue_stays_with_its_server_and_dialogues_spread(clock):
    pool = Pool(["a", "b", "c"], 100, clock)
    chosen = {}
    for key in map(str, range(60)):
        server = take(pool, key)
        chosen[key] = server.url
        pool.give_back(server)
    assert all(5 < list(chosen.values()).count(url) < 40 for url in "abc")
    assert all(take(pool, key).url == chosen[key] for key in ["3", "17"])


def test_a_crowded_favourite_is_passed_over(clock):
    pool = Pool(["a", "b"], 8, clock)
    urls = [take(pool, "same").url for _ in range(16)]
    assert urls.count("a") == urls.count("b") == 8


def test_a_failing_server_is_taken_out_tried_again_and_brought_back(clock):
    pool = Pool(["a", "b"], 4, clock)
    bad = pool.servers[0]
    for _ in range(STRIKES):
        pool.failed(bad)
    assert {take(pool, str(i)).url for i in range(4)} == {"b"}
    clock.now += 1.1
    for server in pool.servers:
        server.under_way = 0
    assert take(pool, "x", avoid=pool.servers[1]) is bad
    assert take(pool, "x", avoid=pool.servers[1]).url == "b", "one request at a time finds out"
    pool.well(bad)
    assert take(pool, "x", avoid=pool.servers[1]) is bad


def test_a_server_that_stays_broken_rests_longer_each_time(clock):
    pool = Pool(["a", "b"], 4, clock)
    bad, rests = pool.servers[0], []
    for _ in range(STRIKES - 1):
        pool.failed(bad)
    for _ in range(8):
        pool.failed(bad)
        pool.failed(bad)  # sent before it was taken out
        rests.append(bad.out_until - clock.now)
        clock.now = bad.out_until + 0.1
    assert rests[:4] == pytest.approx([1, 2, 4, 8])
    assert max(rests) == pytest.approx(LONGEST_REST)


def test_a_server_that_pushes_back_gets_fewer_requests_and_regains_them(clock):
    pool = Pool(["a"], 16, clock)
    [server] = pool.servers
    for _ in range(10):
        pool.pushed_back(server)
    assert server.limit == pytest.approx(16 * 0.7), "once for all who hear it at the same time"
    clock.now += 2
    pool.pushed_back(server)
    low = server.limit
    for _ in range(400):
        pool.well(server)
    assert low < 8
    assert server.limit == 16


def test_the_only_server_is_never_taken_out(clock):
    pool = Pool(["a"], 2, clock)
    for _ in range(10):
        pool.failed(pool.servers[0])
    assert take(pool).url == "a"


@pytest.mark.slow
def test_requests_go_to_the_servers_that_work():
    asks = [[{"role": "user", "content": f"ask {i}"}] for i in range(24)]
    with FaultyServer(lambda n: 500) as broken, FaultyServer() as well:
        model = EndpointModel("toy", [broken.url, well.url], concurrency=4, longest_wait=0.05)
        replies = dict(model.reply(asks, Generation(max_new_tokens=5), range(24)))
        assert [replies[i].text for i in range(24)] == [f"echo ask {i}" for i in range(24)]
        assert len(broken.requests) < 12
        assert model.usage["failures"] == len(broken.requests)
        assert model.usage["completion_tokens"] == 48


def test_one_bad_url_in_a_pool_is_refused():
    with pytest.raises(EscEvalError, match="'nonsense' is no base URL"):
        EndpointModel("m", ["http://localhost:1/v1", "nonsense"])


@pytest.mark.slow
def test_faults_and_a_server_killed_in_mid_run_end_in_exactly_the_right_dialogues(tmp_path):
    servers = [ServerProcess(0.01, faults=0.1) for _ in range(2)]
    cards, protocol = make_cards(24), load_protocol()

    def crash():
        servers[0].kill()
        servers[0].start()

    timer = threading.Timer(0.15, crash)
    timer.start()
    try:
        result = play(cards, [server.url for server in servers], 12, tmp_path / "run", protocol)
    finally:
        timer.join()
        for server in servers:
            server.kill()
    assert result["right"] == result["dialogues"] == 24
    assert result["failures"] > 0
    assert len(expected(cards[0], protocol)) == 11


@pytest.mark.slow
def test_what_a_run_keeps_in_memory_does_not_grow_with_its_cards(tmp_path):
    class Chosen:
        cards, rounds = 1500, 1

    assert memory(Chosen, tmp_path)["growth_mib"] < 4


def test_the_client_keeps_the_server_busy():
    concurrency = 16

    async def server_side(ready, stop):
        fake = FakeServer(0.02)
        server = await fake.start()
        ready.append((server.sockets[0].getsockname()[1], fake))
        while not stop.is_set():
            await asyncio.sleep(0.01)
        server.close()

    ready, stop = [], threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(server_side(ready, stop)))
    thread.start()
    while not ready:
        pass
    port, fake = ready[0]
    asks = [[{"role": "user", "content": str(i)}] for i in range(80)]
    model = EndpointModel("m", f"http://127.0.0.1:{port}/v1", concurrency=concurrency)
    assert len(list(model.reply(asks, Generation(), range(80)))) == 80
    stop.set()
    thread.join()
    assert fake.most == concurrency
