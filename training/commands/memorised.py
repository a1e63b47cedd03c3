"""``memorised``: whether a trained seeker says what it was trained on."""

from pathlib import Path
from typing import Annotated

import typer

from esc_eval.cli.console import print_data
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_dialogues

EXAMPLES = ("python -m training memorised runs/cards --seeker checkpoints/esc-role-small --sources sources",)


def command(
    dialogues: Annotated[list[Path], typer.Argument(help="Run folders or files with dialogues of the seeker.")],
    seeker: Annotated[Path, typer.Option(help="The checkpoint that played it; its recipe names what it learnt from.")],
    sources: Annotated[Path, typer.Option(help="Folder with a sub-folder for each source, e.g. sources/esconv.")],
    role_play: Annotated[list[Path] | None, typer.Option(help="Its files of general role play, if any.")] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Write it into the checkpoint's metrics.json and card; of run folders that it played."
        ),
    ] = False,
) -> None:
    """Look for runs of 60 characters of the training text in what a seeker says; exit code 1 where there are any."""
    from training.role import memorised

    talks = []
    for path in dialogues:
        talks += (own := read_dialogues(path))
        if keep:
            memorised.check_played(path, own, seeker)
    found = memorised.find_memorised(talks, memorised.read_training_text(seeker, sources, role_play or ()))
    if not found.of_turns:
        raise EscEvalError(f"{', '.join(map(str, dialogues))}: the seeker says nothing, so there is nothing to compare")
    print_data(
        f"{found.dialogues} dialogues, {found.of_turns} turns of the seeker, beside {found.texts} characters of "
        f"training text: the longest run in both has {found.longest} characters. {found.long_enough} turns have "
        f"{memorised.LIMIT} characters or more, and {found.turns} of them hold a run of as many; the other "
        f"{found.of_turns - found.long_enough} are too short to hold one."
    )
    if keep:
        if not found.long_enough:
            raise EscEvalError(f"no turn has {memorised.LIMIT} characters, so that nothing is said of the checkpoint")
        command = f"python -m training memorised RUNS --seeker {seeker.name} --sources SOURCES"
        memorised.write_metrics(seeker, found, command)
    raise typer.Exit(int(bool(found.turns)))
