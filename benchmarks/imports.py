"""How long a person waits before anything happens: `import esc_eval` and `esc-eval --help`.

usage: python -m benchmarks.imports [--runs 11]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

HEAVY = ("torch", "transformers", "datasets", "scipy", "matplotlib", "pandas", "huggingface_hub")
WHAT = {
    "python alone": ["-c", "pass"],
    "import esc_eval": ["-c", "import esc_eval"],
    "esc-eval --help": ["-m", "esc_eval", "--help"],
}


def seconds(arguments: list[str]) -> tuple[float, float]:
    """By the clock, and of processor time, of a fresh process."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the median and the quartiles of each, and which heavy libraries an import loads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=11)
    runs = parser.parse_args().runs
    found = {}
    for name, arguments in WHAT.items():
        times = [seconds(arguments) for _ in range(runs + 1)][1:]  # the first reads the files
        found[name] = {"n": runs}
        for kind, values in zip(("clock", "processor"), zip(*times, strict=True), strict=True):
            low, middle, high = (round(value, 3) for value in statistics.quantiles(values, n=4))
            found[name][f"{kind}_s"] = {"median": middle, "quartiles": [low, high]}
    code = f"import sys, esc_eval.cli.app; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    print(json.dumps(found | {"heavy libraries loaded": done.stdout.strip()}, indent=2))


if __name__ == "__main__":
    main()
