"""The one way in which files are written: they appear whole or not at all.

A file is written under a temporary name in its own folder and renamed; a folder is filled beside its place and renamed.
Temporary names begin with ``.esc-eval-``, and their writer holds a lock on them (``flock``), which ends with it however
it ends: whoever writes into the same folder next deletes those that nobody holds. Permissions are those that the umask
gives, or those of the file that is replaced.
"""

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from filecmp import cmp
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

from esc_eval.errors import EscEvalError
from esc_eval.schema import Record, escape_inside

if sys.platform != "win32":
    import fcntl

PREFIX = ".esc-eval-"
"""Of the names of what is temporary."""
PATIENCE = 10.0
"""Seconds that a pipe is waited for to be read."""
BEFORE = f"{PREFIX}before-"
"""Of the name under which an earlier folder waits while a new one takes its place."""


@contextmanager
def open_whole(path: Path, durable: bool = False) -> Iterator[TextIO]:
    """A text file (UTF-8, ``\\n``) to write to, which takes its place when the block ends without an error.

    A link is followed; a device or a pipe (``/dev/stdout``) is written to as it is, once somebody reads it.

    Args:
        path: Its folder is made.
        durable: Wait until it is on the disk: for what a run depends on.

    Raises:
        EscEvalError: The path is a folder, a link that leads to itself, or a pipe that nobody reads, or lies in a file,
            or where nothing can be made (``/proc``).
    """
    if _is_stream(path):
        with _open_stream(path) as stream:
            yield stream
        return
    path = _place(path)
    sweep(path.parent)
    with _held(path) as temporary:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            try:
                yield file
                file.flush()  # a full disk is met here, and leaves nothing behind
                if durable:
                    os.fsync(file.fileno())
            except OSError as error:
                if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise _named(error, path) from error
                raise
        if not _is_same(temporary, path):  # who reads the file part by part need not begin anew
            _take_place(temporary, path)
    if durable:
        _sync(path.parent)


def _is_same(one: Path, other: Path) -> bool:
    """Whether two files hold the same; the other may not be there, or not be readable."""
    try:
        return other.is_file() and cmp(one, other, shallow=False)
    except OSError:
        return False


def write_whole(path: Path, chunks: Iterable[str], durable: bool = False) -> None:
    """Write text as ``open_whole`` does."""
    with open_whole(path, durable) as file:
        file.writelines(chunks)


def json_text(content: Any) -> str:
    """JSON that people read and that compares: two spaces, characters as they are.

    What no file can hold, such as bytes of a path that are no UTF-8, is written as ``escape_halves`` does.
    """
    return json.dumps(escape_inside(content), ensure_ascii=False, indent=2) + "\n"


def write_json(path: Path, content: Any, durable: bool = False) -> None:
    """Write JSON that people read and that compares."""
    write_whole(path, [json_text(content)], durable)


def write_jsonl(path: Path, records: Iterable[Record], durable: bool = False) -> None:
    """Write records as JSON Lines."""
    write_whole(path, (record.to_json() + "\n" for record in records), durable)


@contextmanager
def fill_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder for libraries that write by path; its files take their places in ``folder`` at the end.

    Each appears whole, is on the disk before that, and has the permissions that the umask gives, whatever the library
    gave it.
    """
    _make_parents(folder, folder)
    sweep(folder)
    with _held_folder(folder) as temporary:
        yield temporary
        for path in _sync_all(temporary):
            target = folder / path.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    _sync(folder)


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``folder`` at the end; an earlier one is renamed aside first, then deleted.

    At every moment one of the two is there, whole. Where the process ends between the two renames, the earlier one is
    put back by whoever replaces the folder next.

    Raises:
        EscEvalError: The path is a file, or a disk is mounted there, or nothing can be made there.
    """
    folder = _place(folder, a_folder=True)
    mounted = EscEvalError(f"{folder}: a disk is mounted there, and cannot be replaced; give a folder in it")
    if folder.is_mount():
        raise mounted
    sweep(folder.parent)
    before = folder.with_name(f"{BEFORE}{folder.name}")
    with _locked(folder.parent):
        _put_back(before, folder)
    with _held_folder(folder.parent) as temporary:
        yield temporary
        _sync_all(temporary)
        with _locked(folder.parent):
            _put_back(before, folder)
            if folder.exists():
                try:
                    folder.replace(before)
                except OSError as error:
                    if error.errno == errno.EBUSY:
                        raise mounted from error
                    raise
            temporary.replace(folder)
            _sync(folder.parent)
            _put_back(before, folder)


def discard_folder(folder: Path) -> None:
    """Delete a folder, if it is there; nobody ever finds half of it."""
    gone = _temporary_name(folder.parent)
    with suppress(FileNotFoundError):
        folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Delete what killed processes left behind in a folder; what somebody is writing stays."""
    with os.scandir(folder) as entries:
        left = [Path(e.path) for e in entries if e.name.startswith(PREFIX) and not e.name.startswith(BEFORE)]
    for path in left:
        with suppress(OSError), _locked(path, wait=False) as held:
            if held:
                _delete(path)


def _place(path: Path, a_folder: bool = False) -> Path:
    """Where a path leads, its folder made.

    Raises:
        EscEvalError: It is a folder where a file is meant, or the other way round, or lies in a file.
    """
    try:
        path = path.resolve() if path.is_symlink() else path
    except (OSError, RuntimeError) as error:
        raise EscEvalError(f"{path}: is a link that leads to itself; delete it, or choose another path") from error
    if path.is_dir() and not a_folder:
        raise EscEvalError(f"{path}: is a folder; give the path of a file")
    if a_folder and path.exists() and not path.is_dir():
        raise EscEvalError(f"{path}: is a file; give the path of a folder")
    _make_parents(path.parent, path)
    return path


def _is_stream(path: Path) -> bool:
    """Whether a path is no file that could be replaced: a device, a pipe, a stream of this process."""
    own = str(path).startswith(("/dev/fd/", "/dev/std", "/proc/"))  # may lead to a file that a shell has open
    return own or (path.exists() and not path.is_file() and not path.is_dir())


def _open_stream(path: Path) -> TextIO:
    """A device or a pipe, to write to.

    Raises:
        EscEvalError: It cannot be opened, or is a pipe that nobody has begun to read for ``PATIENCE`` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_TRUNC | (os.O_NONBLOCK if path.is_fifo() else 0))
            break
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise EscEvalError(f"{path}: cannot be written: {error.strerror}; choose another path") from error
            if time.monotonic() > deadline:
                what = "is a pipe that nobody reads; start its reader first, or choose another path"
                raise EscEvalError(f"{path}: {what}") from error
            time.sleep(0.05)
    os.set_blocking(handle, True)
    return open(handle, "w", encoding="utf-8", newline="\n")  # noqa: PTH123 - a handle, not a path


def _make_parents(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise EscEvalError(f"{path}: cannot be written, {error.filename} is a file and not a folder") from error
    except FileNotFoundError as error:
        raise EscEvalError(f"{path}: cannot be written, no folder can be made there; choose another path") from error


def _temporary_name(parent: Path) -> Path:
    return parent / f"{PREFIX}{uuid4().hex[:12]}"


@contextmanager
def _held(path: Path) -> Iterator[Path]:
    """A new empty file beside a path, locked; gone afterwards unless it was renamed."""
    while True:
        temporary = _temporary_name(path.parent)
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileNotFoundError as error:
            raise EscEvalError(f"{path}: no file can be made there; choose another path") from error
        except OSError as error:
            raise _named(error, path) from error
        with _locked(temporary) as held:
            if not held:
                continue  # swept before it was locked
            try:
                with suppress(FileNotFoundError):
                    temporary.chmod(path.stat().st_mode & 0o777)
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
        return


@contextmanager
def _held_folder(parent: Path) -> Iterator[Path]:
    """A new empty folder in a folder, locked; gone afterwards unless it was renamed."""
    while True:
        temporary = _temporary_name(parent)
        try:
            temporary.mkdir()
        except FileNotFoundError as error:
            raise EscEvalError(f"{parent}: no folder can be made there; choose another path") from error
        except OSError as error:
            raise _named(error, parent) from error
        with _locked(temporary) as held:
            if not held:
                continue
            try:
                yield temporary
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Whether this process holds the lock on a file or folder, which ends with the block or with the process."""
    if sys.platform == "win32":
        yield wait  # nothing is swept there
        return
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        held = True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError:  # a file system without locks: nothing is swept there
            held = wait
        yield held and (not wait or path.exists())
    finally:
        os.close(handle)


def _put_back(before: Path, folder: Path) -> None:
    """Put an earlier folder back where none took its place; else delete it."""
    if not before.is_dir():
        return
    if folder.exists() and any(folder.iterdir()):
        discard_folder(before)
    else:
        before.replace(folder)


def _take_place(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        raise _named(error, path) from error


def _named(error: OSError, path: Path) -> OSError:
    """An error that names the file that was asked for instead of the temporary one."""
    return type(error)(error.errno, error.strerror, str(path))


def _sync_all(folder: Path) -> list[Path]:
    """Put all files of a folder on the disk, with the permissions that the folder has; returns them in order."""
    mode = folder.stat().st_mode & 0o666
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        path.chmod(mode)
        with path.open("rb") as file:
            os.fsync(file.fileno())
    return paths


def _sync(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
