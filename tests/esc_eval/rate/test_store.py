"""Clicks are kept once each, in order, whatever happens to the process, the connection or a second window."""

import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest
from rights import forbid_writing, run_by_permissions

from esc_eval.errors import EscEvalError
from esc_eval.rate.store import FILE, Click, Conflict, Gone, Item, Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, make=True)
    made.keep_dialogues([("d1", "hash", {"card": None})])
    made.add_rater("anna", "first", [Item(f"item{n}", "anna", n, "dialogue", "d1") for n in range(3)])
    yield made
    made.close()


def level(one_id, value=3, dimension="empathy", **more):
    return Click(one_id, "level", dimension, value, **more)


def values(store):
    return [(click["id"], click["value"]) for click in store.clicks()]


def test_a_click_that_is_sent_again_is_kept_once(store):
    assert store.save("anna", "item0", 0, [level("a")]).result() == 1
    assert store.save("anna", "item0", 0, [level("a")]).result() == 1
    assert store.save("anna", "item0", 0, [level("a"), level("b", 4)]).result() == 2  # its answer was lost
    assert values(store) == [("a", 3), ("b", 4)]
    assert store.save("anna", "item0", 2, [level("c"), level("c")]).result() == 3  # twice in one request
    assert values(store) == [("a", 3), ("b", 4), ("c", 3)]


def test_a_window_that_does_not_know_of_a_click_in_another_is_told(store):
    store.save("anna", "item0", 0, [level("a")]).result()
    with pytest.raises(Conflict) as told:
        store.save("anna", "item0", 0, [level("other", 1)]).result()
    assert told.value.version == 1
    assert store.save("anna", "item1", 0, [level("c")]).result() == 2  # another item is another matter
    assert store.save("anna", "item0", 1, [level("d", 2)]).result() == 3
    assert values(store) == [("a", 3), ("c", 3), ("d", 2)]


def test_what_was_changed_stays_in_the_history(store):
    store.save("anna", "item0", 0, [level("a", 1, seconds=4.0)]).result()
    store.save("anna", "item0", 1, [level("b", 2, seconds=1.5)]).result()
    state = store.state("item0")
    assert (state.clicks["empathy"]["value"], state.seconds["empathy"], state.version) == (2, 5.5, 2)
    assert [value for _, value in values(store)] == [1, 2]


def test_the_time_of_a_click_is_when_it_was_made_not_when_the_connection_came_back(store):
    store.save("anna", "item0", 0, [level("a", age=3600)]).result()
    (click,) = store.clicks()
    assert click["time"] < click["received"]
    assert click["received"].endswith("+00:00")


def test_nobody_clicks_on_what_is_not_theirs(store):
    store.add_rater("ben", "first", [])
    for rater, item in (("ben", "item0"), ("anna", "nothing")):
        with pytest.raises(Gone):
            store.save(rater, item, 0, [level("a")]).result()
    assert values(store) == []


def test_many_at_once_lose_nothing_and_double_nothing(store):
    store.add_rater("ben", "first", [Item(f"b{n}", "ben", n, "dialogue", "d1") for n in range(40)])
    promised = []

    def click(n):
        promised.append(store.save("ben", f"b{n}", 0, [level(f"{n}-first")]))
        promised.append(store.save("ben", f"b{n}", 0, [level(f"{n}-first"), level(f"{n}-then")]))

    threads = [threading.Thread(target=click, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wait(promised, timeout=60).not_done
    assert sorted(one for one, _ in values(store)) == sorted(f"{n}-{i}" for n in range(40) for i in ("first", "then"))


def test_a_failing_request_undoes_itself_alone(store):
    bad = store.write(
        lambda file: file.execute("INSERT INTO item VALUES ('x', 'nobody', 0, 'dialogue', 'd1', NULL, 0)")
    )
    good = store.save("anna", "item0", 0, [level("a")])
    with pytest.raises(sqlite3.IntegrityError):
        bad.result()
    assert good.result() == 1


CHILD = """
import os, sys
from pathlib import Path
from esc_eval.rate.store import Click, Store
store = Store(Path(sys.argv[1]))
base = 0
for n in range(100_000):
    base = store.save("anna", "item0", base, [Click(f"click-{n}", "level", "empathy", n % 5)]).result()
    os.write(1, f"{n}\\n".encode())  # acknowledged
"""


def test_what_was_acknowledged_outlives_kill_minus_9(store, tmp_path):
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 20:
            child.send_signal(signal.SIGKILL)
            break
    acknowledged = [int(line), *(int(rest) for rest in child.stdout if rest.endswith("\n"))][-1]
    child.wait(60)
    kept = [one for one, _ in values(store)]
    assert kept[: acknowledged + 1] == [f"click-{n}" for n in range(acknowledged + 1)]
    assert len(kept) == len(set(kept)) <= acknowledged + 2


def test_the_file_is_its_owners_alone_and_another_file_is_refused(store, tmp_path):
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(EscEvalError, match="no such file"):
        Store(other)
    (other / FILE).write_text("no database, but a text that is long enough to look like a header of one" * 10)
    with pytest.raises(EscEvalError, match="no file of ratings"):
        Store(other)


def test_a_file_that_may_not_be_written_is_not_called_broken(tmp_path):
    code = "import sys; from pathlib import Path; from esc_eval.rate.store import Store; "
    code += "Store(Path(sys.argv[1]), make=True).close()"
    subprocess.run([sys.executable, "-c", code, tmp_path / "team"], check=True)
    assert [path.name for path in (tmp_path / "team").iterdir()] == [FILE]
    forbid_writing(tmp_path / "team")
    done = run_by_permissions("rate", "--out", tmp_path / "team", "--export")
    assert done.returncode == 2
    assert f"{tmp_path / 'team' / FILE}: cannot be written: attempt to write a readonly database; is the" in done.stderr


def test_forgetting_leaves_nothing_in_the_file(store, tmp_path):
    name = "Wilhelmina-Quux"
    store.add_rater(name, "first", [Item("w1", name, 0, "dialogue", "d1")])
    store.save(name, "w1", 0, [Click("secret-click", "note", text="a note that nobody should find")]).result()
    store.save("anna", "item0", 0, [level("a")]).result()
    rater, items, clicks = store.forget(name)
    assert (rater.name, items, clicks) == (name, 1, 1)
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for trace in (name.encode(), b"nobody should find", b"secret-click", rater.token.encode(), rater.slug.encode()):
        assert trace not in left
    assert values(store) == [("a", 3)]
    with pytest.raises(EscEvalError, match="no rater 'Wilhelmina-Quux'; there is anna"):
        store.forget(name)
