"""All measurements that need a GPU, in a bounded time, on a machine with torch and transformers and no network.

    python -m benchmarks.gpu --minutes 20 --out gpu.json

Each part is a command of its own. What it found is in the file before the next one begins, so that a run that was
stopped goes on where it was; a part that fails says why, and is tried again the next time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from esc_eval.files.writing import write_json

SIMULATION = ("-m", "benchmarks.simulation", "--repeats", "1", "--official-dialogues", "1", "--official-rounds", "1")
JSON = "{json}"
TRAINING = ("-m", "benchmarks.training", "--json", JSON, "--recipe")
PAPER = (*TRAINING, "training/recipes/esc_role/paper.yaml")
PARTS: dict[str, tuple[str, ...]] = {
    "tests": ("-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/esc_eval/chat/engine/test_gpu.py"),
    "simulation-7b": (
        *SIMULATION, "--random-shape", "qwen2-7b", "--dialogues", "128", "--batch", "128", "--json", JSON,
    ),
    "simulation-0.5b": (
        *SIMULATION, "--random-shape", "qwen2-0.5b", "--dialogues", "512", "--batch", "512", "--json", JSON,
    ),
    "scoring-7b": ("-m", "benchmarks.scoring", "--random-shape", "internlm2-7b", "--dialogues", "6", "--json", JSON),
    "simulation-14b": (
        *SIMULATION, "--random-shape", "qwen1.5-14b", "--dialogues", "40", "--batch", "40", "--json", JSON,
    ),
    "training-7b-before": (*PAPER, "--shape", "qwen2-7b", "--tokens", "1024", "--set", "speed=null"),
    "training-7b": (*PAPER, "--shape", "qwen2-7b", "--tokens", "1024"),
    "training-7b-uneven": (*PAPER, "--shape", "qwen2-7b", "--tokens", "2048", "--shortest", "200"),
    "training-7b-compiled": (*PAPER, "--shape", "qwen2-7b", "--tokens", "1024", "--set", "speed.compile=true"),
    "training-14b": (*PAPER, "--shape", "qwen1.5-14b", "--tokens", "1024"),
    "training-single": (
        *TRAINING, "training/recipes/esc_rank/single.yaml", "--shape", "qwen2-7b",
        "--tokens", "2048", "--shortest", "1024",
    ),
    "training-0.5b": (
        *PAPER, "--shape", "qwen2-0.5b", "--batch", "32", "--tokens", "512",
        "--set", "optimise.gradient_checkpointing=false",
    ),
    "equality": ("-m", "benchmarks.equality", "--json", JSON),
}  # fmt: skip
TAIL = 3000  # characters of a part's output that are kept


def run_part(command: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """What one part said and found within so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        words = [sys.executable, *(str(file) if word == JSON else word for word in command)]
        begin = time.monotonic()
        try:
            done = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, text=True, check=False,
                env={**os.environ, "ESC_EVAL_TEST_GPU": "1", "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
            output, problem = done.stdout, f"it ended with code {done.returncode}" if done.returncode else None
        except subprocess.TimeoutExpired as error:
            output, problem = str(error.stdout or ""), f"it was not done after {seconds:.0f} s, the time that was left"
        part: dict[str, Any] = {
            "command": " ".join(["python", *(word for word in command)]),
            "date": datetime.now(UTC).date().isoformat(),
            "device": torch.cuda.get_device_name(),
            "seconds": round(time.monotonic() - begin, 1),
            "output": output[-TAIL:],
        }
        if problem:
            part["problem"] = problem
        elif file.exists():
            part["found"] = json.loads(file.read_text(encoding="utf-8"))
        return part


def main() -> None:
    """Run the parts that the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=20, help="all of it; a part that would begin later is left out"
    )
    parser.add_argument("--out", type=Path, required=True, help="JSON file; an existing one is continued")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no GPU here; on a CPU use the benchmarks one by one (docs/performance.md)")
    found: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    end = time.monotonic() + 60 * options.minutes
    for name in options.parts:
        if name in found and "problem" not in found[name]:
            print(f"== {name}: done before")
            continue
        left = end - time.monotonic()
        if left <= 0:
            print(f"== {name}: no time left; run the same command again for the rest")
            continue
        found[name] = run_part(PARTS[name], left)
        write_json(options.out, found)
        print(f"== {name}: {found[name].get('problem', 'done')} ({found[name]['seconds']} s)")
        print(found[name]["output"], flush=True)


if __name__ == "__main__":
    main()
