"""How long raters wait for a click to be on the disk, and whether any is lost or doubled when the server is killed.

    python -m benchmarks.rating
    python -m benchmarks.rating --raters 10 --seconds 10 --kills 1 --json FILE

Many raters click at once on loopback, each a little after the answer to the click before; ``esc-eval rate`` runs in a
process of its own and is killed (as kill -9) and started again in between. A rater whose click was not acknowledged
sends it again, as the page does. At the end the export must hold every acknowledged click once, in its order, and the
ratings the last of them. The time to save is from sending a click until it is acknowledged, those of a server that was
down left out of the median and counted apart.
"""

import argparse
import asyncio
import csv
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from esc_eval.environment import installed_versions
from esc_eval.files.records import read_ratings
from esc_eval.files.writing import write_json, write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Turn

GOAL = 0.050
"""Seconds that a rater should wait at most, at the median."""
PAUSE = 0.1
"""Seconds before a click is sent again."""
KEYS = load_rubric().keys


@dataclass
class Server:
    """``esc-eval rate`` on one port, which can be killed."""

    words: list[str]
    process: Any = None

    async def start(self) -> dict[str, str]:
        """Start it; the links by name."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "esc_eval", "rate", *self.words, stdout=subprocess.PIPE
        )
        links: dict[str, str] = {}
        wanted = 1 + len(self.words[self.words.index("--raters") + 1].split(","))
        async for line in self.process.stdout:
            who, mark, link = line.decode().strip().partition(": http")
            if mark:
                links[who.split(" (")[0]] = f"http{link}"
            if len(links) == wanted:
                return links
        raise SystemExit("the server ended before it was ready")

    async def kill(self) -> None:
        """As kill -9."""
        self.process.kill()
        await self.process.wait()


@dataclass
class Rater:
    """Somebody who clicks, and remembers what was acknowledged."""

    name: str
    link: str
    pace: float
    random: random.Random
    acknowledged: list[tuple[str, str, int]] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    async def work(self, until: float) -> None:
        """Rate item after item until a moment of the clock."""
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            home = str((await self._ask(client, "GET", self.link, follow_redirects=True)).url)
            await self._ask(client, "POST", f"{home}begin", data={"name": self.name})
            page = (await self._ask(client, "GET", f"{home}list")).text
            items = [part.split('"')[0] for part in page.split("/item/")[1:]]
            versions = dict.fromkeys(items, 0)
            n = 0
            while time.monotonic() < until:
                item, key = items[n // len(KEYS) % len(items)], KEYS[n % len(KEYS)]
                click = {
                    "id": f"{self.name}-{n:08d}",
                    "kind": "level",
                    "dimension": key,
                    "value": self.random.randrange(5),
                }
                body = {"item": item, "base": versions[item], "clicks": [{**click, "seconds": 1.0, "age": 0.0}]}
                begun, tries = time.monotonic(), len(self.late)
                answer = await self._ask(client, "POST", f"{home}save", json=body)
                if answer.status_code != 200:
                    raise SystemExit(f"{self.name}: {answer.status_code} {answer.text}")
                versions[item] = answer.json()["version"]
                if len(self.late) == tries:
                    self.waits.append(time.monotonic() - begun)
                self.acknowledged.append((click["id"], key, click["value"]))
                n += 1
                await asyncio.sleep(self.random.uniform(0.5, 1.5) * self.pace)

    async def _ask(self, client: httpx.AsyncClient, method: str, url: str, **more: Any) -> httpx.Response:
        begun, failed = time.monotonic(), False
        while True:
            try:
                answer = await client.request(method, url, **more)
            except httpx.TransportError:
                failed = True
            else:
                if answer.status_code not in (429, 500, 503):
                    break
                failed = True
            await asyncio.sleep(PAUSE)
        if failed:
            self.late.append(time.monotonic() - begun)
        return answer


async def run(raters: int, seconds: float, kills: int, pace: float, folder: Path, seed: int = 0) -> dict[str, Any]:
    """Click, kill, export, compare; what was found."""
    said = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text="Since when?"))
    talks = [Dialogue(id=f"d{n}", language="en", turns=said, supporter="made up") for n in range(40)]
    write_jsonl(folder / "talks.jsonl", talks)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    names = [f"rater{n:02d}" for n in range(raters)]
    out = folder / "people"
    words = [str(folder / "talks.jsonl"), "--out", str(out), "--raters", ",".join(names), "--port", str(port)]
    server = Server([*words, "--no-browser"])
    links = await server.start()
    until = time.monotonic() + seconds
    people = [Rater(name, links[name], pace, random.Random(f"{seed}{name}")) for name in names]
    working = [asyncio.create_task(person.work(until)) for person in people]
    for _ in range(kills):
        await asyncio.sleep(seconds / (kills + 1))
        await server.kill()
        if await server.start() != links:
            raise SystemExit("the links are others after a kill")
    await asyncio.gather(*working)
    await server.kill()
    exported = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "esc_eval", "rate", "--out", str(out), "--export", stdout=subprocess.DEVNULL
    )
    if await exported.wait():
        raise SystemExit("the export failed")
    return {
        **compare(out, people, [wait for person in people for wait in person.waits]),
        "raters": raters,
        "seconds": seconds,
        "kills": kills,
        "pace": pace,
    }


def compare(out: Path, people: list[Rater], waits: list[float]) -> dict[str, Any]:
    """What is lost, doubled or strange in the export, and how long clicks took (seconds)."""
    with (out / "history.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = Counter(row["click_id"] for row in rows)
    acknowledged = [click for person in people for click, *_ in person.acknowledged]
    sent = {person.name: [click for click, *_ in person.acknowledged] for person in people}
    kept = {name: [row["click_id"] for row in rows if row["rater"] == name] for name in sent}
    last = {(row["rater"], row["dialogue_id"], row["dimension"]): int(row["value"]) for row in rows}
    ratings = {(r.rater, r.dialogue_id, r.dimension): r.score for r in read_ratings(out / "ratings.jsonl")}
    values = {click: value for person in people for click, _, value in person.acknowledged}
    return {
        "acknowledged": len(acknowledged),
        "lost": sum(counts[click] == 0 for click in acknowledged),
        "doubled": sum(count > 1 for count in counts.values()),
        "never_acknowledged": len(counts.keys() - set(acknowledged)),
        "out_of_order": sum(kept[name][: len(sent[name])] != sent[name] for name in sent),
        "other_values": sum(row["click_id"] in values and int(row["value"]) != values[row["click_id"]] for row in rows),
        "ratings_are_the_last_clicks": ratings == last,
        "sent_again": sum(len(person.late) for person in people),
        "median_ms": round(1000 * median(waits), 1),
        "p95_ms": round(1000 * quantiles(waits, n=20)[-1], 1),
        "worst_ms": round(1000 * max(waits), 1),
    }


def is_sound(found: dict[str, Any]) -> bool:
    """Whether every acknowledged click is in the export, once, in its order, and the last of them holds."""
    wrong = ("lost", "doubled", "never_acknowledged", "out_of_order", "other_values")
    return not any(found[key] for key in wrong) and found["ratings_are_the_last_clicks"]


def main() -> int:
    """Print what was found; 0 if nothing was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--pace", type=float, default=0.5, help="mean seconds between an answer and the next click")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = asyncio.run(run(asked.raters, asked.seconds, asked.kills, asked.pace, Path(folder)))
    found |= {"goal_ms": round(1000 * GOAL), "versions": installed_versions(("starlette", "uvicorn"))}
    for key, value in found.items():
        print(f"{key}: {value}")
    if asked.json:
        write_json(asked.json, found)
    return int(not is_sound(found))


if __name__ == "__main__":
    sys.exit(main())
