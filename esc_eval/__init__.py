"""Evaluate language models at emotional support (ESC-Eval, arXiv 2406.14952).

Importing this package loads neither torch nor datasets; parts that need them import them when used.
"""

from esc_eval.schema import Dialogue, Rating, RoleCard, Turn

__version__ = "0.1.0"
__all__ = ["Dialogue", "Rating", "RoleCard", "Turn", "__version__"]
