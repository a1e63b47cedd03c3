"""How cost grows with cards, rounds, models, raters and runs: processor time and peak memory, and their exponents.

    python -m benchmarks.growth --json growth.json
    python -m benchmarks.growth --parts simulate report --repeats 1
    python -m benchmarks.growth --count --parts "build, cards" --sizes 100 200 400
    python -m benchmarks.growth --paper --json paper.json

A stage is done at several sizes, each in a process of its own, which first does it once at the smallest size: imports
and what is read once are no part of the figures. What is left as a fixed cost is fitted: cost = a + b * size ** k, by
least squares of relative errors, ``a`` not below 0. The exponent is that of the medians; its range is that of the
repeats' own fits. Beside it stands the plain slope between the two largest sizes, which no fit has touched.

``--count`` counts instead of timing: lines of our code that run, files opened, steps of SQLite. A busy machine changes
none of these. The exponent is that of the growth itself, the log of one increase over that of the one before; what a
library does inside is not seen.

``--paper`` does each stage once at the paper's size: 655 cards x 14 models, 64,190 ratings, all made up; what is merged
are as many dialogues of one scripted model.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.browsing import describe_machine
from benchmarks.growth_inputs import make_builder_cards, make_dialogues, make_rated, make_runs, make_script
from benchmarks.growth_work import (
    ROUNDS,
    Job,
    Prepared,
    agree,
    build_cards,
    build_run,
    check_built,
    compare_run,
    export_run,
    merge_parts,
    open_pages,
    open_rounds,
    report_run,
    score_function,
    score_judges,
    score_text,
    simulate_again,
    simulate_engine,
    simulate_function,
    simulate_rounds,
    simulate_scripted,
    start_view,
)
from benchmarks.operations import count_operations
from benchmarks.process_memory import peak_mib, reset_peak
from esc_eval.files.writing import write_json

FLAT = 0.5
"""Share of the fixed cost that growth must reach at the largest size; below it there is no exponent to tell."""
STEPS = np.arange(0.1, 3.001, 0.01)
"""Exponents that are tried."""


@dataclass(frozen=True)
class Stage:
    """One kind of work at several sizes.

    Attributes:
        varies: What the size counts.
        sizes: Rising.
        make: Writes the inputs of a size into a folder; not timed.
        work: Is done on them.
        because: Why its exponent may be over one.
    """

    varies: str
    sizes: tuple[int, ...]
    make: Callable[[int, Path], object]
    work: Callable[[Job], object]
    because: str = ""


PAIRS = "pairs of models are compared, and there are n(n-1)/2"
ATTENTION = "each token looks at all before it"
STAGES: dict[str, Stage] = {
    "simulate, scripted": Stage("cards", (10, 100, 1000, 10_000), make_script, simulate_scripted),
    "simulate, function": Stage("cards", (10, 100, 1000, 4000), make_script, simulate_function),
    "simulate, nothing left": Stage(
        "cards", (10, 100, 1000, 4000),
        lambda n, f: (make_script(n, f), simulate_scripted(Job(n, f, f))), simulate_again,
    ),
    "simulate, scripted, rounds": Stage("rounds", (5, 10, 20, 40), lambda _n, f: make_script(50, f), simulate_rounds),
    "simulate, small transformer": Stage(
        "rounds", (5, 10, 20, 40), lambda _n, f: make_script(8, f), simulate_engine, ATTENTION
    ),
    "score, text scorer": Stage("dialogues", (20, 100, 400, 1600), make_dialogues, score_text),
    "score, function": Stage("dialogues", (20, 100, 400, 1600), make_dialogues, score_function),
    "score, judges": Stage("judges", (1, 2, 4, 8, 16), lambda _n, f: make_dialogues(200, f), score_judges),
    "report": Stage("cards", (20, 100, 400, 1600), lambda n, f: make_rated(f, n, 2, 2), report_run),
    "report, models": Stage("models", (2, 4, 8, 14, 28), lambda n, f: make_rated(f, 40, n), report_run, PAIRS),
    "report, raters": Stage("raters", (1, 2, 4, 8, 16), lambda n, f: make_rated(f, 40, 2, n), report_run),
    "compare, models": Stage("models", (2, 4, 8, 14, 28), lambda n, f: make_rated(f, 40, n), compare_run, PAIRS),
    "agreement": Stage("dialogues", (20, 100, 400, 1600), lambda n, f: make_rated(f, n, 1, 3), agree),
    "agreement, raters": Stage(
        "raters", (2, 4, 8, 16, 32), lambda n, f: make_rated(f, 60, 1, n), agree,
        "pairs of raters are compared, and there are n(n-1)/2",
    ),
    "view, start": Stage("dialogues", (40, 200, 800, 3200), lambda n, f: make_rated(f, n // 2, 2), start_view),
    "view, pages": Stage("dialogues", (40, 200, 800, 3200), lambda n, f: make_rated(f, n // 2, 2), open_pages),
    "view, rounds": Stage("dialogues", (40, 200, 800, 3200), lambda n, f: make_rated(f, n // 2, 2), open_rounds),
    "build": Stage("dialogues", (40, 200, 800, 3200), lambda n, f: make_rated(f, n // 2, 2), build_run),
    "build, cards": Stage("cards", (20, 200, 2000, 8000), make_builder_cards, build_cards),
    "check": Stage("dialogues", (40, 200, 800, 3200), lambda n, f: make_rated(f, n // 2, 2), check_built),
    "export, models": Stage("models", (2, 4, 8, 16, 32), lambda n, f: make_rated(f, 100, n), export_run),
    "merge, runs": Stage("runs", (2, 4, 8, 16, 32), make_runs, merge_parts),
}  # fmt: skip
PAPER: dict[str, Callable[[Job], object]] = {
    "scoring, shipped text scorer": score_text,
    "scoring, a function as judge": score_function,
    "report (text, JSON, Markdown, page)": report_run,
    "compare": compare_run,
    "agreement, three raters": agree,
    "view, until it serves": start_view,
    "view, five pages": open_pages,
    "view, page on rounds": open_rounds,
    "build": build_run,
    "check of the build": check_built,
    "export to official files": export_run,
    "merge of two shards": merge_parts,
}
PREPARED = (open_pages, open_rounds, check_built)
"""Work that gives back what is to be measured."""
PAPER_CARDS, PAPER_MODELS = 655, 14


@dataclass(frozen=True)
class Fit:
    """cost = a + b * size ** k."""

    a: float
    b: float
    k: float

    @classmethod
    def of(cls, sizes: Sequence[int], costs: Sequence[float]) -> "Fit":
        """The least relative squares, ``a`` and ``b`` not below 0."""
        from scipy.optimize import nnls

        cost = np.asarray(costs, float)
        found = []
        for k in STEPS:
            powers = np.asarray(sizes, float) ** k
            (a, b), rest = nnls(np.stack([1 / cost, powers / cost], axis=1), np.ones(len(cost)))
            found.append((rest, a, b, k))
        _, a, b, k = min(found)
        return cls(float(a), float(b), float(k))

    def grows(self, largest: int) -> bool:
        """Whether the part that grows is large enough beside the fixed one to tell how."""
        return self.b * largest**self.k > FLAT * self.a


def describe_growth(sizes: Sequence[int], repeats: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Medians, exponent with its range over the repeats, and the slope between the two largest sizes.

    Args:
        repeats: The costs at all sizes, of each repeat.
    """
    middle = [median(costs) for costs in zip(*repeats, strict=True)]
    fit = Fit.of(sizes, middle)
    own = sorted(Fit.of(sizes, costs).k for costs in repeats)
    return {
        "median": middle,
        "fixed": fit.a,
        "exponent": fit.k if fit.grows(sizes[-1]) else None,
        "range": [own[0], own[-1]],
        "last_slope": float(np.log(middle[-1] / middle[-2]) / np.log(sizes[-1] / sizes[-2])),
    }


def run_child(work: str, size: int, given: Path, first: tuple[int, Path] | None) -> dict[str, float]:
    """Processor time, wall time and memory of a piece of work in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--work", work, "--size", str(size), "--given", str(given)]
    command += ["--first", f"{first[0]}:{first[1]}"] if first else []
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode:
        raise SystemExit(f"{work} at size {size} ended with code {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def work_here(name: str, size: int, given: Path, first: str | None) -> dict[str, float]:
    """Do a piece of work in this process, once small before if asked for; see ``run_child``."""
    work = PAPER[name] if name in PAPER else STAGES[name].work
    result: dict[str, float] = {}
    rounds = [(size, given)]
    if first:
        count, _, place = first.partition(":")
        rounds.insert(0, (int(count), Path(place)))
    for number, folder in rounds:
        with TemporaryDirectory() as out:
            result = measure(partial(work, Job(number, folder, Path(out))))
    return result


def measure(work: Callable[[], object]) -> dict[str, float]:
    """What a piece of work takes; where it is a ``Prepared``, what comes after the preparation."""
    reset_peak()
    wall, processor = time.perf_counter(), time.process_time()
    found = work()
    if isinstance(found, Prepared):
        return measure(found.work)
    return {
        "seconds": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "peak_mib": peak_mib() or 0.0,
    }


def count_growth(name: str, sizes: Sequence[int], scratch: Path) -> dict[str, Any]:
    """Operations of a stage at sizes of which each is the same number of times the one before, in this process."""
    stage, found = STAGES[name], []
    for number, size in enumerate([sizes[0], *sizes]):  # first once for what is read once
        given, out = scratch / f"{number}-given", scratch / f"{number}-out"
        given.mkdir()
        out.mkdir()
        stage.make(size, given)
        job = Job(size, given, out)
        prepared = stage.work(job) if stage.work in PREPARED else None
        work = prepared.work if isinstance(prepared, Prepared) else partial(stage.work, job)
        found.append(count_operations(work))
    rises = np.diff([one.lines for one in found[1:]])
    exponent = float(np.log(rises[-1] / rises[-2]) / np.log(sizes[-1] / sizes[-2])) if len(rises) > 1 else None
    return {
        "varies": stage.varies,
        "sizes": sizes,
        "because": stage.because,
        "counts": [asdict(one) for one in found[1:]],
        "exponent": exponent,
    }


def measure_growth(name: str, repeats: int, scratch: Path) -> dict[str, Any]:
    """A stage at all of its sizes, so often."""
    stage = STAGES[name]
    places = {}
    for size in stage.sizes:
        places[size] = scratch / str(size)
        places[size].mkdir(parents=True)
        stage.make(size, places[size])
    first = (stage.sizes[0], places[stage.sizes[0]])
    found = [[run_child(name, size, places[size], first) for size in stage.sizes] for _ in range(repeats)]
    return {
        "varies": stage.varies,
        "sizes": stage.sizes,
        "because": stage.because,
        "load": os.getloadavg()[0],
        "processor": describe_growth(stage.sizes, [[one["processor"] for one in own] for own in found]),
        "memory": describe_growth(stage.sizes, [[one["peak_mib"] for one in own] for own in found]),
        "repeats": found,
    }


def measure_paper(repeats: int, scratch: Path, parts: Sequence[str], cards: int = PAPER_CARDS) -> dict[str, Any]:
    """Each piece of work at the paper's size."""

    def make_inputs(work: Callable[[Job], object], cards: int, models: int) -> Path:
        kind = {agree: "three", merge_parts: "parts"}.get(work, "one")
        folder = scratch / f"{kind}-{cards}"
        if not folder.exists() and work is merge_parts:
            folder.mkdir()
            make_runs(2, folder, cards * models // 2, ROUNDS)
        elif not folder.exists():
            make_rated(folder, cards, models, 3 if work is agree else 1)
        return folder

    found = {}
    for name, work in PAPER.items():
        if parts and not name.startswith(tuple(parts)):
            continue
        folder, small = make_inputs(work, cards, PAPER_MODELS), make_inputs(work, 4, 2)
        runs = [run_child(name, 0, folder, (0, small)) for _ in range(repeats)]
        found[name] = {key: median(run[key] for run in runs) for key in runs[0]} | {"load": os.getloadavg()[0]}
        print(
            f"{name:38} {found[name]['processor']:8.1f} s  {found[name]['seconds']:8.1f} s by the clock  "
            f"{found[name]['peak_mib']:7.0f} MiB  load {found[name]['load']:.1f}",
            flush=True,
        )
    return found


def print_growth(name: str, found: dict[str, Any]) -> None:
    """Two lines of a stage: processor time and memory."""
    for kind, unit in (("processor", "s"), ("memory", "MiB")):
        own = found[kind]
        values = " ".join(f"{size:,}: {cost:.3g}" for size, cost in zip(found["sizes"], own["median"], strict=True))
        told = "flat" if own["exponent"] is None else f"{own['exponent']:.2f}"
        print(
            f"{name if kind == 'processor' else '':29} {found['varies']:10} {unit:4} exponent {told:5}"
            f"({own['range'][0]:.2f} to {own['range'][1]:.2f}), last step {own['last_slope']:5.2f}   {values}",
            flush=True,
        )


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=[], help="beginnings of the names of stages; default: all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--paper", action="store_true", help="the paper's size instead of growth")
    parser.add_argument("--cards", type=int, default=PAPER_CARDS, help="of --paper: fewer, to see how it grows")
    parser.add_argument("--count", action="store_true", help="count operations instead of timing")
    parser.add_argument("--sizes", type=int, nargs="+", help="of --count; default: a stage's smallest, x 2 and x 4")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--given", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work_here(options.work, options.size, options.given, options.first)))
        return
    content: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="minutes"), "machine": describe_machine()}
    print("machine:", json.dumps(content["machine"]), flush=True)
    if options.paper:
        with TemporaryDirectory() as scratch:
            content["paper"] = measure_paper(options.repeats, Path(scratch), options.parts, options.cards)
    else:
        chosen = [name for name in STAGES if not options.parts or name.startswith(tuple(options.parts))]
        if not chosen:
            raise SystemExit(f"no stage begins with {options.parts}; there is: {', '.join(STAGES)}")
        content["stages"] = {}
        for name in chosen:
            with TemporaryDirectory() as scratch:
                if options.count:
                    sizes = options.sizes or [STAGES[name].sizes[0] * times for times in (1, 2, 4)]
                    content["stages"][name] = count_growth(name, sizes, Path(scratch))
                    print(name, json.dumps(content["stages"][name]), flush=True)
                    continue
                content["stages"][name] = measure_growth(name, options.repeats, Path(scratch))
            print_growth(name, content["stages"][name])
            if options.json:
                write_json(options.json, content)
    if options.json:
        write_json(options.json, content)


if __name__ == "__main__":
    main()
