"""``inspect``: between run folders and logs of Inspect."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.cli.progress import show_progress

EXAMPLES = (
    "esc-eval inspect logs --out runs/inspected",
    "esc-eval inspect runs/first --out logs",
)


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG...|DIR", help="Logs of the task esc_eval/support, a folder of them, or a run folder."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The new run folder, or where the logs go.")],
    epoch: Annotated[
        int | None, typer.Option(min=1, help="Which epoch of logs that have several; each is a run of its own.")
    ] = None,
) -> None:
    """Make a run folder of logs of Inspect, or logs of a run folder, one a supporter; nothing is lost either way.

    Needs the extra inspect. `inspect view --log-dir DIR` shows logs; `esc-eval report DIR` reports a run.
    """
    from esc_eval.errors import EscEvalError
    from esc_eval.files.run_folder import is_run_folder
    from esc_eval.inspect_tasks.logs import write_logs_of_run, write_run_of_logs

    runs = [path for path in paths if is_run_folder(path)]
    if runs and (len(paths) > 1 or epoch):
        raise EscEvalError(f"{runs[0]}: is a run folder; give it alone, and no --epoch")
    if runs:
        for path in write_logs_of_run(runs[0], out):
            print_data(path)
        return
    with show_progress() as progress:
        write_run_of_logs(paths, out, epoch, progress)
    print_data(out)
