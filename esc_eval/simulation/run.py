"""A run on disk: what it is made of, what is already done (ledger), and that only one process works on it.

The ledger is an SQLite file in write-ahead mode: a record is durable when ``add`` returns, a half-written one is
undone at the next start, and rows need not fit into memory. ``records`` holds what models said and why dialogues ended
early, ``members`` what the run is a set of: the cards, the conditions of play and the identity of each dialogue, the
text of what was rated.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError, model_validator

from esc_eval.environment import describe_call, describe_environment
from esc_eval.errors import BadRecord, EscEvalError, explain_validation
from esc_eval.files.run_folder import DIALOGUES, PREFERENCES, RATINGS
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import sweep, write_json, write_whole
from esc_eval.schema import Preference, Rating, Record, canonical, digest

SCHEMA = """
create table if not exists records (
    kind text not null, owner text not null, position integer not null, json text not null,
    primary key (kind, owner, position)
) without rowid;
create table if not exists members (
    kind text not null, id text not null, number integer not null, json text not null,
    primary key (kind, id)
) without rowid;
"""
GAP = (
    "select owner from records where kind = ? group by owner "
    "having min(position) <> 0 or max(position) <> count(*) - 1 order by owner limit 1"
)
NO_JSON = "select id from members where kind = :kind and (typeof(json) <> 'text' or not json_valid(json)) limit 1"
NO_MEMBER = (
    "select owner from records where kind = :kind "
    "and not exists (select 1 from members where kind = :kind and id = owner) order by owner limit 1"
)
CHANGED = (
    "select found.id from temp.found join members on members.kind = :kind and members.id = found.id "
    "where members.json <> found.json and exists (select 1 from records where kind = :kind and owner = found.id) "
    "order by found.number"
)
FORGET_MEMBERS = (
    "delete from members where kind = :kind "
    "and not exists (select 1 from records where kind = :kind and owner = members.id)"
)
ADD_MEMBERS = (
    "insert or ignore into members select :kind, id, number + "
    "(select coalesce(max(number), -1) from members where kind = :kind), json from temp.found order by number"
)
CHUNK = 1000
"""Rows that are handed over at a time."""
TABLES = ("records", "members")
OTHERS = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%' order by name"
LEDGER, CARD = "ledger.sqlite3", "run.json"
VERSION = 1
"""Of the ledger (``pragma user_version``); those of esc-eval 0.1, which had no members, say 0."""
R = TypeVar("R", bound=Record)
FAILED = "failed"
"""Part of run.json that says which models could not be asked any more, and why."""
PEOPLE = "people"
"""Kind of the records that are ratings by people, and step of run.json that says where they are from."""
PREFERRING = "preferring/"
"""How the kind of a judge's preferences begins: ``preferring/JUDGE``, a step of run.json too."""
PEOPLE_PREFER = "people's preferences"
"""Kind of the records that are preferences by people, and step of run.json that says where they are from."""
SHOWN = 10
"""Differences that a refusal lists at most."""


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


def refuse_foreign(folder: str | Path) -> None:
    """Leave a folder alone that holds files and is no run folder; hidden files do not count.

    Raises:
        EscEvalError: It is such a folder.
    """
    there = sorted(p.name for p in Path(folder).iterdir() if p.name[0] != ".") if Path(folder).is_dir() else []
    if there and not {LEDGER, CARD, DIALOGUES} & set(there):
        raise EscEvalError(
            f"{folder}: holds files that are not of a run, e.g. {there[0]}; choose an empty or new folder"
        )


class _Wording(BaseModel):
    id: str
    sha256: str
    languages: dict[str, str] = {}


class _Protocol(_Wording):
    rounds: int


class _Cards(BaseModel):
    n: int
    sha256: str


class _Model(BaseModel):
    kind: str | None = None
    model: str | None = None
    revision: str | None = None
    server: str | None = None


class _Settings(BaseModel):
    max_new_tokens: int | None
    temperature: float | None = None  # not said where a model samples by its own settings


class _Generation(BaseModel):
    seeker: _Settings
    supporter: _Settings


class _Played(BaseModel):
    protocol: _Protocol
    cards: _Cards
    generation: _Generation
    seeker: _Model | None = None
    seekers: dict[str, _Model] = {}
    supporters: dict[str, _Model]
    seed: int

    @model_validator(mode="after")
    def _has_a_seeker(self) -> Self:
        if self.seeker is None and not self.seekers:
            raise ValueError("seeker: missing")
        return self


class _Rated(BaseModel):
    rubric: _Wording
    scorer: _Model
    by: str
    parser: str | None = None


class _Cost(BaseModel):
    dollars: float | None
    no_price: list[str]


class _Served(BaseModel):
    cost: _Cost | None = None


class _Step(BaseModel):
    environment: dict[str, Any] | None = None
    served: list[_Served] = []


class _Simulation(_Step):
    identity: _Played


class _Origins(BaseModel):
    simulations: list[_Played] = []


class _Elsewhere(_Step):
    identity: _Origins


class _Scoring(_Step):
    identity: _Rated


class _Card(BaseModel):
    calls: list[dict[str, Any]] = []
    failed: dict[str, str] = {}


class DamagedError(EscEvalError):
    """A ledger is not as it was written."""


REFUSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR}
"""What SQLite answers where a disk or its permissions are at fault, and not the file."""


def _damaged(ledger: Path, what: str) -> DamagedError:
    return DamagedError(f"{ledger}: damaged: {what}. Put back a whole copy of the ledger, or choose another --out.")


def _is_refused(error: sqlite3.DatabaseError) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in REFUSED


def refuse_ledger(ledger: Path, error: sqlite3.DatabaseError) -> EscEvalError:
    """Why a ledger cannot be read, with the way out: it is damaged, or this user may not do what reading it takes."""
    if not _is_refused(error):
        return _damaged(ledger, str(error))
    if os.access(ledger, os.R_OK) and not os.access(ledger.parent, os.W_OK):
        return EscEvalError(
            f"{ledger}: cannot be read: its run was stopped, which left a log beside it, and to read that SQLite must "
            f"write into the folder, which this user may not. Copy the whole folder to a place where you may write."
        )
    return EscEvalError(
        f"{ledger}: cannot be read: {error}. See that the disk is sound and that you may read the file."
    )


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """A connection to the ledger of a run folder that changes nothing in it and leaves no files beside it.

    SQLite keeps a log and an index beside a ledger that is open, and takes them away when the last connection ends that
    may write. A ledger whose log holds nothing is therefore opened so that it may, and told not to; what a killed
    process left in a log is only read. Where nothing may be written and there is no log, the file is all there is.

    Raises:
        EscEvalError: It is damaged, or this user may not do what reading it takes.
    """
    log = folder / f"{LEDGER}-wal"
    there = log.is_file()
    try:
        return _connect(folder, "mode=ro" if there and log.stat().st_size else "mode=rw")
    except sqlite3.DatabaseError as error:
        if (there and log.stat().st_size) or not _is_refused(error):
            raise refuse_ledger(folder / LEDGER, error) from error
    try:
        return _connect(folder, "immutable=1")
    except sqlite3.DatabaseError as error:
        raise refuse_ledger(folder / LEDGER, error) from error


def _connect(folder: Path, how: str) -> sqlite3.Connection:
    uri = f"{(folder / LEDGER).resolve().as_uri()}?{how}"
    database = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    try:
        database.execute("pragma query_only = on")
        database.execute("pragma schema_version").fetchone()  # opens the file
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


class Run:
    """A run folder, open for work. Use as a context manager.

    Args:
        folder: Of the run; made where there is none.
        reading: Whether its ledger is only read, which another process may do or work on meanwhile.

    Attributes:
        named: The folder as its user wrote it, for messages.

    Raises:
        EscEvalError: Another process works on the folder, or it cannot be written.
    """

    def __init__(self, folder: str | Path, *, reading: bool = False) -> None:
        self.folder, self.reading = Path(folder), reading
        self.named = self.folder
        self.version = VERSION
        try:
            if not reading:
                self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            file = next(path for path in (self.folder, *self.folder.parents) if os.path.lexists(path))
            raise EscEvalError(f"{file}: is a file; a run needs a folder of its own") from error
        except FileNotFoundError as error:
            raise EscEvalError(f"{folder}: no folder can be made there; choose another --out") from error
        self._lock = FileLock(self.folder / ".lock")
        self._guard = Lock()
        self._call: dict[str, Any] = {}
        self._earlier: list[Any] | None = None

    def __enter__(self) -> Self:
        if self.reading:
            self._database = connect_to_read(self.folder)
            with self._reading() as database:
                self.version = int(database.execute("pragma user_version").fetchone()[0])
            return self
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise EscEvalError(
                f"{self.folder}: another process works on this run. Wait for it, stop it, or choose another --out."
            ) from error
        sweep(self.folder)
        try:
            self._database = sqlite3.connect(self.folder / LEDGER, check_same_thread=False, isolation_level=None)
            if strange := [name for (name,) in self._database.execute(OTHERS) if name not in TABLES]:
                self._close()
                raise EscEvalError(
                    f"{self.folder / LEDGER}: is no ledger of esc-eval but a database with the table {strange[0]!r}; "
                    "choose another --out"
                )
            self._database.execute("pragma journal_mode = wal")
            self._database.execute("pragma synchronous = full")
            version = int(self._database.execute("pragma user_version").fetchone()[0])
            if version < VERSION:
                self._database.executescript(f"{SCHEMA} pragma user_version = {VERSION};")
        except sqlite3.DatabaseError as error:
            self._lock.release()
            if isinstance(error, sqlite3.OperationalError):
                what = "is the disk full, or may this user not write there? Then run the command again"
                raise EscEvalError(f"{self.folder / LEDGER}: {error}; {what}") from error
            raise self.damaged(str(error)) from error
        if version > VERSION:
            self._close()
            raise EscEvalError(
                f"{self.folder / LEDGER}: written by a later version of esc-eval (form {version}, this "
                f"one knows {VERSION}). Upgrade, or choose another --out."
            )
        self._call, self._earlier = describe_call(), None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        with self._guard:
            self._database.close()
        if not self.reading:
            self._lock.release()

    @property
    def card(self) -> dict[str, Any]:
        """The content of run.json: identity and environment of each step that was begun, and the calls so far."""
        return read_card(self.folder)

    def describe(self, **facts: Any) -> None:
        """Keep in run.json what is worth knowing of this call, once it begins a step: its resolved settings, say.

        Args:
            facts: JSON by name. Nothing secret.
        """
        self._call.update(json.loads(json.dumps(facts)))
        if self._earlier is not None:
            self._write_card(self.card)

    def record(self, step: str, identity: Mapping[str, Any]) -> None:
        """Say in run.json what a step is made of, as it stands; the environment is of the call that began it.

        Args:
            step: ``simulation``, or ``scoring/RATER``.
            identity: All that decides the outcome, as JSON.
        """
        content = self.card
        known = content.get(step, {})
        began = known.get("environment") or describe_environment()
        served = {"served": known["served"]} if "served" in known else {}
        content[step] = {"identity": identity, "sha256": digest(identity), "environment": began, **served}
        self._write_card(content)

    def rename_scoring(self, old: str, new: str, scorer: Mapping[str, Any]) -> None:
        """Let a scoring have another rater's name. Where this is killed, doing it again ends it.

        Args:
            old, new: ``scoring/RATER``; there are no ratings under the new one.
            scorer: The identity of the rater, as it is called now.
        """
        content = self.card
        identity = {**content[old]["identity"], "scorer": scorer}
        content[new] = {**content[old], "identity": identity, "sha256": digest(identity)}
        self._write_card(content)
        rater = new.partition("/")[2]
        with self._writing() as database:
            database.execute("begin immediate")
            rated = "update records set kind = ?, json = json_set(json, '$.rater', ?) where kind = ?"
            database.execute(rated, (new, rater, old))
            database.execute("update records set owner = ? where kind = 'spent' and owner = ?", (new, old))
            database.execute("update members set kind = ? where kind = ?", (new, old))
            database.execute("commit")
        del content[old]
        self._write_card(content)

    def record_failures(self, asked: Iterable[str], failed: Mapping[str, str]) -> None:
        """Say in run.json which models could not be asked any more, and why, by what they are; those that were asked
        and did not fail are taken off.
        """
        content = self.card
        known = {name: why for name, why in content.get(FAILED, {}).items() if name not in set(asked)}
        if content.get(FAILED, {}) != (now := {**known, **failed}):
            content[FAILED] = now
            self._write_card(content)

    def record_all(self, content: Mapping[str, Any]) -> None:
        """Say in run.json what all steps are made of, as other runs said it."""
        self._write_card(dict(content))

    def add_served(self, step: str, facts: Mapping[str, Any]) -> None:
        """Say in run.json what a step was really asked and answered, when it ends, in whatever way.

        Args:
            step: As of ``record``; one that was not begun is left alone.
            facts: JSON. Nothing secret.
        """
        content = self.card
        if step in content:
            content[step].setdefault("served", []).append(json.loads(json.dumps(facts)))
            self._write_card(content)

    def _write_card(self, content: dict[str, Any]) -> None:
        """Write run.json, this call last among its calls."""
        if self._earlier is None:
            self._earlier = content.get("calls", [])
        content["calls"] = [*self._earlier, self._call]
        write_json(self.folder / CARD, content, durable=True)

    def refuse(self, step: str, differences: Sequence[str]) -> None:
        """Refuse to mix in what is made under another identity, if there are differences.

        Raises:
            EscEvalError: There are; the message lists them.
        """
        if not differences:
            return
        more = len(differences) - SHOWN
        lines = [*differences[:SHOWN], *([f"and {more} more"] if more > 0 else [])]
        kind, _, rater = step.partition("/")
        judged = step.startswith(PREFERRING)
        option = "--judge" if judged else "--scorer"
        beside = f", a name of its own to have both ({option} NAME=MODEL)" if rater else ""
        anew = "another folder with these dialogues" if judged else "another --out"
        raise EscEvalError(
            f"{self.folder} holds {'preferences' if judged else f'a {kind}'} under another identity:\n  "
            + "\n  ".join(lines)
            + f"\nUse the same settings to go on with it{beside}, or {anew} to begin anew."
        )

    def damaged(self, what: str) -> DamagedError:
        """The refusal of a ledger that is not as it was written, with the way out."""
        return _damaged(self.folder / LEDGER, what)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The database for one thread to read from.

        Raises:
            EscEvalError: It cannot be read: a part of the file or a table is lost, say.
        """
        with self._guard:
            try:
                yield self._database
            except sqlite3.DatabaseError as error:
                raise refuse_ledger(self.folder / LEDGER, error) from error

    def members(self, kind: str) -> dict[str, Any]:
        """What the run is a set of: JSON by id, in the order in which they came.

        Raises:
            EscEvalError: The ledger is damaged.
        """
        return dict(self.each_member(kind))

    def each_member(self, kind: str) -> Iterator[tuple[str, Any]]:
        """The same one after the other."""
        for name, text in self._rows("select id, json from members where kind = ? order by number", (kind,)):
            try:
                yield name, json.loads(_as_text(text))
            except (ValueError, RecursionError) as error:
                raise self.damaged(f"{kind} {name!r} is no JSON") from error

    def set_members(self, sets: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace the members of some kinds, all at once.

        Args:
            sets: By kind: JSON by id, in order.
        """
        with self._writing() as database:
            database.execute("begin immediate")
            for kind, members in sets.items():
                rows = (
                    (kind, name, number, json.dumps(value, ensure_ascii=False))
                    for number, (name, value) in enumerate(members.items())
                )
                database.execute("delete from members where kind = ?", (kind,))
                database.executemany("insert into members values (?, ?, ?, ?)", rows)
            database.execute("commit")

    def add_members(self, kind: str, found: Iterable[tuple[str, Any]]) -> list[str]:
        """Make ids members of a kind, beside those that have records of it; others are members no longer.

        None of them is held, so that there may be more than memory takes.

        Args:
            kind: Of members and records.
            found: Ids with their JSON, each once.

        Returns:
            Ids that have records and are members with other JSON. Where there are any, nothing was changed.

        Raises:
            EscEvalError: The ledger is damaged: a member is no JSON, or there are records of none.
        """
        with self._writing() as database:
            database.execute("drop table if exists temp.found")
            database.execute("create temp table found (number integer primary key, id text unique, json text)")
            for query, what in (
                (NO_JSON, "{0} {1!r} is no JSON"),
                (NO_MEMBER, "ratings of {1!r} are there, and no dialogue that was rated is called so"),
            ):
                if row := database.execute(query, {"kind": kind}).fetchone():
                    raise self.damaged(what.format(kind, row[0]))
        rows = ((name, json.dumps(value, ensure_ascii=False)) for name, value in found)
        while some := list(islice(rows, CHUNK)):
            with self._writing() as database:
                database.executemany("insert into temp.found (id, json) values (?, ?)", some)
        with self._writing() as database:
            changed = [row[0] for row in database.execute(CHANGED, {"kind": kind})]
            if not changed:
                database.execute("begin immediate")
                database.execute(FORGET_MEMBERS, {"kind": kind})
                database.execute(ADD_MEMBERS, {"kind": kind})
                database.execute("commit")
            database.execute("drop table temp.found")
        return changed

    def digest_members(self, kind: str) -> dict[str, Any]:
        """How many members a kind has, and the ``digest`` of all of them by id."""
        whole, n = sha256(b"{"), 0
        query = "select id, json from members where kind = ? order by id"
        for n, (name, text) in enumerate(self._rows(query, (kind,)), start=1):
            pair = f"{json.dumps(name, ensure_ascii=False)}:{canonical(json.loads(text))}"
            whole.update(f"{',' * (n > 1)}{pair}".encode("utf-8", "surrogatepass"))
        whole.update(b"}")
        return {"n": n, "sha256": whole.hexdigest()}

    def list_members(self) -> dict[str, dict[str, Any]]:
        """All that the run is a set of, by kind; see ``members``.

        Raises:
            EscEvalError: The ledger is damaged.
        """
        with self._reading() as database:
            kinds = [row[0] for row in database.execute("select distinct kind from members order by kind")]
        return {kind: self.members(kind) for kind in kinds}

    def list_records(self, kinds: str = "%") -> Iterator[tuple[str, str, int, str]]:
        """Kind, owner, position and text of every record of some kinds, as they are written, some at a time.

        Args:
            kinds: A pattern of SQL's ``like``.

        Raises:
            EscEvalError: The ledger is damaged.
        """
        query = "select kind, owner, position, json from records where kind like ? order by kind, owner, position"
        for kind, owner, position, text in self._rows(query, (kinds,)):
            try:
                yield kind, owner, position, _as_text(text)
            except ValueError as error:
                raise self.damaged(str(error)) from error

    def forget(self, kind: str, owner: str, position: int | None = None) -> None:
        """Drop the records of an owner; with a position that one alone."""
        chosen = "" if position is None else " and position = ?"
        values = (kind, owner) if position is None else (kind, owner, position)
        with self._writing() as database:
            database.execute(f"delete from records where kind = ? and owner = ?{chosen}", values)  # noqa: S608

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """The database for one thread to write to; a failed transaction is undone.

        Raises:
            EscEvalError: It cannot be written (a full disk, say).
        """
        with self._guard:
            try:
                yield self._database
            except sqlite3.DatabaseError as error:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                if not isinstance(error, sqlite3.OperationalError) or "no such" in str(error):
                    raise self.damaged(str(error)) from error
                raise EscEvalError(
                    f"{self.folder}: the ledger cannot be written: {error}. What was finished is kept; free some space "
                    "and run the same command again to go on."
                ) from error

    def add(self, kind: str, owner: str, position: int, text: str) -> None:
        """Make a record durable. One that is there already stays as it is.

        Raises:
            EscEvalError: It could not be written (a full disk, say).
        """
        with self._writing() as database:
            database.execute("insert or ignore into records values (?, ?, ?, ?)", (kind, owner, position, text))

    def add_all(self, rows: Iterable[tuple[str, str, int, str]]) -> None:
        """Make many records durable together: kind, owner, position and text of each.

        Raises:
            EscEvalError: As ``add``.
        """
        with self._writing() as database:
            database.execute("begin immediate")
            database.executemany("insert or ignore into records values (?, ?, ?, ?)", rows)
            database.execute("commit")

    def set_aside(self, kind: str, owner: str, text: str, drop: Iterable[str]) -> None:
        """Add one record more of an owner, and drop all of its records of some kinds, both or neither.

        Raises:
            EscEvalError: As ``add``.
        """
        with self._writing() as database:
            database.execute("begin immediate")
            counted = "select ?, ?, count(*), ? from records where kind = ? and owner = ?"
            database.execute(f"insert into records {counted}", (kind, owner, text, kind, owner))
            database.executemany("delete from records where kind = ? and owner = ?", [(each, owner) for each in drop])
            database.execute("commit")

    def of(self, kind: str, owner: str) -> list[str]:
        """The records of an owner in order of position."""
        query = "select json from records where kind = ? and owner = ? order by position"
        with self._reading() as database:
            return [row[0] for row in database.execute(query, (kind, owner))]

    def read(self, kind: str, owner: str, record: type[R]) -> list[R]:
        """The records of an owner in order of position, read.

        Raises:
            EscEvalError: The ledger is damaged: one is none.
        """
        return [self._read(kind, owner, record, line) for line in self.of(kind, owner)]

    def _read(self, kind: str, owner: str, record: type[R], line: object) -> R:
        try:
            found = record.model_validate_json(_as_text(line))
        except ValidationError as error:
            raise self.damaged(f"a record of kind {kind} of {owner!r} is none: {explain_validation(error)}") from error
        except ValueError as error:
            raise self.damaged(f"a record of kind {kind} of {owner!r} is none: {error}") from error
        if isinstance(found, Rating) and found.dialogue_id != owner:
            raise self.damaged(f"a record of kind {kind} of {owner!r} is of {found.dialogue_id!r}")
        return found

    def owners(self, kind: str) -> dict[str, int]:
        """How many records each owner has."""
        query = "select owner, count(*) from records where kind = ? group by owner"
        with self._reading() as database:
            return dict(database.execute(query, (kind,)).fetchall())

    def has(self, kind: str) -> bool:
        """Whether there is any record of a kind."""
        with self._reading() as database:
            return database.execute("select 1 from records where kind = ? limit 1", (kind,)).fetchone() is not None

    def total(self, kind: str) -> int:
        """How many records of a kind there are."""
        with self._reading() as database:
            return int(database.execute("select count(*) from records where kind = ?", (kind,)).fetchone()[0])

    def count(self, kind: str, owner: str) -> int:
        """How many records an owner has."""
        query = "select count(*) from records where kind = ? and owner = ?"
        with self._reading() as database:
            return int(database.execute(query, (kind, owner)).fetchone()[0])

    def find_gap(self, kind: str) -> str | None:
        """An owner of whose records one is missing before another; None where there is none."""
        with self._reading() as database:
            row = database.execute(GAP, (kind,)).fetchone()
        return row[0] if row else None

    def export(self, name: str, lines: Iterable[str]) -> Path:
        """Write a JSON Lines file into the folder; it appears whole or not at all."""
        path = self.folder / name
        write_whole(path, (line + "\n" for line in lines), durable=True)
        return path

    def export_ratings(self) -> None:
        """Write the ratings of all scorings, and those by people, into ``ratings.jsonl``; none = no such file."""
        kinds = self.rated_kinds
        if any(map(self.has, kinds)):
            self.export(RATINGS, (line for kind in kinds for line, _ in self.all(kind, Rating)))
        else:
            (self.folder / RATINGS).unlink(missing_ok=True)

    @property
    def rated_kinds(self) -> list[str]:
        """Kinds of records that are ratings: one a scorer, and those by people."""
        return [*sorted(key for key in self.card if key.startswith("scoring/")), PEOPLE]

    def export_preferences(self) -> None:
        """Write the preferences of all judges, and those by people, into ``preferences.jsonl``; none = no such file."""
        kinds = self.preferred_kinds
        if any(map(self.has, kinds)):
            self.export(PREFERENCES, (line for kind in kinds for line, _ in self.all(kind, Preference)))
        else:
            (self.folder / PREFERENCES).unlink(missing_ok=True)

    @property
    def preferred_kinds(self) -> list[str]:
        """Kinds of records that are preferences: one a judge, and those by people."""
        return [*sorted(key for key in self.card if key.startswith(PREFERRING)), PEOPLE_PREFER]

    def all(self, kind: str, record: type[R]) -> Iterator[tuple[str, R]]:
        """Every record of a kind, by owner and position: as it is written, and read.

        Raises:
            EscEvalError: The ledger is damaged: one is none.
        """
        query = "select owner, json from records where kind = ? order by owner, position"
        for owner, line in self._rows(query, (kind,)):
            yield line, self._read(kind, owner, record, line)

    def _rows(self, query: str, values: Sequence[Any]) -> Iterator[Any]:
        """The rows of a query, some at a time: others may use the database meanwhile."""
        with self._reading() as database:
            rows = database.execute(query, values)
        while True:
            with self._reading():
                some = rows.fetchmany(CHUNK)
            if not some:
                return
            yield from some


def _as_text(cell: object) -> str:
    if not isinstance(cell, str):
        raise ValueError(f"expected text, found {type(cell).__name__}")
    return cell


def read_card(folder: Path) -> dict[str, Any]:
    """The content of a folder's run.json, its parts that are read checked; empty where there is none.

    Raises:
        BadRecord: It is broken.
    """
    path = folder / CARD
    if not path.exists():
        return {}
    content = read_json_object(path)
    parts: list[tuple[str, Any, type[BaseModel]]] = [("the whole file", content, _Card)]
    parts += [(step, part, _Simulation) for step, part in content.items() if step == "simulation"]
    parts += [(step, part, _Elsewhere) for step, part in content.items() if step == PLAYED]
    parts += [(step, part, _Scoring) for step, part in content.items() if step.startswith("scoring/")]
    for where, part, kind in parts:
        try:
            kind.model_validate(part)
        except ValidationError as error:
            raise BadRecord(path, where, explain_validation(error)) from error
    return content


PLAYED = "played"
"""Step of a run.json that says how dialogues were made which were played in other runs."""


def find_simulations(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The identities of the simulations that made a run's dialogues; several where they are from several runs.

    Args:
        card: Content of its run.json.
    """
    if own := card.get("simulation", {}).get("identity"):
        return [own]
    return list(card.get(PLAYED, {}).get("identity", {}).get("simulations", ()))


def is_partly_foreign(card: Mapping[str, Any]) -> bool:
    """Whether some of a run's dialogues, of which others were simulated, are from nobody knows where."""
    return bool(card.get(PLAYED, {}).get("identity", {}).get("foreign"))


def find_faults(folder: Path) -> list[str]:
    """What a run folder lacks that says how its dialogues were made, a sentence each; the ledger is only read."""
    found = []
    if not (folder / CARD).exists():
        found.append(f"{folder}: no {CARD}, so nothing says which models and settings made what is there")
    if not (folder / LEDGER).is_file():
        return found
    try:
        with closing(connect_to_read(folder)) as database:
            row = database.execute(GAP, ("turn",)).fetchone()
    except EscEvalError as error:
        return [*found, str(error)]
    except sqlite3.DatabaseError as error:
        return [*found, str(refuse_ledger(folder / LEDGER, error))]
    if row:
        found.append(f"{folder / LEDGER}: turns of dialogue {row[0]!r} are missing before others that are there")
    return found
