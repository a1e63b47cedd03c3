"""``python -m release``; its verbs are the modules of ``release.commands``."""

from esc_eval.cli.runner import make_app
from release import commands

app = make_app(commands)

if __name__ == "__main__":
    app()
