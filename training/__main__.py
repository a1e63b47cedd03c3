"""``python -m training``; its verbs are the modules of ``training.commands``."""

from esc_eval.cli.runner import make_app
from training import commands

app = make_app(commands)

if __name__ == "__main__":
    app()
