"""``export``: a run in the official release's formats."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.progress import show_progress

EXAMPLES = ("esc-eval export runs/first --out official",)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where result/, score/ and preferences.csv go.")],
) -> None:
    """Write dialogues and ratings as the official release formats them: result/ and score/ MODEL_LANGUAGE.json.

    Preferences, of which the release has none, go to preferences.csv.
    """
    from esc_eval.api import workflow

    with show_progress() as progress:
        paths = workflow.export_official(folder, out, progress)
    for path in paths:
        print_data(path)
