"""What a run was made with, beside its identity: versions, hardware, the command line."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from esc_eval.version import __version__

LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "accelerate", "gguf", "httpx", "numpy", "scipy", "pydantic")
OURS = ("esc_eval", "analysis", "dataset_builder", "training")
MEMINFO = Path("/proc/meminfo")
CGROUP, CGROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""Where Linux tells of memory, and of the control groups that limit this process's."""
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2 = ("memory.max", "memory.current", "inactive_file")
"""Of a group: files with its limit (of version 1 a huge number where there is none) and with what it has taken, and
the name in ``memory.stat`` of files that are held in memory and not used."""


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
    """Bytes of memory that may be taken here without anybody's being written to disk; None where nothing tells.

    Files that the system holds in memory count as free, for it gives them up. The limit of a container or of a batch
    job (cgroup v2 or v1) counts where it is lower. Linux tells in a file; elsewhere psutil does, of the extra local.
    """
    if (free := _read_number(MEMINFO, "MemAvailable:")) is not None:
        return min([free * 2**10, *_limits()])
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _limits() -> Iterator[int]:
    """Bytes that each control group of this process leaves it, from its own to the outermost."""
    try:
        lines = CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, *told = line.split(":", 2)
        if len(told) < 2 or (told[0] and "memory" not in told[0].split(",")):
            continue
        controllers, own = told
        root, (most, used, unused) = (CGROUPS / "memory", _V1) if controllers else (CGROUPS, _V2)
        folder = root / own.strip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(root):
                break
            limit, taken = _read_number(group / most), _read_number(group / used)
            if limit is not None and taken is not None:
                yield max(0, limit - taken + (_read_number(group / "memory.stat", unused) or 0))


def _read_number(file: Path, name: str = "") -> int | None:
    """The number that follows a name at the beginning of a line; None where there is none."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    words = next((line.removeprefix(name).split() for line in lines if line.startswith(name)), [""])
    return int(words[0]) if words and words[0].isdigit() else None


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
