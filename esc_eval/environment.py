"""What a run was made with, beside its identity: versions, hardware, the command line."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from esc_eval.version import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "accelerate", "gguf", "httpx", "numpy", "scipy", "pydantic")
OURS = ("esc_eval", "analysis", "dataset_builder", "training")


def installed_versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def measure_free_memory() -> int | None:
    """Bytes of memory that are free on this machine; None where nothing here tells.

    Linux tells by ``sysconf``. macOS does not know that name: psutil tells there, which comes with the extra local.
    """
    if "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def describe_environment() -> dict[str, Any]:
    """Versions, processor, accelerator and the time of the start (UTC)."""
    torch = sys.modules.get("torch")
    return {
        "esc_eval": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "libraries": installed_versions(),
    }


def describe_call() -> dict[str, Any]:
    """When this process began to work on a run (UTC), our version, and its command line where it is one of ours."""
    command = command_line(sys.argv)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "esc_eval": __version__,
        **({"command": command} if command else {}),
    }


def command_line(arguments: Sequence[str]) -> list[str] | None:
    """The command line of one of our programs, without the passwords that a URL may hold; None of other programs.

    >>> command_line(["/usr/bin/esc-eval", "simulate", "--base-url", "http://me:secret@host/v1"])
    ['esc-eval', 'simulate', '--base-url', 'http://host/v1']
    >>> command_line(["notebook.py", "--password", "secret"])
    """
    program = Path(arguments[0])
    module = program.parent.name if program.name == "__main__.py" else ""
    if module not in OURS and program.stem != "esc-eval":
        return None
    start = ["python", "-m", module] if module else ["esc-eval"]
    return start + [hide_password(argument) for argument in arguments[1:]]


def hide_password(text: str) -> str:
    """A text without the user and password that a URL in it may hold, and without a key in its query.

    >>> hide_password("https://host/v1?api-version=1&api_key=secret")
    'https://host/v1?api-version=1&api_key=***'
    """
    text = re.sub(r"(?<=://)[^/\s]*@", "", text)
    return re.sub(r"(?i)(?<=[?&])([\w.\-]*(?:key|token|secret|password|sig|signature)=)[^&\s#]+", r"\1***", text)
