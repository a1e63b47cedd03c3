"""One simulation in parts that share nothing: each on a machine of its own, joined afterwards."""

import gc
import json
import shutil
import sqlite3
import subprocess
import sys
from itertools import chain

import pytest
from typer.testing import CliRunner

from esc_eval import Results, evaluate, merge, simulate
from esc_eval.api.play import choose_cards
from esc_eval.api.settings import make_settings
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files import records
from esc_eval.schema import Dialogue
from esc_eval.simulation.run import Run


def cards_of(shard):
    return [card.id for card in choose_cards(make_settings("simulate", cards="sample", language="en", shard=shard))]


def test_shards_share_no_card_and_leave_none_out():
    parts = [cards_of(f"{n}/5") for n in range(1, 6)]
    assert sorted(chain(*parts)) == sorted(cards_of(None))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "-1/2", "a/b", "1/2/3", "１/2", " 1/2", ""])
def test_what_is_no_shard_is_refused(shard):
    with pytest.raises(EscEvalError, match="from 1/OF to OF/OF"):
        make_settings("simulate", shard=shard)


def test_more_shards_than_cards_are_refused():
    with pytest.raises(EscEvalError, match="--shard 13/13: there are 12 cards"):
        cards_of("13/13")


def test_the_seeker_is_chosen_for_all_cards_so_that_shards_can_be_merged(tmp_path):
    cards = ["sample-en-01", "sample-zh-01"]
    both = [card for card in choose_cards(make_settings("simulate", cards="sample")) if card.id in cards]
    assert len(both) == 2
    told = [
        simulate(lambda m: "Yes.", seeker=lambda m: "No.", cards=both, rounds=1, shard=f"{n}/2", out=tmp_path / str(n))
        for n in (1, 2)
    ]
    assert [[d.card_id for d in part.dialogues] for part in told] == [[card.id] for card in both]


CODE = """
import sys
from zlib import crc32
from esc_eval import evaluate

def say(messages):
    return f"{crc32(repr(messages).encode())}"

def judge(messages):
    return str(crc32(messages[-1]["content"].encode()) % 5)

shard, out = sys.argv[1:]
evaluate({"one": say, "two": say}, seeker=say, scorer=judge, language="en", rounds=2, repeats=2,
         shard=None if shard == "all" else shard, out=out)
"""


@pytest.mark.slow
def test_processes_that_play_a_shard_each_make_together_what_one_makes(tmp_path):
    script = tmp_path / "play.py"
    script.write_text(CODE)
    parts = [tmp_path / f"part-{n}" for n in (1, 2, 3)]
    calls = [(f"{n}/3", part) for n, part in enumerate(parts, 1)] + [("all", tmp_path / "all")]
    children = [subprocess.Popen([sys.executable, script, shard, out]) for shard, out in calls]
    assert [child.wait(timeout=600) for child in children] == [0] * 4
    merged = CliRunner().invoke(app, ["merge", *map(str, parts), "--out", str(tmp_path / "merged")])
    assert merged.exit_code == 0, merged.stderr
    whole, joined = Results.load(tmp_path / "all"), Results.load(tmp_path / "merged")
    assert {d.id: d for d in joined.dialogues} == {d.id: d for d in whole.dialogues}
    assert {(r.dialogue_id, r.dimension): r for r in joined.ratings} == {
        (r.dialogue_id, r.dimension): r for r in whole.ratings
    }
    assert [t.model_dump() for t in joined.summary.tables] == [t.model_dump() for t in whole.summary.tables]
    said = json.loads((tmp_path / "merged" / "run.json").read_text())["merged"]
    assert [len(part["dialogues"]) for part in said] == [16, 16, 16]


def test_merging_and_reading_leave_nothing_beside_the_ledgers(tmp_path):
    parts = [tmp_path / str(n) for n in (1, 2)]
    for n, part in enumerate(parts, 1):
        simulate({"one": lambda m: "Yes."}, "sample", language="en", seeker=lambda m: "No.", rounds=1,
                 shard=f"{n}/2", out=part)  # fmt: skip
    merge(parts, out := tmp_path / "merged")
    Results.load(out).render()
    assert [path.name for folder in (*parts, out) for path in folder.glob("ledger*")] == ["ledger.sqlite3"] * 3


def test_a_ledger_whose_writer_was_killed_is_read_as_it_is(tmp_path):
    simulate({"one": lambda m: "Yes."}, "sample", language="en", seeker=lambda m: "No.", rounds=1, out=tmp_path / "run")
    where = tmp_path / "run" / "ledger.sqlite3"
    writer = sqlite3.connect(where)
    writer.execute("pragma wal_autocheckpoint = 0")
    writer.execute("insert into records values ('spent', 'a stranger', 0, '{}')")
    writer.commit()
    shutil.copytree(where.parent, killed := tmp_path / "killed")
    writer.close()
    before = {path.name: path.read_bytes() for path in killed.glob("ledger*") if not path.name.endswith("-shm")}
    assert before["ledger.sqlite3-wal"]
    with Run(killed, reading=True) as run:
        assert [owner for _, owner, _, _ in run.list_records("spent")].count("a stranger") == 1
    assert before == {name: (killed / name).read_bytes() for name in before}


def test_merging_large_folders_holds_none_of_their_dialogues_and_writes_the_same(tmp_path, monkeypatch):
    parts = [tmp_path / str(n) for n in (1, 2)]
    for n, part in enumerate(parts, 1):
        evaluate(
            {"one": lambda m: "Yes.", "two": lambda m: "Go on."}, "sample", language="en", seeker=lambda m: "No.",
            scorer=lambda m: "3", rounds=1, shard=f"{n}/2", out=part,
        )  # fmt: skip
    live, said = [], Dialogue.content.fget

    def count_live(dialogue):
        live.append(sum(type(one) is Dialogue for one in gc.get_objects()) - before)
        return said(dialogue)

    def merge_with(held):
        nonlocal before
        monkeypatch.setattr(records, "HELD", held)
        gc.collect()
        before = sum(type(one) is Dialogue for one in gc.get_objects())
        live.clear()
        merge(parts, out := tmp_path / f"held-{held}")
        return max(live), [(out / name).read_text() for name in ("dialogues.jsonl", "ratings.jsonl", "cards.jsonl")]

    before = 0
    monkeypatch.setattr(Dialogue, "content", property(count_live))
    (few, streamed), (all_of_them, held) = merge_with(0), merge_with(1 << 20)
    assert few <= 3 < 24 <= all_of_them
    assert streamed == held
