"""A run on disk: who made it (identity), what is already done (ledger), and that only one process works on it.

The ledger is an SQLite file in write-ahead mode: a record is durable when ``add`` returns, a half-written one is
undone at the next start, and rows need not fit into memory.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from esc_eval.errors import EscEvalError
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json, write_whole
from esc_eval.schema import digest

SCHEMA = """
create table if not exists records (
    kind text not null, owner text not null, position integer not null, json text not null,
    primary key (kind, owner, position)
) without rowid
"""


def list_differences(old: Any, new: Any, path: str = "") -> list[str]:
    """Where two JSON values differ, one line each: ``path: old -> new``."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = list(dict.fromkeys([*old, *new]))
        return [
            line for k in keys for line in list_differences(old.get(k), new.get(k), f"{path}.{k}" if path else str(k))
        ]
    return (
        []
        if old == new
        else [f"{path}: {json.dumps(old, ensure_ascii=False)} -> {json.dumps(new, ensure_ascii=False)}"]
    )


class Run:
    """A run folder, open for work. Use as a context manager.

    Raises:
        EscEvalError: Another process works on the folder, or it cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise EscEvalError(f"{folder}: is a file; a run needs a folder of its own") from error
        self._lock = FileLock(self.folder / ".lock")
        self._guard = Lock()

    def __enter__(self) -> Self:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise EscEvalError(
                f"{self.folder}: another process works on this run. Wait for it, stop it, or choose another --out."
            ) from error
        try:
            self._database = sqlite3.connect(
                self.folder / "ledger.sqlite3", check_same_thread=False, isolation_level=None
            )
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            self._database.execute(SCHEMA)
        except sqlite3.DatabaseError as error:
            self._lock.release()
            raise EscEvalError(f"{self.folder / 'ledger.sqlite3'}: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._database.close()
        self._lock.release()

    @property
    def card(self) -> dict[str, Any]:
        """The content of run.json: an identity and an environment for each step that was begun."""
        return read_card(self.folder)

    def claim(self, step: str, identity: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Begin or resume a step under an identity.

        Args:
            step: ``simulation``, or ``scoring/RATER``.
            identity: All that decides the outcome, as JSON.
            environment: What else is worth knowing (library versions, hardware).

        Raises:
            EscEvalError: The step was begun under another identity; the message lists the differences.
        """
        content = self.card
        known = content.get(step)
        if known is None:
            content[step] = {
                "identity": identity,
                "sha256": digest(identity),
                "environment": environment,
            }
            write_json(self.folder / "run.json", content)
        elif changes := list_differences(known["identity"], json.loads(json.dumps(identity))):
            lines = "\n  ".join(changes)
            raise EscEvalError(
                f"{self.folder} holds a {step.partition('/')[0]} under another identity:\n  {lines}\n"
                "Use the same settings to go on with it, or another --out to begin anew."
            )

    def add(self, kind: str, owner: str, position: int, text: str) -> None:
        """Make a record durable. One that is there already stays as it is.

        Raises:
            EscEvalError: It could not be written (a full disk, say).
        """
        try:
            with self._guard:
                self._database.execute(
                    "insert or ignore into records values (?, ?, ?, ?)", (kind, owner, position, text)
                )
        except sqlite3.OperationalError as error:
            raise EscEvalError(
                f"{self.folder}: the ledger cannot be written: {error}. What was finished is kept; free some space "
                "and run the same command again to go on."
            ) from error

    def of(self, kind: str, owner: str) -> list[str]:
        """The records of an owner in order of position."""
        query = "select json from records where kind = ? and owner = ? order by position"
        with self._guard:
            return [row[0] for row in self._database.execute(query, (kind, owner))]

    def owners(self, kind: str) -> dict[str, int]:
        """How many records each owner has."""
        query = "select owner, count(*) from records where kind = ? group by owner"
        with self._guard:
            return dict(self._database.execute(query, (kind,)).fetchall())

    def count(self, kind: str, owner: str) -> int:
        """How many records an owner has."""
        query = "select count(*) from records where kind = ? and owner = ?"
        with self._guard:
            return int(self._database.execute(query, (kind, owner)).fetchone()[0])

    def export(self, name: str, lines: Iterable[str]) -> Path:
        """Write a JSON Lines file into the folder; it appears whole or not at all."""
        path = self.folder / name
        write_whole(path, (line + "\n" for line in lines))
        return path

    def all(self, kind: str) -> Iterator[str]:
        """Every record of a kind, by owner and position."""
        query = "select json from records where kind = ? order by owner, position"
        with self._guard:
            rows = self._database.execute(query, (kind,))
        while True:
            with self._guard:
                row = rows.fetchone()
            if row is None:
                return
            yield row[0]


def read_card(folder: Path) -> dict[str, Any]:
    """The content of a folder's run.json; empty where there is none.

    Raises:
        BadRecord: It is broken.
    """
    path = folder / "run.json"
    return read_json_object(path) if path.exists() else {}
