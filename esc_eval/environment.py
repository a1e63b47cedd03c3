"""What a run was made with, beside its identity: versions and hardware."""

import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

LIBRARIES = ("torch", "transformers", "tokenizers", "peft", "accelerate", "gguf", "httpx", "numpy", "scipy", "pydantic")


def installed_versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Versions of those libraries that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def describe_environment() -> dict[str, Any]:
    """Versions, processor, accelerator and the time of the start (UTC)."""
    torch = sys.modules.get("torch")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "accelerator": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "libraries": installed_versions(),
    }
