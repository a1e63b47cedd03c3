"""A run folder is one run's: what belongs to something else is refused with the way out, and no two dialogues share an
id."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from made_identity import simulation_identity
from typer.testing import CliRunner

from esc_eval import evaluate, score, simulate
from esc_eval.chat import open_model
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.records import load_cards, read_dialogues, read_ratings
from esc_eval.prompts.protocol import load_protocol
from esc_eval.schema import RoleCard
from esc_eval.simulation.identity import keep_ids
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import CARD, LEDGER, Run, read_card
from esc_eval.simulation.simulate import play_plan


@pytest.fixture
def play(script):
    """Plays scripted models into a folder; returns the dialogues."""

    def make(folder, cards=None, supporters=("p",), seed=0):
        models = [open_model(script(["I hear you."], f"p{number}")) for number in range(len(supporters))]
        for model, name in zip(models, supporters, strict=True):
            model.name = name
        protocol = load_protocol().model_copy(update={"rounds": 2})
        seeker = open_model(script(["Not well."], "s"))
        with Run(folder) as run:
            play_plan(Plan(protocol, cards or load_cards(limit=2), seeker, models, seed), run)
        return read_dialogues(folder)

    return make


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def cards(*ids):
    return [RoleCard(id=one, language="en", text="Age: 30", source="made up") for one in ids]


@pytest.mark.parametrize("name", ["notes.txt", "thesis.docx", "ratings.csv"])
def test_a_folder_that_holds_files_of_others_is_left_alone(script, folder, name):
    (folder / name).write_text("mine")
    with pytest.raises(EscEvalError, match=rf"are not of a run, e\.g\. {name}; choose an empty or new"):
        simulate(script(["I hear you."], "p"), seeker=script(["Not well."], "s"), limit=1, rounds=1, out=folder)
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("inside", ["", "run", "a/run"])
def test_a_file_where_a_folder_is_needed_is_named(folder, inside):
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(EscEvalError, match=r"notes\.txt: is a file; a run needs a folder of its own"):
        Run(folder / "notes.txt" / inside)


def test_an_empty_folder_or_one_with_hidden_files_is_taken(script, folder):
    (folder / ".keep").write_text("")
    found = simulate(script(["I hear you."], "p"), seeker=script(["Not well."], "s"), limit=1, rounds=1, out=folder)
    assert len(found.dialogues) == 1


def test_a_ledger_without_its_run_card_is_refused_with_the_way_out(play, folder):
    play(folder)
    card = (folder / CARD).rename(folder / "aside.json")
    with pytest.raises(EscEvalError, match=r"ledger.*2 dialogues.*run\.json.*missing.*Put it back, or choose another"):
        play(folder)
    card.rename(folder / CARD)
    assert len(play(folder)) == 2


def test_a_ledger_with_a_gap_is_refused_with_the_way_out(play, folder):
    play(folder)
    with sqlite3.connect(folder / LEDGER) as database:
        database.execute("delete from records where position = 2 and owner like 'p:%01'")
    database.close()
    with pytest.raises(EscEvalError, match=r"'p:sample-en-01' are missing before others.*Put back a whole copy"):
        play(folder)


DAMAGES = [
    *(f"update {table} set json = {value}" for table in ("records", "members") for value in ("'nope['", "x'00ff'")),
    *(f"update members set json = '{{}}' where kind = '{kind}'" for kind in ("card", "conditions", "dialogue")),
    *(f"update records set json = '{{}}' where kind = '{kind}'" for kind in ("turn", "scoring/j")),
    'update records set json = replace(json, \'"dialogue_id":"\', \'"dialogue_id":"other\')',
    "delete from members where kind = 'card'",
    "delete from members where kind = 'conditions'",
    "drop table members",
    "drop table records",
    "alter table records rename column json to text",
    "insert into records select kind, 'nobody', position, json from records where kind = 'turn' and owner like '%-01'",
    "insert into records select kind, 'nobody', position, replace(json, 'p:sample-en-01', 'nobody') from records "
    "where kind = 'scoring/j' and owner like '%-01'",
]


@pytest.fixture
def evaluated(script, folder):
    """Evaluates with scripted models in a folder, again and again."""
    asked = [script(["I hear you."], "p"), script(["Not well."], "s"), f"j={script(['3'], 'j')}"]
    return lambda: evaluate(f"p={asked[0]}", seeker=asked[1], scorer=asked[2], limit=2, rounds=1, out=folder)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_refused_with_its_path_and_the_way_out(evaluated, folder, damage):
    evaluated()
    with sqlite3.connect(folder / LEDGER) as database:
        assert database.execute(damage).rowcount
    database.close()
    with pytest.raises(
        EscEvalError, match=r"(ledger\.sqlite3: damaged|the ledger holds).*[Pp]ut .*or choose another --out"
    ):
        evaluated()


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [lambda data: b"junk" * 2000, lambda data: data[: len(data) // 2], lambda data: data[:100]]
)
def test_a_ledger_that_is_cut_or_no_database_is_refused_with_the_way_out(evaluated, folder, damage):
    evaluated()
    (folder / LEDGER).write_bytes(damage((folder / LEDGER).read_bytes()))
    with pytest.raises(
        EscEvalError, match=r"ledger\.sqlite3: damaged: .*Put back a whole copy .*or choose another --out"
    ):
        evaluated()


@pytest.mark.slow
def test_a_report_says_what_a_run_folder_lacks(evaluated, folder):
    evaluated()
    told = CliRunner().invoke(app, ["report", str(folder)])
    assert (told.exit_code, "note:" in told.stderr) == (0, False)
    with sqlite3.connect(folder / LEDGER) as database:
        database.execute("delete from records where position = 1 and kind = 'turn' and owner like '%01'")
    database.close()
    (folder / CARD).unlink()
    told = CliRunner().invoke(app, ["report", str(folder)])
    said = " ".join(told.stderr.split())
    assert told.exit_code == 0
    assert f"no {CARD}, so nothing says" in said
    assert "'p:sample-en-01' are missing before others" in said


@pytest.mark.parametrize(
    ("other", "what"), [({"seed": 1}, "seed: 1 -> 0"), ({"supporters": ("q",)}, "only in the led")]
)
def test_a_ledger_of_another_experiment_is_refused_with_the_way_out(play, folder, other, what):
    play(folder / "one")
    play(folder / "other", **other)
    shutil.copy(folder / "other" / CARD, folder / "one" / CARD)
    with pytest.raises(EscEvalError, match=rf"are of two experiments:\n.*{what}[^$]*Put back the two of one run"):
        play(folder / "one", **other)


def test_ratings_in_a_ledger_of_which_the_run_card_says_nothing_are_refused(play, folder, script):
    judge = f"j={script(['3'], 'j')}"
    play(folder / "run")
    score(folder / "run", scorer=judge, out=folder / "run")
    assert len(read_ratings(folder / "run")) == 14
    content = json.loads((folder / "run" / CARD).read_text())
    (folder / "run" / CARD).write_text(json.dumps({k: v for k, v in content.items() if not k.startswith("scoring/")}))
    (folder / "run" / "ratings.jsonl").unlink()
    with pytest.raises(EscEvalError, match=r"its ledger holds j's ratings of 2 dialogues.*Put it back, or choose"):
        score(folder / "run", scorer=judge, out=folder / "run")


def test_no_two_dialogues_share_an_id(play, folder):
    found = play(folder, cards("1", "7b:1", "7b%3A1", "b:1"), ("qwen2", "qwen2:7b", "qwen2:7"))
    assert len({dialogue.id for dialogue in found}) == len(found) == 12
    assert {(d.supporter, d.card_id) for d in found} == {(d.supporter, d.card_id) for d in found}
    assert {d.id for d in found if d.card_id == "1"} == {"qwen2:1", "qwen2:7b:1", "qwen2:7:1"}


def rename_in_ledger(folder, old, new):
    """Make a ledger of one in which a dialogue has the id that it had in earlier versions."""
    with sqlite3.connect(folder / LEDGER) as database:
        database.execute("update records set owner = ? where owner = ?", (new, old))
        database.execute("update members set id = ? where id = ? and kind = 'dialogue'", (new, old))
    database.close()


def test_dialogues_keep_the_ids_that_a_ledger_has(play, folder):
    played = cards("7b:1", "2")
    before = play(folder, played, ("qwen2",))
    rename_in_ledger(folder, "qwen2:7b%3A1", "qwen2:7b:1")
    after = play(folder, [*played, *cards("3:3")], ("qwen2",))
    assert [d.id for d in after] == ["qwen2:7b:1", "qwen2:2", "qwen2:3%3A3"]
    assert [d.turns for d in after[:2]] == [d.turns for d in before]
    with pytest.raises(EscEvalError, match="two dialogues would be 'qwen2:7b:1'"):
        play(folder, [*played, *cards("1")], ("qwen2", "qwen2:7b"))


def test_a_plan_learns_the_ids_of_a_run(play, folder, script):
    play(folder, cards("a:b"), ("p",))
    rename_in_ledger(folder, "p:a%3Ab", "p:a:b")
    model = open_model(f"p={script(['x'], 'p')}")
    plan = Plan(load_protocol(), cards("a:b"), model, [model])
    with Run(folder) as run:
        keep_ids(plan, run)
    assert [play.id for play in plan.plays()] == ["p:a:b"]


def test_a_database_of_something_else_is_refused_and_stays_as_it_was(play, folder):
    with closing(sqlite3.connect(folder / LEDGER)) as database:
        database.execute("create table accounts (id integer primary key autoincrement, name text)")
    before = (folder / LEDGER).read_bytes()
    with pytest.raises(EscEvalError, match=r"is no ledger of esc-eval but a database with the table 'accounts'.*--out"):
        play(folder)
    assert (folder / LEDGER).read_bytes() == before


@pytest.mark.parametrize(
    ("part", "what"),
    [
        ({"simulation": None}, "simulation: Input should be"),
        ({"simulation": {}}, "simulation: identity: Field required"),
        ({"simulation": {"identity": {"seed": 0}}}, "simulation: identity.protocol: Field required"),
        ({"simulation": {"identity": simulation_identity(cards=[])}}, "simulation: identity.cards: Input should be"),
        ({"simulation": {"identity": simulation_identity(generation={})}}, "generation.seeker: Field required"),
        ({"simulation": {"identity": simulation_identity(supporters={"p": 3})}}, "supporters.p: Input should be"),
        ({"calls": {}}, "calls: Input should be"),
        ({"scoring/j": {"identity": {"by": "text"}}}, "scoring/j: identity.rubric: Field required"),
        ({"scoring/j": []}, "scoring/j: Input should be"),
    ],
)
def test_a_run_card_of_another_form_is_refused_with_the_place(folder, part, what):
    (folder / CARD).write_text(json.dumps(part))
    with pytest.raises(EscEvalError, match=rf"{CARD}, .*{what}"):
        read_card(folder)


def test_a_run_card_may_hold_more_than_is_read_of_it(folder):
    content = {"simulation": {"identity": simulation_identity(), "note": 1}, "notes": [1], "scoring": 3}
    (folder / CARD).write_text(json.dumps(content))
    assert read_card(folder) == content
