"""``python -m dataset_builder``."""

from dataset_builder.cli import app

app(prog_name="python -m dataset_builder")
