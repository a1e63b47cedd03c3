"""Whether the client of endpoints is the bottleneck, and whether it survives faults; against a server on loopback.

python -m benchmarks.endpoint --json FILE
python -m benchmarks.endpoint --part memory --cards 10000
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.fake_server import right_answer
from esc_eval.chat.backends.scripted import ScriptedModel
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

PARTS = ("throughput", "faults", "memory")


def make_cards(count: int) -> list[RoleCard]:
    """Made-up cards."""
    return [
        RoleCard(id=f"c{i}", language="en", text=f"Age: {20 + i % 50}\nProblem: trouble number {i}", source="made up")
        for i in range(count)
    ]


class ServerProcess:
    """The fake server in a process of its own, which can be killed and started again on the same port."""

    def __init__(self, latency: float, faults: float = 0.0) -> None:
        self.arguments = ["--latency", str(latency), "--faults", str(faults)]
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = [sys.executable, "-m", "benchmarks.fake_server", "--port", str(self.port), *self.arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """Kill it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}/v1"


def expected(card: RoleCard, protocol: Protocol) -> list[str]:
    """The texts of a card's dialogue with the fake server on both sides."""
    turns = [protocol.opening(card)]
    for _ in range(protocol.rounds):
        for side in ("seeker", "supporter"):
            conversation = protocol.conversation(card, turns, side)  # type: ignore[arg-type]
            text = right_answer([dict(message) for message in conversation])  # type: ignore[misc]
            turns.append(Turn(role=side, text=text))  # type: ignore[arg-type]
    return [turn.text for turn in turns]


def play(cards: list[RoleCard], urls: list[str], concurrency: int, folder: Path, protocol: Protocol) -> dict[str, Any]:
    """Simulate with the fake server on both sides; what it took, and whether all dialogues are right."""
    model = EndpointModel("fake", urls, concurrency=concurrency, longest_wait=2.0)
    start, cpu = time.perf_counter(), time.process_time()
    with Run(folder) as run:
        play_plan(Plan(protocol, cards, model, [model]), run)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    lines = (folder / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
    dialogues = {d.card_id: d for d in map(Dialogue.model_validate_json, lines)}
    right = sum([t.text for t in dialogues[card.id].turns] == expected(card, protocol) for card in cards)
    return {
        "dialogues": len(lines),
        "right": right,
        "requests": model.usage["requests"],
        "failures": model.usage["failures"],
        "seconds": seconds,
        "requests_per_second": model.usage["requests"] / seconds,
        "cpu_share_of_one_core": cpu / seconds,
    }


def throughput(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Requests a second without faults, as a share of concurrency / latency."""
    server = ServerProcess(options.latency)
    protocol = load_protocol()
    try:
        cards = make_cards(options.waves * options.concurrency)
        result = play(cards, [server.url], options.concurrency, scratch / "clean", protocol)
    finally:
        server.kill()
    result["ideal_requests_per_second"] = options.concurrency / options.latency
    result["share_of_ideal"] = result["requests_per_second"] / result["ideal_requests_per_second"]
    return result


def faults(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Two servers with faults, of which one is killed in mid-run and started again."""
    servers = [ServerProcess(options.latency, options.fault_share) for _ in range(2)]
    protocol = load_protocol()
    cards = make_cards(2 * options.concurrency)
    ideal = len(cards) * 2 * protocol.rounds * options.latency / options.concurrency

    def crash() -> None:
        time.sleep(ideal * 0.4)
        servers[0].kill()
        time.sleep(1.0)
        servers[0].start()

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        result = play(cards, [s.url for s in servers], options.concurrency, scratch / "faults", protocol)
    finally:
        thread.join()
        for server in servers:
            server.kill()
    return {**result, "fault_share": options.fault_share, "killed_and_restarted": 1}


def memory(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Resident memory after a tenth of the cards, and after all of them, with scripted models."""
    script = scratch / "script.json"
    script.write_text(json.dumps([f"line {i} " + "word " * 40 for i in range(12)]), encoding="utf-8")
    model = ScriptedModel(script)
    cards = make_cards(options.cards)
    protocol = load_protocol().model_copy(update={"rounds": options.rounds})
    marks: dict[int, float] = {}
    count, lock = 0, threading.Lock()

    def on_turn(_: Turn) -> None:
        nonlocal count
        with lock:
            count += 1
            if count % (2 * options.rounds * len(cards) // 10) == 0:
                marks[count] = resident()

    start = time.perf_counter()
    with Run(scratch / "memory") as run:
        play_plan(Plan(protocol, cards, model, [model]), run, on_turn)
    marks[count + 1] = resident()
    values = list(marks.values())
    return {
        "cards": len(cards),
        "turns": count,
        "seconds": time.perf_counter() - start,
        "mib_after_a_tenth": values[0],
        "mib_at_the_end": values[-1],
        "growth_mib": values[-1] - values[0],
    }


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Run the parts and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="default: all")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds of the server for one answer")
    parser.add_argument("--waves", type=int, default=4, help="dialogues, in multiples of the concurrency")
    parser.add_argument("--fault-share", type=float, default=0.1)
    parser.add_argument("--cards", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="of the memory part")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    results = {}
    for part in options.part or PARTS:
        with TemporaryDirectory() as scratch:
            results[part] = {"throughput": throughput, "faults": faults, "memory": memory}[part](options, Path(scratch))
        print(part)
        for key, value in results[part].items():
            print(f"  {key:28}{value:10.2f}" if isinstance(value, float) else f"  {key:28}{value:10}")
    if options.json:
        write_json(options.json, results)


if __name__ == "__main__":
    main()
