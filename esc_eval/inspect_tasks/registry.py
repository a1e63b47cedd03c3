"""What Inspect finds of ours: the entry point ``inspect_ai`` names this module."""

from esc_eval.inspect_tasks.scorers import judge, levels, ratings
from esc_eval.inspect_tasks.support import conversation, support

__all__ = ["conversation", "judge", "levels", "ratings", "support"]
