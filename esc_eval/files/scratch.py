"""Numbers that may be too many for memory: small columns and tables are held, large ones stand in a temporary file.

The file has no name and goes with what was made of it. It is mapped, so that what comes back is an array like any
other, of which only what was looked at takes memory, until ``let_go``. Where no temporary file can be made, all is
held; where one cannot be filled, OSError names the folder.
"""

import errno
import mmap
import os
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

import numpy as np
import numpy.typing as npt

HELD = 1 << 20
"""Bytes up to which a column or a table is held."""
CHUNK = 1 << 18
"""Rows that are worked on at a time where that takes memory for each."""
Numbers = npt.NDArray[Any]


class Column:
    """Numbers one after the other.

    Args:
        dtype: Of each.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self.dtype = np.dtype(dtype)
        self._new: Any = array(self.dtype.char)
        self._most = max(1, HELD // self.dtype.itemsize)
        self._file: IO[bytes] | None = None
        self._put = 0

    def __len__(self) -> int:
        return self._put + len(self._new)

    def append(self, number: float) -> None:
        """One more."""
        self._new.append(number)
        if len(self._new) > self._most:
            self._write()

    def extend(self, numbers: bytes | Numbers) -> None:
        """Some more."""
        self._new.frombytes(numbers.view(np.uint8) if isinstance(numbers, np.ndarray) else numbers)
        if len(self._new) > self._most:
            self._write()

    def _write(self) -> None:
        self._file = self._file or _open()
        if self._file is None:
            self._most = sys.maxsize
            return
        with _naming_folder():
            self._file.write(memoryview(self._new))
        self._put += len(self._new)
        self._new = array(self.dtype.char)

    def done(self) -> Numbers:
        """All of them."""
        if self._file is None:
            return np.frombuffer(self._new, dtype=self.dtype) if self._new else np.zeros(0, dtype=self.dtype)
        self._write()
        return _map(self._file, self.dtype)


class Table:
    """Columns of numbers, set in any order; zeros where none was.

    Args:
        rows, columns: How many.
        order: How it lies in memory, where it is held; in a file a column stands together.
    """

    def __init__(self, rows: int, columns: int, order: Any = "C") -> None:
        self.shape = rows, columns
        self._file = _open() if 8 * rows * columns > HELD else None
        if self._file is None:
            self._held = np.zeros(self.shape, order=order)
        else:
            with _naming_folder():
                _reserve(self._file, 8 * rows * columns)

    def put(self, column: int, numbers: Numbers | float) -> None:
        """Set a column."""
        if self._file is None:
            self._held[:, column] = numbers
        else:
            values = np.full(self.shape[0], numbers) if np.ndim(numbers) == 0 else numbers
            with _naming_folder():
                self._file.seek(8 * self.shape[0] * column)
                self._file.write(np.ascontiguousarray(values, dtype=np.float64).data)

    def done(self) -> npt.NDArray[np.float64]:
        """All of them, of shape (rows, columns)."""
        if self._file is None:
            return self._held
        return _map(self._file, np.dtype(np.float64)).reshape(self.shape[::-1]).T


def _open() -> IO[bytes] | None:
    try:
        return TemporaryFile()
    except OSError:
        return None


def _reserve(file: IO[bytes], size: int) -> None:
    """Zeros; where the system can, on the disk already, for a process ends where it reads zeros that have no place."""
    file.truncate(size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise


@contextmanager
def _naming_folder() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, gettempdir()) from error


def _map(file: IO[bytes], dtype: np.dtype[Any]) -> Numbers:
    """What a file holds; it is closed, and gone when nobody looks at it any more."""
    with _naming_folder(), file:
        file.flush()
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=dtype)


def _mapped(numbers: object) -> mmap.mmap | None:
    while isinstance(numbers, np.ndarray):
        numbers = numbers.base
    found = numbers.obj if isinstance(numbers, memoryview) else numbers
    return found if isinstance(found, mmap.mmap) else None


def is_mapped(numbers: Numbers) -> bool:
    """Whether they stand in a file."""
    return _mapped(numbers) is not None


def let_go(*each: Numbers) -> None:
    """Take what was looked at out of memory, of those that stand in a file."""
    for numbers in each:
        if (file := _mapped(numbers)) is not None and hasattr(mmap, "MADV_DONTNEED"):
            file.madvise(mmap.MADV_DONTNEED)


def blocks(*each: Numbers) -> Iterator[slice]:
    """Where to look next in columns of one length, of which what was looked at before is let go."""
    for start in range(0, len(each[0]), CHUNK):
        yield slice(start, min(start + CHUNK, len(each[0])))
        let_go(*each)


def select(numbers: Numbers, where: npt.NDArray[np.bool_]) -> Numbers:
    """Some of a column, by a mask."""
    if not is_mapped(numbers):
        return numbers[where]
    found = Column(numbers.dtype)
    for part in blocks(numbers):
        found.extend(numbers[part][where[part]])
    return found.done()
