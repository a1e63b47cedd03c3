"""A run folder is a ratings table that needs nothing beside it: models, cards, languages and scale come along."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from dataset_builder.rows.dialogues import run_batch
from esc_eval import report
from esc_eval.chat import Reply
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import load_cards, read_dialogues, read_ratings
from esc_eval.prompts.protocol import load_protocol
from esc_eval.prompts.rubric import load_rubric
from esc_eval.scoring.score import Scoring, score_dialogues
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.simulation.simulate import play_plan

CARDS = [*load_cards(language="en", limit=3), *load_cards(language="zh", limit=2)]


class Model:
    """Says how long its name and what it is told are, as a level from 1 to 4."""

    parallel, concurrent = 4, False

    def __init__(self, name):
        self.name, self.identity = name, {"kind": "test", "model": name}

    def reply(self, conversations, settings, seeds):
        for index, conversation in enumerate(conversations):
            yield index, Reply(str(1 + len(self.name + conversation[-1]["content"]) % 4), "stop")


def own_rubric(low):
    levels = tuple(range(low, low + 5))
    return load_rubric().model_copy(update={"name": f"from-{low}", "levels": levels})


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two models on five cards, rated under a rubric of 1 to 5; and the same under one of 0 to 4."""
    folders = []
    for low in (1, 0):
        with Run(tmp_path_factory.mktemp("runs") / f"from{low}") as run:
            protocol = load_protocol().model_copy(update={"rounds": 1})
            play_plan(Plan(protocol, CARDS, Model("s"), [Model("long name"), Model("p")]), run)
            for judge in ("judge", "the second"):
                score_dialogues(read_dialogues(run.folder), Scoring(Model(judge), own_rubric(low)), run)
        folders.append(run.folder)
    return folders


def test_what_the_dialogues_say_comes_along(runs):
    table = read_table([runs[0]])
    assert table.clusters() == "card"
    rows = table.frame.drop_duplicates("dialogue_id")
    assert set(zip(rows["card"], rows["language"], rows["category"], strict=True)) == {
        (card.id, card.language, card.category) for card in CARDS
    }
    assert set(rows["model"]) == {"long name", "p"}


def test_the_scale_is_that_of_the_run_s_rubric_unless_another_is_said(runs):
    assert [(t.low, t.high) for t in (read_table([run]) for run in runs)] == [(1, 5), (0, 4)]
    assert read_table([runs[0]], (0, 9)).high == 9
    with pytest.raises(EscEvalError, match=r"several scales do not belong into one table: 1 to 5 in .*, 0 to 4 in"):
        read_table(runs)


def test_a_run_says_who_was_rated_beside_ratings_of_people(runs, tmp_path):
    [known, *_] = read_ratings(runs[0])
    people = tmp_path / "people.csv"
    people.write_text(
        f"dialogue_id,rater,dimension,score\n{known.dialogue_id},ann,empathy,3\nelsewhere,ann,empathy,2\n"
    )
    frame = read_table([people], (1, 5), beside=[runs[0]]).frame.set_index("dialogue_id")
    assert frame.loc[known.dialogue_id, "card"] == known.dialogue_id.partition(":")[2]
    assert frame["card"].isna().sum() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["leaderboard"], "long name"),
        (["agreement"], "scale:1-5|weights:distance|cluster:card"),
        (["power", "--difference", "5", "--cards", "20", "--raters", "1", "--simulations", "100"], "20"),
        (["correlation", "--automatic", "length", "--permutations", "99"], "length"),
        (["scorer"], "judge"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_commands_on_a_run_folder_need_no_other_option(runs, command, said):
    pytest.importorskip("statsmodels")
    from analysis.__main__ import app

    found = CliRunner().invoke(app, [command[0], str(runs[0]), *command[1:]])
    assert found.exit_code == 0, found.output
    assert said in found.output


def test_a_run_that_was_stopped_says_what_to_do_to_every_command(runs, tmp_path):
    folder = tmp_path / "stopped"
    shutil.copytree(runs[0], folder)
    for lost in ("ratings.jsonl", "ledger.sqlite3"):  # with its ledger it would be read as far as it goes
        (folder / lost).unlink()
    unrated = r"ratings\.jsonl: no such file\. Rate its dialogues"
    with pytest.raises(EscEvalError, match=unrated):
        read_table([folder])
    shown = CliRunner().invoke(app, ["report", str(folder)])
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert re.search(unrated, " ".join(shown.stderr.split()))
    (folder / "dialogues.jsonl").unlink()
    for read in (report, run_batch):
        with pytest.raises(EscEvalError, match=r"dialogues\.jsonl: no such file\. A run that was stopped"):
            read(folder)
