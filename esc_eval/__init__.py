"""Evaluate language models at emotional support (ESC-Eval, arXiv 2406.14952).

Importing this package loads neither torch nor datasets; parts that need them import them when used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from esc_eval.schema import Dialogue, Rating, RoleCard, Turn
from esc_eval.version import __version__

if TYPE_CHECKING:
    from esc_eval.api.door import compare, evaluate, merge, prefer, rejudge, report, score, simulate
    from esc_eval.api.results import Results

__all__ = [
    "Dialogue",
    "Rating",
    "Results",
    "RoleCard",
    "Turn",
    "__version__",
    "compare",
    "evaluate",
    "merge",
    "prefer",
    "rejudge",
    "report",
    "score",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """What is imported when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api.door"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
