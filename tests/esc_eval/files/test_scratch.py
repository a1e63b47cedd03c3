"""Columns and tables of any size are the same arrays, whether they are held or stand in a file without a name."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from esc_eval.files import scratch
from esc_eval.files.scratch import Column, Table, blocks, is_mapped, let_go, select


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where temporary files are made; nothing of more than ten numbers is held."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "HELD", 80)
    monkeypatch.setattr(scratch, "CHUNK", 4)
    return tmp_path


def make_column(numbers, dtype):
    column = Column(dtype)
    for number in numbers[:5]:
        column.append(number)
    column.extend(np.array(numbers[5:], dtype=dtype))
    assert len(column) == len(numbers)
    return column.done()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.float64])
@pytest.mark.parametrize("count", [0, 3, 10, 11, 200])
def test_a_column_is_what_was_put_into_it(folder, dtype, count):
    numbers = [(7 * i) % 100 for i in range(count)]
    found = make_column(numbers, dtype)
    assert (found.dtype, found.tolist()) == (dtype, numbers)
    let_go(found)
    assert found.tolist() == numbers
    where = found > 50
    assert select(found, where).tolist() == [number for number in numbers if number > 50]
    assert [number for part in blocks(found) for number in found[part].tolist()] == numbers


def test_only_what_is_large_stands_in_a_file_and_that_has_no_name(folder):
    small, large = make_column(range(9), np.int64), make_column(range(50), np.int64)
    assert (is_mapped(small), is_mapped(large), is_mapped(large[3:7])) == (False, True, True)
    assert is_mapped(select(large, large < 40))
    assert not is_mapped(select(large, large < 5))
    assert not list(folder.iterdir())


@pytest.mark.parametrize("rows", [2, 20])
def test_a_table_holds_its_columns_and_zeros(folder, rows):
    table = Table(rows, 4)
    table.put(2, np.arange(rows))
    table.put(0, np.nan)
    found = table.done()
    expected = np.zeros((rows, 4))
    expected[:, 0], expected[:, 2] = np.nan, np.arange(rows)
    np.testing.assert_equal(found, expected)
    assert is_mapped(found) is (rows > 2)
    assert not list(folder.iterdir())


def test_where_no_temporary_file_can_be_made_all_is_held(folder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(folder / "missing"))
    found, table = make_column(range(100), np.int32), Table(50, 2)
    table.put(1, np.arange(50))
    assert found.tolist() == list(range(100))
    assert table.done()[:, 1].tolist() == list(range(50))
    assert not is_mapped(found)
    assert not is_mapped(table.done())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("buffering", [0, -1], ids=["at once", "at the end"])
def test_where_the_disk_is_full_the_folder_is_named(folder, monkeypatch, buffering):
    full = Path("/dev/full").open("r+b", buffering=buffering)  # noqa: SIM115
    monkeypatch.setattr(scratch, "_open", lambda: full)
    with pytest.raises(OSError, match=f"No space left on device: '{folder}'"):
        make_column(range(100), np.int64)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no place on a disk")
def test_a_table_has_its_place_on_the_disk_before_it_is_filled(folder, monkeypatch):
    table = Table(4096, 2)
    assert os.fstat(table._file.fileno()).st_blocks * 512 >= 8 * 4096 * 2

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert not table.done().any()
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match=f"No space left on device: '{folder}'"):
        Table(4096, 2)
