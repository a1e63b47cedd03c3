"""``plan``: what ``esc-eval plan`` prints."""

from esc_eval.cli.commands.plan import command

__all__ = ["EXAMPLES", "command"]

EXAMPLES = ("python -m analysis plan runs/mine --rater anna --rater ben --out plan.csv",)
