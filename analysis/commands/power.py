"""``power``: what ``esc-eval power`` prints."""

from esc_eval.cli.commands.power import command

__all__ = ["EXAMPLES", "command"]

EXAMPLES = ("python -m analysis power pilot.csv --difference 2.5 --cards 100,200 --raters 1,2",)
