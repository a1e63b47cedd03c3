"""``plan``: what ``esc-eval plan`` prints."""

from esc_eval.cli.commands.plan import command

__all__ = ["EXAMPLES", "command"]

EXAMPLES = ("python -m analysis plan --cards cards.jsonl --model a --model b --rater r1 --rater r2 --out plan.csv",)
