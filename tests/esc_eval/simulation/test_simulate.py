"""Dialogues: what is played, that nothing finished is lost, and that a resumed run ends as an uninterrupted one."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty_server import FaultyServer

from esc_eval import __version__
from esc_eval.chat import Reply, open_model
from esc_eval.chat.endpoint.model import EndpointModel
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues
from esc_eval.prompts.protocol import load_protocol
from esc_eval.schema import Turn
from esc_eval.simulation.plan import Plan, find_failure, turn_seed
from esc_eval.simulation.run import Run, list_differences
from esc_eval.simulation.simulate import play_plan

ROOT = Path(__file__).resolve().parents[3]
SEEKER = [f"seeker {i}" for i in range(5)]
SUPPORTER = [f"supporter {i}" for i in range(5)]


@pytest.fixture
def plan(script):
    def make(cards=3, seeker=SEEKER, supporter=SUPPORTER, seed=0, **changes):
        protocol = load_protocol().model_copy(update=changes)
        models = [open_model(script(replies, name)) for replies, name in ((seeker, "s"), (supporter, "p"))]
        return Plan(protocol, load_cards(limit=cards), models[0], [models[1]], seed)

    return make


def play(plan, folder, on_turn=lambda _: None):
    with Run(folder) as run:
        play_plan(plan, run, on_turn)
    return read_dialogues(folder)


def test_a_dialogue_is_an_opening_and_five_rounds(plan, tmp_path):
    dialogues = play(plan(), tmp_path / "r")
    assert [d.card_id for d in dialogues] == ["sample-en-01", "sample-en-02", "sample-en-03"]
    for dialogue in dialogues:
        assert dialogue.turns[0].finish_reason == "scripted"
        assert [t.text for t in dialogue.turns[1:]] == [w for pair in zip(SEEKER, SUPPORTER, strict=True) for w in pair]
        assert (dialogue.rounds, dialogue.supporter, dialogue.protocol) == (5, "p", "esc-eval/1")


def test_every_supporter_plays_every_card_under_the_same_seeds(plan, tmp_path):
    one = plan()
    other = open_model(f"other=scripted:{tmp_path / 'p.json'}")
    dialogues = play(Plan(one.protocol, one.cards, one.seeker, [*one.supporters, other]), tmp_path / "r")
    assert [d.supporter for d in dialogues] == ["p"] * 3 + ["other"] * 3
    assert [t.seed for t in dialogues[0].turns] == [t.seed for t in dialogues[3].turns]
    assert dialogues[0].turns[1].seed == turn_seed(0, "sample-en-01", 1)


def test_two_supporters_of_one_name_are_refused(plan):
    one = plan()
    with pytest.raises(EscEvalError, match="two supporters are called 'p'"):
        Plan(one.protocol, one.cards, one.seeker, one.supporters * 2)


def test_reasoning_is_kept_but_not_spoken(plan, tmp_path):
    [dialogue] = play(plan(cards=1, supporter=["<think>hm</think>\n\nI see."]), tmp_path / "r")
    assert (dialogue.turns[2].text, dialogue.turns[2].raw) == ("I see.", "<think>hm</think>\n\nI see.")


@pytest.mark.parametrize(
    "words", ["", "x" * 10_000, "\x00\x07\x1b[31m\u202e", "\ud800".encode("utf-8", "replace").decode()]
)
def test_odd_output_does_not_break_a_run(plan, tmp_path, words):
    [dialogue] = play(plan(cards=1, supporter=[words]), tmp_path / "r")
    assert dialogue.turns[2].text == words


class Deaf:
    """A supporter that can read no further after the first round."""

    name, identity, parallel, concurrent = "deaf", {"kind": "test"}, 4, False

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            yield index, Reply("", "context") if len(conversation) > 2 else Reply("ok", "stop")


def test_a_conversation_too_long_for_a_model_ends_that_dialogue_only(plan, tmp_path):
    one = plan()
    dialogues = play(Plan(one.protocol, one.cards, one.seeker, [Deaf()]), tmp_path / "r")
    assert [len(d.turns) for d in dialogues] == [5, 5, 5]
    assert dialogues[0].turns[-1].finish_reason == "context"
    assert play(Plan(one.protocol, one.cards, one.seeker, [Deaf()]), tmp_path / "r") == dialogues


class Broken(Deaf):
    """A supporter whose arithmetic fails once, in its second round."""

    def __init__(self):
        self.fails = True

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            broken, self.fails = self.fails and len(conversation) > 2, self.fails and len(conversation) <= 2
            yield index, Reply("", "stop", problem="not finite") if broken else Reply("ok", "stop")


def test_a_reply_that_is_none_ends_its_dialogue_with_the_reason_and_no_other(plan, tmp_path):
    one, said = plan(), []
    dialogues = play(Plan(one.protocol, one.cards, one.seeker, [Broken()]), tmp_path / "r", said.append)
    assert [(d.problem, len(d.turns)) for d in dialogues] == [("supporter: not finite", 4), (None, 11), (None, 11)]
    again = play(Plan(one.protocol, one.cards, one.seeker, [Broken()]), tmp_path / "r", said.append)
    assert again == dialogues, "it stands in the ledger"
    assert len(said) == 3 + 10 + 10


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply("", "content_filter"), "the content filter let nothing of the reply through"),
        (Reply("<think>hm", "length"), "the reply was all reasoning, nothing was said"),
        (Reply("", "length", reasoning="hm"), "the reply was all reasoning, nothing was said"),
        (Reply("", "stop", problem="refused"), "refused"),
        (Reply("Well", "content_filter"), None),
        (Reply("", "stop"), None),
        (Reply("", "context"), None),
    ],
)
def test_what_is_no_reply(reply, problem):
    found = find_failure("seeker", reply)
    assert (found and found.problem) == problem


def test_a_finished_run_asks_no_model_again(plan, tmp_path):
    new = []
    first = play(plan(), tmp_path / "r", new.append)
    assert len(new) == 30
    assert play(plan(), tmp_path / "r", new.append) == first
    assert len(new) == 30


def test_another_identity_is_refused_with_the_difference(plan, tmp_path):
    play(plan(), tmp_path / "r")
    with pytest.raises(EscEvalError, match=r"seed: 0 -> 1\n.*another --out"):
        play(plan(seed=1), tmp_path / "r")
    with pytest.raises(EscEvalError, match=r"protocol.rounds: 5 -> 4"):
        play(plan(rounds=4), tmp_path / "r")
    with pytest.raises(EscEvalError, match=r"supporters.p.revision"):
        play(plan(supporter=["other words"]), tmp_path / "r")


def test_differences_name_their_place():
    assert list_differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 2}, "d": None}) == ["a.b: 1 -> 2", "c: 2 -> null"]


def test_two_processes_on_one_run_are_refused(plan, tmp_path):
    with (
        Run(tmp_path / "r"),
        pytest.raises(EscEvalError, match="another process works on this run"),
        Run(tmp_path / "r"),
    ):
        pass


def test_a_file_in_the_place_of_the_run_folder_is_refused(tmp_path):
    (tmp_path / "r").write_text("")
    with pytest.raises(EscEvalError, match="is a file"):
        Run(tmp_path / "r")


def test_a_broken_ledger_is_a_clear_error(tmp_path):
    (tmp_path / "ledger.sqlite3").write_text("this is no database at all, but a text of some length")
    with pytest.raises(EscEvalError, match=r"ledger\.sqlite3.*not a database"), Run(tmp_path):
        pass


def test_a_broken_run_card_is_a_clear_error(plan, tmp_path):
    (tmp_path / "run.json").write_text('{"simulation": ')
    with pytest.raises(EscEvalError, match=r"run\.json, line 1, column 16: broken JSON"):
        play(plan(), tmp_path)


def test_a_full_disk_keeps_what_was_finished(plan, tmp_path):
    seen = []
    with Run(tmp_path / "r") as run:
        # the database may grow no further than now: what SQLite sees on a full disk
        pages = run._database.execute("pragma page_count").fetchone()[0]
        run._database.execute(f"pragma max_page_count = {pages + 12}")
        with pytest.raises(EscEvalError, match=r"full.*run the same command again"):
            play_plan(plan(cards=24), run, seen.append)
        kept = sum(run.owners("turn").values())
    assert 0 < len(seen) <= kept < 24 * 11
    assert len(play(plan(cards=24), tmp_path / "r")) == 24


@pytest.mark.slow
def test_a_server_that_dies_leaves_what_was_finished_and_the_run_goes_on(plan, tmp_path):
    one, seen = plan(cards=6), []

    def with_server(url):
        endpoint = EndpointModel("toy", url, concurrency=3, attempts=2, longest_wait=0.02)
        endpoint.identity = {"kind": "openai", "model": "toy", "server": "the same server"}
        return Plan(one.protocol, one.cards, one.seeker, [endpoint])

    dying = FaultyServer(lambda number: 503 if number > 12 else None)
    with dying as server, pytest.raises(EscEvalError, match="run the same command again"):
        play(with_server(server.url), tmp_path / "r", seen.append)
    with Run(tmp_path / "r") as run:
        assert sum(run.owners("turn").values()) >= len(seen) >= 12
    with FaultyServer() as server:
        resumed = play(with_server(server.url), tmp_path / "r", seen.append)
    with FaultyServer() as server:
        uninterrupted = play(with_server(server.url), tmp_path / "uninterrupted")
    assert [said(d) for d in resumed] == [said(d) for d in uninterrupted]
    assert len(seen) == 60


def said(dialogue):
    """The turns of a dialogue, without how long each took."""
    return [turn.model_copy(update={"served": None}) for turn in dialogue.turns]


def test_endpoints_play_dialogues_side_by_side_to_the_same_end(plan, tmp_path):
    one = plan(cards=6)
    with FaultyServer(delay=0.01) as server:
        endpoint = EndpointModel("toy", server.url, concurrency=6)
        dialogues = play(Plan(one.protocol, one.cards, endpoint, [endpoint]), tmp_path / "r")
        assert server.most > 2
    assert [d.card_id for d in dialogues] == [c.id for c in one.cards]
    assert all(len(d.turns) == 11 for d in dialogues)


DRIVER = """
import sys
from esc_eval.chat import open_model
from esc_eval.files import load_cards
from esc_eval.prompts.protocol import load_protocol
from esc_eval.simulation.run import Run
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.simulate import play_plan
folder, told, seeker, supporter, tokens, cards, *rounds = sys.argv[1:]
cap = {"max_new_tokens": int(tokens)}
protocol = load_protocol().model_copy(update={"rounds": int(*rounds)} if rounds else {})
protocol = protocol.model_copy(update={s: getattr(protocol, s).model_copy(update=cap) for s in ("seeker", "supporter")})
seeker, *others = map(open_model, seeker.split("+"))
cards = load_cards(language="en", limit=int(cards))
plan = Plan(protocol, cards, seeker, [open_model(supporter)], other_seekers=others)
with open(told, "a", buffering=1) as file, Run(folder) as run:
    play_plan(plan, run, lambda turn: file.write(turn.to_json() + "\\n"))
"""


def killed_then_resumed(folder, specs, kill_after_turns):
    """Run in a process of its own, kill -9 once so many turns were announced, then run to the end."""
    told = folder.with_suffix(".told")
    command = [sys.executable, "-c", DRIVER, str(folder), str(told), *specs]
    process = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if told.exists() and told.read_bytes().count(b"\n") >= kill_after_turns:
            break
        time.sleep(0.002)
    assert process.poll() is None, "the process ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    announced = [Turn.model_validate_json(line) for line in told.read_text().split("\n") if line.endswith("}")]
    database = sqlite3.connect(folder / "ledger.sqlite3")
    kept = [Turn.model_validate_json(row[0]) for row in database.execute("select json from records")]
    database.close()
    assert len(announced) >= kill_after_turns
    for turn in announced:
        assert turn in kept, "a finished turn was lost"
    subprocess.run(command, cwd=ROOT, check=True)
    final = (folder / "dialogues.jsonl").read_bytes()
    for turn in kept:
        assert turn.to_json().encode() in final
    return final


@pytest.mark.slow
def test_kill_9_while_a_run_grows_changes_neither_what_was_there_nor_what_comes(script, tmp_path):
    models = [script(SEEKER, "s", 0.004), script(SUPPORTER, "p", 0.004)]
    for folder, cards in (("whole", "6"), ("grows", "3")):
        command = [sys.executable, "-c", DRIVER, str(tmp_path / folder), str(tmp_path / "told"), *models, "16", cards]
        subprocess.run(command, cwd=ROOT, check=True)
    before = (tmp_path / "grows" / "dialogues.jsonl").read_bytes()
    final = killed_then_resumed(tmp_path / "grows", [*models, "16", "6"], random.Random(22).randint(1, 25))
    assert final.startswith(before)
    assert final == (tmp_path / "whole" / "dialogues.jsonl").read_bytes()


@pytest.mark.slow
def test_kill_9_while_a_run_grows_by_a_second_seeker_ends_as_if_it_had_not_been(script, tmp_path):
    one, supporter = script(SEEKER, "s", 0.004), script(SUPPORTER, "p", 0.004)
    both = f"{one}+{script(SEEKER[::-1], 't', 0.004)}"
    for folder in ("whole", "grows"):
        command = [sys.executable, "-c", DRIVER, str(tmp_path / folder), str(tmp_path / "told")]
        subprocess.run([*command, one, supporter, "16", "4"], cwd=ROOT, check=True)
    subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "whole"), str(tmp_path / "told"), both, supporter, "16", "4"],
        cwd=ROOT, check=True,
    )  # fmt: skip
    final = killed_then_resumed(tmp_path / "grows", [both, supporter, "16", "4"], random.Random(23).randint(1, 30))
    assert final == (tmp_path / "whole" / "dialogues.jsonl").read_bytes()


@pytest.mark.slow
def test_kill_9_at_three_random_moments_loses_nothing_and_changes_nothing(script, tmp_path):
    specs = [script(SEEKER, "s", 0.004), script(SUPPORTER, "p", 0.004), "16", "6"]
    subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "whole"), str(tmp_path / "told"), *specs], cwd=ROOT, check=True
    )
    expected = (tmp_path / "whole" / "dialogues.jsonl").read_bytes()
    moments = random.Random(20).sample(range(1, 55), 3)
    for number, moment in enumerate(moments):
        assert killed_then_resumed(tmp_path / f"run{number}", specs, moment) == expected


@pytest.mark.slow
def test_kill_9_with_the_embedded_model_at_three_random_moments(tmp_path):
    specs = ["embedded", "embedded", "8", "3", "2"]
    subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path / "whole"), str(tmp_path / "told"), *specs], cwd=ROOT, check=True
    )
    expected = (tmp_path / "whole" / "dialogues.jsonl").read_bytes()
    for number, moment in enumerate(random.Random(21).sample(range(1, 13), 3)):
        assert killed_then_resumed(tmp_path / f"run{number}", specs, moment) == expected


def test_the_run_card_tells_who_made_the_run(plan, tmp_path):
    play(plan(), tmp_path / "r")
    card = json.loads((tmp_path / "r" / "run.json").read_text())["simulation"]
    assert {"protocol", "generation", "cards", "seeker", "supporters", "seed"} == set(card["identity"])
    assert "numpy" in card["environment"]["libraries"]
    assert card["environment"]["esc_eval"] == __version__
