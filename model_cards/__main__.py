"""``python -m model_cards``; its verbs are the modules of ``model_cards.commands``."""

from esc_eval.cli.runner import make_app
from model_cards import commands

app = make_app(commands)

if __name__ == "__main__":
    app()
