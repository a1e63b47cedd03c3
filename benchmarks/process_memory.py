"""Peak memory of this process, from Linux's own count."""

from pathlib import Path

STATUS, CONTROL = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak() -> None:
    """Begin anew; nothing where the system has no such count."""
    if CONTROL.exists():
        CONTROL.write_text("5")


def peak_mib() -> float | None:
    """The most that was in memory since ``reset_peak``, MiB; None where the system does not tell."""
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)
