"""``python -m dataset_builder``; its verbs are the modules of ``dataset_builder.commands``."""

from dataset_builder import commands
from esc_eval.cli.runner import make_app

app = make_app(commands)

if __name__ == "__main__":
    app()
