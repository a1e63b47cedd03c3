"""Defects planted in a sound build, whose hashes are all made anew afterwards: only the content gives them away.

``KINDS`` holds them: for each kind its defects by name. ``plant`` damages a copy of a build, ``run_suite`` tells for
every defect whether ``check`` found it, missed it or crashed.
"""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from dataset_builder.check.build import check_build
from planted import files, held_out, manifests, ratings, rows, splits, texts, unseen
from planted.copy import Copy, Defect

KINDS: dict[str, dict[str, Defect]] = {
    **rows.KINDS,
    **ratings.KINDS,
    **texts.KINDS,
    **splits.KINDS,
    **manifests.KINDS,
    **files.KINDS,
}
HELD_OUT: dict[str, dict[str, Defect]] = held_out.KINDS
UNSEEN: dict[str, dict[str, Defect]] = unseen.KINDS
FOUND, MISSED, CRASHED = "found", "missed", "crashed"
HANG = 120
"""Seconds after which the checker is taken to hang, which counts as a crash."""


def plant(builds: dict[bool, Path], defect: Defect, folder: Path) -> Path:
    """A copy of the build with the defect, sealed again."""
    shutil.copytree(builds[defect.public], folder, symlinks=True)
    defect.plant(Copy(folder))
    return folder


def try_defect(builds: dict[bool, Path], defect: Defect, check: Callable[[Path], object] = check_build) -> str:
    """Whether a defect is found, missed, or stops the checker with anything but a sentence of ours."""
    with tempfile.TemporaryDirectory() as place:
        folder = plant(builds, defect, Path(place) / "build")
        before = signal.signal(signal.SIGALRM, _stop)
        signal.alarm(HANG)
        try:
            return FOUND if check(folder) else MISSED
        except Exception:  # noqa: BLE001 - whatever it is, the checker has stopped
            return CRASHED
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)


def _stop(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"no answer after {HANG} seconds")


def run_suite(builds: dict[bool, Path], kinds: dict[str, dict[str, Defect]]) -> dict[str, dict[str, str]]:
    """The outcome of each defect by kind and name."""
    return {kind: {name: try_defect(builds, defect) for name, defect in group.items()} for kind, group in kinds.items()}


def count(outcomes: Iterable[str]) -> dict[str, int]:
    """How many defects there are, and how many of each outcome."""
    every = list(outcomes)
    return {"defects": len(every), **{name: every.count(name) for name in (FOUND, MISSED, CRASHED)}}


def table(outcomes: dict[str, dict[str, str]]) -> str:
    """Outcomes as a Markdown table, by kind."""
    lines = ["| kind | defects | found | missed | crashed the checker |", "|---|---|---|---|---|"]
    every = [(kind, list(found.values())) for kind, found in outcomes.items()]
    for kind, found in [*every, ("all", [one for _, group in every for one in group])]:
        lines.append(f"| {kind} | {' | '.join(map(str, count(found).values()))} |")
    return "\n".join(lines) + "\n"
