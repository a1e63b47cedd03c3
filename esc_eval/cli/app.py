"""``esc-eval``; its verbs are the modules of ``esc_eval.cli.commands``."""

from esc_eval.cli import commands
from esc_eval.cli.runner import make_app

app = make_app(commands)


def main() -> None:
    """Run the command line and end the process."""
    app()
