"""What Python objects take in memory."""

import tracemalloc
from collections.abc import Callable
from typing import Any


def measure_peak(act: Callable[[], Any]) -> int:
    """Bytes that Python objects took at most while something was done."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
