"""What scoring, reporting, comparing and viewing a run folder of so many dialogues takes: time and peak memory of each
command.

python -m benchmarks.streaming --dialogues 1000000 --parts score resume report --json FILE

The dialogues are made up and short: two rounds, about 1.3 KB, in a temporary folder; ten supporters play the cards.
Each command has a process of its own, whose peak memory the system tells (``os.wait4``). The rater asks no model: what
is measured is reading, keeping and counting.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from esc_eval.files.writing import write_json, write_whole
from esc_eval.prompts.rubric import Rubric
from esc_eval.schema import Dialogue, digest
from esc_eval.scoring.rater import Verdict

SUPPORTERS = 10
ROUNDS = 2
CHARACTERS = 200
"""Of a turn, about."""
WORDS = ("feel", "friend", "hard", "help", "home", "listen", "not", "sleep", "talk", "think", "tired", "week", "work")


class Counting:
    """A rater that asks nobody: its levels are drawn from the hash of a dialogue's id."""

    name, parallel = "counting", 64
    identity: Mapping[str, Any] = {"kind": "counting", "model": "counting"}
    keys: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()

    def check(self, rubric: Rubric) -> None:
        """Remember the rubric."""
        self.keys, self.levels = rubric.keys, rubric.levels

    def verdicts(self, dialogues: Sequence[Dialogue]) -> Iterator[Mapping[str, Verdict]]:
        """A level for each dimension, and how likely it is."""
        low, rest = 0.2 / (len(self.levels) - 1), 0.8
        for dialogue in dialogues:
            drawn = bytes.fromhex(digest(dialogue.id))
            found = {}
            for key, byte in zip(self.keys, drawn, strict=False):
                place = byte % len(self.levels)
                found[key] = Verdict(
                    self.levels[place], tuple(rest if i == place else low for i in range(len(self.levels)))
                )
            yield found


def make_dialogues(count: int) -> Iterator[str]:
    """Lines of ``dialogues.jsonl``: every supporter on every card."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=CHARACTERS // 5)) + rng.choice(".?") for _ in range(1000)]
    for number in range(count):
        card, supporter = divmod(number, SUPPORTERS)
        turns = [
            {"role": role, "text": rng.choice(texts), "finish_reason": "stop", "completion_tokens": 60}
            for _ in range(ROUNDS)
            for role in ("seeker", "supporter")
        ]
        row = {
            "id": f"card-{card:07}-model-{supporter}",
            "language": "en",
            "turns": turns,
            "card_id": f"card-{card:07}",
            "supporter": f"model-{supporter}",
            "seeker": "made up",
            "protocol": "made-up/1",
        }
        yield json.dumps(row) + "\n"


def score(folder: Path) -> None:
    """Rate what has no ratings yet."""
    from esc_eval import score as rate

    rate(folder, Counting())


def report(folder: Path) -> None:
    """Write summary.json, report.md and report.html."""
    from esc_eval import report as show

    show(folder, out=folder)


def join(folder: Path) -> None:
    """The same of two folders with half of the lines of ``dialogues.jsonl`` each, and their ratings."""
    from esc_eval import report as show

    halves = [folder / "first", folder / "second"]
    for half in halves:
        half.mkdir(exist_ok=True)
    first: set[str] = set()
    with (folder / "dialogues.jsonl").open(encoding="utf-8") as lines:
        middle = sum(1 for _ in lines) // 2
    for name, key in (("dialogues.jsonl", "id"), ("ratings.jsonl", "dialogue_id")):
        with ExitStack() as stack:
            lines = stack.enter_context((folder / name).open(encoding="utf-8"))
            written = [stack.enter_context((half / name).open("w", encoding="utf-8")) for half in halves]
            for number, line in enumerate(lines):
                one = json.loads(line)[key]
                if name == "dialogues.jsonl" and number < middle:
                    first.add(one)
                written[one not in first].write(line)
    show(halves, out=folder / "joined")


def compare(folder: Path) -> None:
    """Supporters side by side."""
    from esc_eval import compare as beside

    beside(folder)


def compare_by_verb(folder: Path) -> None:
    """The same on the command line."""
    from esc_eval.cli.app import app

    app(["compare", str(folder), "--json", str(folder / "compare.json")], standalone_mode=False)


def view(folder: Path) -> Any:
    """All that ``view`` does before it serves."""
    from esc_eval.view.app import make_view
    from esc_eval.view.collection import Collection

    collection = Collection.open([folder])
    assert collection.boards
    return make_view(collection)


def open_pages(folder: Path) -> None:
    """The same, and each page once, with the processor time of each: the page on rounds reads all that was said."""
    from starlette.testclient import TestClient

    app = view(folder)
    client, key = TestClient(app, base_url="http://127.0.0.1"), app.state.viewer.collection.entries[-1].key
    lists = ("/dialogues", "/dialogues?find=sleep+tired", "/dialogues?sort=mean")
    for page in ("/", *lists, f"/dialogues/{key}", f"/dialogues/{key}", "/side-by-side", "/rounds"):
        begin = time.process_time()
        assert client.get(page).status_code == 200, page
        print(f"{page}: {time.process_time() - begin:.3f} s", file=sys.stderr, flush=True)


PARTS: dict[str, Callable[[Path], Any]] = {
    "score": score,
    "resume": score,
    "report": report,
    "join": join,
    "compare": compare,
    "compare-verb": compare_by_verb,
    "view": view,
    "pages": open_pages,
}
"""In this order; ``resume`` finds everything rated."""


def measure(part: str, folder: Path) -> dict[str, Any]:
    """Run a part in a process of its own."""
    begin, load = time.perf_counter(), os.getloadavg()[0]
    command = [sys.executable, "-m", "benchmarks.streaming", "--part", part, "--folder", str(folder)]
    child = subprocess.Popen(command, stdout=sys.stderr)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{part} ended with exit code {child.returncode}")
    return {
        "part": part,
        "seconds": round(time.perf_counter() - begin, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 1024, 1),
        "load_before": round(load, 1),
    }


def main() -> None:
    """Print what each part took as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--where", type=Path, help="a folder with space for 4 KB a dialogue; default: the system's")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        PARTS[options.part](options.folder)
        return
    found: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]},
        "date": time.strftime("%Y-%m-%d"),
        "sizes": [],
    }
    for count in options.dialogues:
        with TemporaryDirectory(dir=options.where) as temporary:
            folder = Path(temporary) / "run"
            folder.mkdir()
            write_whole(folder / "dialogues.jsonl", make_dialogues(count))
            size = (folder / "dialogues.jsonl").stat().st_size
            parts = []
            for part in options.parts:
                parts.append(measure(part, folder))
                print(count, parts[-1], file=sys.stderr, flush=True)
            found["sizes"].append({"dialogues": count, "megabytes_of_dialogues": round(size / 1e6, 1), "parts": parts})
    print(json.dumps(found, indent=2))
    if options.json:
        write_json(options.json, found)


if __name__ == "__main__":
    main()
