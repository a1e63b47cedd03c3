"""A run that was stopped, or goes on in another process, as it is: its files are brought up to its ledger."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.run_folder import DIALOGUES, PREFERENCES, RATINGS
from esc_eval.reading import try_json_lines
from esc_eval.simulation.identity import each_asked, finished_dialogues
from esc_eval.simulation.run import LEDGER, PEOPLE, VERSION, DamagedError, Run, read_card

ASKED = "asked"
"""What ``read_run`` says beside run.json: language, supporter and id of each dialogue that the run is to have."""


def read_run(folder: Path) -> dict[str, Any]:
    """What run.json says, and under ``ASKED`` the dialogues that the run is to have, by id.

    Its dialogues.jsonl, ratings.jsonl and preferences.jsonl hold afterwards all that its ledger holds, also of a
    run that was killed.

    Raises:
        EscEvalError: None of its dialogues is over yet, or its files lack some and cannot be written.
    """
    card = read_card(folder)
    if not (folder / LEDGER).is_file():
        return card
    with suppress(DamagedError), Run(folder, reading=True) as run:
        if run.version < VERSION:
            return card
        alike: dict[tuple[str, str], dict[str, str]] = {}
        asked = {
            name: alike.setdefault((language, supporter), {"language": language, "supporter": supporter})
            for name, language, supporter in each_asked(run)
        }
        while _write_what_is_missing(run):  # until nothing was added meanwhile
            continue
        return {**card, **({ASKED: asked} if asked else {})}
    return card


def refresh_runs(paths: Iterable[Path]) -> None:
    """Bring the files of those paths that are run folders up to what their ledgers hold; see ``read_run``."""
    for path in paths:
        if path.is_dir():
            read_run(path)


def count_asked(run: Mapping[str, Any], language: str) -> dict[str, int]:
    """How many dialogues each supporter is to have in a language, by what ``read_run`` says; empty = nobody says."""
    asked = run.get(ASKED, {}).values()
    return dict(Counter(one["supporter"] for one in asked if one["language"] == language))


def describe_stage(run: Mapping[str, Any], over: Iterable[str]) -> list[str]:
    """How many dialogues of an unfinished run are over, a sentence; none of a finished one.

    Args:
        run: As of ``read_run``.
        over: Ids of the dialogues that are over.
    """
    asked = run.get(ASKED, {})
    there = set(over) if asked else set()
    each = {name: [one for one in asked if asked[one]["supporter"] == name] for name in _supporters(asked)}
    counts = {name: (sum(one in there for one in ids), len(ids)) for name, ids in each.items()}
    if all(done == every for done, every in counts.values()):
        return []
    shown = ", ".join(f"{name} {done} of {every}" for name, (done, every) in counts.items())
    return [f"The run is unfinished. Dialogues that are over: {shown}. Its command, typed again, goes on."]


def _supporters(asked: Mapping[str, Mapping[str, str]]) -> list[str]:
    return list(dict.fromkeys(one["supporter"] for one in asked.values()))


def _write_what_is_missing(run: Run) -> bool:
    """Write what the files of a run lack of what its ledger holds; whether they lacked any."""
    try:
        return _write_dialogues(run) | _write_ratings(run) | _write_preferences(run)
    except OSError as error:
        raise EscEvalError(
            f"{run.named}: the run was stopped, and its files cannot be brought up to its ledger: {error.strerror}. "
            "Copy the folder to a place where you may write."
        ) from error


def _write_dialogues(run: Run) -> bool:
    path = run.folder / DIALOGUES
    ended = run.owners("problem").keys() | run.owners("turn").keys()
    there = {row.get("id") for row in _rows(path)} if ended else set()
    if not ended - there:
        return False
    finished = list(finished_dialogues(run))
    if not finished and not there:
        asked = len(run.members("dialogue"))
        raise EscEvalError(
            f"{run.named}: none of its {asked} dialogues is over yet. A run that was stopped goes on when its command "
            "is run again."
        )
    if not {dialogue.id for dialogue in finished} - there:
        return False
    run.export(DIALOGUES, (dialogue.to_json() for dialogue in finished))
    return True


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a file of ours, unchecked; whoever reads it next says what is wrong with it."""
    if path.is_file():
        yield from (row for _, row, _ in try_json_lines(path) if isinstance(row, dict))


def _write_ratings(run: Run) -> bool:
    rows = _rows(run.folder / RATINGS)
    there = Counter(PEOPLE if row.get("rater_kind") == "human" else f"scoring/{row.get('rater')}" for row in rows)
    if all(there[kind] >= run.total(kind) for kind in run.rated_kinds):
        return False
    run.export_ratings()
    return True


def _write_preferences(run: Run) -> bool:
    there = sum(1 for _ in _rows(run.folder / PREFERENCES))
    if there >= sum(map(run.total, run.preferred_kinds)):
        return False
    run.export_preferences()
    return True
