"""``python -m analysis``; its verbs are the modules of ``analysis.commands``."""

from analysis import commands
from esc_eval.cli.runner import make_app

app = make_app(commands)

if __name__ == "__main__":
    app()
