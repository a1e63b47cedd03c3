"""``scorer``: what ``esc-eval health`` prints."""

from esc_eval.cli.commands.health import command

__all__ = ["EXAMPLES", "command"]

EXAMPLES = ("python -m analysis scorer predictions.jsonl --labels ratings.csv",)
