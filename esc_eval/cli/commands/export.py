"""``export``: a run in the official release's formats."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data

EXAMPLES = ("esc-eval export runs/first --out official",)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where result/ and score/ go.")],
) -> None:
    """Write dialogues and ratings as the official release formats them: result/ and score/ MODEL_LANGUAGE.json."""
    from esc_eval.api import workflow

    for path in workflow.export_official(folder, out):
        print_data(path)
