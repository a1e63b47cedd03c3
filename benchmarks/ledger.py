"""How much a durable turn costs: the run's SQLite ledger against an append-only file synced line by line.

usage: python -m benchmarks.ledger [--turns 500] [--rounds 5]
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from esc_eval.simulation.run import Run


def sqlite(folder: Path, line: str, turns: int) -> float:
    """Seconds for so many turns through the ledger."""
    with Run(folder) as run:
        start = time.perf_counter()
        for number in range(turns):
            run.add("turn", f"dialogue {number // 11}", number % 11, line)
        return time.perf_counter() - start


def appended(folder: Path, line: str, turns: int) -> float:
    """Seconds for so many lines, each followed by fsync."""
    folder.mkdir()
    with (folder / "ledger.jsonl").open("a", encoding="utf-8") as file:
        start = time.perf_counter()
        for _ in range(turns):
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        return time.perf_counter() - start


def main() -> None:
    """Alternate the two, print the median of each and of their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    line = '{"role":"seeker","text":"' + "word " * 80 + '"}'
    pairs = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            ours = sqlite(Path(name) / f"sqlite{number}", line, options.turns)
            plain = appended(Path(name) / f"file{number}", line, options.turns)
            pairs.append((ours, plain))
    per_turn = [1000 * statistics.median(column) / options.turns for column in zip(*pairs, strict=True)]
    ratios = sorted(ours / plain for ours, plain in pairs)
    print(f"SQLite {per_turn[0]:.2f} ms a turn, synced file {per_turn[1]:.2f} ms a turn")
    print(f"ratio {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
