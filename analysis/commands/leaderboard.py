"""``leaderboard``: what ``esc-eval compare`` prints."""

from esc_eval.cli.commands.compare import command

__all__ = ["EXAMPLES", "command"]

EXAMPLES = ("python -m analysis leaderboard ratings.csv --predictions run/ratings.jsonl",)
