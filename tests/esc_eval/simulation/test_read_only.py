"""A run folder that may not be written is read like any other; where it cannot be, the sentence says why and what to
do."""

import json
import shutil
import sqlite3

import pytest
from rights import forbid_writing, run_by_permissions

from esc_eval import evaluate
from esc_eval.simulation.run import LEDGER


def say(messages):
    return "3"


def play_half(n, folder):
    evaluate({"one": say}, seeker=say, scorer=say, language="en", limit=4, rounds=1, shard=f"{n}/2", out=folder)


@pytest.fixture
def halves(tmp_path):
    """Two run folders, the halves of one run."""
    folders = [tmp_path / f"half {n}" for n in (1, 2)]
    for n, folder in enumerate(folders, 1):
        play_half(n, folder)
    return folders


def leave_log(folder, *, index):
    """What a killed process leaves beside a ledger: a log that holds a record, and its index."""
    writer = sqlite3.connect(folder / LEDGER)
    writer.execute("pragma wal_autocheckpoint = 0")
    writer.execute("insert into records values ('spent', 'a stranger', 0, '{}')")
    writer.commit()
    shutil.copytree(folder, killed := folder.with_name("killed"))
    writer.close()
    if not index:
        (killed / f"{LEDGER}-shm").unlink()
    return killed


def test_folders_that_may_not_be_written_are_merged_and_stay_as_they_are(halves, tmp_path):
    for folder in halves:
        forbid_writing(folder)
    there = [sorted(path.name for path in folder.iterdir()) for folder in halves]
    done = run_by_permissions("merge", *halves, "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    assert "4 dialogues, 28 ratings" in done.stdout
    assert [sorted(path.name for path in folder.iterdir()) for folder in halves] == there


def test_a_report_of_a_folder_that_may_not_be_written_is_printed_and_says_where_its_files_could_go(halves, tmp_path):
    forbid_writing(halves[0])
    done = run_by_permissions("report", halves[0])
    assert (done.returncode, "English, rated by" in done.stdout) == (0, True), done.stderr
    assert done.stderr == (
        f"note: {halves[0]}: may not be written, so no files of the report are; name a place: --out DIR\n"
    )
    done = run_by_permissions("report", halves[0], "--out", tmp_path / "elsewhere")
    assert (done.returncode, done.stderr, (tmp_path / "elsewhere" / "report.md").exists()) == (0, "", True)


def test_what_a_killed_process_left_is_read_where_nothing_may_be_written(halves, tmp_path):
    forbid_writing(killed := leave_log(halves[0], index=True))
    done = run_by_permissions("merge", killed, halves[1], "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr
    spent = sqlite3.connect(tmp_path / "both" / LEDGER).execute("select owner from records where kind = 'spent'")
    assert ("a stranger",) in spent.fetchall()


def test_an_empty_log_is_none(halves, tmp_path):
    (halves[0] / f"{LEDGER}-wal").touch()
    forbid_writing(halves[0])
    done = run_by_permissions("report", halves[0], "--out", tmp_path / "elsewhere")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["merge", "report"])
def test_a_log_that_cannot_be_read_where_nothing_may_be_written_is_no_damage(halves, tmp_path, command):
    forbid_writing(killed := leave_log(halves[0], index=False))
    done = run_by_permissions(command, killed, halves[1], "--out", tmp_path / "both")
    assert done.returncode == 2
    assert f"{killed / LEDGER}: cannot be read: its run was stopped, which left a log beside it" in done.stderr
    assert "which this user may not. Copy the whole folder to a place where you may write." in done.stderr
    shutil.copytree(killed, writable := tmp_path / "copy")
    for path in [writable, *writable.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    done = run_by_permissions(command, writable, halves[1], "--out", tmp_path / "both")
    assert done.returncode == 0, done.stderr


def test_a_ledger_that_may_not_be_read_is_no_damage(halves, tmp_path):
    (halves[0] / LEDGER).chmod(0)
    done = run_by_permissions("merge", *halves, "--out", tmp_path / "both")
    assert done.returncode == 2
    assert f"{halves[0] / LEDGER}: cannot be read: unable to open database file." in done.stderr
    assert "you may read the file" in done.stderr


def test_the_next_command_that_goes_on_folds_in_what_a_killed_process_left(halves):
    killed = leave_log(halves[0], index=True)
    assert sorted(path.name for path in killed.glob("ledger*")) == [LEDGER, f"{LEDGER}-shm", f"{LEDGER}-wal"]
    play_half(1, killed)
    assert [path.name for path in killed.glob("ledger*")] == [LEDGER]
    spent = sqlite3.connect(killed / LEDGER).execute("select owner, json from records where kind = 'spent'")
    assert ("a stranger", json.dumps({})) in spent.fetchall()
