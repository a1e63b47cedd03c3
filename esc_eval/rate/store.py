"""What raters did: every click a row that is never changed, in one SQLite file, on the disk before it is acknowledged.

The file is in WAL mode with ``synchronous=FULL``: a click outlives not only ``kill -9`` but a power cut. One thread
writes; clicks that arrive while it waits for the disk are committed together, so that fifty raters wait no longer than
one. Each click has an id that the page made: sent again, it is stored once. A click also says which clicks on its item
the page knew; where there are others, another window of the rater made them, and it is refused.
"""

import json
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from esc_eval.errors import EscEvalError

FILE = "clicks.sqlite3"
FORM = 1
"""Of the tables; a file of another form is refused."""
BUSY = 30.0
"""Seconds that another process on the same file is waited for."""
TOGETHER = 256
"""Requests that are committed at once, at most."""
OLDEST = timedelta(days=30)
"""How long ago a click can have been made that is sent now."""
Kind = Literal["level", "cannot", "note"]
Stage = Literal["first", "review"]
What = Literal["dialogue", "repeat", "attention", "pair"]
T = TypeVar("T")

TABLES = """
CREATE TABLE study (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE dialogue (
    id TEXT PRIMARY KEY, place INTEGER NOT NULL, sha256 TEXT NOT NULL, about TEXT NOT NULL
) STRICT;
CREATE TABLE rater (
    name TEXT PRIMARY KEY, chosen TEXT UNIQUE, slug TEXT NOT NULL UNIQUE, token TEXT NOT NULL UNIQUE,
    stage TEXT NOT NULL, begun TEXT
) STRICT;
CREATE TABLE item (
    id TEXT PRIMARY KEY, rater TEXT NOT NULL REFERENCES rater ON DELETE CASCADE, place INTEGER NOT NULL,
    kind TEXT NOT NULL, dialogue TEXT, other TEXT, level INTEGER, UNIQUE (rater, place)
) STRICT;
CREATE TABLE click (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, item TEXT NOT NULL REFERENCES item ON DELETE CASCADE,
    kind TEXT NOT NULL, dimension TEXT, value INTEGER, text TEXT, seconds REAL NOT NULL,
    time TEXT NOT NULL, received TEXT NOT NULL, UNIQUE (item, id)
) STRICT;
CREATE INDEX click_by_item ON click (item, seq);
"""


@dataclass(frozen=True)
class Click:
    """One thing that a rater did.

    Attributes:
        id: Made by the page.
        kind: A level was chosen, it was said why none can be, or a note was written.
        dimension: None of a note.
        value: The level.
        text: The reason, or the note.
        seconds: That the rater was active since the click before, on this item.
        age: Seconds from the click until it was sent.
    """

    id: str
    kind: Kind
    dimension: str | None = None
    value: int | None = None
    text: str | None = None
    seconds: float = 0.0
    age: float = 0.0


@dataclass(frozen=True)
class Rater:
    """A person with a link of their own.

    Attributes:
        name: As the coordinator or the plan names them.
        chosen: What they want to be called; None = nothing else.
        slug: In the addresses of their pages.
        token: In their link.
        stage: Which pass of rating they do.
        begun: When they read the first page to its end; None = not yet.
    """

    name: str
    chosen: str | None
    slug: str
    token: str = field(repr=False)
    stage: Stage = "first"
    begun: str | None = None

    @property
    def shown(self) -> str:
        """The name beside their ratings."""
        return self.chosen or self.name


@dataclass(frozen=True)
class Item:
    """What a rater sees at a place of their order.

    Attributes:
        id: Random, and all of it that the rater's browser is told.
        kind: A dialogue; one that they have rated before (repeat); a check whether they read (attention); or a pair.
        dialogue: Its id; of a pair, the one on the left; None of an attention check.
        other: Of a pair, the one on the right.
        level: Of an attention check, the level that it asks for.
    """

    id: str
    rater: str
    place: int
    kind: What
    dialogue: str | None = None
    other: str | None = None
    level: int | None = None


@dataclass
class State:
    """What holds of an item now: the last word on each dimension.

    Attributes:
        version: Of the last click on it; 0 = none.
        clicks: By dimension, the last level or reason.
        note: The last note.
        seconds: By dimension; "" = of notes.
    """

    version: int = 0
    clicks: dict[str, sqlite3.Row] = field(default_factory=dict)
    note: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, click: sqlite3.Row) -> None:
        """Go on by one click."""
        self.version = click["seq"]
        place = click["dimension"] or ""
        self.seconds[place] = self.seconds.get(place, 0.0) + click["seconds"]
        if click["kind"] == "note":
            self.note = click["text"] or None
        else:
            self.clicks[place] = click


class Conflict(Exception):
    """Another window of the rater has clicked on the item in between."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the item is at version {version}")
        self.version = version


class Gone(Exception):
    """The rater or the item is no longer there."""


class Store:
    """The file of a folder of ratings. Several threads may use it."""

    def __init__(self, folder: Path, *, make: bool = False) -> None:
        """Open the file of a folder.

        Args:
            folder: Of the ratings.
            make: Whether a new one may be made.

        Raises:
            EscEvalError: There is none, or it is no file of ours.
        """
        self.path = folder / FILE
        if not make and not self.path.is_file():
            raise EscEvalError(f"{self.path}: no such file; there are no ratings of `esc-eval rate` in {folder}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EscEvalError(f"{folder}: cannot be a folder for ratings: {error.strerror or error}") from error
        new = not self.path.exists()
        if new:
            self.path.touch(mode=0o600)  # it holds the raters' links
        self.giving = threading.Lock()
        self._reading = threading.local()
        try:
            self._writing = self._connect()
            self._writing.execute("PRAGMA journal_mode = WAL")
            with self._writing:
                self._writing.execute("BEGIN IMMEDIATE")
                if not self._writing.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in TABLES.split(";"):
                        self._writing.execute(statement)
                    self._writing.execute("INSERT INTO study VALUES ('form', ?)", (json.dumps(FORM),))
            form = self.read_study().get("form")
        except sqlite3.OperationalError as error:
            what = "is the disk full, or may this user not write there?"
            raise EscEvalError(f"{self.path}: cannot be written: {error}; {what}") from error
        except sqlite3.DatabaseError as error:
            raise EscEvalError(f"{self.path}: no file of ratings, or a broken one ({error})") from error
        if form != FORM:
            raise EscEvalError(f"{self.path}: of form {form}; this version of esc-eval reads form {FORM}")
        self._waiting: queue.SimpleQueue[tuple[Callable[[sqlite3.Connection], Any], Future[Any]] | None]
        self._waiting = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="esc-eval-rate-writer", daemon=True)
        self._writer.start()

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        made.row_factory = sqlite3.Row
        made.execute("PRAGMA synchronous = FULL")
        made.execute("PRAGMA foreign_keys = ON")
        made.execute("PRAGMA secure_delete = ON")
        return made

    def close(self) -> None:
        """Write what waits, and let go of the file."""
        self._waiting.put(None)
        self._writer.join()
        self._writing.close()

    def read(self, query: str, *values: object) -> list[sqlite3.Row]:
        """Rows, as of what is committed."""
        if not hasattr(self._reading, "connection"):
            self._reading.connection = self._connect()
        found: list[sqlite3.Row] = self._reading.connection.execute(query, values).fetchall()
        return found

    def write(self, work: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Let some work be done on the file; its result is there once it is on the disk."""
        promised: Future[T] = Future()
        self._waiting.put((work, promised))
        return promised

    def _write_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            jobs, last = [first], False
            with suppress(queue.Empty):
                while len(jobs) < TOGETHER:
                    job = self._waiting.get_nowait()
                    if job is None:
                        last = True
                        break
                    jobs.append(job)
            self._commit(jobs)
            if last:
                return

    def _commit(self, jobs: Sequence[tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]]) -> None:
        """Do some jobs and commit them together; what fails of them is undone and told to who asked."""
        done: list[tuple[Future[Any], Any]] = []
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            for work, promised in jobs:
                self._writing.execute("SAVEPOINT job")
                try:
                    done.append((promised, work(self._writing)))
                except Exception as error:  # noqa: BLE001 - whoever asked is told
                    self._writing.execute("ROLLBACK TO job")
                    promised.set_exception(error)
                self._writing.execute("RELEASE job")
            self._writing.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._writing.execute("ROLLBACK")
            for _, promised in jobs:
                if not promised.done():
                    promised.set_exception(error)
            return
        for promised, result in done:
            promised.set_result(result)

    # what is rated, and by whom

    def read_study(self) -> dict[str, Any]:
        """What holds of the whole study, by key."""
        return {row["key"]: json.loads(row["value"]) for row in self.read("SELECT * FROM study")}

    def keep(self, **values: Any) -> None:
        """Keep something of the whole study."""
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        self.write(lambda file: file.executemany("INSERT OR REPLACE INTO study VALUES (?, ?)", rows)).result()

    def read_dialogues(self) -> dict[str, dict[str, Any]]:
        """What is known of the rated dialogues, by id, in their order: ``sha256``, and ``about`` them."""
        rows = self.read("SELECT * FROM dialogue ORDER BY place")
        return {row["id"]: {"sha256": row["sha256"], **json.loads(row["about"])} for row in rows}

    def keep_dialogues(self, rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Keep id, sha256 and what else is known of dialogues that are not there yet."""
        known = len(self.read("SELECT 1 FROM dialogue"))
        made = [(one, known + n, sha256, json.dumps(about)) for n, (one, sha256, about) in enumerate(rows)]
        self.write(lambda file: file.executemany("INSERT INTO dialogue VALUES (?, ?, ?, ?)", made)).result()

    def raters(self) -> list[Rater]:
        """Everybody, in the order in which they were added."""
        return [Rater(**dict(row)) for row in self.read("SELECT * FROM rater ORDER BY rowid")]

    def find_rater(self, slug: str) -> Rater | None:
        """Who has these pages."""
        rows = self.read("SELECT * FROM rater WHERE slug = ?", slug)
        return Rater(**dict(rows[0])) if rows else None

    def add_rater(self, name: str, stage: Stage, items: Sequence[Item]) -> None:
        """Add somebody with what they rate."""

        def add(file: sqlite3.Connection) -> None:
            file.execute(
                "INSERT INTO rater (name, slug, token, stage) VALUES (?, ?, ?, ?)",
                (name, secrets.token_hex(6), secrets.token_urlsafe(18), stage),
            )
            _add_items(file, items)

        self.write(add).result()

    def add_items(self, items: Sequence[Item]) -> None:
        """Give raters more to rate."""
        self.write(lambda file: _add_items(file, items)).result()

    def begin(self, rater: Rater, chosen: str | None) -> "Future[bool]":
        """Note that somebody has read the first page, and what they want to be called; False if the name is taken."""

        def note(file: sqlite3.Connection) -> bool:
            taken = file.execute(
                "SELECT 1 FROM rater WHERE name != ?1 AND ?2 IN (name, chosen)", (rater.name, chosen or rater.name)
            ).fetchone()
            if taken is None:
                file.execute(
                    "UPDATE rater SET chosen = ?, begun = coalesce(begun, ?) WHERE name = ?",
                    (None if chosen == rater.name else chosen, _now().isoformat(), rater.name),
                )
            return taken is None

        return self.write(note)

    def items(self, rater: str) -> list[Item]:
        """What a rater rates, in their order."""
        return [Item(**dict(row)) for row in self.read("SELECT * FROM item WHERE rater = ? ORDER BY place", rater)]

    # clicks

    def save(self, rater: str, item: str, base: int, clicks: Sequence[Click]) -> "Future[int]":
        """Store clicks on an item; the result is its version, once they are on the disk.

        Args:
            rater: Who clicked; must be whose item it is.
            item: Its id.
            base: Version of the item that the page knew.
            clicks: In their order; those that are stored already are passed over.

        Raises:
            Conflict, Gone: In the result.
        """
        received = _now()

        def save(file: sqlite3.Connection) -> int:
            if not file.execute("SELECT 1 FROM item WHERE id = ? AND rater = ?", (item, rater)).fetchone():
                raise Gone
            ids = {click.id for click in clicks}
            later = file.execute("SELECT seq, id FROM click WHERE item = ? AND seq > ? ORDER BY seq", (item, base))
            since = later.fetchall()
            here = {row["id"] for row in file.execute("SELECT id FROM click WHERE item = ?", (item,))} & ids
            new = list({click.id: click for click in clicks if click.id not in here}.values())
            if new and any(row["id"] not in ids for row in since):
                raise Conflict(since[-1]["seq"])
            for click in new:
                made = received - timedelta(seconds=min(max(0.0, click.age), OLDEST.total_seconds()))
                times = [moment.isoformat(timespec="milliseconds") for moment in (made, received)]
                file.execute(
                    "INSERT INTO click (id, item, kind, dimension, value, text, seconds, time, received) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (click.id, item, click.kind, click.dimension, click.value, click.text, click.seconds, *times),
                )
            row = file.execute("SELECT max(seq) AS seq FROM click WHERE item = ?", (item,)).fetchone()
            return int(row["seq"] or 0)

        return self.write(save)

    def clicks(self, rater: str | None = None) -> list[sqlite3.Row]:
        """All clicks in their order, of one rater or of all."""
        which = "" if rater is None else "WHERE item.rater = ?"
        values = () if rater is None else (rater,)
        return self.read(
            f"SELECT click.*, item.rater FROM click JOIN item ON item.id = click.item {which} ORDER BY seq",  # noqa: S608
            *values,
        )

    def state(self, item: str) -> State:
        """What holds of an item now."""
        found = State()
        for click in self.read("SELECT * FROM click WHERE item = ? ORDER BY seq", item):
            found.add(click)
        return found

    def states(self, rater: str | None = None) -> dict[str, State]:
        """What holds of every item that was clicked on, of one rater or of all."""
        found: dict[str, State] = {}
        for click in self.clicks(rater):
            found.setdefault(click["item"], State()).add(click)
        return found

    def last_click(self) -> int:
        """The number of the last click of all."""
        return int(self.read("SELECT coalesce(max(seq), 0) AS seq FROM click")[0]["seq"])

    def forget(self, name: str) -> tuple[Rater, int, int]:
        """Remove somebody with everything that they did, so that nothing of it is left in the file.

        Returns:
            Who it was, and how many items and clicks are gone.

        Raises:
            EscEvalError: Nobody has this name.
        """
        who = [rater for rater in self.raters() if name in (rater.name, rater.chosen)]
        if not who:
            known = ", ".join(rater.shown for rater in self.raters()) or "nobody"
            raise EscEvalError(f"{self.path}: no rater {name!r}; there is {known}")

        def remove(file: sqlite3.Connection) -> tuple[int, int]:
            count = "SELECT count(*) FROM item WHERE rater = ?"
            clicks = "SELECT count(*) FROM click JOIN item ON item.id = click.item WHERE item.rater = ?"
            found = [int(file.execute(query, (who[0].name,)).fetchone()[0]) for query in (count, clicks)]
            file.execute("DELETE FROM rater WHERE name = ?", (who[0].name,))
            return found[0], found[1]

        items, clicks = self.write(remove).result()
        with closing(self._connect()) as alone:  # outside any transaction
            alone.execute("VACUUM")
            alone.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return who[0], items, clicks


def _add_items(file: sqlite3.Connection, items: Iterable[Item]) -> None:
    rows = [(i.id, i.rater, i.place, i.kind, i.dialogue, i.other, i.level) for i in items]
    file.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _now() -> datetime:
    return datetime.now(UTC)
